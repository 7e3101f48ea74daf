// What uPlot is told: scales, axes and how series are drawn. It asks for colours and ranges when it draws, so that
// a new theme or zoom needs no new chart.

import uPlot from "uplot";
import { colour, dash, type Ink } from "./ink";
import type { Picture, Series } from "./points";
import { isTime, type Range } from "./range";
import { axis, value, zoneOf } from "./words";

/** What may change while the chart stays. */
export interface Live {
  ink(): Ink;
  picture(): Picture;
  x(): Range;
  y(): Range | undefined;
  step(): number;
  isHidden(label: string): boolean;
}

type Size = { width: number; height: number };

export function optionsOf(live: Live, size: Size, more: Partial<uPlot.Options>): uPlot.Options {
  const picture = live.picture();
  const zoned = isTime(picture) && !zoneOf(picture);
  return {
    ...size,
    ...more,
    ...(zoned ? { tzDate: (at: number) => uPlot.tzDate(new Date(at * 1e3), "Etc/UTC") } : {}),
    legend: { show: false },
    padding: [10, 20, null, null],
    scales: {
      x: { time: isTime(picture), range: () => live.x() },
      y: {
        distr: picture.log ? 3 : 1,
        range: (_plot, low, high) => live.y() ?? rangeOfY(picture, low, high),
      },
    },
    axes: [xAxis(live), yAxis(live)],
    series: [{}, ...picture.series.map((one, at) => seriesOf(one, at, live))],
  };
}

/** Bars and areas stand on zero; anything has some room. On a logarithmic axis they stand below the least. */
export function rangeOfY(picture: Picture, low: number | null, high: number | null): Range {
  if (low === null || high === null) return picture.log ? [1, 10] : [0, 1];
  const stands = picture.kind === "bar" || picture.kind === "area";
  if (picture.log) {
    const [from, to] = uPlot.rangeLog(stands ? low / 2 : low, high, 10, false);
    return [from ?? low, to ?? high];
  }
  const edge = { pad: 0.08, soft: 0, mode: stands ? 1 : 3 } as const;
  const [from, to] = uPlot.rangeNum(low, high, { min: edge, max: edge });
  return [from ?? low, to ?? high];
}

function look(live: Live): uPlot.Axis {
  const font = `12px ${live.ink().font}`;
  return {
    font,
    labelFont: `600 ${font}`,
    stroke: () => live.ink().muted,
    grid: { stroke: () => live.ink().line, width: 1 },
    ticks: { stroke: () => live.ink().line, width: 1, size: 5 },
    labelSize: 20,
  };
}

function xAxis(live: Live): uPlot.Axis {
  const picture = live.picture();
  const made: uPlot.Axis = { ...look(live), label: axis(picture), size: isTime(picture) ? 40 : 28 };
  if (isTime(picture)) Object.assign(made, { values: TIMES, space: 84 });
  else if (picture.role === "text") {
    made.grid = { show: false };
    made.splits = (_plot, _axis, low, high) => wholes(low, high);
    made.values = (plot, splits) => names(live.picture(), splits, plot.bbox.width / uPlot.pxRatio);
  } else {
    made.values = (_plot, splits) => splits.map(value);
    if (picture.role === "row")
      made.incrs = [1, 2, 5].flatMap((n) => tens.map((ten) => n * ten)).sort(by);
  }
  return made;
}

