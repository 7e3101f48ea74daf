// The drawing: a picture goes in, uPlot draws it, `hands` and `touch` zoom and move it. What somebody has zoomed
// to stays, whatever comes; else the newest picture is shown whole.

import uPlot from "uplot";
import { make, mark, on } from "../dom";
import { type Aligned, align } from "./align";
import { Hands, type Moves } from "./hands";
import { type Ink, inkOf, isSame } from "./ink";
import { optionsOf } from "./options";
import type { Picture } from "./points";
import { limited, type Range, stepOf, whole, type Zoom } from "./range";
import { Tip } from "./tip";
import { Touch } from "./touch";
import { summary } from "./words";

export interface FigureActs {
  zoomed(): void;
}

export class Figure implements Moves {
  readonly el = make("div", "figure", { tabindex: "0", role: "img" });
  readonly #root: HTMLElement;
  readonly #zoom: Zoom;
  readonly #hidden: Set<string>;
  readonly #acts: FigureActs;
  readonly #tip: Tip;
  readonly #hands: Hands;
  #plot: uPlot | undefined;
  #picture: Picture | undefined;
  #aligned: Aligned = [[]];
  #shape = "";
  #step = 1;
  #ink: Ink;

  constructor(
    root: HTMLElement,
    zoom: Zoom,
    hidden: Set<string>,
    acts: FigureActs,
    signal: AbortSignal,
  ) {
    this.#root = root;
    this.#zoom = zoom;
    this.#hidden = hidden;
    this.#acts = acts;
    this.#ink = inkOf(root);
    this.#tip = new Tip(() => this.#ink);
    this.el.append(this.#tip.el);
    this.#hands = new Hands(this, signal);
    new Touch(this, signal);
    on(signal, "abort", () => this.#plot?.destroy());
  }

  get isZoomed(): boolean {
    return this.#zoom.x !== undefined || this.#zoom.y !== undefined;
  }

  /** The range of x on the screen when it is not all. */
  get zoomedTo(): Range | undefined {
    return this.#zoom.x;
  }

  get range(): Range {
    return this.#zoom.x ?? this.#all;
  }

  get plot(): uPlot | undefined {
    return this.#plot;
  }

  get ink(): Ink {
    return this.#ink;
  }

  get canvas(): HTMLCanvasElement | undefined {
    return this.#plot?.ctx.canvas;
  }

  /** Draw a picture; a new chart is made only for other series, or for x of another sort. */
  show(picture: Picture): void {
    this.#picture = picture;
    this.#aligned = align(picture.series);
    this.#step = stepOf(this.#aligned[0]);
    mark(this.el, "aria-label", summary(picture));
    const series = picture.series.map(({ label, slot }) => [label, slot]);
    const { kind, role, x, y, log } = picture;
    const shape = JSON.stringify([kind, role, x, y, log, series]);
    if (this.#plot && shape === this.#shape) {
      this.#plot.setData(this.#aligned as uPlot.AlignedData);
      this.#tip.follow(picture);
      return;
    }
    if (this.#shape && !this.#shape.startsWith(JSON.stringify([kind, role, x]).slice(0, -1))) {
      this.#zoom.x = this.#zoom.y = undefined; // another query's x
    }
    this.#shape = shape;
    this.#build();
  }

  toggle(label: string): void {
    const at = this.#picture?.series.findIndex((one) => one.label === label) ?? -1;
    if (at >= 0) this.#plot?.setSeries(at + 1, { show: !this.#hidden.has(label) });
  }

  resize(): void {
    const size = this.#size;
    if (!size) return;
    if (!this.#plot) this.#build();
    else if (size.width !== this.#plot.width || size.height !== this.#plot.height)
      this.#plot.setSize(size);
  }

  /** Take the theme's colours, if they are others. */
  tint(): void {
    const ink = inkOf(this.#root);
    if (isSame(ink, this.#ink)) return;
    const isFont = ink.font !== this.#ink.font;
    this.#ink = ink;
    if (isFont) this.#build();
    else this.#plot?.redraw(false, true);
  }

  reset(): void {
    this.#to(undefined, undefined);
  }

  /** Show a range of x, and of y what is shown. */
  to(x: Range | undefined): void {
    this.#to(x, this.#zoom.y);
  }

  get #size(): { width: number; height: number } | undefined {
    const { clientWidth: width, clientHeight: height } = this.el;
    return width > 40 && height > 40 ? { width, height } : undefined;
  }

  #build(): void {
    const size = this.#size;
    const picture = this.#picture;
    this.#plot?.destroy();
    this.#plot = undefined;
    this.#tip.hide();
    if (!size || !picture || picture.series.length === 0) return;
    const live = {
      ink: () => this.#ink,
      picture: () => this.#picture ?? picture,
      x: () => this.range,
      y: () => this.#zoom.y,
      step: () => this.#step,
      isHidden: (label: string) => this.#hidden.has(label),
    };
    const options = optionsOf(live, size, { cursor: this.#cursor(picture), hooks: this.#hooks() });
    this.#plot = new uPlot(options, this.#aligned as uPlot.AlignedData, this.el);
    this.#tip.follow(picture);
  }

  get #all(): Range {
    return this.#picture ? whole(this.#picture, this.#step) : [0, 1];
  }

  #cursor(picture: Picture): uPlot.Cursor {
    return {
      y: picture.kind === "scatter",
      ...(picture.kind === "bar" ? { points: { show: false } } : {}),
      drag: { x: true, y: picture.kind === "scatter", setScale: false, dist: 4, uni: 24 },
      bind: {
        mousedown: (_plot, _over, handler) => (event) => {
          this.el.focus({ preventScroll: true });
          if (event.shiftKey && event.button === 0) this.#hands.grab(event);
          else handler(event);
          return null;
        },
        dblclick: () => () => {
          this.reset();
          return null;
        },
      },
    };
  }

  #hooks(): uPlot.Hooks.Arrays {
    return {
      setSelect: [(plot) => this.#selected(plot)],
      setCursor: [(plot) => this.#tip.show(plot, this.#hidden)],
    };
  }

  #selected(plot: uPlot): void {
    const { left, top, width, height } = plot.select;
    if (width <= 0 || height <= 0) return;
    const range = (from: number, to: number, axis: string): Range => {
      const [one, other] = [plot.posToVal(from, axis), plot.posToVal(to, axis)];
      return one < other ? [one, other] : [other, one];
    };
    const isPart = height < plot.over.clientHeight - 1;
    const isWide = width < plot.over.clientWidth - 1;
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.#to(
      isWide ? range(left, left + width, "x") : this.#zoom.x,
      isPart ? range(top, top + height, "y") : this.#zoom.y,
    );
  }

  /** Show a range; a zoom to everything is none. */
  #to(x: Range | undefined, y: Range | undefined): void {
    this.#zoom.x = x && limited(x, this.#reach);
    this.#zoom.y = y;
    this.#plot?.setData(this.#aligned as uPlot.AlignedData);
    this.#acts.zoomed();
  }

  /** What may be shown: everything there is, and what somebody looks at though it is gone. */
  get #reach(): Range {
    const [low, high] = this.#all;
    const { x } = this.#zoom;
    return x ? [Math.min(low, x[0]), Math.max(high, x[1])] : [low, high];
  }
}
