// What the kernel is asked, and who waits for the answer.

import { moment } from "./moment";
import type { Answer, Request } from "./protocol";
import type { Viewer } from "./viewer";

type AnswerTo<Q extends Request> = Extract<Answer, { type: Q["type"] }>;

export class Questions {
  readonly #viewer: Viewer;
  readonly #waiting = new Map<number, (answer: Answer) => void>();

  constructor(viewer: Viewer) {
    this.#viewer = viewer;
  }

  /** Ask for something, or tell, and call with the answer; the number returned is what that is `of`. */
  ask<Q extends Request>(request: Q, call?: (answer: AnswerTo<Q>) => void): number {
    const of = this.#viewer.ask(request, moment());
    if (call) this.#waiting.set(of, call as (answer: Answer) => void);
    return of;
  }

  take(answer: Answer): void {
    this.#waiting.get(answer.of)?.(answer);
    this.#waiting.delete(answer.of);
  }
}
