// What the keyboard does in the grid. `keys` says what a key means, `cursor` where a step leads.

import { isRightToLeft, on } from "./dom";
import { meaning, type Step } from "./keys";
import type { Marks } from "./select";
import type { Grid, GridActs } from "./table";

export class Keyboard {
  readonly #grid: Grid;
  readonly #marks: Marks;
  readonly #acts: GridActs;

  constructor(grid: Grid, marks: Marks, acts: GridActs, signal: AbortSignal) {
    this.#grid = grid;
    this.#marks = marks;
    this.#acts = acts;
    on(grid.el, "keydown", (event) => this.#key(event), signal);
  }

  #key(event: KeyboardEvent): void {
    const { cursor, el } = this.#grid;
    const step = meaning(event, cursor.at.row < 0, isRightToLeft(el));
    if (!step || !this.#obey(step)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Do what a key asks; false leaves the key to the page. */
  #obey(step: Step): boolean {
    const grid = this.#grid;
    const { cursor, layout } = grid;
    const { row, column } = cursor.at;
    switch (step.do) {
      case "resize":
        grid.widths.step(column, step.columns);
        grid.redraw();
        break;
      case "reorder":
        layout.move(column, layout.shown.indexOf(column) + step.columns);
        grid.go(cursor.at);
        break;
      case "sort":
        this.#acts.sort(column, step.add);
        break;
      case "menu":
      case "open":
        this.#open(step.do);
        break;
      case "mark":
        this.#marks.toggle(row);
        break;
      case "all":
        this.#marks.all(grid.scroller.total);
        break;
      case "none":
        return this.#drop();
      default:
        cursor.step(step, grid.size);
        grid.reach();
    }
    return true;
  }

  /** Open the column's menu, or the value of the cell that has the keyboard. */
  #open(what: "menu" | "open"): void {
    const { active, cursor } = this.#grid;
    if (!active) return;
    if (what === "open") this.#acts.open(cursor.at, active);
    else this.#acts.menu(cursor.at.column, this.#grid.headOf(cursor.at.column) ?? active);
  }

  /** Let go of the block, else of the selection; tell whether there was either. */
  #drop(): boolean {
    const had = this.#grid.cursor.drop() || this.#marks.clear();
    this.#grid.redraw();
    return had;
  }
}
