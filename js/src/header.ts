// The head of the grid: one cell per column in view, made once and written over; it is pulled wider, dragged to
// another place, clicked to sort, and opens the column's menu.

import type { Span } from "./columns";
import { isRightToLeft, make, mark, write } from "./dom";
import { oneLine } from "./format";
import { icon } from "./icons";
import type { Arrangement, Column } from "./protocol";

const DRAG_AFTER = 6; // pixels a hand may tremble

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
  element: HTMLTableCellElement;
  name: HTMLElement;
  type: HTMLElement;
  order: HTMLElement;
  button: HTMLElement;
  column: number;
  place: number;
}

export class Head {
  readonly element = make("thead", "", { role: "rowgroup" });
  readonly #row = make("tr", "", { role: "row", "aria-rowindex": "1" });
  readonly #corner = make("th", "gutter", {
    role: "columnheader",
    "aria-label": "Row",
    "aria-colindex": "1",
  });
  readonly #gap = make("th", "gap", { role: "presentation" });
  #cells: Cell[] = [];
  #view: HeadView | undefined;
  #wasDragged = false;

  constructor(
    private readonly acts: Acts,
    private readonly signal: AbortSignal,
  ) {
    this.#row.append(this.#corner, this.#gap);
    this.element.append(this.#row);
  }

  draw(view: HeadView): void {
    this.#view = view;
    const { first, end } = view.span;
    while (this.#cells.length > end - first) this.#cells.pop()?.element.remove();
    for (let place = first; place < end; place++) {
      const cell = this.#cells[place - first] ?? this.#make();
      cell.place = place;
      cell.column = view.shown[place] ?? 0;
      this.#write(cell, view);
    }
  }

  /** Give the element of a column while it is in view. */
  cellOf(column: number): HTMLTableCellElement | undefined {
    return this.#cells.find((cell) => cell.column === column)?.element;
  }

  columnOf(element: Node): number | undefined {
    return this.#cells.find((cell) => cell.element.contains(element))?.column;
  }

  #write(cell: Cell, view: HeadView): void {
    const column = view.columns[cell.column];
    if (!column) return;
    const at = view.sort.findIndex(([sorted]) => sorted === cell.column);
    const direction = view.sort[at]?.[1];
    const { element } = cell;
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
    const element = make("th", "head", { role: "columnheader", scope: "col", tabindex: "-1" });
    const cell: Cell = {
      element,
      name: make("b"),
      type: make("small"),
      order: make("span", "order", { "aria-hidden": "true" }),
      button: make("button", "more", { type: "button", tabindex: "-1", "aria-haspopup": "menu" }),
      column: 0,
      place: 0,
    };
    const grip = make("span", "grip", { "aria-hidden": "true" });
    cell.button.append(icon("menu"));
    const line = make("span", "line");
    line.append(cell.name, cell.order);
    element.append(line, cell.type, cell.button, grip);
    this.#listen(cell, grip);
    this.#cells.push(cell);
    this.#row.append(element);
    return cell;
  }

  #listen(cell: Cell, grip: HTMLElement): void {
    const { signal } = this;
    const { element, button } = cell;
    grip.addEventListener("pointerdown", (event) => this.#pull(cell, grip, event), { signal });
    grip.addEventListener("dblclick", () => this.acts.fit(cell.column), { signal });
    element.addEventListener("pointerdown", (event) => this.#drag(cell, event), { signal });
    element.addEventListener("click", (event) => this.#clicked(cell, grip, event), { signal });
    element.addEventListener(
      "contextmenu",
      (event) => {
        event.preventDefault();
        this.acts.menu(cell.column, element);
      },
      { signal },
    );
    button.addEventListener("pointerdown", (event) => event.stopPropagation(), { signal });
  }

  #clicked(cell: Cell, grip: HTMLElement, event: MouseEvent): void {
    const target = event.target as Node;
    if (this.#wasDragged || grip.contains(target)) return;
    this.acts.focus(cell.column);
    if (cell.button.contains(target)) this.acts.menu(cell.column, cell.button);
    else this.acts.sort(cell.column, event.shiftKey);
  }

  /** Follow a hand that pulls a column's edge. */
  #pull(cell: Cell, grip: HTMLElement, down: PointerEvent): void {
    if (down.button !== 0) return;
    down.preventDefault();
    down.stopPropagation();
    const { column, place } = cell;
    const before = this.#view?.widths[place] ?? 0;
    const way = isRightToLeft(cell.element) ? -1 : 1;
    grip.classList.add("held");
    const stop = this.#follow(grip, down, (move) => {
      this.acts.resize(column, before + way * (move.clientX - down.clientX));
    });
    stop.addEventListener("abort", () => grip.classList.remove("held"));
  }

  /** Follow a hand that drags a column to another place; a finger scrolls instead. */
  #drag(cell: Cell, down: PointerEvent): void {
    this.#wasDragged = false;
    if (down.button !== 0 || down.pointerType === "touch") return;
    const { column, place } = cell;
    let to = place;
    const stop = this.#follow(cell.element, down, (move) => {
      if (!this.#wasDragged && Math.abs(move.clientX - down.clientX) < DRAG_AFTER) return;
      this.#wasDragged = true;
      to = this.#placeAt(move.clientX);
      this.#showDrop(column, place, to);
    });
    stop.addEventListener("abort", () => {
      this.#showDrop(-1, 0, 0);
      if (this.#wasDragged && to !== place) this.acts.move(column, to);
    });
  }

  #follow(
    element: HTMLElement,
    down: PointerEvent,
    moved: (event: PointerEvent) => void,
  ): AbortSignal {
    const stop = new AbortController();
    const options = { signal: stop.signal };
    element.setPointerCapture?.(down.pointerId);
    element.addEventListener("pointermove", moved, options);
    for (const end of ["pointerup", "pointercancel"]) {
      element.addEventListener(end, () => stop.abort(), options);
    }
    this.signal.addEventListener("abort", () => stop.abort(), options);
    return stop.signal;
  }

  /** The place a column dropped here would get. */
  #placeAt(x: number): number {
    const boxes = this.#cells.map((cell) => ({ cell, box: cell.element.getBoundingClientRect() }));
    const under = boxes.find(({ box }) => x >= box.left && x < box.right);
    if (under) return under.cell.place;
    const ends = boxes.at(isRightToLeft(this.element) ? -1 : 0);
    const first = this.#cells[0]?.place ?? 0;
    return ends && x < ends.box.left === (ends.cell.place === first)
      ? first
      : (this.#cells.at(-1)?.place ?? 0);
  }

  #showDrop(column: number, from: number, to: number): void {
    for (const cell of this.#cells) {
      const target = column >= 0 && cell.place === to && to !== from;
      const side = target ? (to < from ? "before" : "after") : null;
      mark(cell.element, "data-drop", side);
      cell.element.classList.toggle("dragged", cell.column === column && column >= 0);
    }
  }
}
