// Filters as a person sees them: a line of chips above the table, and a form to make or change one.

import * as arrange from "./arrange";
import { make, mark, write } from "./dom";
import { icon } from "./icons";
import type { Arrangement, Column, Condition, Operator } from "./protocol";

export interface FilterActs {
  edit(at: number, anchor: Element): void;
  remove(at: number): void;
  clear(): void;
}

/** The line of chips, and what of the arrangement could not be done. */
export class Filters {
  readonly element = make("div", "filters", { role: "group", "aria-label": "Filters" });
  #shown = "";

  constructor(private readonly acts: FilterActs) {
    this.element.hidden = true;
  }

  show(arrangement: Arrangement, columns: Column[]): void {
    const key = JSON.stringify([arrangement.filters, arrangement.error, columns]);
    if (key === this.#shown) return;
    this.#shown = key;
    const { filters, error } = arrangement;
    this.element.hidden = filters.length === 0 && error === "";
    this.element.replaceChildren(...filters.map((filter, at) => this.#chip(filter, at, columns)));
    if (filters.length > 1) {
      const clear = make("button", "link", { type: "button" });
      write(clear, "Clear all");
      clear.addEventListener("click", () => this.acts.clear());
      this.element.append(clear);
    }
    if (error) {
      const failure = make("span", "wrong", { role: "alert" });
      write(failure, error);
      this.element.append(failure);
    }
  }

  #chip(filter: Condition, at: number, columns: Column[]): HTMLElement {
    const chip = make("span", "filter");
    const edit = make("button", "edit", { type: "button", "aria-haspopup": "dialog" });
    const remove = make("button", "small", { type: "button" });
    const text = arrange.inWords(filter, columns);
    write(edit, text);
    edit.title = text;
    mark(remove, "aria-label", `Remove the filter ${text}`);
    remove.append(icon("close"));
    edit.addEventListener("click", () => this.acts.edit(at, chip));
    remove.addEventListener("click", () => this.acts.remove(at));
    chip.append(edit, remove);
    return chip;
  }
}

/** A form for one condition on a column; `apply` gets what it says. */
export function filterForm(
  column: Column,
  number: number,
  before: Condition | undefined,
  apply: (condition: Condition) => void,
  cancel: () => void,
): HTMLFormElement {
  const form = make("form", "form", { "aria-label": `Filter by ${column.name}`, novalidate: "" });
  form.setAttribute("role", "dialog");
  const title = make("div", "form-title");
  write(title, `Filter by ${column.name}`);
  const operator = make("select", "", { "aria-label": "Condition" });
  for (const op of arrange.operators(column.kind)) {
    const option = make("option", "", { value: op });
    write(option, arrange.words(op, column.kind));
    operator.append(option);
  }
  if (before) operator.value = before.op;
  const place = make("div");
  const value = () => place.firstElementChild as HTMLInputElement | null;
  const offer = (text: string) => {
    const field = fieldFor(column, operator.value as Operator, text);
    place.replaceChildren(...(field ? [field] : []));
  };
  const old = before?.value ?? "";
  offer(Array.isArray(old) ? old.join("\n") : old);
  operator.addEventListener("change", () => offer(value()?.value ?? ""));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const op = operator.value as Operator;
    const made = arrange.condition(number, op, value()?.value ?? "");
    if (made) apply(made);
    else value()?.focus();
  });
  form.append(title, operator, place, buttons(cancel));
  return form;
}

function fieldFor(column: Column, op: Operator, text: string): HTMLElement | undefined {
  if (op === "null" || op === "notnull") return undefined;
  const attributes = {
    "aria-label": op === "in" ? "Values, one per line" : "Value",
    autofocus: "",
  };
  if (column.kind === "boolean") {
    const select = make("select", "", attributes);
    for (const word of ["true", "false"]) {
      const option = make("option", "", { value: word });
      write(option, word);
      select.append(option);
    }
    select.value = text === "false" ? "false" : "true";
    return select;
  }
  if (op === "in") {
    const area = make("textarea", "", { ...attributes, rows: "4", placeholder: "one per line" });
    area.value = text;
    return area;
  }
  const placeholder = { number: "number", time: placeholderOf(column.type) }[column.kind as string];
  const input = make("input", "", { ...attributes, type: "text", autocomplete: "off" });
  if (placeholder) mark(input, "placeholder", placeholder);
  if (column.kind === "number") mark(input, "inputmode", "decimal");
  input.value = text.split("\n")[0] ?? "";
  return input;
}

function placeholderOf(type: string): string {
  if (type === "interval") return "1 day 02:00:00";
  return type.startsWith("timestamp")
    ? "2026-01-31 12:00"
    : type === "date"
      ? "2026-01-31"
      : "12:00";
}

function buttons(cancel: () => void): HTMLElement {
  const row = make("div", "buttons");
  const apply = make("button", "primary", { type: "submit" });
  const stop = make("button", "secondary", { type: "button" });
  write(apply, "Apply");
  write(stop, "Cancel");
  stop.addEventListener("click", cancel);
  row.append(stop, apply);
  return row;
}
