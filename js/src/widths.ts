// How wide the columns are drawn, and which of them. `columns` works it out; a hand's widths are in the layout.

import * as columns from "./columns";
import { isRightToLeft, mark } from "./dom";
import { number } from "./format";
import type { Layout } from "./layout";
import type { Measure } from "./measure";
import type { Rows } from "./rows";

const STEP = 16; // pixels of a key

export class Widths {
  /** By place, as drawn. */
  drawn: number[] = [];
  span: columns.Span = { first: 0, end: 0, before: 0, all: 0 };
  #natural: number[] = []; // by the query's column number
  #gutter = 0;
  #template = "";

  readonly #view: HTMLElement;
  readonly #table: HTMLElement;
  readonly #layout: Layout;
  readonly #measure: Measure;

  constructor(view: HTMLElement, table: HTMLElement, layout: Layout, measure: Measure) {
    this.#view = view;
    this.#table = table;
    this.#layout = layout;
    this.#measure = measure;
  }

  /** Make room for what is here, and for the numbers of so many rows. */
  take(rows: Rows, total: number): void {
    this.#gutter = Math.max(38, Math.ceil(this.#measure(number(total)) * 0.88) + 16);
    const same = this.#natural.length === rows.columns.length ? this.#natural : [];
    const grouped = (column: number) => this.#layout.isGrouped(column);
    this.#natural = columns.widthsOf(rows, this.#measure, same, grouped);
  }

  /** Let a column be as wide as what is here of it. */
  fit(column: number): void {
    this.#layout.resize(column, this.#natural[column] ?? columns.NARROWEST);
  }

  /** Take a width from a hand; the others stay as wide as they look. */
  widen(column: number, width: number): void {
    this.#layout.shown.forEach((shown, place) => {
      if (this.#layout.width(shown) === undefined) {
        this.#layout.resize(shown, this.drawn[place] ?? columns.NARROWEST);
      }
    });
    this.#layout.resize(column, width);
  }

  /** Make a column wider by some steps, or narrower. */
  step(column: number, steps: number): void {
    const width = this.drawn[this.#layout.shown.indexOf(column)] ?? 0;
    this.widen(column, width + STEP * steps);
  }

  /** Set the widths, and find the columns in view. */
  place(): void {
    const { shown } = this.#layout;
    const fixed = shown.map((column) => this.#layout.width(column));
    const natural = shown.map((column) => this.#natural[column] ?? columns.NARROWEST);
    this.drawn = columns.stretch(natural, fixed, this.#room);
    this.span = columns.visible(this.drawn, Math.abs(this.#view.scrollLeft), this.#room);
    const { first, end, before, all } = this.span;
    const drawn = this.drawn.slice(first, end).map((width) => `${width}px`);
    const template = `${this.#gutter}px ${before}px ${drawn.join(" ")} 1fr`;
    mark(this.#table, "aria-colcount", String(shown.length + 1));
    if (template === this.#template) return;
    this.#template = template;
    this.#table.style.setProperty("--pgrt-columns", template);
    this.#table.style.width = `${all + this.#gutter}px`;
  }

  /** Scroll no further than needed to see a column. */
  reveal(column: number): void {
    const place = this.#layout.shown.indexOf(column);
    const left = this.drawn.slice(0, place).reduce((sum, width) => sum + width, 0);
    const right = left + (this.drawn[place] ?? 0);
    const room = this.#room;
    const now = Math.abs(this.#view.scrollLeft);
    const next = left < now ? left : right > now + room ? Math.min(left, right - room) : now;
    if (next !== now) this.#view.scrollLeft = isRightToLeft(this.#view) ? -next : next;
  }

  get #room(): number {
    return this.#view.clientWidth - this.#gutter;
  }
}
