// How rows are sorted and filtered, as this view would have it. The kernel does it and says what is so; until
// then what was asked for is built upon, so that two quick clicks are two steps. Pure.

import type { Arrangement, Column, Condition, Kind, Operator, Order } from "./protocol";

export const AS_IT_COMES: Arrangement = { sort: [], search: "", filters: [], error: "" };

/** Go on from unsorted to ascending, descending and back; others stay only when one is added. */
export function turned(
  sort: Arrangement["sort"],
  column: number,
  add: boolean,
): Arrangement["sort"] {
  const now = sort.find(([sorted]) => sorted === column)?.[1];
  const next = now === undefined ? "asc" : now === "asc" ? "desc" : undefined;
  return sorted(sort, column, next, add);
}

/** Sort a column so, or not at all. */
export function sorted(
  sort: Arrangement["sort"],
  column: number,
  order: Order | undefined,
  add: boolean,
): Arrangement["sort"] {
  if (!add) return order ? [[column, order]] : [];
  if (!order) return sort.filter(([other]) => other !== column);
  const at = sort.findIndex(([other]) => other === column);
  return at < 0 ? [...sort, [column, order]] : sort.with(at, [column, order]);
}

const COMPARING: Operator[] = ["eq", "ne", "lt", "le", "gt", "ge"];
const ALWAYS: Operator[] = ["null", "notnull"];
const OPERATORS: Record<Kind, Operator[]> = {
  number: [...COMPARING, "in", ...ALWAYS],
  time: [...COMPARING.slice(2), "eq", "ne", "in", ...ALWAYS],
  text: ["contains", "starts", ...COMPARING, "in", ...ALWAYS],
  boolean: ["eq", ...ALWAYS],
  json: ["contains", "eq", "ne", ...ALWAYS],
  binary: ["contains", "starts", "eq", "ne", ...ALWAYS],
};

/** What can be asked of a column of this kind, the likeliest first. */
export function operators(kind: Kind): Operator[] {
  return OPERATORS[kind];
}

const SIGNS: Record<Operator, string> = {
  eq: "=",
  ne: "≠",
  lt: "<",
  le: "≤",
  gt: ">",
  ge: "≥",
  contains: "contains",
  starts: "starts with",
  in: "is one of",
  null: "is NULL",
  notnull: "is not NULL",
};
const COMPARED: Partial<Record<Operator, string>> = {
  eq: "equal to",
  ne: "not equal to",
  lt: "less than, before",
  le: "at most, up to",
  gt: "more than, after",
  ge: "at least, from",
};

export function words(operator: Operator): string {
  return [SIGNS[operator], COMPARED[operator]].join(" ").trim();
}

/** Say a condition in a few words. */
export function inWords(condition: Condition, columns: Column[]): string {
  const { op, value } = condition;
  const column = columns[condition.column];
  const name = column?.name ?? "?";
  if (value === null) return `${name} ${SIGNS[op]}`;
  if (Array.isArray(value)) return `${name} ${SIGNS[op]} ${value.map(quoted).join(", ")}`;
  return `${name} ${SIGNS[op]} ${column?.kind === "number" ? value : quoted(value)}`;
}

function quoted(text: string): string {
  return /^[^\s,"']+$/.test(text) ? text : `“${text}”`;
}

/** Read what was typed into a condition; undefined when a value is missing. */
export function condition(column: number, op: Operator, typed: string): Condition | undefined {
  if (op === "null" || op === "notnull") return { column, op, value: null };
  if (op !== "in")
    return typed === "" && op !== "eq" && op !== "ne" ? undefined : { column, op, value: typed };
  const values = typed.split(/\r?\n/).filter((line) => line !== "");
  return values.length ? { column, op, value: values } : undefined;
}

/** Tell whether two arrangements show the same rows in the same order. */
export function isSame(one: Arrangement, other: Arrangement): boolean {
  const plain = ({ sort, search, filters }: Arrangement) => JSON.stringify([sort, search, filters]);
  return plain(one) === plain(other);
}
