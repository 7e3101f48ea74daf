// How one view lays out its columns: their order, which are hidden, and widths a hand chose. Columns are
// known by name (and by their turn among equal names), so that a layout outlives another query's columns.

import type { Column } from "./protocol";

export const NARROWEST = 40;
export const WIDEST = 2000;

export class Layout {
  #columns: Column[] = [];
  #keys: string[] = [];
  #order: string[] | undefined; // undefined: as the query has them
  readonly #hidden: Set<string>;
  readonly #chosen: Map<string, number>;
  readonly #grouped: Map<string, boolean>;
  /** Numbers of the columns shown, in the order shown. */
  shown: number[] = [];

  constructor(like?: Layout) {
    this.#order = like ? like.#order : undefined;
    this.#hidden = new Set(like ? like.#hidden : []);
    this.#chosen = new Map(like ? like.#chosen : []);
    this.#grouped = new Map(like ? like.#grouped : []);
  }

  take(columns: Column[]): void {
    if (columns === this.#columns) return;
    this.#columns = columns;
    this.#keys = keysOf(columns);
    this.#arrange();
  }

  /** Every column's number, hidden ones too, in the order shown. */
  get all(): number[] {
    return merged(this.#order ?? [], this.#keys).map((key) => this.#keys.indexOf(key));
  }

  get isTouched(): boolean {
    return this.#order !== undefined || this.#chosen.size > 0 || this.#hidden.size > 0;
  }

  get hiddenCount(): number {
    return this.#columns.length - this.shown.length;
  }

  isHidden(column: number): boolean {
    return this.#hidden.has(this.#key(column));
  }

  /** Hide a column or show it again; the last one stays. */
  hide(column: number, hidden: boolean): void {
    if (hidden && this.shown.length > 1) this.#hidden.add(this.#key(column));
    else if (!hidden) this.#hidden.delete(this.#key(column));
    this.#arrange();
  }

  /** Put a shown column at a place among those shown. */
  move(column: number, place: number): void {
    const others = this.shown.filter((number) => number !== column);
    const follower = others[Math.max(0, Math.min(place, others.length))];
    const rest = this.all.filter((number) => number !== column);
    const last = others.at(-1);
    const at =
      follower !== undefined
        ? rest.indexOf(follower)
        : last === undefined
          ? rest.length
          : rest.indexOf(last) + 1;
    rest.splice(at, 0, column);
    this.#order = rest.map((number) => this.#key(number));
    this.#arrange();
  }

  /** Choose a column's width in pixels. */
  resize(column: number, width: number): void {
    this.#chosen.set(this.#key(column), Math.round(Math.max(NARROWEST, Math.min(width, WIDEST))));
  }

  width(column: number): number | undefined {
    return this.#chosen.get(this.#key(column));
  }

  /** Tell whether a number's digits are grouped: not where the name says it is a mark, not an amount. */
  isGrouped(column: number): boolean {
    const name = this.#columns[column]?.name ?? "";
    return (
      this.#grouped.get(this.#key(column)) ?? !/(^|[_\s])(id|oid|year|code|zip|nr|no)$/i.test(name)
    );
  }

  group(column: number, grouped: boolean): void {
    this.#grouped.set(this.#key(column), grouped);
  }

  reset(): void {
    this.#order = undefined;
    this.#hidden.clear();
    this.#chosen.clear();
    this.#arrange();
  }

  #key(column: number): string {
    return this.#keys[column] ?? "";
  }

  #arrange(): void {
    const visible = this.all.filter((column) => !this.isHidden(column));
    this.shown = visible.length > 0 ? visible : this.all;
  }
}

function keysOf(columns: Column[]): string[] {
  const turns = new Map<string, number>();
  return columns.map(({ name }) => {
    const turn = (turns.get(name) ?? 0) + 1;
    turns.set(name, turn);
    return `${turn} ${name}`;
  });
}

/** Keep an order as far as it goes; what it does not know follows what precedes it in the query. */
function merged(order: string[], keys: string[]): string[] {
  const present = new Set(keys);
  const known = new Set(order);
  const result = order.filter((key) => present.has(key));
  keys.forEach((key, at) => {
    if (known.has(key)) return;
    const before = keys[at - 1];
    result.splice(before === undefined ? 0 : result.indexOf(before) + 1, 0, key);
  });
  return result;
}
