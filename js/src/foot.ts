// The line below the table: which rows are in view, how many are selected, what an export does, and what the
// lights on changed cells mean.

import { make, mark, on, write } from "./dom";
import { wantsStillness } from "./flash";
import { bytes, number, range, rows } from "./format";
import { icon } from "./icons";

const LEGEND = { up: "▲ up", down: "▼ down", changed: "changed", new: "new" };

export interface FootActs {
  flash(on: boolean): void;
  stopExport(): void;
  unselect(): void;
}

export class Foot {
  readonly el = make("div", "foot");
  readonly #count = make("span", "count");
  readonly #selected: HTMLElement;
  readonly #selectedCount = make("span");
  readonly #export: HTMLElement;
  readonly #progress = make("progress", "", { max: "1", "aria-label": "Export" });
  readonly #exported = make("span");
  readonly #told = make("span", "told");
  readonly #legend = make(
    "button",
    "legend",
    {},
    make("span", "unseen", {}, "Light up changed cells: "),
  );

  readonly #acts: FootActs;

  constructor(acts: FootActs, signal: AbortSignal) {
    this.#acts = acts;
    const clear = small("Clear selection", () => acts.unselect());
    const stop = small("Stop the export", () => acts.stopExport());
    this.#selected = make("span", "selection", {}, this.#selectedCount, clear);
    this.#export = make("span", "export", {}, this.#progress, this.#exported, stop);
    for (const [direction, word] of Object.entries(LEGEND)) {
      this.#legend.append(make("span", "sample", { "data-means": direction }, word));
    }
    this.el.append(this.#count, this.#selected, make("span", "space"));
    this.el.append(this.#told, this.#export, this.#legend);
    this.#selected.hidden = this.#export.hidden = true;
    on(this.#legend, "click", () => this.#acts.flash(!this.#isOn), signal);
    this.flashes(true);
  }

  /** Show whether changed cells light up. */
  flashes(on: boolean): void {
    const still = wantsStillness();
    mark(this.#legend, "aria-pressed", String(on && !still));
    this.#legend.disabled = still;
    this.#legend.title = still
      ? "Off: your system asks for less motion"
      : `Changed cells ${on ? "" : "do not "}light up`;
  }

  view(first: number, end: number, total: number, all: number): void {
    const filtered = all > total ? ` (filtered from ${number(all)})` : "";
    write(this.#count, range(first, end, total) + filtered);
  }

  /** Say what was done. */
  tell(text: string): void {
    write(this.#told, text);
  }

  /** Take it back, unless something else has been said since. */
  untell(text: string): void {
    if (this.#told.textContent === text) write(this.#told, "");
  }

  selects(count: number): void {
    this.#selected.hidden = count === 0;
    write(this.#selectedCount, `${rows(count)} selected`);
  }

  /** Show how far an export is; undefined: there is none. */
  exports(done?: { rows: number; of: number; bytes: number }): void {
    this.#export.hidden = done === undefined;
    if (!done) return;
    this.#progress.value = done.of ? done.rows / done.of : 0;
    write(this.#exported, `${number(done.rows)} of ${rows(done.of)}, ${bytes(done.bytes)}`);
  }

  get #isOn(): boolean {
    return this.#legend.getAttribute("aria-pressed") === "true";
  }
}

export function small(label: string, run: () => void): HTMLButtonElement {
  const attributes = { "aria-label": label, title: label };
  const button = make("button", "small", attributes, icon("close"));
  on(button, "click", run);
  return button;
}
