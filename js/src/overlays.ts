// What opens over the table: its menus, the form of a filter, and the box of a whole value.

import type { Arranging } from "./arranging";
import type { Bar } from "./bar";
import { isCut } from "./copier";
import type { Place } from "./cursor";
import { filterForm } from "./filters";
import { type Entry, menu } from "./menu";
import { columnMenu, columnsMenu, moreMenu } from "./menus";
import type { Outgoing } from "./outgoing";
import type { Popup } from "./popup";
import type { Condition } from "./protocol";
import type { Questions } from "./questions";
import type { Rows } from "./rows";
import type { Marks } from "./select";
import type { Grid } from "./table";
import { ValueBox } from "./value";

interface Parts {
  popup: Popup;
  rows: Rows;
  marks: Marks;
  grid: Grid;
  bar: Bar;
  arranging: Arranging;
  questions: Questions;
  /** Count the rows shown. */
  filtered(): number;
}

export class Overlays {
  readonly #parts: Parts;
  readonly #outgoing: Outgoing;

  constructor(parts: Parts, outgoing: Outgoing) {
    this.#parts = parts;
    this.#outgoing = outgoing;
  }

  /** Open a column's menu, or close it where it is open. */
  columnMenu(number: number, anchor: Element): void {
    const { rows, grid, arranging } = this.#parts;
    const column = rows.columns[number];
    if (!column || this.#closed(anchor)) return;
    const filter = () => this.filterForm(number, anchor);
    const entries = columnMenu(number, column, grid, arranging, filter);
    this.#openMenu(`Column ${column.name}`, entries, anchor);
  }

  /** Open the table's own menu, or close it where it is open. */
  tableMenu(anchor: HTMLElement): void {
    if (this.#closed(anchor)) return;
    const { rows, grid, marks, arranging, filtered } = this.#parts;
    const columns = () => this.#openMenu("Columns", columnsMenu(rows.columns, grid), anchor);
    const entries = moreMenu(filtered, columns, grid.layout, marks, arranging, this.#outgoing);
    this.#openMenu("Table", entries, anchor);
  }

  /** Open the form for a new filter of a column, or for that at a place. */
  filterForm(number: number, anchor: Element, at = -1): void {
    const { popup, rows, grid, arranging } = this.#parts;
    const column = rows.columns[number];
    if (!column) return;
    const before = arranging.asked.filters[at];
    const close = () => popup.close();
    const done = (made: Condition) => {
      const { filters } = arranging.asked;
      close();
      arranging.change({
        filters: before ? filters.map((one) => (one === before ? made : one)) : [...filters, made],
      });
    };
    popup.open(filterForm(column, number, before, done, close), anchor, () => grid.focus());
  }

  /** Show a whole value; what is not here of it is asked for. */
  value({ row, column: number }: Place, anchor: Element): void {
    const { popup, rows, grid, questions } = this.#parts;
    const column = rows.columns[number];
    const identity = rows.identity(row);
    const text = rows.cell(row, number);
    if (!column || identity === undefined || text === undefined) return;
    const put = (whole: string) => this.#outgoing.put(whole, "Copied the value");
    const box = new ValueBox(column, row, put, () => popup.close());
    box.show(text, column, isCut(text) ? "loading the rest…" : "");
    popup.open(box.el, anchor, () => grid.focus(), "wide");
    if (!isCut(text)) return;
    questions.ask({ type: "cell", row: identity, column: number }, (answer) => {
      const note = answer.error || (answer.cut ? "only its beginning" : "");
      box.show(answer.error ? text : answer.text, column, note);
    });
  }

  /** Close what is open at this place; tell whether it was. */
  #closed(anchor: Element): boolean {
    const { popup } = this.#parts;
    const isOpen = popup.isAt(anchor);
    if (isOpen) popup.close();
    return isOpen;
  }

  #openMenu(label: string, entries: Entry[], anchor: Element): void {
    const { popup, grid, bar } = this.#parts;
    const content = menu(label, entries, () => popup.close());
    popup.open(content, anchor, () =>
      anchor instanceof HTMLElement && bar.el.contains(anchor) ? anchor.focus() : grid.focus(),
    );
  }
}
