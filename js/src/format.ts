// Words and numbers a person reads.

import type { State } from "./protocol";

const counted = new Intl.NumberFormat("en-US");

export function number(value: number): string {
  return counted.format(value);
}

export function rows(total: number): string {
  return total === 1 ? "1 row" : `${number(total)} rows`;
}

/** Say which rows are in view, of how many. */
export function range(first: number, end: number, total: number): string {
  if (end <= first || (first === 0 && end >= total)) return rows(total);
  return `rows ${number(first + 1)}–${number(end)} of ${number(total)}`;
}

export function age(seconds: number): string {
  if (seconds < 2) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

/** Put text on one line; what a line break was stays visible. */
export function oneLine(text: string): string {
  return /[\r\n\t]/.test(text) ? text.replace(/\r\n|\r|\n/g, "⏎").replace(/\t/g, "⇥") : text;
}

export function exactTime(state: State): string {
  return state.refreshed_at ? `Result of ${new Date(state.refreshed_at).toLocaleString()}` : "";
}
