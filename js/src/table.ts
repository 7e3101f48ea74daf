// The grid: a real table whose rows are placed by hand, so that its size in the DOM depends on the window on the
// screen and not on the result. This file knows where things are: scroll position, columns in view, the cell
// that has the keyboard. `header` and `body` draw, `pointer` and `keys` say what hands want.

import { AS_IT_COMES } from "./arrange";
import { Body } from "./body";
import * as columns from "./columns";
import { Cursor, type Place, type Size } from "./cursor";
import { focused, isRightToLeft, make, mark, on, textSelection, write } from "./dom";
import { wantsStillness } from "./flash";
import { hint, number } from "./format";
import { Head, type Acts as HeadActs } from "./header";
import { meaning, type Step } from "./keys";
import type { Layout } from "./layout";
import { Pointer } from "./pointer";
import type { Arrangement } from "./protocol";
import { NOTHING_NEW, type Rows, type Update } from "./rows";
import * as scroll from "./scroll";
import type { Marks } from "./select";
import { HEADER, ROW } from "./style";

const OVERSCAN = 6;
const SETTLE_MS = 160;
const TALLEST = 10_000; // pixels

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
  #total = 0;
  #position = 0;
  #height = 0;
  #scrollTop = 0;
  #natural: number[] = []; // by the query's column number
  #widths: number[] = []; // by place, as drawn
  #gutter = 0;
  #span: columns.Span = { first: 0, end: 0, before: 0, all: 0 };
  #template = "";
  #frame = 0;
  #settle = 0;
  #dragging = false;
  #wasHidden = true;
  #arrangement = AS_IT_COMES;

  readonly #rows: Rows;
  readonly #marks: Marks;
  readonly #acts: GridActs;
  readonly #measure: columns.Measure;

  constructor(
    rows: Rows,
    readonly layout: Layout,
    marks: Marks,
    acts: GridActs,
    measure: columns.Measure,
    signal: AbortSignal,
  ) {
    this.#rows = rows;
    this.#marks = marks;
    this.#acts = acts;
    this.#measure = measure;
    this.#head = new Head(this.#headActs(), signal);
    this.#table.append(this.#head.el, this.#body.el);
    this.el.append(this.#table, this.#note);
    on(this.el, "scroll", () => this.#scrolled(), signal, { passive: true });
    on(this.el, "keydown", (event) => this.#key(event), signal);
    on(this.el, "focusin", (event) => this.#entered(event), signal);
    on(this.el, "pointerover", (event) => this.#hint(event), signal, { passive: true });
    on(this.el, "dblclick", (event) => this.#doubled(event), signal);
    this.#holdBar(signal);
    new Pointer(this.el, this.#body, this, marks, signal);
    on(signal, "abort", () => {
      cancelAnimationFrame(this.#frame);
      clearTimeout(this.#settle);
    });
  }

  name(title: string): void {
    mark(this.#table, "aria-label", title);
  }

  /** The rows on the screen, `end` excluded. */
  get inView(): { first: number; end: number } {
    return scroll.visible(this.#position, this.#extent);
  }

  get size(): Size {
    const page = Math.max(1, Math.floor(this.#extent.view / ROW) - 1);
    return { rows: this.#total, shown: this.layout.shown, page };
  }

  /** Draw what `rows` holds now, of `total` rows shown. */
  show(
    total: number,
    note: string,
    arrangement: Arrangement,
    { changes, moved }: Update = NOTHING_NEW,
  ): void {
    this.#arrangement = arrangement;
    this.#anchor(moved);
    this.#total = total;
    this.layout.take(this.#rows.columns);
    this.cursor.follow(moved);
    this.cursor.fit(this.size);
    this.#gutter = Math.max(38, Math.ceil(this.#measure(number(total)) * 0.88) + 16);
    const same = this.#natural.length === this.#rows.columns.length ? this.#natural : [];
    const grouped = (column: number) => this.layout.isGrouped(column);
    this.#natural = columns.widthsOf(this.#rows, this.#measure, same, grouped);
    write(this.#note, note);
    this.#note.hidden = note === "";
    mark(this.#table, "aria-rowcount", String(total + 1));
    this.resize();
    if (this.flashes && !wantsStillness()) this.#body.flash(changes, this.#rows);
  }

  /** Whether changed cells light up. */
  flashes = true;

  get isAtTop(): boolean {
    return this.#position < 1;
  }

  /** Show the beginning with what comes next. */
  toTop(): void {
    this.#position = 0;
    this.#dragging = false;
    this.#align();
  }

  /** Fit the place the table has got; while it has none nothing is drawn and its place is kept. */
  resize(): void {
    this.#height = this.el.clientHeight;
    if (this.#height === 0) {
      this.#wasHidden = true; // browsers forget where a hidden element was scrolled to
      return;
    }
    // A scroll may be under way that no event has told of yet: an update must not turn it back.
    if (!this.#wasHidden) this.#catchUp();
    const height = `${scroll.bar(this.#extent)}px`;
    if (this.#body.el.style.height !== height) this.#body.el.style.height = height;
    this.#position = scroll.clamp(this.#position, this.#extent);
    if (this.#wasHidden || !this.#isMoving) this.#align();
    this.#wasHidden = false;
    this.#draw();
  }

  /** Draw again after marks, columns or the block changed. */
  redraw(): void {
    if (this.#frame || this.#height === 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  /** Let a column be as wide as what is here of it. */
  fit(column: number): void {
    this.layout.resize(column, this.#natural[column] ?? columns.NARROWEST);
    this.redraw();
  }

  /** Go to a cell, bring it into view, and give it the keyboard. */
  go(place: Place, extend = false, focus = true): void {
    this.cursor.go(place, extend);
    this.#reveal(place);
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
    return row < 0 ? this.#head.cellOf(column) : this.#body.cellAt(row, column, this.#rows);
  }

  #headActs(): HeadActs {
    return {
      focus: (column) => this.go({ row: -1, column }),
      sort: (column, add) => this.#acts.sort(column, add),
      menu: (column, anchor) => this.#acts.menu(column, anchor),
      fit: (column) => this.fit(column),
      resize: (column, width) => this.#widen(column, width),
      move: (column, place) => {
        this.layout.move(column, place);
        this.redraw();
      },
    };
  }

  /** Take a width from a hand; the others stay as wide as they look. */
  #widen(column: number, width: number): void {
    this.layout.shown.forEach((shown, place) => {
      if (this.layout.width(shown) === undefined) {
        this.layout.resize(shown, this.#widths[place] ?? columns.NARROWEST);
      }
    });
    this.layout.resize(column, width);
    this.redraw();
  }

  get #extent(): scroll.Extent {
    // Without our sheet the element would be as tall as all rows, and all rows be drawn.
    const view = Math.max(ROW, Math.min(this.#height, TALLEST) - HEADER);
    return { rows: this.#total, rowHeight: ROW, view };
  }

  /** Keep the first visible row where it is; at the very top new rows are let in. */
  #anchor(moved: (row: number) => number): void {
    this.#catchUp();
    if (this.#position < 1) return;
    const first = Math.floor(this.#position / ROW);
    this.#position += (moved(first) - first) * ROW;
  }

  #catchUp(): void {
    const top = this.el.scrollTop;
    if (top === this.#scrollTop || this.#height === 0) return;
    this.#position = scroll.follow(this.#position, this.#scrollTop, top, this.#extent);
    this.#scrollTop = top;
  }

  get #isMoving(): boolean {
    return this.#dragging || this.#settle !== 0;
  }

  #scrolled(): void {
    this.#catchUp();
    if (!this.#frame) {
      this.#frame = requestAnimationFrame(() => {
        this.#frame = 0;
        this.#draw();
      });
    }
    clearTimeout(this.#settle);
    this.#settle = window.setTimeout(() => this.#settled(), SETTLE_MS);
  }

  /** Bring the bar back in line with the position, unless a hand is on it. */
  #settled(): void {
    this.#settle = 0;
    if (this.#dragging) return;
    this.#align();
    this.#draw();
  }

  #align(): void {
    const top = scroll.toScrollTop(this.#position, this.#extent);
    if (Math.abs(this.el.scrollTop - top) >= 1) this.el.scrollTop = top;
    this.#scrollTop = this.el.scrollTop;
  }

  /** Notice a hand on the scroll bar: the bar is the only thing pressed that is not inside the table. */
  #holdBar(signal: AbortSignal): void {
    const hold = (event: PointerEvent) => {
      this.#dragging = event.target === this.el;
    };
    on(this.el, "pointerdown", hold, signal);
    const free = () => {
      if (!this.#dragging) return;
      this.#dragging = false;
      this.#settled();
    };
    for (const kind of ["wheel", "touchstart", "keydown"] as const) {
      on(this.el, kind, free, signal, { passive: true });
    }
    // Releasing the bar tells nobody in some browsers; the next movement without a button does.
    for (const kind of ["pointerup", "pointermove"] as const) {
      const up = (event: PointerEvent) => (event.buttons & 1) === 0 && free();
      on(document, kind, up, signal, { passive: true });
    }
  }

  #key(event: KeyboardEvent): void {
    const isHead = this.cursor.at.row < 0;
    const step = meaning(event, isHead, isRightToLeft(this.el));
    if (!step || !this.#obey(step)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Do what a key asks; false leaves the key to the page. */
  #obey(step: Step): boolean {
    const { row, column } = this.cursor.at;
    const anchor = this.active;
    switch (step.do) {
      case "resize":
        this.#widen(
          column,
          (this.#widths[this.layout.shown.indexOf(column)] ?? 0) + 16 * step.columns,
        );
        return true;
      case "reorder":
        this.layout.move(column, this.layout.shown.indexOf(column) + step.columns);
        this.go({ row, column });
        return true;
      case "sort":
        this.#acts.sort(column, step.add);
        return true;
      case "menu":
        if (anchor) this.#acts.menu(column, this.#head.cellOf(column) ?? anchor);
        return true;
      case "open":
        if (anchor) this.#acts.open(this.cursor.at, anchor);
        return true;
      case "mark":
        this.#marks.toggle(row);
        return true;
      case "all":
        this.#marks.all(this.#total);
        return true;
      case "none": {
        const had = this.cursor.drop() || this.#marks.clear();
        this.redraw();
        return had;
      }
    }
    this.cursor.step(step, this.size);
    this.#reveal(this.cursor.at);
    this.#draw();
    this.focus();
    return true;
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

  /** Scroll no further than needed to see a cell. */
  #reveal(place: Place): void {
    if (place.row >= 0) {
      const { view } = this.#extent;
      const top = place.row * ROW;
      const least = top + ROW - view;
      if (top < this.#position || least > this.#position) {
        this.#position = scroll.clamp(top < this.#position ? top : least, this.#extent);
        this.#dragging = false;
        this.#align();
      }
    }
    this.#revealColumn(this.layout.shown.indexOf(place.column));
  }

  #revealColumn(place: number): void {
    const left = this.#widths.slice(0, place).reduce((sum, width) => sum + width, 0);
    const right = left + (this.#widths[place] ?? 0);
    const room = this.el.clientWidth - this.#gutter;
    const now = Math.abs(this.el.scrollLeft);
    const next = left < now ? left : right > now + room ? Math.min(left, right - room) : now;
    if (next !== now) this.el.scrollLeft = isRightToLeft(this.el) ? -next : next;
  }

  #draw(): void {
    const hadFocus = this.el.contains(focused(this.el));
    this.#place();
    const { first, end } = this.inView;
    const { shown } = this.layout;
    const block = this.cursor.block(shown);
    this.#head.draw({
      columns: this.#rows.columns,
      shown,
      widths: this.#widths,
      span: this.#span,
      sort: this.#arrangement.sort,
      filtered: new Set(this.#arrangement.filters.map((filter) => filter.column)),
    });
    this.#body.draw({
      rows: this.#rows,
      first: Math.max(0, first - OVERSCAN),
      end: Math.min(this.#total, end + OVERSCAN),
      firstPlace: this.#span.first,
      endPlace: this.#span.end,
      shown,
      grouped: (column) => this.layout.isGrouped(column),
      selection: textSelection(this.el),
      top: (row) => row * ROW - this.#position + this.#scrollTop,
      isSelected: (row) => this.#marks.has(row),
      isInBlock: (row, column) =>
        block !== undefined &&
        row >= block.first &&
        row < block.end &&
        block.columns.includes(column),
    });
    mark(this.#table, "aria-busy", String(!this.#rows.has(first, end)));
    this.#tabStop(hadFocus);
    this.#acts.look();
  }

  /** Set widths and the columns in view. */
  #place(): void {
    const room = this.el.clientWidth - this.#gutter;
    const { shown } = this.layout;
    const fixed = shown.map((column) => this.layout.width(column));
    const natural = shown.map((column) => this.#natural[column] ?? columns.NARROWEST);
    this.#widths = columns.stretch(natural, fixed, room);
    this.#span = columns.visible(this.#widths, Math.abs(this.el.scrollLeft), room);
    const { first, end, before, all } = this.#span;
    const drawn = this.#widths.slice(first, end).map((width) => `${width}px`);
    const template = `${this.#gutter}px ${before}px ${drawn.join(" ")} 1fr`;
    mark(this.#table, "aria-colcount", String(shown.length + 1));
    if (template === this.#template) return;
    this.#template = template;
    this.#table.style.setProperty("--pgrt-columns", template);
    this.#table.style.width = `${all + this.#gutter}px`;
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
