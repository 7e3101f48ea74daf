// Which rows are selected. The kernel knows: rows stay selected wherever updates, sorting and filters put them.
// Here is what it told of the rows at hand, and what a hand did since, so that a click shows at once.

import { moment } from "./moment";
import type { Mode, Selected } from "./protocol";
import type { Rows } from "./rows";

type Range = [start: number, end: number];

interface Deed {
  mode: Mode;
  ranges: Range[];
  revision: number;
  at: number;
}

const BELIEVED_MS = 3000;
const DRAG_MS = 60;

export class Marks {
  #told: Selected = { count: 0, rows: [] };
  #deeds: Deed[] = [];
  #anchor = 0;
  #wait = 0;

  readonly #rows: Rows;
  readonly #send: (mode: Mode, ranges: Range[], revision: number) => void;
  readonly #changed: () => void;

  constructor(
    rows: Rows,
    send: (mode: Mode, ranges: Range[], revision: number) => void,
    changed: () => void,
  ) {
    this.#rows = rows;
    this.#send = send;
    this.#changed = changed;
  }

  /** Take what the kernel says; it has not seen what it has not been told yet. */
  take(selected: Selected): void {
    this.#told = selected;
    this.#deeds = this.#wait ? this.#deeds.slice(-1) : [];
  }

  /** Follow rows to where they are now. */
  follow(moved: (row: number) => number): void {
    this.#anchor = moved(this.#anchor);
  }

  get count(): number {
    return this.#told.count;
  }

  has(row: number): boolean {
    let is = this.#isTold(row);
    for (const deed of this.#deeds) {
      if (deed.revision !== this.#rows.revision) continue;
      const hit = deed.ranges.some(([start, end]) => row >= start && row < end);
      if (deed.mode === "replace") is = hit;
      else if (deed.mode === "add") is ||= hit;
      else if (deed.mode === "remove") is &&= !hit;
      else is = is !== hit;
    }
    return is;
  }

  only(row: number): void {
    this.#anchor = row;
    this.#do("replace", [[row, row + 1]]);
  }

  toggle(row: number): void {
    if (row < 0) return;
    this.#anchor = row;
    this.#do("toggle", [[row, row + 1]]);
  }

  /** Select from the row touched last to this one. */
  to(row: number): void {
    const range: Range = [Math.min(this.#anchor, row), Math.max(this.#anchor, row) + 1];
    const last = this.#deeds.at(-1);
    const [before] = last?.ranges ?? [];
    if (last?.mode === "replace" && before?.[0] === range[0] && before[1] === range[1]) return;
    this.#do("replace", [range]);
  }

  all(total: number): void {
    this.#do("replace", total ? [[0, total]] : []);
  }

  /** Select nothing; tell whether anything was. */
  clear(): boolean {
    const had = this.count > 0 || this.#deeds.length > 0;
    if (had) this.#do("replace", []);
    return had;
  }

  #do(mode: Mode, ranges: Range[]): void {
    const now = moment();
    // A new choice makes those before it moot; old ones nobody answered were no news.
    if (mode !== "replace") this.flush();
    this.#deeds = mode === "replace" ? [] : this.#deeds.filter(({ at }) => now - at < BELIEVED_MS);
    this.#deeds.push({ mode, ranges, revision: this.#rows.revision, at: now });
    this.#changed();
    if (mode !== "replace") this.#send(mode, ranges, this.#rows.revision);
    else if (this.#wait === 0) {
      // While a hand drags over rows, only where it is now and then is told.
      this.#wait = window.setTimeout(() => this.flush(), DRAG_MS);
    }
  }

  /** Tell what is still to be told. */
  flush(): void {
    if (this.#wait === 0) return;
    clearTimeout(this.#wait);
    this.#wait = 0;
    const last = this.#deeds.findLast(({ mode }) => mode === "replace");
    if (last) this.#send("replace", last.ranges, last.revision);
  }

  #isTold(row: number): boolean {
    const identity = this.#rows.identity(row);
    if (identity === undefined) return false;
    return this.#told.rows.some(([first, last]) => identity >= first && identity <= last);
  }
}
