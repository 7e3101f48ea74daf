import { expect, test } from "vitest";
import browser from "../../tests/protocol/chart_from_browser.json";
import kernel from "../../tests/protocol/chart_from_kernel.json";
import { align } from "../src/chart/align";
import { target } from "../src/chart/hands";
import { colour, dash, type Ink } from "../src/chart/ink";
import { rangeOfY } from "../src/chart/options";
import { fileName } from "../src/chart/png";
import { floats, type Picture, Points, type Series } from "../src/chart/points";
import type { FromBrowser, Push, Request, WindowMessage, Wish } from "../src/chart/protocol";
import { read } from "../src/chart/protocol";
import { limited, moved, pinched, type Range, scaled, stepOf, whole } from "../src/chart/range";
import { axis, place, summary, value, zoneOf } from "../src/chart/words";
import { BEAT_EVERY, Viewer } from "../src/viewer";

const fromBrowser = browser.valid as FromBrowser[];
const fromKernel = kernel as unknown as Record<string, { message: Push; buffers: number[][] }>;
const WISH = { width: 800, low: null, high: null };

function view(numbers: (number | null)[]): DataView {
  // Not where floats must lie, as a message's part may come.
  const made = new DataView(new ArrayBuffer(8 * numbers.length + 3), 3);
  numbers.forEach((number, at) => {
    made.setFloat64(8 * at, number ?? Number.NaN, true);
  });
  return made;
}

function sample(name: string): { message: WindowMessage; buffers: DataView[] } {
  const { message, buffers } = fromKernel[name] as { message: Push; buffers: number[][] };
  return { message: message as WindowMessage, buffers: buffers.map(view) };
}

function hold(name: string): Points {
  const points = new Points();
  const { message, buffers } = sample(name);
  points.expect(buffers);
  points.replace(message);
  return points;
}

function pictured(more: Partial<Picture>): Picture {
  return { ...(hold("first").picture as Picture), ...more };
}

const series = (x: number[], y: number[]): Series => ({
  label: "a",
  slot: 0,
  x: Float64Array.from(x),
  y: Float64Array.from(y),
});

test("a visit is the sample conversation", () => {
  const sent: FromBrowser[] = [];
  const points = new Points();
  const viewer = new Viewer<Push, Wish, true>(
    (message) => sent.push(message as FromBrowser),
    points,
  );
  viewer.hello(WISH, 0);
  points.expect(sample("first").buffers);
  viewer.take(sample("first").message, WISH, 0);
  const asked = fromBrowser[2] as Request & Wish;
  viewer.want({ width: asked.width, low: asked.low, high: asked.high }, 1);
  viewer.tick(WISH, false, 1 + BEAT_EVERY);
  viewer.bye(2 + BEAT_EVERY);
  const token = fromBrowser[0]?.viewer;
  expect(sent.map((message) => ({ ...message, viewer: token }))).toEqual(fromBrowser);
});

test("messages for other viewers, or of no known type, are not read", () => {
  const { message } = sample("first");
  expect(read(message, message.viewer)).toBe(message);
  expect(read(message, "somebody else")).toBeUndefined();
  expect(read({ ...message, type: "patch" }, message.viewer)).toBeUndefined();
  expect(read(null, "a")).toBeUndefined();
});

test("numbers come from the message's buffers, wherever they begin", () => {
  expect([...floats(view([1.5, -2, 1e300]))]).toEqual([1.5, -2, 1e300]);
  const { picture } = hold("first");
  expect(picture?.series.map((one) => one.label)).toEqual(["v", "w"]);
  expect(picture?.series[0]?.x).toBe(picture?.series[1]?.x);
  expect([...(picture?.series[0]?.y ?? [])]).toEqual([1, Number.NaN, 3]);
});

