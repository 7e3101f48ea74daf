import { describe, expect, test } from "vitest";
import { Announcer } from "../src/announce";
import * as arrange from "../src/arrange";
import type { Column } from "../src/protocol";

const COLUMNS: Column[] = [
  { name: "amount", type: "numeric", kind: "number" },
  { name: "status", type: "text", kind: "text" },
];

describe("sorting", () => {
  test("goes on from ascending to descending to none", () => {
    const up = arrange.turned([], 0, false);
    const down = arrange.turned(up, 0, false);
    expect([up, down, arrange.turned(down, 0, false)]).toEqual([[[0, "asc"]], [[0, "desc"]], []]);
  });

  test("by another column replaces, unless it is added", () => {
    expect(arrange.turned([[0, "asc"]], 1, false)).toEqual([[1, "asc"]]);
    expect(arrange.turned([[0, "asc"]], 1, true)).toEqual([
      [0, "asc"],
      [1, "asc"],
    ]);
  });

  test("turns a column where it stands among others", () => {
    expect(arrange.turned([[0, "asc"], [1, "asc"]], 0, true)).toEqual([[0, "desc"], [1, "asc"]]); // biome-ignore format: a table
    expect(arrange.turned([[0, "desc"], [1, "asc"]], 0, true)).toEqual([[1, "asc"]]); // biome-ignore format: a table
  });
});

describe("conditions", () => {
  test("are read from what was typed", () => {
    expect(arrange.condition(0, "gt", "5")).toEqual({ column: 0, op: "gt", value: "5" });
    expect(arrange.condition(0, "gt", "")).toBeUndefined();
    expect(arrange.condition(1, "eq", "")).toEqual({ column: 1, op: "eq", value: "" });
    expect(arrange.condition(1, "null", "x")).toEqual({ column: 1, op: "null", value: null });
    expect(arrange.condition(1, "in", "a\r\n\nb, c\n")?.value).toEqual(["a", "b, c"]);
    expect(arrange.condition(1, "in", "\n")).toBeUndefined();
  });

  test("are said in a few words", () => {
    const said = (made: Parameters<typeof arrange.inWords>[0]) => arrange.inWords(made, COLUMNS);
    expect(said({ column: 0, op: "ge", value: "-5" })).toBe("amount ≥ -5");
    expect(said({ column: 1, op: "contains", value: "a b" })).toBe("status contains “a b”");
    expect(said({ column: 1, op: "in", value: ["x", ""] })).toBe("status is one of x, “”");
    expect(said({ column: 1, op: "notnull", value: null })).toBe("status is not NULL");
    expect(said({ column: 7, op: "null", value: null })).toBe("? is NULL");
  });

  test("fit the kind of the column", () => {
    expect(arrange.operators("boolean")).toEqual(["eq", "null", "notnull"]);
    expect(arrange.operators("text")[0]).toBe("contains");
    expect(arrange.words("lt")).toBe("< less than, before");
    expect(arrange.words("in")).toBe("is one of");
  });

  test("two arrangements are the same whatever the kernel could not do", () => {
    const { AS_IT_COMES } = arrange;
    expect(arrange.isSame(AS_IT_COMES, { ...AS_IT_COMES, error: "no" })).toBe(true);
    expect(arrange.isSame(AS_IT_COMES, { ...AS_IT_COMES, search: "a" })).toBe(false);
  });
});

test("rows that came and went are announced together, not too often", () => {
  const said: string[] = [];
  const announcer = new Announcer((text) => said.push(text));
  announcer.changed(1, 0, 0);
  announcer.changed(2, 0, 1000);
  announcer.changed(0, 1234, 2000);
  announcer.tick(3999);
  expect(said).toEqual(["1 row added"]);
  announcer.tick(4000);
  announcer.tick(9000);
  expect(said).toEqual(["1 row added", "2 rows added, 1,234 rows removed"]);
});
