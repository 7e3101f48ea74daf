// The rows of the grid. Elements are reused: one follows its row, known by identity, wherever an update puts it;
// a cell is written only when its text differs, so that updates disturb neither focus nor selected text.

import { make, mark, write } from "./dom";
import { blink, still } from "./flash";
import { display, number } from "./format";
import type { Changes, Rows } from "./rows";

export interface BodyView {
  rows: Rows;
  /** Rows to draw, `end` excluded. */
  first: number;
  end: number;
  /** Places of columns to draw, `endPlace` excluded, among `shown`. */
  firstPlace: number;
  endPlace: number;
  shown: number[];
  grouped: (column: number) => boolean;
  /** Where a row goes, in pixels of the scrolled element. */
  top: (row: number) => number;
  isSelected: (row: number) => boolean;
  isInBlock: (row: number, column: number) => boolean;
  /** What text is selected, when some is; asking the browser for each cell would take long. */
  selection: Selection | null;
}

interface Cell {
  el: HTMLTableCellElement;
  column: number;
  text: string;
  look: string;
}

export interface Row {
  el: HTMLTableRowElement;
  gutter: HTMLTableCellElement;
  cells: Cell[];
  /** The row's identity, or -1 minus its number while that is not known. */
  key: number;
  number: number;
  top: number;
}

export class Body {
  readonly el = make("tbody", "", { role: "rowgroup" });
  readonly #pool: Row[] = [];

  /** Reuse the elements of rows that left for rows that came; the others stay what they are. */
  draw(view: BodyView): void {
    const wanted = new Map<number, number>();
    for (let row = view.first; row < view.end; row++) wanted.set(keyOf(view.rows, row), row);
    // Text a person is selecting stays: its row is not reused for another, off the screen neither.
    const { selection } = view;
    const free: Row[] = [];
    const drawn: Row[] = [];
    for (const row of this.#pool) {
      const isHeld = selection !== null && isTouched(row.el, selection);
      const mayWait = row.key < 0 || isHeld;
      const key = wanted.has(row.key) || !mayWait ? row.key : keyOf(view.rows, row.number);
      const at = wanted.get(key);
      if (at === undefined) {
        if (!isHeld) free.push(row);
        continue;
      }
      wanted.delete(key);
      if (isHeld && key < 0)
        place(row, view); // until its values are here again
      else {
        row.key = key;
        row.number = at;
        drawn.push(row);
      }
    }
    for (const [key, at] of wanted) {
      const row = free.pop() ?? this.#make();
      row.key = key;
      row.number = at;
      for (const cell of row.cells) still(cell.el);
      drawn.push(row);
    }
    for (const row of free) {
      row.el.remove();
      this.#pool.splice(this.#pool.indexOf(row), 1);
    }
    for (const row of drawn) this.#drawRow(row, view);
  }

  flash(changes: Changes, rows: Rows): void {
    for (const row of this.#pool) {
      const changed = row.key === keyOf(rows, row.number) && changes.get(row.number);
      if (!changed) continue;
      const everywhere = changed.get(-1);
      for (const cell of row.cells) {
        const direction = everywhere ?? changed.get(cell.column);
        if (direction) blink(cell.el, direction);
      }
    }
  }

  /** Give the element of a cell while it is drawn. */
  cellAt(row: number, column: number, rows: Rows): HTMLTableCellElement | undefined {
    const key = keyOf(rows, row);
    const drawn = this.#pool.find((one) => one.number === row && one.key === key);
    return drawn?.cells.find((cell) => cell.column === column)?.el;
  }

  /** Say which cell an element of the page is in; column -1 is the row's number. */
  find(target: Node): { row: number; column: number } | undefined {
    const row = this.#pool.find((one) => one.el.contains(target));
    if (!row) return undefined;
    const cell = row.cells.find((one) => one.el.contains(target));
    return { row: row.number, column: cell?.column ?? -1 };
  }

  #make(): Row {
    const element = make("tr", "", { role: "row" });
    const gutter = make("th", "gutter", { role: "rowheader", "aria-colindex": "1" });
    element.append(gutter, make("td", "gap", { role: "presentation" }));
    this.el.append(element);
    const row = { el: element, gutter, cells: [], key: -1, number: -1, top: Number.NaN };
    this.#pool.push(row);
    return row;
  }

  #drawRow(row: Row, view: BodyView): void {
    place(row, view);
    mark(row.el, "aria-rowindex", String(row.number + 2));
    const selected = view.isSelected(row.number);
    mark(row.el, "aria-selected", String(selected));
    mark(row.el, "class", row.number % 2 ? "odd" : "");
    write(row.gutter, number(row.number + 1));
    while (row.cells.length > view.endPlace - view.firstPlace) row.cells.pop()?.el.remove();
    for (let place = view.firstPlace; place < view.endPlace; place++) {
      const cell = row.cells[place - view.firstPlace] ?? makeCell(row);
      const column = view.shown[place] ?? 0;
      if (cell.column !== column) still(cell.el);
      cell.column = column;
      mark(cell.el, "aria-colindex", String(place + 2));
      drawCell(cell, row.number, view);
    }
  }
}

function place(row: Row, view: BodyView): void {
  const top = view.top(row.number);
  if (top === row.top) return;
  row.top = top;
  row.el.style.transform = `translateY(${top}px)`;
}

function keyOf(rows: Rows, row: number): number {
  return rows.identity(row) ?? -1 - row;
}

function isTouched(element: HTMLElement, selection: Selection): boolean {
  return element.contains(selection.anchorNode) || element.contains(selection.focusNode);
}

function makeCell(row: Row): Cell {
  const element = make("td", "", { role: "gridcell", dir: "auto", tabindex: "-1" });
  const cell = { el: element, column: -1, text: "", look: "" };
  row.cells.push(cell);
  row.el.append(element);
  return cell;
}

function drawCell(cell: Cell, row: number, view: BodyView): void {
  const column = view.rows.columns[cell.column];
  if (!column) return;
  const shown = display(view.rows.cell(row, cell.column), column, view.grouped(cell.column));
  const block = view.isInBlock(row, cell.column);
  const look = [column.kind, shown.mark, block ? "block" : ""].filter(Boolean).join(" ");
  if (cell.look !== look) {
    cell.look = look;
    cell.el.className = look;
    mark(cell.el, "aria-selected", block ? "true" : null);
  }
  if (cell.text !== shown.text) {
    cell.text = shown.text;
    rewrite(cell.el, shown.text, view.selection);
  }
}

/** Write a cell's text; where a person is selecting in it, the selection stays at the same characters. */
function rewrite(element: HTMLElement, text: string, selection: Selection | null): void {
  const node = element.firstChild;
  if (!selection || !(node instanceof Text) || !isTouched(element, selection)) {
    element.textContent = text;
    return;
  }
  const { anchorNode, anchorOffset, focusNode, focusOffset } = selection;
  node.data = text;
  const at = (old: Node | null, offset: number): [Node, number] =>
    old === node ? [node, Math.min(offset, text.length)] : [old ?? node, offset];
  selection.setBaseAndExtent(...at(anchorNode, anchorOffset), ...at(focusNode, focusOffset));
}
