// How wide columns are and which of them are in view.

import { display } from "./format";
import type { Measure } from "./measure";
import type { Rows } from "./rows";

export const NARROWEST = 64;
const WIDEST = 340;
const PADDING = 25;
const SAMPLE = 200;
const BOLD = 1.17; // how much wider a name is than plain text
const SIGNS = 28; // room for the arrow of a sorted column and its menu
const SPREAD = 1.06; // the longest text is not always the widest
const MOST_STRETCH = 1.7;

/** Widths that fit names, types and the rows at hand; never narrower than they were. */
export function widthsOf(
  rows: Rows,
  measure: Measure,
  before: number[],
  isGrouped: (column: number) => boolean,
): number[] {
  const last = rows.start + Math.min(rows.count, SAMPLE);
  return rows.columns.map((column, number) => {
    let longest = column.type;
    for (let row = rows.start; row < last; row++) {
      const { text } = display(rows.cell(row, number), column, isGrouped(number));
      if (text.length > longest.length) longest = text;
    }
    const head = measure(column.name) * BOLD + SIGNS;
    const wanted = Math.max(measure(longest) * SPREAD, head) + PADDING;
    return Math.round(Math.max(before[number] ?? NARROWEST, Math.min(wanted, WIDEST)));
  });
}

/** Share out spare room among columns whose width nobody chose; a table that looks blown up helps no one. */
export function stretch(natural: number[], fixed: (number | undefined)[], room: number): number[] {
  const taken = fixed.reduce<number>((sum, width) => sum + (width ?? 0), 0);
  const free = natural.reduce((sum, width, at) => sum + (fixed[at] === undefined ? width : 0), 0);
  const factor = free === 0 ? 1 : Math.max(1, Math.min((room - taken) / free, MOST_STRETCH));
  return natural.map((width, at) => fixed[at] ?? Math.floor(width * factor));
}

export interface Span {
  first: number;
  end: number;
  /** Pixels left of the first. */
  before: number;
  /** Pixels of all columns. */
  all: number;
}

/** The columns that cross the pixels from `left` on, and one more on each side. */
export function visible(widths: number[], left: number, room: number): Span {
  const span = { first: -1, end: 0, before: 0, all: 0 };
  widths.forEach((width, number) => {
    const right = span.all + width;
    if (right > left && span.first < 0) {
      span.first = Math.max(0, number - 1);
      span.before = number > 0 ? span.all - (widths[number - 1] ?? 0) : 0;
    }
    if (span.all < left + room) span.end = Math.min(widths.length, number + 2);
    span.all = right;
  });
  span.first = Math.max(0, span.first);
  return span;
}
