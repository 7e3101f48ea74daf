// What a mouse and the keyboard do to a chart: the wheel and + - zoom, Shift and a button or arrows move, Home
// shows all. Selecting a range is uPlot's.

import type uPlot from "uplot";
import { mark, on } from "../dom";
import { moved, type Range, scaled } from "./range";

const WHEEL = 1.0015; // per pixel of a wheel's turn
const STEP = 0.8; // of a key

/** What hands move. */
export interface Moves {
  readonly el: HTMLElement;
  readonly plot: uPlot | undefined;
  /** The range of x on the screen. */
  readonly range: Range;
  readonly zoomedTo: Range | undefined;
  to(x: Range | undefined): void;
  reset(): void;
}

export class Hands {
  readonly #figure: Moves;

  constructor(figure: Moves, signal: AbortSignal) {
    this.#figure = figure;
    const { el } = figure;
    mark(el, "aria-keyshortcuts", "Plus - ArrowLeft ArrowRight Home");
    on(el, "wheel", (event) => this.#wheel(event), signal, { passive: false });
    on(el, "keydown", (event) => this.#key(event), signal);
  }

  /** Move the picture with the pointer, from Shift and a button on. */
  grab(start: MouseEvent): void {
    const { plot, zoomedTo: x } = this.#figure;
    if (!plot || !x) return;
    const width = plot.over.clientWidth;
    const end = new AbortController();
    const move = (event: MouseEvent) =>
      this.#figure.to(moved(x, ((start.clientX - event.clientX) * (x[1] - x[0])) / width));
    on(document, "mousemove", move, end.signal);
    on(document, "mouseup", () => end.abort(), end.signal);
  }

  /** Zoom with the wheel where somebody has clicked, or with Ctrl: elsewhere it scrolls the page. */
  #wheel(event: WheelEvent): void {
    const { el, plot, range, zoomedTo } = this.#figure;
    const isAsked = event.ctrlKey || event.metaKey || el.matches(":focus");
    if (!plot || !isAsked) return;
    const { left, width } = plot.over.getBoundingClientRect();
    const pixels = event.deltaMode === 1 ? 20 : 1;
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      const by = (event.deltaX * pixels * (range[1] - range[0])) / width;
      if (zoomedTo) this.#figure.to(moved(range, by));
      return;
    }
    const around = plot.posToVal(event.clientX - left, "x");
    this.#figure.to(scaled(range, WHEEL ** (event.deltaY * pixels), around));
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return; // the browser's own zoom
    const { range, zoomedTo } = this.#figure;
    const asked = target(event.key, range, zoomedTo !== undefined);
    if (asked === undefined) return;
    if (asked === "all") this.#figure.reset();
    else this.#figure.to(asked);
    event.preventDefault();
    event.stopPropagation();
  }
}

/** Say where a key leads: to a range, or to all; undefined: the page may have it. */
export function target(key: string, range: Range, isZoomed: boolean): Range | "all" | undefined {
  const [low, high] = range;
  const middle = (low + high) / 2;
  const by = (high - low) / 10;
  switch (key) {
    case "+":
    case "=":
      return scaled(range, STEP, middle);
    case "-":
      return scaled(range, 1 / STEP, middle);
    case "ArrowLeft":
      return isZoomed ? moved(range, -by) : range;
    case "ArrowRight":
      return isZoomed ? moved(range, by) : range;
    case "Home":
    case "0":
    case "Escape":
      return "all";
  }
  return undefined;
}
