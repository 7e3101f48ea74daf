// Words and numbers a person reads.

import type { Cell, Column, State } from "./protocol";

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

/** How a value looks in its cell. */
export interface Look {
  text: string;
  /** A class that tells what is no plain value: pending, null, empty, special. */
  mark: string;
}

/** Say how a value is shown; undefined is one that is not here yet. */
export function display(value: Cell | undefined, column: Column, isGrouped: boolean): Look {
  if (value === undefined) return { text: "", mark: "pending" };
  if (value === null) return { text: "NULL", mark: "null" };
  if (value === "") return { text: "", mark: "empty" };
  if (column.kind !== "number") return { text: oneLine(value), mark: "" };
  if (/^-?(NaN|Inf)/.test(value)) return { text: value, mark: "special" };
  return { text: isGrouped ? grouped(value) : value, mark: "" };
}

/** Say what a value's cell may not show: all of a long text, an instant in one's own time zone. */
export function hint(value: Cell | undefined, column: Column): string {
  return (column.type === "timestamptz" && value && localTime(value)) || (value ?? "");
}

/** Tell an instant in the time zone of who looks. */
export function localTime(value: string): string {
  const iso = value.replace(" ", "T").replace(/([+-]\d\d)$/, "$1:00");
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return "";
  return at.toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
}

/** Put separators into five digits and more before the point; the digits themselves stay as they came. */
export function grouped(text: string): string {
  const parts = /^(-?)(\d{5,})(\.\d+)?$/.exec(text);
  if (!parts) return text;
  const [, sign, digits, fraction] = parts;
  return `${sign}${digits?.replace(/\B(?=(\d{3})+$)/g, ",")}${fraction ?? ""}`;
}

export function bytes(count: number): string {
  if (count < 1000) return `${count} B`;
  if (count < 1_000_000) return `${(count / 1000).toFixed(0)} kB`;
  return `${(count / 1_000_000).toFixed(1)} MB`;
}