// By the distance of ticks in seconds: what each says, and what it says besides at a new year, month and day.
const DAY = "\n{YYYY}-{MM}-{DD}";
const TIMES: uPlot.Axis.TimeValuesConfig = [
  [86400 * 365, "{YYYY}", null, null, null, null, null, null, 1],
  [86400 * 28, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [86400, "{MM}-{DD}", "\n{YYYY}", null, null, null, null, null, 1],
  [60, "{HH}:{mm}", DAY, null, DAY, null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", DAY, null, DAY, null, null, null, 1],
  [0.001, "{HH}:{mm}:{ss}.{fff}", DAY, null, DAY, null, null, null, 1],
];

const tens = Array.from({ length: 16 }, (_, power) => 10 ** power);
const by = (one: number, other: number) => one - other;

function wholes(low: number, high: number): number[] {
  const first = Math.ceil(low);
  return Array.from({ length: Math.max(0, Math.floor(high) - first + 1) }, (_, at) => first + at);
}

/** Write as many names as there is room for, each cut to its own. */
function names({ categories }: Picture, splits: number[], width: number): string[] {
  const every = Math.max(1, Math.ceil((splits.length * 44) / width));
  const letters = Math.max(4, Math.floor((width * every) / Math.max(1, splits.length) / 7));
  return splits.map((at) => {
    const name = at % every ? "" : (categories[at] ?? "");
    return name.length > letters ? `${name.slice(0, letters - 1)}…` : name;
  });
}

function yAxis(live: Live): uPlot.Axis {
  const made: uPlot.Axis = {
    ...look(live),
    values: (_plot, splits) => splits.map(value),
    size: (plot, values) => {
      plot.ctx.font = `${12 * uPlot.pxRatio}px ${live.ink().font}`;
      const widths = (values ?? []).map((text) => plot.ctx.measureText(text).width);
      return Math.max(42, Math.ceil(Math.max(...widths, 0) / uPlot.pxRatio) + 16);
    },
  };
  const { y, log } = live.picture();
  if (log) made.grid = { ...made.grid, filter: (_plot, splits) => splits.map(powerOrNothing) };
  return y ? { ...made, label: y } : made;
}

/** Keep powers of ten, for lines that help the eye and no more. */
function powerOrNothing(value: number): number | null {
  const power = Math.log10(value);
  return Math.abs(power - Math.round(power)) < 1e-9 ? value : null;
}

function seriesOf({ label, slot }: Series, at: number, live: Live): uPlot.Series {
  const { kind, role, series } = live.picture();
  const stroke = () => colour(slot, live.ink());
  const made: uPlot.Series = {
    label,
    show: !live.isHidden(label),
    stroke,
    width: 1.7,
    pxAlign: 0,
    dash: dash(slot),
  };
  const linear = role === "result" ? uPlot.paths.stepped?.({ align: 1 }) : uPlot.paths.linear?.();
  switch (kind) {
    case "bar":
      return {
        ...made,
        fill: stroke,
        paths: bars(live, at, series.length),
        points: { show: false },
      };
    case "scatter": {
      const fill = () => colour(slot, live.ink(), "80");
      return { ...made, paths: () => null, points: { show: true, size: 7, width: 1, fill } };
    }
    case "area":
      made.fill = () => colour(slot, live.ink(), series.length > 1 ? "26" : "40");
  }
  return { ...made, ...(linear ? { paths: linear } : {}), points: { size: 5, fill: stroke } };
}

/** Draw the bars of one series of several side by side, on one step of x. */
function bars(live: Live, at: number, count: number): uPlot.Series.PathBuilder {
  return (plot, number, first, last) => {
    const fill = new Path2D();
    const group = live.step() * (count > 1 ? 0.84 : 0.72);
    const [xs, ys] = [plot.data[0], plot.data[number] ?? []];
    const foot = live.picture().log ? (plot.scales.y?.min ?? 1) : 0;
    const zero = plot.valToPos(foot, "y", true);
    for (let place = first; place <= last; place++) {
      const [x, y] = [xs[place], ys[place]];
      if (x === undefined || y === null || y === undefined) continue;
      const from = plot.valToPos(x - group / 2 + (group * at) / count, "x", true);
      const to = plot.valToPos(x - group / 2 + (group * (at + 1)) / count, "x", true);
      const top = plot.valToPos(y, "y", true);
      const room = count > 1 && to - from > 6 ? 1 : 0;
      fill.rect(from, Math.min(top, zero), Math.max(1, to - from - room), Math.abs(zero - top));
    }
    return { fill, stroke: null, clip: null, flags: 0 };
  };
}
