// The line below the table: which rows are in view, how many are selected, what an export does, and what the
// lights on changed cells mean.

import { make, mark, write } from "./dom";
import { wantsStillness } from "./flash";
import { bytes, number, range, rows } from "./format";
import { icon } from "./icons";

export interface FootActs {
  flash(on: boolean): void;
  stopExport(): void;
  unselect(): void;
}

export class Foot {
  readonly element = make("div", "foot");
  readonly #count = make("span", "count");
  readonly #selected = make("span", "selection");
  readonly #selectedCount = make("span");
  readonly #export = make("span", "export");
  readonly #progress = make("progress", "", { max: "1", "aria-label": "Export" });
  readonly #exported = make("span");
  readonly #told = make("span", "told");
  readonly #legend = make("button", "legend", { type: "button" });

  constructor(
    private readonly acts: FootActs,
    signal: AbortSignal,
  ) {
    this.#selected.append(
      this.#selectedCount,
      small("Clear selection", () => acts.unselect()),
    );
    this.#export.append(
      this.#progress,
      this.#exported,
      small("Stop the export", () => acts.stopExport()),
    );
    for (const [direction, word] of [
      ["up", "▲ up"],
      ["down", "▼ down"],
      ["changed", "changed"],
      ["new", "new"],
    ] as const) {
      const sample = make("span", "sample", { "data-flash": direction });
      write(sample, word);
      this.#legend.append(sample);
    }
    this.element.append(this.#count, this.#selected, make("span", "space"));
    this.element.append(this.#told, this.#export, this.#legend);
    this.#selected.hidden = this.#export.hidden = true;
    this.#legend.addEventListener("click", () => this.acts.flash(!this.#isOn), { signal });
    this.flashes(true);
  }

  /** Show whether changed cells light up. */
  flashes(on: boolean): void {
    const still = wantsStillness();
    mark(this.#legend, "aria-pressed", String(on && !still));
    mark(this.#legend, "aria-label", "Light up changed cells: up, down, changed, new");
    this.#legend.disabled = still;
    this.#legend.title = still
      ? "Your system asks for less motion: changed cells do not light up"
      : `Changed cells ${on ? "light up" : "do not light up"}; click to switch`;
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

function small(label: string, run: () => void): HTMLButtonElement {
  const button = make("button", "small", { type: "button", "aria-label": label });
  button.title = label;
  button.append(icon("close"));
  button.addEventListener("click", run);
  return button;
}