test("a series whose buffers are missing or do not fit is empty", () => {
  const points = new Points();
  const { message, buffers } = sample("first");
  points.expect([buffers[0] as DataView, view([1])]);
  points.replace(message);
  expect(points.picture?.series.map((one) => one.x.length)).toEqual([0, 0]);
});

test("points that are all there serve any range, others only theirs", () => {
  expect(hold("first").holds({ width: 300, low: 1, high: 2 })).toBe(true);
  const some = hold("thinned");
  expect(some.holds(some.picture as Wish)).toBe(true);
  expect(some.holds({ ...(some.picture as Wish), low: 1, high: 2 })).toBe(false);
  expect(new Points().holds(WISH)).toBe(false);
});

test("series with one x are taken as they are, NaN as a gap", () => {
  const one = series([1, 2, 3], [4, Number.NaN, 6]);
  expect(align([one, { ...one, y: Float64Array.from([7, 8, 9]) }])).toEqual([
    [1, 2, 3],
    [4, null, 6],
    [7, 8, 9],
  ]);
  expect(align([])).toEqual([[]]);
});

test("series with their own x are merged; what one does not have is no gap", () => {
  expect(align([series([1, 3], [10, 30]), series([2, 3], [20, 31])])).toEqual([
    [1, 2, 3],
    [10, undefined, 30],
    [undefined, 20, 31],
  ]);
});

test("a gap reaches to the next values of its series", () => {
  const [, first] = align([series([1, 3, 5], [1, Number.NaN, 5]), series([2, 4], [0, 0])]);
  expect(first).toEqual([1, null, null, null, 5]);
});

test("several points at one x are all kept", () => {
  expect(align([series([1, 1, 2], [5, 6, 7]), series([1, 2, 2], [8, 9, 10])])).toEqual([
    [1, 1, 2, 2],
    [5, 6, 7, undefined],
    [8, undefined, 9, 10],
  ]);
});

test("all is the extent, with room for bars, for one point and around points", () => {
  const line = { kind: "line", role: "number", extent: [2, 12] } as const;
  expect(whole(pictured({ ...line, extent: [2, 12] }), 1)).toEqual([2, 12]);
  expect(whole(pictured({ ...line, kind: "bar", extent: [2, 12] }), 2)).toEqual([1, 13]);
  expect(whole(pictured({ ...line, kind: "scatter", extent: [0, 50] }), 1)).toEqual([-1, 51]);
  expect(whole(pictured({ ...line, extent: [7, 7] }), 1)).toEqual([6.3, 7.7]);
  expect(whole(pictured({ role: "instant", extent: [60, 60] }), 1)).toEqual([30, 90]);
  expect(whole(pictured({ role: "text", categories: ["a", "b"] }), 1)).toEqual([-0.5, 1.5]);
  expect(whole(pictured({ role: "number", extent: null }), 1)).toEqual([0, 1]);
});

test("a zoom stays inside, keeps its middle, and to everything is none", () => {
  expect(scaled([0, 10], 0.5, 2)).toEqual([1, 6]);
  expect(moved([0, 10], 3)).toEqual([3, 13]);
  expect(limited([-5, 5], [0, 100])).toEqual([0, 10]);
  expect(limited([95, 105], [0, 100])).toEqual([90, 100]);
  expect(limited([-5, 105], [0, 100])).toBeUndefined();
  const [low, high] = limited([50, 50], [0, 100]) ?? [0, 0];
  expect(high).toBeGreaterThan(low);
});

test("what is under two fingers stays under them", () => {
  const under = ([low, high]: Range, share: number) => low + share * (high - low);
  for (const to of [
    [0.1, 0.9],
    [0.6, 0.7],
    [0.9, 0.1],
  ] as Range[]) {
    const shown = pinched([100, 200], [0.5, 0.25], to);
    expect(under(shown, Math.min(...to))).toBeCloseTo(125);
    expect(under(shown, Math.max(...to))).toBeCloseTo(150);
  }
  const [low, high] = pinched([100, 200], [0.4, 0.6], [0.5, 0.5]);
  expect(high - low).toBeCloseTo(1000);
});

