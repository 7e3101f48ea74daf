// uPlot wants one x for all series. Ours may have their own, and several points at one x: then what a series
// does not have is undefined, which is no gap, and NULL is null, which is one.

import type { Series } from "./points";

export type Values = (number | null | undefined)[];
export type Aligned = [x: number[], ...ys: Values[]];

export function align(series: Series[]): Aligned {
  const [first, ...others] = series;
  if (!first) return [[]];
  if (others.every((one) => one.x === first.x)) {
    return [Array.from(first.x), ...series.map((one) => Array.from(one.y, gap))];
  }
  const { x, places } = joined(series);
  return [x, ...series.map((one) => spread(one, places, x.length))];
}

/** Merge every x there is, each as often as the series that has it most often. */
function joined(series: Series[]): { x: number[]; places: Map<number, number> } {
  const most = new Map<number, number>();
  for (const one of new Set(series.map(({ x }) => x))) {
    eachRun(one, (value, from, end) => most.set(value, Math.max(most.get(value) ?? 0, end - from)));
  }
  const x: number[] = [];
  const places = new Map<number, number>();
  for (const value of [...most.keys()].sort((one, other) => one - other)) {
    places.set(value, x.length);
    for (let times = most.get(value) ?? 0; times > 0; times--) x.push(value);
  }
  return { x, places };
}

function spread({ x, y }: Series, places: Map<number, number>, length: number): Values {
  const values: Values = new Array(length).fill(undefined);
  eachRun(x, (value, from, end) => {
    const place = places.get(value) ?? 0;
    for (let at = from; at < end; at++) values[place + at - from] = gap(y[at] ?? Number.NaN);
  });
  widen(values, 1);
  widen(values, -1);
  return values;
}

/** Let a gap reach to the next values of its series, over places that only others have. */
function widen(values: Values, step: 1 | -1): void {
  let isGap = false;
  for (let at = step > 0 ? 0 : values.length - 1; at in values; at += step) {
    if (values[at] === undefined && isGap) values[at] = null;
    else isGap = values[at] === null;
  }
}

/** Call with each value of a sorted array, and where it is. */
function eachRun(x: Float64Array, call: (value: number, from: number, end: number) => void): void {
  let from = 0;
  for (let at = 1; at <= x.length; at++) {
    if (x[at] === x[from]) continue;
    call(x[from] as number, from, at);
    from = at;
  }
}

function gap(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
