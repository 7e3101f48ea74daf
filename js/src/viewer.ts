// One view's conversation with the kernel: what it asks for, acknowledges, and concludes from silence.
// Time comes in as `now`, in milliseconds.

import { type Push, type Request, type Wish as RowsWish, token } from "./protocol";
import { NOTHING_NEW, type Update as RowsUpdate } from "./rows";

export const BUSY_AFTER = 400;
export const FIRST_PATIENCE = 900;
export const BEAT_EVERY = 5_000;
export const SILENT_AFTER = 25_000;
export const HIDDEN_FOR = 60_000;

interface Message {
  type: string;
  seq: number;
  state: { revision: number };
}

/** What a view holds: the rows of a table, or the points of a chart. */
export interface Held<M extends Message, Wish, Update> {
  readonly revision: number;
  replace(message: Extract<M, { type: "window" }>): Update;
  /** Undefined when it builds on something else. */
  patch(message: Extract<M, { type: "patch" }>): Update | undefined;
  holds(wish: Wish): boolean;
}

export class Viewer<M extends Message = Push, Wish extends object = RowsWish, Update = RowsUpdate> {
  readonly token = token();
  #seq = 0;
  #lastSeen = 0;
  #asked: { at: number; wish: Wish } | undefined;
  #next: Wish | undefined;
  #saidAt = 0;
  #heardAt = 0;
  #hiddenAt: number | undefined;
  #isThere = false;
  #patience = FIRST_PATIENCE;

  readonly #send: (message: object) => void;
  readonly #rows: Held<M, Wish, Update>;

  constructor(send: (message: object) => void, rows: Held<M, Wish, Update>) {
    this.#send = send;
    this.#rows = rows;
  }

  /** Announce this view and ask for its first rows. */
  hello(wish: Wish, now: number): void {
    if (!this.#isThere) this.#heardAt = now;
    this.#isThere = true;
    this.#asked = { at: this.#asked?.at ?? now, wish };
    this.#say({ type: "hello", ...wish }, now);
  }

  bye(now: number): void {
    if (this.#isThere) this.#say({ type: "bye" }, now);
    this.#isThere = false;
  }

  /** Ask for rows; while an answer is under way only the newest wish is kept. */
  want(wish: Wish, now: number): void {
    if (!this.#isThere) return;
    if (this.#asked) {
      this.#next = wish;
      return;
    }
    this.#asked = { at: now, wish };
    this.#say({ type: "window", ...wish }, now);
  }

  /** Take a message; undefined when it is older than what is here, or builds on something else. */
  take(message: M, wish: Wish, now: number): Update | undefined {
    this.heard(now);
    if (message.seq <= this.#lastSeen) return undefined;
    this.#lastSeen = message.seq;
    this.acknowledge(message.seq, now);
    if (message.type === "window") {
      const update = this.#rows.replace(message as Extract<M, { type: "window" }>);
      this.#answered(now);
      return update;
    }
    const update =
      message.type === "patch"
        ? this.#rows.patch(message as Extract<M, { type: "patch" }>)
        : (NOTHING_NEW as Update);
    if (update === undefined || this.#rows.revision !== message.state.revision) {
      this.want(wish, now);
      return undefined;
    }
    return update;
  }

  heard(now: number): void {
    this.#heardAt = now;
  }

  acknowledge(seq: number, now: number): void {
    this.#say({ type: "ack", of: seq }, now);
  }

  /** Ask for something, or tell; the number returned is what an answer is `of`. */
  ask(request: Request, now: number): number {
    this.#say(request, now);
    return this.#seq;
  }

  /** Do what time asks for; call about once a second. */
  tick(wish: Wish, isHidden: boolean, now: number): void {
    this.#hiddenAt = isHidden ? (this.#hiddenAt ?? now) : undefined;
    if (this.#hiddenAt !== undefined && now - this.#hiddenAt >= HIDDEN_FOR) this.bye(now);
    else if (!this.#isThere && !isHidden) this.hello(wish, now);
    else if (this.#isThere && this.#lastSeen === 0 && now - this.#saidAt >= this.#patience) {
      // While JupyterLab still makes the subshell for widgets, a message goes to the main shell and
      // waits there for the end of a running cell. Said again, it goes to the subshell.
      this.#patience *= 2;
      this.hello(wish, now);
    } else if (this.#isThere && now - this.#saidAt >= BEAT_EVERY) {
      // A kernel that dropped this view while the page slept knows it again after a hello.
      if (now - this.#heardAt >= BEAT_EVERY + 5_000) this.hello(wish, now);
      else this.#say({ type: "beat" }, now);
    }
  }

  /** Say what the kernel's silence means; empty when all is well. */
  hint(isMissingRows: boolean, now: number): string {
    if (this.#isThere && now - this.#heardAt >= SILENT_AFTER) return "kernel not answering";
    const waits = isMissingRows && this.#asked !== undefined && now - this.#asked.at >= BUSY_AFTER;
    return waits ? "kernel busy" : "";
  }

  #answered(now: number): void {
    const next = this.#next;
    this.#asked = this.#next = undefined;
    if (next && !this.#rows.holds(next)) this.want(next, now);
  }

  #say(request: object, now: number): void {
    this.#seq += 1;
    this.#saidAt = now;
    this.#send({ ...request, seq: this.#seq, viewer: this.token });
  }
}
