// Ranges of an axis: what is shown when nobody has zoomed, and what zooming and moving make of one.

import type { Picture } from "./points";

export type Range = [low: number, high: number];

/** What somebody has zoomed to; undefined where an axis follows the data. */
export interface Zoom {
  x?: Range | undefined;
  y?: Range | undefined;
}

/** Tell whether x is a time. */
export function isTime({ role }: Pick<Picture, "role">): boolean {
  return ["instant", "time", "date", "result"].includes(role);
}

/** Give the range of x that shows all; `step` is the least distance of two bars. */
export function whole(picture: Picture, step: number): Range {
  const { extent, role, kind, categories } = picture;
  if (role === "text") return [-0.5, Math.max(1, categories.length) - 0.5];
  if (!extent) return isTime(picture) ? [0, 60] : [0, 1];
  const [low, high] = extent;
  if (kind === "bar") return [low - step / 2, high + step / 2];
  if (!(high > low)) {
    const room = isTime(picture) ? 30 : Math.max(0.5, Math.abs(low) / 10);
    return [low - room, high + room];
  }
  const room = kind === "scatter" ? (high - low) / 50 : 0;
  return [low - room, high + room];
}

/** Give the least distance between two different values of sorted x; 1 where there is none. */
export function stepOf(x: ArrayLike<number>): number {
  let step = Number.POSITIVE_INFINITY;
  for (let at = 1; at < x.length; at++) {
    const distance = (x[at] as number) - (x[at - 1] as number);
    if (distance > 0 && distance < step) step = distance;
  }
  return Number.isFinite(step) ? step : 1;
}

/** Make a range so many times as wide, around a value that stays where it is. */
export function scaled([low, high]: Range, factor: number, around: number): Range {
  return [around - (around - low) * factor, around + (high - around) * factor];
}

export function moved([low, high]: Range, by: number): Range {
  return [low + by, high + by];
}

const CLOSEST = 0.02; // of the width: nearer fingers say nothing of a zoom

/** Keep under two fingers what was there when they came; their places are shares of the width. */
export function pinched([low, high]: Range, from: Range, to: Range): Range {
  const [one = 0, other = 0] = [...from].sort(by);
  const [left = 0, right = 0] = [...to].sort(by);
  const factor = Math.max(other - one, CLOSEST) / Math.max(right - left, CLOSEST);
  const width = (high - low) * factor;
  const start = low + one * (high - low) - left * width;
  return [start, start + width];
}

const by = (one: number, other: number) => one - other;

/** Keep a range that can be drawn, within what there is; undefined when it is all of it. */
export function limited(range: Range, all: Range): Range | undefined {
  const width = all[1] - all[0];
  const asked = range[1] - range[0];
  if (!(asked < width)) return undefined;
  const least = Math.max(width * 1e-9, Math.abs(all[1]) * 1e-12, Number.MIN_VALUE);
  if (asked < least) {
    const middle = (range[0] + range[1]) / 2;
    return [middle - least / 2, middle + least / 2];
  }
  if (range[0] < all[0]) return moved(range, all[0] - range[0]);
  if (range[1] > all[1]) return moved(range, all[1] - range[1]);
  return range;
}
