// The legend: a key for each series, which shows and hides it, and what there was no room for.

import { make, mark, on, write } from "../dom";
import { colour, type Ink } from "./ink";
import type { Picture } from "./points";

export interface KeysActs {
  /** Show or hide a series; `only` shows it alone, or all again. */
  toggle(label: string, only: boolean): void;
}

export class Keys {
  readonly el = make("div", "keys", { role: "group", "aria-label": "Series" });
  readonly #rest = make("span", "rest");
  readonly #acts: KeysActs;
  readonly #buttons = new Map<string, HTMLButtonElement>();
  #slots = new Map<string, number>();
  #shape = "";

  constructor(acts: KeysActs) {
    this.#acts = acts;
  }

  show(picture: Picture, hidden: Set<string>, ink: Ink): void {
    const { series, left_out } = picture;
    this.#slots = new Map(series.map(({ label, slot }) => [label, slot]));
    const shape = JSON.stringify(series.map(({ label }) => label));
    if (shape !== this.#shape) this.#build([...this.#slots.keys()]);
    this.#shape = shape;
    const rest = left_out.join(", ");
    write(this.#rest, rest && `not drawn: ${rest}`);
    this.#rest.title = this.#rest.textContent ?? "";
    this.el.hidden = series.length < 2 && rest === "";
    this.tint(ink);
    this.mark(hidden);
  }

  tint(ink: Ink): void {
    for (const [label, button] of this.#buttons) {
      const swatch = button.firstElementChild as HTMLElement;
      swatch.style.backgroundColor = colour(this.#slots.get(label) ?? 0, ink);
    }
  }

  mark(hidden: Set<string>): void {
    for (const [label, button] of this.#buttons) {
      mark(button, "aria-pressed", String(!hidden.has(label)));
    }
  }

  #build(labels: string[]): void {
    this.#buttons.clear();
    for (const label of labels) {
      const text = make("span", "label", {}, label);
      const button = make("button", "key", {}, make("span", "swatch"), text);
      button.title = `${label}: click to hide or show, Shift-click for this one alone`;
      on(button, "click", (event) => this.#acts.toggle(label, (event as MouseEvent).shiftKey));
      this.#buttons.set(label, button);
    }
    this.el.replaceChildren(...this.#buttons.values(), this.#rest);
  }
}
