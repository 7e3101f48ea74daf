// The cell that has the keyboard, and the block of cells stretched from it. Pure: rows are counted in the
// order shown, -1 is the head; columns are the query's numbers, and `shown` lists them in the order shown.

import type { Step } from "./keys";

export interface Place {
  row: number;
  column: number;
}

export interface Size {
  rows: number;
  shown: number[];
  /** Rows that fit on the screen. */
  page: number;
}

/** A block of cells: rows from `first` to before `end`, and the numbers of its columns as shown. */
export interface Block {
  first: number;
  end: number;
  columns: number[];
}

export class Cursor {
  at: Place = { row: -1, column: 0 };
  #anchor: Place | undefined;

  /** Go to a place, leaving the block or stretching it there. */
  go(place: Place, extend: boolean): void {
    const from = this.#anchor ?? this.at;
    this.#anchor = extend && place.row >= 0 && from.row >= 0 ? from : undefined;
    this.at = place;
  }

  /** Let go of the block; tell whether there was one. */
  drop(): boolean {
    const had = this.#anchor !== undefined;
    this.#anchor = undefined;
    return had;
  }

  /** Move as a key asks. */
  step(step: Step, size: Size): void {
    const next = target(this.at, step, size);
    if (next) this.go(next, "extend" in step && step.extend);
  }

  /** Stay inside a result and a layout that may have shrunk. */
  fit(size: Size): void {
    this.at = within(this.at, size);
    if (this.#anchor) this.#anchor = within(this.#anchor, size);
  }

  /** Follow rows to where they are now. */
  follow(move: (row: number) => number): void {
    const to = (place: Place) => (place.row < 0 ? place : { ...place, row: move(place.row) });
    this.at = to(this.at);
    if (this.#anchor) this.#anchor = to(this.#anchor);
  }

  block(shown: number[]): Block | undefined {
    if (!this.#anchor) return undefined;
    const [one, other] = [shown.indexOf(this.#anchor.column), shown.indexOf(this.at.column)];
    return {
      first: Math.min(this.#anchor.row, this.at.row),
      end: Math.max(this.#anchor.row, this.at.row) + 1,
      columns: shown.slice(Math.min(one, other), Math.max(one, other) + 1),
    };
  }
}

function target(at: Place, step: Step, size: Size): Place | undefined {
  const place = Math.max(0, size.shown.indexOf(at.column));
  const last = size.shown.length - 1;
  const lastRow = size.rows - 1;
  // A block stays among the rows; everything else may go up to the head.
  const top = "extend" in step && step.extend ? Math.min(0, lastRow) : -1;
  const to = (row: number, column: number): Place => ({
    row: Math.max(top, Math.min(row, lastRow)),
    column: size.shown[Math.max(0, Math.min(column, last))] ?? 0,
  });
  switch (step.do) {
    case "move":
      return to(at.row + step.rows, place + step.columns);
    case "page":
      if (at.row < 0) return to(step.pages > 0 ? size.page - 1 : -1, place);
      return to(Math.max(Math.min(0, lastRow), at.row + step.pages * size.page), place);
    case "edge": {
      const row = step.end ? lastRow : Math.min(0, lastRow);
      if (step.edge === "row") return to(at.row, step.end ? last : 0);
      return to(row, step.edge === "column" ? place : step.end ? last : 0);
    }
  }
  return undefined;
}

function within(place: Place, size: Size): Place {
  return {
    row: Math.max(-1, Math.min(place.row, size.rows - 1)),
    column: size.shown.includes(place.column) ? place.column : (size.shown[0] ?? 0),
  };
}
