// What is told to screen readers, politely and not too often. Pure but for the element it writes to; time
// comes in as `now`, in milliseconds.

import { rows } from "./format";
import type { State } from "./protocol";

const EVERY = 4000;

export class Announcer {
  #added = 0;
  #removed = 0;
  #saidAt = -EVERY;

  readonly #say: (text: string) => void;

  constructor(say: (text: string) => void) {
    this.#say = say;
  }

  /** Note which rows came and went from one state to the next. */
  follow(before: State | undefined, state: State, now: number): void {
    if (!before?.version || before.version === state.version) return;
    const more = state.total - before.total;
    const added = state.keyed ? state.next - before.next : Math.max(0, more);
    this.changed(added, added - more, now);
  }

  /** Note rows that came and went; several updates become one sentence. */
  changed(added: number, removed: number, now: number): void {
    this.#added += added;
    this.#removed += removed;
    this.tick(now);
  }

  /** Say something at once: an answer to what a person did. */
  now(text: string): void {
    this.#say(text);
  }

  /** Say what has gathered, when it is time; call about once a second. */
  tick(now: number): void {
    if (now - this.#saidAt < EVERY || this.#added + this.#removed === 0) return;
    this.#saidAt = now;
    const parts = [];
    if (this.#added) parts.push(`${rows(this.#added)} added`);
    if (this.#removed) parts.push(`${rows(this.#removed)} removed`);
    this.#added = this.#removed = 0;
    this.#say(parts.join(", "));
  }
}
