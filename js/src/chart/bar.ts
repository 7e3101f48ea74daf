// The line above the chart: name, state, age, what is missing, and what can be done.

import { make, mark, on, write } from "../dom";
import { age, number } from "../format";
import { type Icon, icon } from "../icons";
import type { Picture } from "./points";
import type { State } from "./protocol";

export interface BarActs {
  reset(): void;
  pause(): void;
  save(): void;
}

export class Bar {
  readonly el = make("div", "bar");
  readonly message = make("div", "message", { role: "status" });
  readonly #title = make("span", "title");
  readonly #badge = make("span", "badge", { role: "status" });
  readonly #age = make("span", "age");
  readonly #points = make("span", "drawn");
  readonly #hint = make("span", "chip", { role: "status" });
  readonly #truncated = make(
    "span",
    "chip",
    { title: "The query has more rows than its limit allows" },
    "truncated",
  );
  readonly #held = make("span", "chip held", { role: "status" });
  readonly #reset: HTMLButtonElement;
  readonly #pause: HTMLButtonElement;
  #state: State | undefined;
  #receivedAt = 0;

  constructor(acts: BarActs) {
    this.#reset = tool("fit", "Show all (double-click, Home)", acts.reset);
    this.#pause = tool("pause", "Pause drawing", acts.pause);
    const save = tool("export", "Save as PNG", acts.save);
    const named = { role: "toolbar", "aria-label": "Chart" };
    const tools = make("span", "tools", named, this.#reset, this.#pause, save);
    this.el.append(this.#title, this.#badge, this.#age, make("span", "space"), this.#points);
    this.el.append(this.#hint, this.#truncated, this.#held, tools);
    this.message.hidden = this.#truncated.hidden = true;
    this.#say("starting");
    this.hint("");
    this.zoomed(false);
    this.paused(false);
  }

  get title(): string {
    return this.#title.textContent ?? "";
  }

  name(title: string): void {
    write(this.#title, title);
    this.#title.title = title;
  }

  show(state: State, now: number): void {
    this.#state = state;
    this.#receivedAt = now;
    this.#say(state.status);
    this.#truncated.hidden = !state.truncated;
    const { error } = state;
    write(this.message, error?.message ?? state.message);
    if (error?.sqlstate)
      this.message.append(" ", make("code", "", {}, `SQLSTATE ${error.sqlstate}`));
    this.message.hidden = this.message.textContent === "";
    const at = state.refreshed_at;
    this.#age.title = at ? `Result of ${new Date(at).toLocaleString()}` : "";
    this.tick(now);
  }

  /** Say how many points there are, where not all of them are drawn. */
  counts({ whole, series, points }: Picture): void {
    const drawn = series.reduce((sum, one) => sum + one.y.length, 0);
    const few = whole ? "" : `${number(drawn)} of ${number(points)} points drawn`;
    write(this.#points, few);
    this.#points.title = few && "As many as there is room for; zoom in for all of them";
  }

  /** Let the age grow; `now` in milliseconds. */
  tick(now: number): void {
    const seconds = this.#state?.age ?? null;
    write(this.#age, seconds === null ? "" : age(seconds + (now - this.#receivedAt) / 1000));
  }

  hint(text: string): void {
    write(this.#hint, text);
    this.#hint.hidden = text === "";
  }

  zoomed(isZoomed: boolean): void {
    this.#reset.hidden = !isZoomed;
  }

  /** Say that drawing is paused here, and since then nothing new is shown. */
  paused(isPaused: boolean): void {
    const name = isPaused ? "Go on drawing" : "Pause drawing";
    relabel(this.#pause, isPaused ? "resume" : "pause", name);
    write(this.#held, isPaused ? "drawing paused" : "");
    this.#held.hidden = !isPaused;
  }

  #say(status: string): void {
    write(this.#badge, status);
    this.#badge.dataset.status = this.message.dataset.status = status;
  }
}

function tool(sign: Icon, label: string, run: () => void): HTMLButtonElement {
  const button = make("button", "tool");
  relabel(button, sign, label);
  on(button, "click", run);
  return button;
}

function relabel(button: HTMLButtonElement, sign: Icon, label: string): void {
  button.replaceChildren(icon(sign));
  mark(button, "aria-label", label);
  button.title = label;
}
