// The line above the table: name, state, age, what is missing, how many rows.

import { age, exactTime, range } from "./format";
import type { State } from "./protocol";

export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = "",
  attributes: Record<string, string> = {},
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (className) element.className = className;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** Write text only where it differs: a selection in unchanged text survives. */
export function write(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export class Bar {
  readonly element = make("div", "bar");
  readonly message = make("div", "message", { role: "status" });
  private readonly title = make("span", "title");
  private readonly badge = make("span", "badge", { role: "status" });
  private readonly age = make("span", "age");
  private readonly truncated = make("span", "chip");
  private readonly hint = make("span", "chip", { role: "status" });
  private readonly count = make("span", "count");
  private state: State | undefined;
  private receivedAt = 0;

  constructor(title: string) {
    const space = make("span", "space");
    this.element.append(
      this.title,
      this.badge,
      this.age,
      space,
      this.hint,
      this.truncated,
      this.count,
    );
    this.truncated.title = "The query has more rows than its limit allows";
    write(this.truncated, "truncated");
    this.name(title);
    write(this.badge, "starting");
    this.badge.dataset.status = "starting";
    this.truncated.hidden = this.hint.hidden = this.message.hidden = true;
  }

  name(title: string): void {
    write(this.title, title);
    this.title.title = title;
  }

  show(state: State, now: number): void {
    const isNews = this.state !== undefined && state.version !== this.state.version;
    this.state = state;
    this.receivedAt = now;
    write(this.badge, state.status);
    this.badge.dataset.status = this.message.dataset.status = state.status;
    write(this.message, state.message);
    this.message.hidden = state.message === "";
    this.truncated.hidden = !state.truncated;
    this.age.title = exactTime(state);
    if (isNews) this.ping();
    this.tick(now);
  }

  /** Let the age grow; `now` in milliseconds. */
  tick(now: number): void {
    const seconds = this.state?.age ?? null;
    write(this.age, seconds === null ? "" : age(seconds + (now - this.receivedAt) / 1000));
  }

  /** Say why something is missing, or nothing. */
  hintAt(text: string): void {
    write(this.hint, text);
    this.hint.hidden = text === "";
  }

  view(first: number, end: number): void {
    write(this.count, this.state?.version ? range(first, end, this.state.total) : "");
  }

  private ping(): void {
    this.badge.classList.remove("ping");
    void this.badge.offsetWidth; // restarts the animation
    this.badge.classList.add("ping");
  }
}