test("keys zoom around the middle, move what is zoomed, and lead back to all", () => {
  expect(target("+", [0, 100], false)).toEqual([10, 90]);
  expect(target("-", [10, 90], true)).toEqual([0, 100]);
  expect(target("ArrowRight", [10, 90], true)).toEqual([18, 98]);
  expect(target("ArrowLeft", [0, 100], false)).toEqual([0, 100]);
  expect(["Home", "0", "Escape"].map((key) => target(key, [10, 90], true))).toEqual(
    Array(3).fill("all"),
  );
  expect(target("ArrowUp", [10, 90], true)).toBeUndefined();
});

test("a logarithmic axis shows the powers around what there is, and has no zero", () => {
  const picture = hold("logarithmic").picture as Picture;
  expect(picture.log).toBe(true);
  expect(picture.left_out).toEqual(["1 value of 0 or less"]);
  expect([...(picture.series[0]?.y ?? [])]).toEqual([100, Number.NaN, Number.NaN, 0.5]);
  for (const kind of ["line", "bar"] as const) {
    const [low, high] = rangeOfY({ ...picture, kind }, 0.5, 100);
    expect(low).toBeGreaterThan(0);
    expect(low).toBeLessThanOrEqual(0.5);
    expect(high).toBeGreaterThanOrEqual(100);
    expect(high).toBeLessThanOrEqual(1000);
  }
  expect(rangeOfY(picture, null, null)).toEqual([1, 10]);
  expect(rangeOfY({ ...picture, kind: "bar", log: false }, 0.5, 100)[0]).toBe(0);
  expect(summary(picture)).toContain("on a logarithmic axis");
});

test("the step of bars is the least distance of two", () => {
  expect(stepOf([1, 4, 6, 6, 9])).toBe(2);
  expect(stepOf([3])).toBe(1);
});

test("values are written in full, far ones with an exponent", () => {
  expect([value(1234567.25), value(0), value(-1e20), value(null)]).toEqual([
    "1,234,567.25",
    "0",
    "-1.00000e+20",
    "",
  ]);
});

test("times without a zone are shown as they are written, instants where one is", () => {
  const at = Date.UTC(2026, 0, 2, 3, 4, 5) / 1000;
  expect(place(at, pictured({ role: "time" }))).toBe("2026-01-02 03:04:05");
  expect(place(at + 0.25, pictured({ role: "time" }))).toBe("2026-01-02 03:04:05.250");
  expect(place(at, pictured({ role: "date" }))).toBe("2026-01-02");
  expect(zoneOf({ role: "time" })).toBe("");
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  expect(axis(pictured({ role: "instant", x: "at" }))).toBe(`at (${zone})`);
  expect(axis(pictured({ role: "time", x: "at" }))).toBe("at");
});

test("text, rows and numbers are named", () => {
  expect(place(1, pictured({ role: "text", categories: ["a", "<b>"] }))).toBe("<b>");
  expect(place(1200, pictured({ role: "row" }))).toBe("row 1,200");
  expect(place(1.5, pictured({ role: "number" }))).toBe("1.5");
  expect(summary(pictured({}))).toBe("line chart over at: 2 series, 6 points");
});

test("colours repeat with another dash", () => {
  const ink = { isDark: false } as Ink;
  expect(colour(3, ink)).toBe(colour(13, ink));
  expect(colour(3, ink)).not.toBe(colour(3, { ...ink, isDark: true }));
  expect(dash(3)).not.toEqual(dash(13));
});

test("a file is named after the chart, safely", () => {
  expect(fileName("../../etc/pass:wd")).toBe("_.._etc_pass_wd.png");
  expect(fileName("żółw 1")).toBe("żółw 1.png");
  expect(fileName("")).toBe("chart.png");
});
