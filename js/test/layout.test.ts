import { describe, expect, test } from "vitest";
import { tsv } from "../src/clipboard";
import { stretch, visible, widthsOf } from "../src/columns";
import * as format from "../src/format";
import { indent } from "../src/json";
import { Layout } from "../src/layout";
import type { Column } from "../src/protocol";
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
    rows.replace(windowOf(1, [[1, "123456789", "x".repeat(500)]]));
    const plain = () => false;
    const widths = widthsOf(rows, measure, [], plain);
    expect(widths[0]).toBe(120);
    expect(widths[1]).toBe(340);
    rows.replace(windowOf(2, [[1, "1", "x"]]));
    expect(widthsOf(rows, measure, widths, plain)).toEqual(widths);
    expect(widthsOf(rows, measure, [], () => true)[0]).toBeLessThan(120);
  });

  test("share spare room with measure, those with a chosen width apart", () => {
    const none = [undefined, undefined];
    expect(stretch([100, 300], none, 500)).toEqual([125, 375]);
    expect(stretch([100, 300], none, 5000)).toEqual([170, 510]);
    expect(stretch([100, 300], none, 200)).toEqual([100, 300]);
    expect(stretch([100, 300], [50, undefined], 500)).toEqual([50, 450]);
    expect(stretch([100, 300], [50, 60], 500)).toEqual([50, 60]);
    expect(stretch([], [], 200)).toEqual([]);
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

describe("values", () => {
  const column = (kind: Column["kind"], type = ""): Column => ({ name: "x", type, kind });

  test("NULL, empty and not-a-number are told from text that looks like them", () => {
    const shown = (value: string | null | undefined, kind: Column["kind"]) => {
      const { text, mark } = format.display(value, column(kind), true);
      return [text, mark];
    };
    expect(shown(null, "text")).toEqual(["NULL", "null"]);
    expect(shown("NULL", "text")).toEqual(["NULL", ""]);
    expect(shown("", "text")).toEqual(["", "empty"]);
    expect(shown("NaN", "number")).toEqual(["NaN", "special"]);
    expect(shown("-Infinity", "number")).toEqual(["-Infinity", "special"]);
    expect(shown("NaN", "text")).toEqual(["NaN", ""]);
    expect(shown(undefined, "text")).toEqual(["", "pending"]);
  });

  test("digits are grouped from five on, and none is lost", () => {
    const cases = {
      "2024": "2024",
      "-12345": "-12,345",
      "9007199254740993.1200": "9,007,199,254,740,993.1200",
      "1e+20": "1e+20",
      "$1,000.00": "$1,000.00",
    };
    for (const [text, grouped] of Object.entries(cases)) expect(format.grouped(text)).toBe(grouped);
  });

  test("an instant is told in the time zone of who looks", () => {
    expect(format.localTime("2026-01-02 03:04:05+00")).toContain("2026");
    expect(format.localTime("infinity")).toBe("");
  });

  test("JSON is laid out without being understood", () => {
    expect(indent('{"a":[1,{"b":"x,{}\\""}],"n":12345678901234567890.10,"e":{ }}')).toBe(
      [
        "{",
        '  "a": [',
        "    1,",
        "    {",
        '      "b": "x,{}\\""',
        "    }",
        "  ],",
        '  "n": 12345678901234567890.10,',
        '  "e": {}',
        "}",
      ].join("\n"),
    );
    expect(indent('{"cut": "off…')).toBe('{\n  "cut": "off…');
  });

  test("copies are quoted where a spreadsheet would split them", () => {
    expect(
      tsv([
        ["a", null, ""],
        ["b\tc", 'say "x"', "1\n2"],
      ]),
    ).toBe('a\t\t\n"b\tc"\t"say ""x"""\t"1\n2"');
  });
});

describe("a layout", () => {
  const columns = (...names: string[]): Column[] =>
    names.map((name) => ({ name, type: "int4", kind: "number" }));

  test("moves and hides columns, and keeps the last", () => {
    const layout = new Layout();
    layout.take(columns("a", "b", "c"));
    layout.move(0, 2);
    expect(layout.shown).toEqual([1, 2, 0]);
    layout.hide(2, true);
    layout.move(0, 0);
    expect(layout.shown).toEqual([0, 1]);
    layout.hide(1, true);
    layout.hide(0, true);
    expect(layout.shown).toEqual([0]);
    expect(layout.hiddenCount).toBe(2);
    layout.hide(2, false);
    expect(layout.shown).toEqual([0, 2]);
    layout.reset();
    expect(layout.shown).toEqual([0, 1, 2]);
    expect(layout.isTouched).toBe(false);
  });

  test("outlives another query's columns, by name and turn", () => {
    const layout = new Layout();
    layout.take(columns("id", "id", "x"));
    layout.hide(1, true);
    layout.resize(0, 99.7);
    layout.move(2, 0);
    layout.take(columns("new", "x", "id", "id", "last"));
    expect(layout.shown).toEqual([0, 1, 2, 4]);
    expect(layout.isHidden(3)).toBe(true);
    expect(layout.width(2)).toBe(100);
    expect(new Layout(layout).isTouched).toBe(true);
  });

  test("groups amounts, not marks, unless told", () => {
    const layout = new Layout();
    layout.take(columns("amount", "order_id", "year", "paid"));
    expect([0, 1, 2, 3].map((column) => layout.isGrouped(column))).toEqual([
      true,
      false,
      false,
      true,
    ]);
    layout.group(1, true);
    expect(layout.isGrouped(1)).toBe(true);
  });
});
