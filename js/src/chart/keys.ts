// The legend: a key for each series, which shows and hides it, and what there was no room for. Three rows of keys
// are shown; a button opens the others.

import { make, mark, on, write } from "../dom";
import { colour, type Ink } from "./ink";
import type { Picture } from "./points";

export interface KeysActs {
  /** Show or hide a series; `only` shows it alone, or all again. */
  toggle(label: string, only: boolean): void;
}

const ROWS = 3;
const ROW = 22; // pixels from one row to the next, as in the sheet

export class Keys {
  readonly #list = make("div", "list");
  readonly #more = make("button", "link", { "aria-expanded": "false" });
  readonly #rest = make("div", "rest");
  readonly el = make(
    "div",
    "keys",
    { role: "group", "aria-label": "Series" },
    this.#list,
    this.#more,
    this.#rest,
  );
  readonly #acts: KeysActs;
  readonly #buttons = new Map<string, HTMLButtonElement>();
  #slots = new Map<string, number>();
  #shape = "";
  #isOpen = false;

  constructor(acts: KeysActs) {
    this.#acts = acts;
    on(this.#more, "click", () => {
      this.#isOpen = !this.#isOpen;
      this.fit();
    });
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
    this.#rest.hidden = rest === "";
    this.tint(ink);
    this.mark(hidden);
    this.fit();
  }

  /** Fold what goes beyond three rows at the width there is, and say how many keys that are. */
  fit(): void {
    const keys = [...this.#buttons.values()];
    const isBeyond = (key: HTMLElement) =>
      key.offsetTop - this.#list.offsetTop >= ROWS * ROW - ROW / 2;
    this.#more.hidden = true; // it takes room of the keys
    const isLong = keys.some(isBeyond);
    this.#more.hidden = !isLong;
    this.#list.classList.toggle("open", isLong && this.#isOpen);
    mark(this.#more, "aria-expanded", String(this.#isOpen));
    const folded = isLong && !this.#isOpen ? keys.filter(isBeyond) : [];
    for (const key of keys) key.classList.toggle("folded", folded.includes(key));
    write(this.#more, this.#isOpen ? "fewer" : `… ${folded.length} more`);
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
    this.#list.replaceChildren(...this.#buttons.values());
  }
}
