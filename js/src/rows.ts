// The rows the browser holds: one window of the rows shown, replaced or patched, never reordered here. Each row
// has an identity that stays when it moves, which tells a row that moved from one that changed.

import type { Cell, Cells, Column, PatchMessage, WindowMessage, Wish } from "./protocol";

export type Direction = "up" | "down" | "changed" | "new";
/** What to flash: absolute row number → column number → direction; column -1 is the whole row. */
export type Changes = Map<number, Map<number, Direction>>;

/** What a message did: which cells changed, and where rows went. */
export interface Update {
  changes: Changes;
  moved: (row: number) => number;
}

export const NOTHING_NEW: Update = { changes: new Map(), moved: (row) => row };

interface Held {
  version: number;
  next: number;
  start: number;
  columns: Column[];
  ids: number[];
  cells: Cells;
}

export class Rows implements Held {
  revision = 0;
  version = 0;
  next = 0;
  start = 0;
  whole = false;
  columns: Column[] = [];
  ids: number[] = [];
  cells: Cells = [];

  get count(): number {
    return this.ids.length;
  }

  /** Return the text of a cell, null for NULL, undefined while it is not here. */
  cell(row: number, column: number): Cell | undefined {
    return this.cells[column]?.[row - this.start];
  }

  /** Return what tells a row from all others, undefined while it is not here. */
  identity(row: number): number | undefined {
    return this.ids[row - this.start];
  }

  has(start: number, end: number): boolean {
    return start >= this.start && end <= this.start + this.count;
  }

  holds({ start, count }: Wish): boolean {
    return this.has(start, start + count);
  }

  replace(message: WindowMessage): Update {
    const { rows: ids, cells } = message;
    const same = sameColumns(this.columns, message.columns);
    return this.#become(message, ids, cells, same ? this.columns : message.columns);
  }

  /** Apply a patch; undefined when it builds on something else than what is here. */
  patch(message: PatchMessage): Update | undefined {
    if (message.base !== this.revision) return undefined;
    const { ids, cells } = rearranged(this, message.rows);
    for (const [column, rows, text] of message.changes) {
      const values = [...(cells[column] ?? [])];
      rows.forEach((row, at) => {
        values[row] = text[at] ?? null;
      });
      cells[column] = values;
    }
    return this.#become(message, ids, cells, this.columns);
  }

  #become(
    { state, start, whole, shift }: WindowMessage | PatchMessage,
    ids: number[],
    cells: Cells,
    columns: Column[],
  ): Update {
    const before = { ...this };
    const { revision, version, next } = state;
    Object.assign(this, { revision, version, next, start, whole, ids, cells, columns });
    if (before.columns !== columns || before.version === 0) return NOTHING_NEW;
    const places = new Map(ids.map((id, at) => [id, start + at]));
    const moved = (row: number) => whereTo(row, before, places) ?? row + shift;
    return { changes: before.version === version ? new Map() : compare(before, this), moved };
  }
}

/** Put a window together from pieces of the one held and from rows that came. */
function rearranged(held: Held, pieces: PatchMessage["rows"]): { ids: number[]; cells: Cells } {
  if (pieces === null) return { ids: held.ids, cells: [...held.cells] };
  const ids: number[] = [];
  const cells: Cells = held.columns.map(() => []);
  for (const piece of pieces) {
    const come = "rows" in piece;
    ids.push(...(come ? piece.rows : held.ids.slice(piece.place, piece.place + piece.count)));
    cells.forEach((values, column) => {
      const from = come
        ? piece.cells[column]
        : held.cells[column]?.slice(piece.place, piece.place + piece.count);
      values.push(...(from ?? []));
    });
  }
  return { ids, cells };
}

/** Say where a row went; for one that is gone, where its neighbours below say it would be. */
function whereTo(row: number, before: Held, places: Map<number, number>): number | undefined {
  for (let at = row - before.start; at >= 0 && at < before.ids.length; at++) {
    const place = places.get(before.ids[at] as number);
    if (place !== undefined) return Math.max(0, place - (at + before.start - row));
  }
  return undefined;
}

function sameColumns(one: Column[], other: Column[]): boolean {
  return (
    one.length === other.length &&
    one.every((column, at) => column.name === other[at]?.name && column.type === other[at]?.type)
  );
}

/** Find what a reader would call changed: a row that only moved, or came into view, is not. */
function compare(before: Held, after: Held): Changes {
  const changes: Changes = new Map();
  const old = new Map(before.ids.map((id, at) => [id, at]));
  after.ids.forEach((id, at) => {
    const was = old.get(id);
    if (was === undefined) {
      if (id >= before.next) changes.set(after.start + at, new Map([[-1, "new"]]));
      return;
    }
    let differing: Map<number, Direction> | undefined;
    for (let number = 0; number < after.columns.length; number++) {
      const one = before.cells[number]?.[was] ?? null;
      const other = after.cells[number]?.[at] ?? null;
      if (one === other) continue;
      differing ??= new Map();
      differing.set(number, direction(after.columns[number] as Column, one, other));
    }
    if (differing) changes.set(after.start + at, differing);
  });
  return changes;
}

export function direction(column: Column, old: Cell, now: Cell): Direction {
  if (column.kind !== "number" || old === null || now === null) return "changed";
  const difference = quantity(now) - quantity(old);
  return difference > 0 ? "up" : difference < 0 ? "down" : "changed";
}

/** Read a number or an amount of money; NaN when it is neither. */
function quantity(text: string): number {
  const plain = text.replace(/[^0-9.eE+-]/g, "");
  return /\d/.test(plain) ? Number(plain) : Number.NaN;
}
