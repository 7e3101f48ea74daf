// The grid: a real table whose rows are placed by hand, so that its size in the DOM depends on the window on the
// screen and not on the result. This file knows which cell has the keyboard and draws. `scroller` knows which
// rows are in view, `widths` which columns; `header` and `body` draw, `pointer` and `keyboard` do what hands want.

import { AS_IT_COMES } from "./arrange";
import { Body } from "./body";
import { Cursor, type Place, type Size } from "./cursor";
import { focused, make, mark, on, textSelection, write } from "./dom";
import { wantsStillness } from "./flash";
import { hint } from "./format";
import { Head, type Acts as HeadActs } from "./header";
import { Keyboard } from "./keyboard";
import type { Layout } from "./layout";
import type { Measure } from "./measure";
import { Pointer } from "./pointer";
import type { Arrangement } from "./protocol";
import { NOTHING_NEW, type Rows, type Update } from "./rows";
import { Scroller } from "./scroller";
import type { Marks } from "./select";
import { Widths } from "./widths";

const OVERSCAN = 6;

export interface GridActs {
  /** Other rows came into view, or a better look at them is due. */
  look(): void;
  sort(column: number, add: boolean): void;
  menu(column: number, anchor: Element): void;
  open(place: Place, anchor: Element): void;
}

