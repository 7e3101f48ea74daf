// What the kernel sorts and filters by, and what this view asked for, until it is so. `arrange` makes the steps.

import { AS_IT_COMES, isSame, turned } from "./arrange";
import { moment } from "./moment";
import type { Arrangement, Condition } from "./protocol";
import type { Questions } from "./questions";

const BELIEVED_MS = 3000;

export class Arranging {
  now = AS_IT_COMES;
  #wished: Arrangement | undefined;
  #wishedAt = 0;

  readonly #questions: Questions;

  constructor(questions: Questions) {
    this.#questions = questions;
  }

  /** What the next step builds on. */
  get asked(): Arrangement {
    return this.#wished ?? this.now;
  }

  /** Ask for another arrangement. */
  change(change: Partial<Arrangement>): void {
    const next = { ...this.asked, ...change };
    if (isSame(next, this.asked)) return;
    this.#wished = next;
    this.#wishedAt = moment();
    const { sort, search, filters } = next;
    this.#questions.ask({ type: "arrange", sort, search, filters });
  }

  /** Sort by a column the next way. */
  turn(column: number, add: boolean): void {
    this.change({ sort: turned(this.asked.sort, column, add) });
  }

  /** Leave out the filters that do not stay. */
  keep(stays: (filter: Condition, at: number) => boolean): void {
    this.change({ filters: this.asked.filters.filter(stays) });
  }

  /** Take what is so; tell whether other rows come because this view asked for them. */
  become(now: Arrangement): boolean {
    const wished = this.#wished;
    const differs = !isSame(now, this.now);
    this.now = now;
    // What comes may answer an older wish; one that never comes true is let go of in time.
    if (wished && (isSame(now, wished) || moment() - this.#wishedAt > BELIEVED_MS)) {
      this.#wished = undefined;
    }
    return differs && wished !== undefined;
  }
}
