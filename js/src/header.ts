// The head of the grid: one cell per column in view, made once and written over; it is pulled wider, dragged to
// another place, clicked to sort, and opens the column's menu.

import type { Span } from "./columns";
import { isRightToLeft, make, mark, on, write } from "./dom";
import { oneLine } from "./format";
import { icon } from "./icons";
import type { Arrangement, Column } from "./protocol";

const DRAG_AFTER = 6; // pixels a hand may tremble
const HIDDEN = { "aria-hidden": "true" };
const HEAD = { role: "columnheader", scope: "col", tabindex: "-1" };
const MENU_BUTTON = { tabindex: "-1", "aria-haspopup": "menu" };

/** What can be done with a column; places count the columns shown. */
export interface Acts {
  focus(column: number): void;
  sort(column: number, add: boolean): void;
  menu(column: number, anchor: Element): void;
  resize(column: number, width: number): void;
  fit(column: number): void;
  move(column: number, place: number): void;
}

export interface HeadView {
  columns: Column[];
  shown: number[];
  widths: number[];
  span: Span;
  sort: Arrangement["sort"];
  /** Names of filtered columns get a sign. */
  filtered: Set<number>;
}

interface Cell {
  el: HTMLTableCellElement;
  name: HTMLElement;
  type: HTMLElement;
  order: HTMLElement;
  button: HTMLElement;
  column: number;
  place: number;
}

