import { describe, expect, test } from "vitest";
import { stretch, visible, widthsOf } from "../src/columns";
import * as format from "../src/format";
import { Rows } from "../src/rows";
import * as scroll from "../src/scroll";
import { windowOf } from "./samples";

const SHORT = { rows: 100, rowHeight: 27, view: 270 };
const LONG = { rows: 1_000_000, rowHeight: 27, view: 270 };

describe("scrolling", () => {
  test("a short result scrolls as it is", () => {
    expect(scroll.bar(SHORT)).toBe(2700);
    expect(scroll.follow(0, 0, 500, SHORT)).toBe(500);
    expect(scroll.visible(500, SHORT)).toEqual({ first: 18, end: 29 });
  });

  test("a long result gets a bar browsers can hold, and both ends are reached", () => {
    expect(scroll.bar(LONG)).toBe(scroll.LONGEST);
    const bottom = scroll.follow(0, 0, scroll.LONGEST - LONG.view, LONG);
    expect(scroll.visible(bottom, LONG)).toEqual({ first: 999_990, end: 1_000_000 });
    expect(scroll.follow(bottom, scroll.LONGEST - LONG.view, 0, LONG)).toBe(0);
  });

  test("a turn of the wheel moves as many rows in a long result as in a short one", () => {
    const middle = scroll.toPosition(4_000_000, LONG);
    expect(scroll.follow(middle, 4_000_000, 4_000_100, LONG)).toBe(middle + 100);
  });

  test("a jump of the bar goes to the same share of the result", () => {
    const position = scroll.follow(0, 0, 4_000_000, LONG);
    expect(position / scroll.full(LONG)).toBeCloseTo(0.5, 3);
    expect(scroll.toScrollTop(position, LONG)).toBeCloseTo(4_000_000, 3);
  });

  test("a result shorter than its place has one position", () => {
    const extent = { rows: 3, rowHeight: 27, view: 270 };
    expect(scroll.clamp(500, extent)).toBe(0);
    expect(scroll.visible(0, extent)).toEqual({ first: 0, end: 3 });
    expect(scroll.visible(0, { ...extent, rows: 0 })).toEqual({ first: 0, end: 0 });
  });
});

describe("columns", () => {
  const measure = (text: string) => text.length * 10;

  test("fit their longest text, within bounds, and do not become narrower", () => {
    const rows = new Rows();
    rows.replace(windowOf(1, [["123456789", "x".repeat(500)]]));
    const widths = widthsOf(rows, measure, []);
    expect(widths[0]).toBe(115);
    expect(widths[1]).toBe(340);
    rows.replace(windowOf(2, [["1", "x"]]));
    expect(widthsOf(rows, measure, widths)).toEqual(widths);
  });

  test("share spare room with measure", () => {
    expect(stretch([100, 300], 500)).toEqual([125, 375]);
    expect(stretch([100, 300], 5000)).toEqual([170, 510]);
    expect(stretch([100, 300], 200)).toEqual([100, 300]);
    expect(stretch([], 200)).toEqual([]);
  });

  test("out of view are not drawn", () => {
    const widths = new Array(1600).fill(100);
    expect(visible(widths, 50_050, 400)).toEqual({
      first: 499,
      end: 506,
      before: 49_900,
      all: 160_000,
    });
    expect(visible(widths, 0, 400)).toEqual({ first: 0, end: 5, before: 0, all: 160_000 });
    expect(visible([], 0, 400)).toEqual({ first: 0, end: 0, before: 0, all: 0 });
  });
});

describe("words", () => {
  test("say which rows are in view", () => {
    expect(format.range(0, 1, 1)).toBe("1 row");
    expect(format.range(0, 20, 20)).toBe("20 rows");
    expect(format.range(0, 0, 0)).toBe("0 rows");
    expect(format.range(1000, 1010, 1_000_000)).toBe("rows 1,001–1,010 of 1,000,000");
  });

  test("say how old a result is", () => {
    expect([0, 5.9, 61, 7200, 200_000].map(format.age)).toEqual([
      "just now",
      "5 s ago",
      "1 min ago",
      "2 h ago",
      "2 d ago",
    ]);
  });

  test("keep a cell on one line", () => {
    expect(format.oneLine("a\r\nb\tc")).toBe("a⏎b⇥c");
  });
});
