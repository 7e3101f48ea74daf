// Where the table is scrolled to. `scroll` knows how a position and the bar belong together; this keeps them so
// while results come, the table is hidden, and a hand holds the bar.

import { on } from "./dom";
import * as scroll from "./scroll";
import { HEADER, ROW } from "./style";

const SETTLE_MS = 160;
const TALLEST = 10_000; // pixels

export interface ScrollerActs {
  /** Draw, now or with the next frame. */
  draw(): void;
  redraw(): void;
}

export class Scroller {
  /** Rows shown. */
  total = 0;
  #position = 0;
  #height = 0;
  #scrollTop = 0;
  #settle = 0;
  #dragging = false;
  #wasHidden = true;

  readonly #view: HTMLElement;
  readonly #acts: ScrollerActs;

  constructor(view: HTMLElement, acts: ScrollerActs, signal: AbortSignal) {
    this.#view = view;
    this.#acts = acts;
    on(view, "scroll", () => this.#scrolled(), signal, { passive: true });
    this.#holdBar(signal);
    on(signal, "abort", () => clearTimeout(this.#settle));
  }

  get isHidden(): boolean {
    return this.#height === 0;
  }

  get isAtTop(): boolean {
    return this.#position < 1;
  }

  /** The rows on the screen, `end` excluded. */
  get inView(): { first: number; end: number } {
    return scroll.visible(this.#position, this.#extent);
  }

  /** Rows to step by a page. */
  get page(): number {
    return Math.max(1, Math.floor(this.#extent.view / ROW) - 1);
  }

  /** Give the place of a row in pixels, in what the bar scrolls. */
  topOf(row: number): number {
    return row * ROW - this.#position + this.#scrollTop;
  }

  /** Keep the first visible row where it is; at the very top new rows are let in. */
  follow(moved: (row: number) => number): void {
    this.#catchUp();
    if (this.isAtTop) return;
    const first = Math.floor(this.#position / ROW);
    this.#position += (moved(first) - first) * ROW;
  }

  toTop(): void {
    this.#position = 0;
    this.#dragging = false;
    this.#align();
  }

  /** Fit the height there is, and the rows' in `body`; tell whether there is any: while not, the place is kept. */
  fit(body: HTMLElement): boolean {
    this.#height = this.#view.clientHeight;
    if (this.isHidden) {
      this.#wasHidden = true; // browsers forget where a hidden element was scrolled to
      return false;
    }
    // A scroll may be under way that no event has told of yet: an update must not turn it back.
    if (!this.#wasHidden) this.#catchUp();
    const height = `${scroll.bar(this.#extent)}px`;
    if (body.style.height !== height) body.style.height = height;
    this.#position = scroll.clamp(this.#position, this.#extent);
    const isMoving = this.#dragging || this.#settle !== 0;
    if (this.#wasHidden || !isMoving) this.#align();
    this.#wasHidden = false;
    return true;
  }

  /** Scroll no further than needed to see a row. */
  reveal(row: number): void {
    const top = row * ROW;
    const least = top + ROW - this.#extent.view;
    if (top >= this.#position && least <= this.#position) return;
    this.#position = scroll.clamp(top < this.#position ? top : least, this.#extent);
    this.#dragging = false;
    this.#align();
  }

  get #extent(): scroll.Extent {
    // Without our sheet the element would be as tall as all rows, and all rows be drawn.
    const view = Math.max(ROW, Math.min(this.#height, TALLEST) - HEADER);
    return { rows: this.total, rowHeight: ROW, view };
  }

  #catchUp(): void {
    const top = this.#view.scrollTop;
    this.#height = this.#view.clientHeight; // browsers tell of another height only after scrolling
    if (top === this.#scrollTop || this.isHidden) return;
    this.#position = scroll.follow(this.#position, this.#scrollTop, top, this.#extent);
    this.#scrollTop = top;
  }

  #scrolled(): void {
    this.#catchUp();
    this.#acts.redraw();
    clearTimeout(this.#settle);
    this.#settle = window.setTimeout(() => this.#settled(), SETTLE_MS);
  }

  /** Bring the bar back in line with the position, unless a hand is on it. */
  #settled(): void {
    this.#settle = 0;
    if (this.#dragging) return;
    this.#align();
    this.#acts.draw();
  }

  #align(): void {
    const top = scroll.toScrollTop(this.#position, this.#extent);
    if (Math.abs(this.#view.scrollTop - top) >= 1) this.#view.scrollTop = top;
    this.#scrollTop = this.#view.scrollTop;
  }

  /** Notice a hand on the scroll bar: the bar is the only thing pressed that is not inside the table. */
  #holdBar(signal: AbortSignal): void {
    const hold = (event: PointerEvent) => {
      this.#dragging = event.target === this.#view;
    };
    on(this.#view, "pointerdown", hold, signal);
    const free = () => {
      if (!this.#dragging) return;
      this.#dragging = false;
      this.#settled();
    };
    for (const kind of ["wheel", "touchstart", "keydown"] as const) {
      on(this.#view, kind, free, signal, { passive: true });
    }
    // Releasing the bar tells nobody in some browsers; the next movement without a button does.
    for (const kind of ["pointerup", "pointermove"] as const) {
      const up = (event: PointerEvent) => (event.buttons & 1) === 0 && free();
      on(document, kind, up, signal, { passive: true });
    }
  }
}
