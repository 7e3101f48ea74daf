// What a mouse or a finger does among the rows: go to a cell, stretch a block of cells, mark rows by their
// numbers. Text inside one cell is the browser's to select; a block begins where a hand leaves its cell.

import type { Body } from "./body";
import type { Place } from "./cursor";
import { on } from "./dom";
import type { Marks } from "./select";

interface Goes {
  go(place: Place, extend?: boolean, focus?: boolean): void;
  redraw(): void;
}

export class Pointer {
  #from: Place | undefined;
  #isBlock = false;

  readonly #view: HTMLElement;
  readonly #body: Body;
  readonly #grid: Goes;
  readonly #marks: Marks;

  constructor(view: HTMLElement, body: Body, grid: Goes, marks: Marks, signal: AbortSignal) {
    this.#view = view;
    this.#body = body;
    this.#grid = grid;
    this.#marks = marks;
    on(body.el, "pointerdown", (event) => this.#down(event), signal);
    on(body.el, "pointermove", (event) => this.#move(event), signal);
    const up = () => {
      this.#from = undefined;
      view.classList.remove("blocking");
    };
    for (const kind of ["pointerup", "pointercancel"] as const) {
      on(document, kind, up, signal);
    }
  }

  #down(event: PointerEvent): void {
    if (event.button !== 0) return;
    const place = this.#body.find(event.target as Node);
    if (!place) return;
    const toggles = event.ctrlKey || event.metaKey;
    if (place.column < 0 || toggles) {
      event.preventDefault();
      if (event.shiftKey) this.#marks.to(place.row);
      else if (toggles) this.#marks.toggle(place.row);
      else this.#marks.only(place.row);
      if (event.pointerType !== "touch") this.#from = { row: place.row, column: -1 };
      if (place.column >= 0) this.#grid.go(place);
      return;
    }
    if (event.shiftKey) event.preventDefault();
    this.#isBlock = false;
    if (event.pointerType !== "touch") this.#from = place;
    // Focus by the press itself, or by us where we kept the browser from it.
    this.#grid.go(place, event.shiftKey, event.shiftKey);
  }

  #move(event: PointerEvent): void {
    if (!this.#from || (event.buttons & 1) === 0) return;
    const place = this.#body.find(event.target as Node);
    if (!place) return;
    if (this.#from.column < 0) {
      this.#marks.to(place.row);
      return;
    }
    const isAway = place.row !== this.#from.row || place.column !== this.#from.column;
    if (place.column < 0 || (!isAway && !this.#isBlock)) return;
    if (!this.#isBlock) {
      this.#isBlock = true;
      this.#view.classList.add("blocking");
      this.#view.ownerDocument.getSelection()?.removeAllRanges();
    }
    this.#grid.go(place, true);
  }
}