export class Head {
  readonly el = make("thead", "", { role: "rowgroup" });
  readonly #row = make(
    "tr",
    "",
    { role: "row", "aria-rowindex": "1" },
    make("th", "gutter", { role: "columnheader", "aria-label": "Row", "aria-colindex": "1" }),
    make("th", "gap", { role: "presentation" }),
  );
  #cells: Cell[] = [];
  #view: HeadView | undefined;
  #wasDragged = false;

  readonly #acts: Acts;
  readonly #signal: AbortSignal;

  constructor(acts: Acts, signal: AbortSignal) {
    this.#acts = acts;
    this.#signal = signal;
    this.el.append(this.#row);
  }

  draw(view: HeadView): void {
    this.#view = view;
    const { first, end } = view.span;
    while (this.#cells.length > end - first) this.#cells.pop()?.el.remove();
    for (let place = first; place < end; place++) {
      const cell = this.#cells[place - first] ?? this.#make();
      cell.place = place;
      cell.column = view.shown[place] ?? 0;
      this.#write(cell, view);
    }
  }

  /** Give the element of a column while it is in view. */
  cellOf(column: number): HTMLTableCellElement | undefined {
    return this.#cells.find((cell) => cell.column === column)?.el;
  }

  columnOf(element: Node): number | undefined {
    return this.#cells.find((cell) => cell.el.contains(element))?.column;
  }

  #write(cell: Cell, view: HeadView): void {
    const column = view.columns[cell.column];
    if (!column) return;
    const at = view.sort.findIndex(([sorted]) => sorted === cell.column);
    const direction = view.sort[at]?.[1];
    const element = cell.el;
    mark(
      element,
      "class",
      `head ${column.kind}${view.filtered.has(cell.column) ? " filtered" : ""}`,
    );
    mark(element, "aria-colindex", String(cell.place + 2));
    const sorted = direction === "asc" ? "ascending" : "descending";
    mark(element, "aria-sort", direction && at === 0 ? sorted : direction ? "other" : "none");
    write(cell.name, oneLine(column.name));
    write(cell.type, column.type);
    const sign = direction === undefined ? "" : direction === "asc" ? "↑" : "↓";
    write(cell.order, sign + (view.sort.length > 1 && at >= 0 ? String(at + 1) : ""));
    mark(cell.button, "aria-label", `Menu of column ${column.name}`);
    const hint = column.type ? `${column.name}\n${column.type}` : column.name;
    if (element.title !== hint) element.title = hint;
  }

  #make(): Cell {
    const [name, type] = [make("b"), make("small")];
    const order = make("span", "order", HIDDEN);
    const grip = make("span", "grip", HIDDEN);
    const button = make("button", "more", MENU_BUTTON, icon("menu"));
    const line = make("span", "line", {}, name, order);
    const element = make("th", "", HEAD, line, type, button, grip);
    const cell: Cell = { el: element, name, type, order, button, column: 0, place: 0 };
    this.#listen(cell, grip);
    this.#cells.push(cell);
    this.#row.append(element);
    return cell;
  }

  #listen(cell: Cell, grip: HTMLElement): void {
    const signal = this.#signal;
    const { el: element, button } = cell;
    on(grip, "pointerdown", (event) => this.#pull(cell, grip, event), signal);
    on(grip, "dblclick", () => this.#acts.fit(cell.column), signal);
    on(element, "pointerdown", (event) => this.#drag(cell, event), signal);
    on(element, "click", (event) => this.#clicked(cell, grip, event), signal);
    on(
      element,
      "contextmenu",
      (event) => {
        event.preventDefault();
        this.#acts.menu(cell.column, element);
      },
      signal,
    );
    on(button, "pointerdown", (event) => event.stopPropagation(), signal);
  }

  #clicked(cell: Cell, grip: HTMLElement, event: MouseEvent): void {
    const target = event.target as Node;
    if (this.#wasDragged || grip.contains(target)) return;
    this.#acts.focus(cell.column);
    if (cell.button.contains(target)) this.#acts.menu(cell.column, cell.button);
    else this.#acts.sort(cell.column, event.shiftKey);
  }

  /** Follow a hand that pulls a column's edge. */
  #pull(cell: Cell, grip: HTMLElement, down: PointerEvent): void {
    if (down.button !== 0) return;
    down.preventDefault();
    down.stopPropagation();
    const { column, place } = cell;
    const before = this.#view?.widths[place] ?? 0;
    const way = isRightToLeft(cell.el) ? -1 : 1;
    grip.classList.add("held");
    const stop = this.#follow(grip, down, (move) => {
      this.#acts.resize(column, before + way * (move.clientX - down.clientX));
    });
    on(stop, "abort", () => grip.classList.remove("held"));
  }

  /** Follow a hand that drags a column to another place; a finger scrolls instead. */
  #drag(cell: Cell, down: PointerEvent): void {
    this.#wasDragged = false;
    if (down.button !== 0 || down.pointerType === "touch") return;
    const { column, place } = cell;
    let to = place;
    const stop = this.#follow(cell.el, down, (move) => {
      if (!this.#wasDragged && Math.abs(move.clientX - down.clientX) < DRAG_AFTER) return;
      this.#wasDragged = true;
      to = this.#placeAt(move.clientX);
      this.#showDrop(column, place, to);
    });
    on(stop, "abort", () => {
      this.#showDrop(-1, 0, 0);
      if (this.#wasDragged && to !== place) this.#acts.move(column, to);
    });
  }

  #follow(
    element: HTMLElement,
    down: PointerEvent,
    moved: (event: PointerEvent) => void,
  ): AbortSignal {
    const stop = new AbortController();
    element.setPointerCapture?.(down.pointerId);
    on(element, "pointermove", moved, stop.signal);
    for (const end of ["pointerup", "pointercancel"] as const) {
      on(element, end, () => stop.abort(), stop.signal);
    }
    on(this.#signal, "abort", () => stop.abort(), stop.signal);
    return stop.signal;
  }

  /** The place a column dropped here would get. */
  #placeAt(x: number): number {
    const distance = ({ el }: Cell) => {
      const box = el.getBoundingClientRect();
      return Math.max(box.left - x, x - box.right);
    };
    const near = this.#cells.reduce((one, other) =>
      distance(other) < distance(one) ? other : one,
    );
    return near.place;
  }

  #showDrop(column: number, from: number, to: number): void {
    for (const cell of this.#cells) {
      const target = column >= 0 && cell.place === to && to !== from;
      const side = target ? (to < from ? "before" : "after") : null;
      mark(cell.el, "data-drop", side);
      cell.el.classList.toggle("dragged", cell.column === column && column >= 0);
    }
  }
}