export class Grid {
  readonly el = make("div", "view", { tabindex: "-1" });
  readonly cursor = new Cursor();
  readonly #table = make("table", "", {
    role: "grid",
    "aria-readonly": "true",
    "aria-multiselectable": "true",
  });
  readonly #head: Head;
  readonly #body = new Body();
  readonly #note = make("div", "note");
  readonly scroller: Scroller;
  readonly widths: Widths;
  #frame = 0;
  #arrangement = AS_IT_COMES;
  /** Whether changed cells light up. */
  flashes = true;

  readonly #rows: Rows;
  readonly #marks: Marks;
  readonly #acts: GridActs;

  constructor(
    rows: Rows,
    readonly layout: Layout,
    marks: Marks,
    acts: GridActs,
    measure: Measure,
    signal: AbortSignal,
  ) {
    this.#rows = rows;
    this.#marks = marks;
    this.#acts = acts;
    this.#head = new Head(this.#headActs(), signal);
    this.widths = new Widths(this.el, this.#table, layout, measure);
    this.#table.append(this.#head.el, this.#body.el);
    this.el.append(this.#table, this.#note);
    new Keyboard(this, marks, acts, signal);
    on(this.el, "focusin", (event) => this.#entered(event), signal);
    on(this.el, "pointerover", (event) => this.#hint(event), signal, { passive: true });
    on(this.el, "dblclick", (event) => this.#doubled(event), signal);
    const drawing = { draw: () => this.#draw(), redraw: () => this.redraw() };
    this.scroller = new Scroller(this.el, drawing, signal);
    new Pointer(this.el, this.#body, this, marks, signal);
    on(signal, "abort", () => cancelAnimationFrame(this.#frame));
  }

  name(title: string): void {
    mark(this.#table, "aria-label", title);
  }

  get size(): Size {
    const { total: rows, page } = this.scroller;
    return { rows, shown: this.layout.shown, page };
  }

  /** Draw what `rows` holds now, of `total` rows shown. */
  show(
    total: number,
    note: string,
    arrangement: Arrangement,
    { changes, moved }: Update = NOTHING_NEW,
  ): void {
    this.#arrangement = arrangement;
    this.scroller.follow(moved);
    this.scroller.total = total;
    this.layout.take(this.#rows.columns);
    this.cursor.follow(moved);
    this.cursor.fit(this.size);
    this.widths.take(this.#rows, total);
    write(this.#note, note);
    this.#note.hidden = note === "";
    mark(this.#table, "aria-rowcount", String(total + 1));
    this.resize();
    if (this.flashes && !wantsStillness()) this.#body.flash(changes, this.#rows);
  }

  /** Fit the place the table has got; while it has none nothing is drawn and its place is kept. */
  resize(): void {
    if (this.scroller.fit(this.#body.el)) this.#draw();
  }

  /** Draw again after marks, columns or the block changed. */
  redraw(): void {
    if (this.#frame || this.scroller.isHidden) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  /** Let a column be as wide as what is here of it. */
  fit(column: number): void {
    this.widths.fit(column);
    this.redraw();
  }

  /** Go to a cell, bring it into view, and give it the keyboard. */
  go(place: Place, extend = false, focus = true): void {
    this.cursor.go(place, extend);
    this.reach(focus);
  }

  /** Bring the cursor's cell into view, and give it the keyboard. */
  reach(focus = true): void {
    const { row, column } = this.cursor.at;
    if (row >= 0) this.scroller.reveal(row);
    this.widths.reveal(column);
    this.#draw();
    if (focus) this.focus();
  }

  /** Give the keyboard to the cell that had it last. */
  focus(): void {
    (this.active ?? this.el).focus({ preventScroll: true });
  }

  /** The element of the cell that has the keyboard, while it is drawn. */
  get active(): HTMLElement | undefined {
    const { row, column } = this.cursor.at;
    return row < 0 ? this.headOf(column) : this.#body.cellAt(row, column, this.#rows);
  }

  /** The element of a column's head, while it is drawn. */
  headOf(column: number): HTMLElement | undefined {
    return this.#head.cellOf(column);
  }

  #headActs(): HeadActs {
    return {
      focus: (column) => this.go({ row: -1, column }),
      sort: (column, add) => this.#acts.sort(column, add),
      menu: (column, anchor) => this.#acts.menu(column, anchor),
      fit: (column) => this.fit(column),
      resize: (column, width) => {
        this.widths.widen(column, width);
        this.redraw();
      },
      move: (column, place) => {
        this.layout.move(column, place);
        this.redraw();
      },
    };
  }

  #entered(event: FocusEvent): void {
    const target = event.target as Node;
    const column = this.#head.columnOf(target);
    const place = column === undefined ? this.#body.find(target) : { row: -1, column };
    const { at } = this.cursor;
    if (!place || place.column < 0 || (place.row === at.row && place.column === at.column)) return;
    this.cursor.go(place, false);
    this.redraw();
  }

  /** Offer the value under the pointer in full. */
  #hint(event: PointerEvent): void {
    const place = this.#body.find(event.target as Node);
    const column = place && this.#rows.columns[place.column];
    if (!column) return;
    const text = hint(this.#rows.cell(place.row, place.column), column);
    (event.target as HTMLElement).title = text.length > 20 ? text : "";
  }

  #doubled(event: MouseEvent): void {
    const place = this.#body.find(event.target as Node);
    if (place && place.column >= 0 && this.active) this.#acts.open(place, this.active);
  }

  #draw(): void {
    const hadFocus = this.el.contains(focused(this.el));
    this.widths.place();
    const { first, end } = this.scroller.inView;
    this.#head.draw({
      columns: this.#rows.columns,
      shown: this.layout.shown,
      widths: this.widths.drawn,
      span: this.widths.span,
      sort: this.#arrangement.sort,
      filtered: new Set(this.#arrangement.filters.map((filter) => filter.column)),
    });
    this.#drawRows(Math.max(0, first - OVERSCAN), Math.min(this.scroller.total, end + OVERSCAN));
    mark(this.#table, "aria-busy", String(!this.#rows.has(first, end)));
    this.#tabStop(hadFocus);
    this.#acts.look();
  }

  #drawRows(first: number, end: number): void {
    const { shown } = this.layout;
    const block = this.cursor.block(shown);
    this.#body.draw({
      rows: this.#rows,
      first,
      end,
      firstPlace: this.widths.span.first,
      endPlace: this.widths.span.end,
      shown,
      grouped: (column) => this.layout.isGrouped(column),
      selection: textSelection(this.el),
      top: (row) => this.scroller.topOf(row),
      isSelected: (row) => this.#marks.has(row),
      isInBlock: (row, column) =>
        block !== undefined &&
        row >= block.first &&
        row < block.end &&
        block.columns.includes(column),
    });
  }

  /** One cell takes part in the page's tab order; one that is not drawn leaves that to the whole. */
  #tabStop(hadFocus: boolean): void {
    const active = this.active;
    for (const element of this.#table.querySelectorAll('[tabindex="0"]')) {
      if (element !== active) mark(element, "tabindex", "-1");
    }
    mark(this.el, "tabindex", active ? "-1" : "0");
    if (active) mark(active, "tabindex", "0");
    for (const element of this.#table.querySelectorAll(".active")) {
      if (element !== active) element.classList.remove("active");
    }
    active?.classList.add("active");
    if (hadFocus && focused(this.el) !== (active ?? this.el)) this.focus();
  }
}
