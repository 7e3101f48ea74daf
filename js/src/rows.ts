// The rows the browser holds: one window of the result, replaced or patched, never reordered here.

import type { Cell, Cells, Column, PatchMessage, WindowMessage } from "./protocol";

export type Direction = "up" | "down" | "changed" | "new";
/** What to flash: absolute row number → column number → direction; column -1 is the whole row. */
export type Changes = Map<number, Map<number, Direction>>;

export class Rows {
  version = 0;
  start = 0;
  count = 0;
  whole = false;
  columns: Column[] = [];
  private cells: Cells = [];

  /** Return the text of a cell, null for NULL, undefined while it is not here. */
  cell(row: number, column: number): Cell | undefined {
    return this.cells[column]?.[row - this.start];
  }

  has(start: number, end: number): boolean {
    return start >= this.start && end <= this.start + this.count;
  }

  replace(message: WindowMessage): Changes {
    const before = this.held();
    const sameColumns = sameNames(this.columns, message.columns);
    const flash = sameColumns && this.version > 0 && this.version !== message.state.version;
    this.version = message.state.version;
    this.start = message.start;
    this.whole = message.whole;
    this.cells = message.cells;
    this.count = message.cells[0]?.length ?? 0;
    if (!sameColumns) this.columns = message.columns;
    return flash ? compare(before, this.held()) : new Map();
  }

  /** Apply changed cells; undefined when they build on something else than what is here. */
  patch(message: PatchMessage): Changes | undefined {
    if (message.base !== this.version || message.start !== this.start) return undefined;
    const before = this.held();
    const cells = [...this.cells];
    for (const [column, rows, text] of message.changes) {
      const values = [...(cells[column] ?? [])];
      rows.forEach((row, at) => {
        values[row] = text[at] ?? null;
      });
      cells[column] = values;
    }
    this.version = message.state.version;
    this.cells = cells;
    return compare(before, this.held());
  }

  private held(): Held {
    return { start: this.start, count: this.count, columns: this.columns, cells: this.cells };
  }
}

interface Held {
  start: number;
  count: number;
  columns: Column[];
  cells: Cells;
}

function sameNames(one: Column[], other: Column[]): boolean {
  return (
    one.length === other.length &&
    one.every((column, at) => column.name === other[at]?.name && column.type === other[at]?.type)
  );
}

/** Find what a reader would call changed: a row that only moved is not. */
export function compare(before: Held, after: Held): Changes {
  const changes: Changes = new Map();
  const old = lines(before);
  const now = lines(after);
  const oldLines = new Set(old);
  const nowLines = new Set(now);
  for (let at = 0; at < after.count; at++) {
    const row = after.start + at;
    const line = now[at] as string;
    const previous = old[row - before.start];
    if (line === previous || oldLines.has(line)) continue;
    if (previous === undefined) {
      // Below what was held: new only if the result itself ended there, which the caller knows.
      if (row === before.start + before.count || changes.has(row - 1)) changes.set(row, whole());
    } else if (nowLines.has(previous)) {
      changes.set(row, whole());
    } else {
      changes.set(row, cellsThatDiffer(before, after, row));
    }
  }
  return changes;
}

function whole(): Map<number, Direction> {
  return new Map([[-1, "new"]]);
}

function cellsThatDiffer(before: Held, after: Held, row: number): Map<number, Direction> {
  const differing = new Map<number, Direction>();
  after.columns.forEach((column, number) => {
    const old = before.cells[number]?.[row - before.start] ?? null;
    const now = after.cells[number]?.[row - after.start] ?? null;
    if (old !== now) differing.set(number, direction(column, old, now));
  });
  return differing;
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

function lines(held: Held): string[] {
  const joined: string[] = new Array(held.count).fill("");
  for (const column of held.cells) {
    for (let at = 0; at < held.count; at++) joined[at] += `${column[at] ?? "\u0000"}\u0001`;
  }
  return joined;
}
