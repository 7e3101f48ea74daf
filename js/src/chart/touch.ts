// What fingers do to a chart: two zoom it, one moves what is zoomed, a double tap shows all. What goes up and down
// is the page's to scroll: `touch-action` in the sheet leaves it there, and the browser then takes the finger.

import { on } from "../dom";
import { moment } from "../moment";
import type { Moves } from "./hands";
import { moved, pinched, type Range } from "./range";

const TREMBLE = 12; // pixels a finger may move in a tap
const DOUBLE_MS = 350;
const APART = 24; // pixels two taps may be

interface Finger {
  x: number; // as clientX
  from: number; // when the number of fingers changed last
}

export class Touch {
  readonly #figure: Moves;
  readonly #fingers = new Map<number, Finger>();
  #range: Range | undefined; // when the number of fingers changed last
  #down = { x: 0, y: 0 };
  #isTap = false;
  #tapped = { x: 0, at: Number.NEGATIVE_INFINITY };

  constructor(figure: Moves, signal: AbortSignal) {
    this.#figure = figure;
    const { el } = figure;
    const finger = (call: (event: PointerEvent) => void) => (event: PointerEvent) => {
      if (event.pointerType === "touch") call(event);
    };
    on(
      el,
      "pointerdown",
      finger((event) => this.#press(event)),
      signal,
    );
    on(
      el,
      "pointermove",
      finger((event) => this.#move(event)),
      signal,
    );
    on(
      el,
      "pointerup",
      finger((event) => this.#lift(event)),
      signal,
    );
    on(
      el,
      "pointercancel",
      finger((event) => this.#leave(event)),
      signal,
    );
    // Two fingers going up or down are no scrolling either.
    const hold = (event: TouchEvent) => event.touches.length > 1 && event.preventDefault();
    on(el, "touchmove", hold, signal, { passive: false });
  }

  #press(event: PointerEvent): void {
    if (!this.#figure.plot?.over.contains(event.target as Node)) return;
    this.#fingers.set(event.pointerId, { x: event.clientX, from: event.clientX });
    this.#isTap = this.#fingers.size === 1;
    this.#down = { x: event.clientX, y: event.clientY };
    this.#begin();
  }

  #move(event: PointerEvent): void {
    const finger = this.#fingers.get(event.pointerId);
    const { plot } = this.#figure;
    if (!finger || !plot) return;
    finger.x = event.clientX;
    if (this.#isTap && this.#trembles(event)) return;
    const { left, width } = plot.over.getBoundingClientRect();
    const share = (place: number) => (place - left) / width;
    const [one, other] = [...this.#fingers.values()];
    if (!one || !this.#range) return;
    if (other) {
      const from: Range = [share(one.from), share(other.from)];
      this.#figure.to(pinched(this.#range, from, [share(one.x), share(other.x)]));
    } else if (this.#figure.zoomedTo) {
      const [low, high] = this.#range;
      this.#figure.to(moved(this.#range, (share(one.from) - share(one.x)) * (high - low)));
    }
  }

  /** Tell whether a finger has not moved, or goes up or down, which the browser will take for scrolling. */
  #trembles(event: PointerEvent): boolean {
    const across = Math.abs(event.clientX - this.#down.x);
    const down = Math.abs(event.clientY - this.#down.y);
    this.#isTap = Math.hypot(across, down) <= TREMBLE;
    if (!this.#isTap && down > across) this.#leave(event);
    return this.#isTap || down > across;
  }

  #lift(event: PointerEvent): void {
    const isTap = this.#isTap && this.#fingers.has(event.pointerId);
    this.#leave(event);
    if (!isTap) return;
    const { x, at } = this.#tapped;
    const isSecond = moment() - at < DOUBLE_MS && Math.abs(event.clientX - x) < APART;
    this.#tapped = { x: event.clientX, at: isSecond ? Number.NEGATIVE_INFINITY : moment() };
    if (isSecond) this.#figure.reset();
  }

  #leave(event: PointerEvent): void {
    if (this.#fingers.delete(event.pointerId)) this.#begin();
  }

  /** Go on from what is shown now, with the fingers that are there. */
  #begin(): void {
    this.#range = this.#figure.range;
    for (const finger of this.#fingers.values()) finger.from = finger.x;
  }
}
