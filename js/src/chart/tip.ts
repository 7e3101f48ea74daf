// What the series are worth at the pointer.

import type uPlot from "uplot";
import { make } from "../dom";
import { colour, type Ink } from "./ink";
import type { Picture } from "./points";
import { place, value } from "./words";

const MOST = 9; // lines

export class Tip {
  readonly el = make("div", "tip", { "aria-hidden": "true" });
  readonly #ink: () => Ink;
  #picture: Picture | undefined;
  #plot: uPlot | undefined;

  constructor(ink: () => Ink) {
    this.#ink = ink;
    this.hide();
  }

  hide(): void {
    this.el.hidden = true;
  }

  follow(picture: Picture): void {
    this.#picture = picture;
  }

  show(plot: uPlot, hidden: Set<string>): void {
    const picture = this.#picture;
    const { left = -1, top = 0, idx, idxs = [] } = plot.cursor;
    if (!picture || left < 0 || idx === null || idx === undefined) {
      this.hide();
      return;
    }
    this.#plot = plot;
    const nothing = picture.log ? "not drawn" : "NULL"; // or not above 0
    const lines = picture.series.flatMap(({ label, slot }, at) => {
      const index = idxs[at + 1];
      const y = typeof index === "number" ? plot.data[at + 1]?.[index] : undefined;
      if (y === undefined || hidden.has(label)) return [];
      return [{ label, slot, text: y === null ? nothing : value(y) }];
    });
    if (lines.length === 0) {
      this.hide();
      return;
    }
    const x = plot.data[0][idx] as number;
    const name = picture.role === "number" ? `${picture.x} ` : "";
    this.el.replaceChildren(make("b", "", {}, name + place(x, picture)), ...this.#rows(lines));
    this.el.hidden = false;
    this.#put(left, top);
  }

  #rows(lines: { label: string; slot: number; text: string }[]): HTMLElement[] {
    const rows = lines.slice(0, MOST).map(({ label, slot, text }) => {
      const swatch = make("span", "swatch");
      swatch.style.backgroundColor = colour(slot, this.#ink());
      return make(
        "div",
        "",
        {},
        swatch,
        make("span", "label", {}, label),
        make("span", "", {}, text),
      );
    });
    if (lines.length > MOST) rows.push(make("div", "", {}, `… ${lines.length - MOST} more`));
    return rows;
  }

  /** Stand beside the pointer, inside the chart. */
  #put(left: number, top: number): void {
    const plot = this.#plot;
    if (!plot) return;
    const { offsetLeft, offsetTop } = plot.over;
    const { offsetWidth: width, offsetHeight: height } = this.el;
    const beside = offsetLeft + left + 14;
    const fits = beside + width <= plot.width;
    const x = fits ? beside : Math.max(0, offsetLeft + left - width - 14);
    const y = Math.max(0, Math.min(offsetTop + top + 10, plot.height - height));
    this.el.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px)`;
  }
}
