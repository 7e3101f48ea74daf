// What is on the screen, and which rows are to be here for it.

import type { Bar } from "./bar";
import type { Foot } from "./foot";
import { moment } from "./moment";
import type { State, Wish } from "./protocol";
import type { Rows } from "./rows";
import { ROW } from "./style";
import type { Grid } from "./table";
import { BUSY_AFTER, type Viewer } from "./viewer";

const LATER_MS = BUSY_AFTER + 20;

interface Parts {
  grid: Grid;
  rows: Rows;
  viewer: Viewer;
  bar: Bar;
  foot: Foot;
  signal: AbortSignal;
}

export class Sight {
  /** Pixels a table may be high. */
  height = 0;
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** The rows on the screen and two screens on either side. */
  get wish(): Wish {
    const { grid, rows } = this.#parts;
    const { first, end } = grid.scroller.inView;
    const screen = Math.max(end - first, Math.ceil(this.height / ROW));
    const start = Math.max(0, first - 2 * screen);
    return {
      start,
      count: first - start + 3 * screen,
      anchor: grid.scroller.isAtTop ? null : (rows.identity(first) ?? null),
      revision: rows.revision,
    };
  }

  /** Say what is in view, and see to it that those rows come. */
  look(state: State | undefined): void {
    const { grid, rows, viewer, foot, signal } = this.#parts;
    const { first, end } = grid.scroller.inView;
    if (state?.version) foot.view(first, end, state.filtered, state.total);
    const isMissing = rows.version > 0 && !rows.has(first, end);
    if (isMissing || this.#isNearEdge(state?.filtered ?? 0)) viewer.want(this.wish, moment());
    this.#hint(isMissing || rows.version === 0);
    if (isMissing) setTimeout(() => signal.aborted || this.#lookAgain(), LATER_MS);
  }

  /** Say it where rows are still not here. */
  #lookAgain(): void {
    const { grid, rows } = this.#parts;
    const { first, end } = grid.scroller.inView;
    this.#hint(!rows.has(first, end));
  }

  #hint(isMissing: boolean): void {
    const { bar, viewer } = this.#parts;
    bar.hintAt(viewer.hint(isMissing, moment()));
  }

  /** Tell whether the rows held end soon above or below those in view, of so many shown. */
  #isNearEdge(total: number): boolean {
    const { grid, rows } = this.#parts;
    const { first, end } = grid.scroller.inView;
    if (rows.whole || rows.version === 0) return false;
    const margin = Math.max(4, (end - first) >> 1);
    return !rows.has(Math.max(0, first - margin), Math.min(total, end + margin));
  }
}
