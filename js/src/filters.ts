// Filters as a person sees them: a line of chips above the table, and a form to make or change one.

import * as arrange from "./arrange";
import { make, on } from "./dom";
import { small } from "./foot";
import type { Arrangement, Column, Condition, Operator } from "./protocol";

export interface FilterActs {
  edit(at: number, anchor: Element): void;
  remove(at: number): void;
  clear(): void;
}

/** The line of chips, and what of the arrangement could not be done. */
export class Filters {
  readonly el = make("div", "filters", { role: "group", "aria-label": "Filters" });
  #shown = "";

  readonly #acts: FilterActs;

  constructor(acts: FilterActs) {
    this.#acts = acts;
    this.el.hidden = true;
  }

  show(arrangement: Arrangement, columns: Column[]): void {
    const key = JSON.stringify([arrangement.filters, arrangement.error, columns]);
    if (key === this.#shown) return;
    this.#shown = key;
    const { filters, error } = arrangement;
    this.el.hidden = filters.length === 0 && error === "";
    this.el.replaceChildren(...filters.map((filter, at) => this.#chip(filter, at, columns)));
    if (filters.length > 1) {
      const clear = make("button", "link", {}, "Clear all");
      on(clear, "click", () => this.#acts.clear());
      this.el.append(clear);
    }
    if (error) this.el.append(make("span", "wrong", { role: "alert" }, error));
  }

  #chip(filter: Condition, at: number, columns: Column[]): HTMLElement {
    const text = arrange.inWords(filter, columns);
    const attributes = { "aria-haspopup": "dialog", title: text };
    const edit = make("button", "edit", attributes, text);
    const remove = small(`Remove the filter ${text}`, () => this.#acts.remove(at));
    const chip = make("span", "filter", {}, edit, remove);
    on(edit, "click", () => this.#acts.edit(at, edit));
    return chip;
  }
}

/** A form for one condition on a column; `done` gets what it says. */
export function filterForm(
  column: Column,
  number: number,
  before: Condition | undefined,
  done: (condition: Condition) => void,
  cancel: () => void,
): HTMLFormElement {
  const label = `Filter by ${column.name}`;
  const operator = select(
    { "aria-label": "Condition" },
    arrange.operators(column.kind).map((op) => [op, arrange.words(op)]),
  );
  if (before) operator.value = before.op;
  const place = make("div");
  const value = () => place.firstElementChild as HTMLInputElement | null;
  const offer = (text: string) => {
    const field = fieldFor(column, operator.value as Operator, text);
    place.replaceChildren(...(field ? [field] : []));
  };
  const old = before?.value ?? "";
  offer(Array.isArray(old) ? old.join("\n") : old);
  on(operator, "change", () => offer(value()?.value ?? ""));
  const apply = make("button", "primary", { type: "submit" }, "Apply");
  const stop = make("button", "", {}, "Cancel");
  on(stop, "click", cancel);
  const attributes = { "aria-label": label, role: "dialog", novalidate: "" };
  const buttons = make("div", "buttons", {}, stop, apply);
  const form = make("form", "form", attributes, make("b", "", {}, label), operator, place, buttons);
  on(form, "submit", (event) => {
    event.preventDefault();
    const made = arrange.condition(number, operator.value as Operator, value()?.value ?? "");
    if (made) done(made);
    else value()?.focus();
  });
  return form;
}

function select(attributes: Record<string, string>, options: [value: string, words: string][]) {
  const made = options.map(([value, words]) => make("option", "", { value }, words));
  return make("select", "", attributes, ...made);
}

function fieldFor(column: Column, op: Operator, text: string): HTMLElement | undefined {
  if (op === "null" || op === "notnull") return undefined;
  const attributes = {
    "aria-label": op === "in" ? "Values, one per line" : "Value",
    autofocus: "",
  };
  if (column.kind === "boolean") {
    const field = select(attributes, [
      ["true", "true"],
      ["false", "false"],
    ]);
    field.value = text === "false" ? "false" : "true";
    return field;
  }
  if (op === "in") {
    const area = make("textarea", "", { ...attributes, rows: "4", placeholder: "one per line" });
    area.value = text;
    return area;
  }
  const input = make("input", "", {
    ...attributes,
    type: "text",
    autocomplete: "off",
    inputmode: column.kind === "number" ? "decimal" : "text",
    placeholder: column.type,
  });
  input.value = text.split("\n")[0] ?? "";
  return input;
}
