// The line above the table: name, state, age, what is missing; search and what can be done.

import { make, mark, on, write } from "./dom";
import { age, exactTime } from "./format";
import { type Icon, icon } from "./icons";
import type { State } from "./protocol";

const TYPING_MS = 250;

export interface BarActs {
  search(text: string): void;
  /** Pause or resume. */
  pause(): void;
  refresh(): void;
  more(anchor: HTMLElement): void;
}

export class Bar {
  readonly el = make("div", "bar");
  readonly message = make("div", "message", { role: "status" });
  readonly #title = make("span", "title");
  readonly #badge = make("span", "badge", { role: "status" });
  readonly #age = make("span", "age");
  readonly #truncated = make(
    "span",
    "chip",
    { title: "The query has more rows than its limit allows" },
    "truncated",
  );
  readonly #hint = make("span", "chip", { role: "status" });
  readonly #input = make("input", "", {
    type: "search",
    placeholder: "Search",
    "aria-label": "Search all columns",
    autocomplete: "off",
    spellcheck: "false",
  });
  readonly #box = make("label", "search", {}, icon("search"), this.#input);
  readonly #pause: HTMLButtonElement;
  readonly #refresh: HTMLButtonElement;
  #state: State | undefined;
  #receivedAt = 0;
  #typing = 0;

  readonly #acts: BarActs;

  constructor(title: string, acts: BarActs, signal: AbortSignal) {
    this.#acts = acts;
    this.#pause = tool("pause", "Pause", () => acts.pause());
    this.#refresh = tool("refresh", "Refresh now", () => acts.refresh());
    const more = tool("more", "Columns, copy, export", () => acts.more(more));
    mark(more, "aria-haspopup", "menu");
    mark(more, "aria-expanded", "false");
    const named = { role: "toolbar", "aria-label": "Table" };
    const tools = make("span", "tools", named, this.#pause, this.#refresh, more);
    const space = make("span", "space");
    this.el.append(this.#title, this.#badge, this.#age, space, this.#hint, this.#truncated);
    this.el.append(this.#box, tools);
    this.name(title);
    this.#say("starting");
    this.#truncated.hidden = this.#hint.hidden = this.message.hidden = true;
    on(this.#input, "input", () => this.#typed(TYPING_MS), signal);
    on(this.#input, "keydown", (event) => this.#key(event), signal);
    on(signal, "abort", () => clearTimeout(this.#typing));
  }

  name(title: string): void {
    write(this.#title, title);
    this.#title.title = title;
  }

  show(state: State, now: number): void {
    const isNews = this.#state !== undefined && state.version !== this.#state.version;
    this.#state = state;
    this.#receivedAt = now;
    this.#say(state.status);
    const { error } = state;
    write(this.message, error?.message ?? state.message);
    if (error?.sqlstate)
      this.message.append(" ", make("code", "", {}, `SQLSTATE ${error.sqlstate}`));
    this.message.hidden = this.message.textContent === "";
    this.#truncated.hidden = !state.truncated;
    this.#age.title = exactTime(state);
    this.#offer(state);
    if (isNews) this.#ping();
    this.tick(now);
  }

  /** Show the text the kernel searches for, unless somebody is typing another. */
  searches(text: string): void {
    if (!this.#typing && this.#input.value !== text && !this.#input.matches(":focus")) {
      this.#input.value = text;
    }
    this.#box.classList.toggle("used", text !== "");
  }

  /** Let the age grow; `now` in milliseconds. */
  tick(now: number): void {
    const seconds = this.#state?.age ?? null;
    write(this.#age, seconds === null ? "" : age(seconds + (now - this.#receivedAt) / 1000));
  }

  /** Say why something is missing, or nothing. */
  hintAt(text: string): void {
    write(this.#hint, text);
    this.#hint.hidden = text === "";
  }

  #say(status: string): void {
    write(this.#badge, status);
    this.#badge.dataset.status = this.message.dataset.status = status;
  }

  #offer(state: State): void {
    const { paused } = state;
    const gone = state.status === "closed";
    this.#pause.hidden = this.#refresh.hidden = !state.acts;
    this.#pause.disabled = this.#refresh.disabled = gone;
    const name = paused ? "Resume" : "Pause";
    if (this.#pause.title === name) return;
    relabel(this.#pause, paused ? "resume" : "pause", name);
  }

  #typed(after: number): void {
    clearTimeout(this.#typing);
    this.#typing = window.setTimeout(() => {
      this.#typing = 0;
      this.#acts.search(this.#input.value);
    }, after);
  }

  #key(event: KeyboardEvent): void {
    event.stopPropagation();
    if (event.key === "Enter") this.#typed(0);
    else if (event.key === "Escape" && this.#input.value !== "") {
      event.preventDefault();
      this.#input.value = "";
      this.#typed(0);
    }
  }

  #ping(): void {
    this.#badge.classList.remove("ping");
    void this.#badge.offsetWidth; // restarts the animation
    this.#badge.classList.add("ping");
  }
}

export function tool(sign: Icon, label: string, run: () => void): HTMLButtonElement {
  const button = make("button", "tool", {});
  relabel(button, sign, label);
  on(button, "click", run);
  return button;
}

function relabel(button: HTMLButtonElement, sign: Icon, label: string): void {
  button.replaceChildren(icon(sign));
  mark(button, "aria-label", label);
  button.title = label;
}
