// How wide columns are and which of them are in view.

import { oneLine } from "./format";
import type { Rows } from "./rows";

const NARROWEST = 64;
const WIDEST = 340;
const PADDING = 25;
const SAMPLE = 200;
const BOLD = 1.17; // how much wider a name is than plain text
const MOST_STRETCH = 1.7;

export type Measure = (text: string) => number;

/** Widths that fit names, types and the rows at hand; never narrower than they were. */
export function widthsOf(rows: Rows, measure: Measure, before: number[]): number[] {
  const last = rows.start + Math.min(rows.count, SAMPLE);
  return rows.columns.map((column, number) => {
    let longest = column.name.length > column.type.length ? column.name : column.type;
    for (let row = rows.start; row < last; row++) {
      const text = rows.cell(row, number) ?? "NULL";
      if (text.length > longest.length) longest = text;
    }
    const wanted = Math.max(measure(oneLine(longest)), measure(column.name) * BOLD) + PADDING;
    return Math.round(Math.max(before[number] ?? NARROWEST, Math.min(wanted, WIDEST)));
  });
}

/** Share out spare room, so that a table fills its place without looking blown up. */
export function stretch(widths: number[], room: number): number[] {
  const sum = widths.reduce((total, width) => total + width, 0);
  if (sum === 0 || sum >= room) return widths;
  const factor = Math.min(room / sum, MOST_STRETCH);
  return widths.map((width) => Math.floor(width * factor));
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
