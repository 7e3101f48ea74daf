import { expect, test } from "vitest";
import { direction, Rows } from "../src/rows";
import { fromKernel, windowOf } from "./samples";

test("the kernel's samples build on each other", () => {
  const rows = new Rows();
  expect(rows.replace(fromKernel.first).changes.size).toBe(0);
  expect(rows.cell(0, 0)).toBe("9007199254740993");
  expect(rows.cell(0, 1)).toBe("NULL");
  expect(rows.cell(1, 1)).toBeNull();
  expect(rows.cell(4, 0)).toBeUndefined();
  const changes = rows.patch(fromKernel.changed)?.changes;
  expect([rows.cell(1, 0), rows.cell(2, 1), rows.cell(3, 1)]).toEqual(["1", "new", null]);
  expect(changes?.get(1)?.get(0)).toBe("down");
  expect(changes?.get(2)?.get(1)).toBe("changed");
});

test("a patch moves rows, brings new ones, and changes cells of the outcome", () => {
  const rows = new Rows();
  rows.replace(fromKernel.first);
  rows.patch(fromKernel.changed);
  const update = rows.patch(fromKernel.moved);
  expect([0, 1, 2, 3].map((row) => rows.identity(row))).toEqual([4, 0, 1, 3]);
  expect([0, 1, 2, 3].map((row) => rows.cell(row, 0))).toEqual(["5", "9007199254740993", "0", "4"]);
  expect([...(update?.changes ?? [])].map(([row, cells]) => [row, ...cells])).toEqual([
    [0, [-1, "new"]],
    [2, [0, "down"]],
  ]);
  expect([0, 1, 3].map((row) => update?.moved(row))).toEqual([1, 2, 3]);
});

test("a patch on another revision is refused and changes nothing", () => {
  const rows = new Rows();
  rows.replace(fromKernel.first);
  expect(rows.patch({ ...fromKernel.changed, base: 7 })).toBeUndefined();
  expect(rows.cell(1, 0)).toBe("2");
});

test("scrolling to other rows of the same result flashes nothing", () => {
  const rows = new Rows();
  rows.replace(windowOf(1, [[1, "1", "a"]]));
  expect(rows.replace(windowOf(1, [[2, "2", "b"]], 1)).changes.size).toBe(0);
});

test("rows in another order have not changed, whatever stood in their place", () => {
  const rows = new Rows();
  rows.replace(windowOf(1, [[1, "1", "a"], [2, "2", "b"]])); // biome-ignore format: a table
  const now = windowOf(2, [[2, "2", "b"], [1, "1", "a"]]); // biome-ignore format: a table
  expect(rows.replace(now).changes.size).toBe(0);
});

test("rows pushed down by a new one have not changed", () => {
  const rows = new Rows();
  rows.replace(windowOf(1, [[1, "1", "a"], [2, "2", "b"]])); // biome-ignore format: a table
  const { changes, moved } = rows.replace(
    windowOf(2, [[100, "0", "x"], [1, "1", "a"], [2, "2", "b"]], 0, 101), // biome-ignore format: a table
  );
  expect([...changes.keys()]).toEqual([0]);
  expect(changes.get(0)?.get(-1)).toBe("new");
  expect([moved(0), moved(1)]).toEqual([1, 2]);
});

test("a row that came into view from below is not new", () => {
  const rows = new Rows();
  rows.replace(windowOf(1, [[1, "1", "a"], [2, "2", "b"]])); // biome-ignore format: a table
  const now = windowOf(2, [[2, "2", "b"], [3, "3", "c"]]); // biome-ignore format: a table
  expect(rows.replace(now).changes.size).toBe(0);
});

test("what stood on a deleted row stays where it was on the screen", () => {
  const rows = new Rows();
  const lines = Array.from({ length: 6 }, (_, id): [number, string, string] => [id, `${id}`, "a"]);
  rows.replace(windowOf(1, lines, 10));
  const { moved } = rows.replace(windowOf(2, lines.slice(2), 10));
  // Rows 10 and 11 are gone, 12 is 10 now: a screen that begins at 11 begins one above it.
  expect([moved(11), moved(12), moved(15)]).toEqual([9, 10, 13]);
});

test("rows out of the window move as far as the kernel says", () => {
  const rows = new Rows();
  rows.replace(windowOf(1, [[1, "1", "a"]], 50));
  const { moved } = rows.replace({ ...windowOf(2, [[1, "1", "a"]], 53), shift: 3 });
  expect([moved(10), moved(90)]).toEqual([13, 93]);
});

test("other columns are a new table, not a change", () => {
  const rows = new Rows();
  rows.replace(windowOf(1, [[1, "1", "a"]]));
  const other = windowOf(2, [[1, "2", "b"]]);
  other.columns = [{ name: "x", type: "int4", kind: "number" }];
  expect(rows.replace(other).changes.size).toBe(0);
  expect(rows.columns[0]?.name).toBe("x");
});

test("only numbers go up and down", () => {
  const number = { name: "n", type: "money", kind: "number" } as const;
  const text = { name: "t", type: "text", kind: "text" } as const;
  expect(direction(number, "$1,000.00", "$999.00")).toBe("down");
  expect(direction(number, "9", "10")).toBe("up");
  expect(direction(number, null, "10")).toBe("changed");
  expect(direction(number, "NaN", "10")).toBe("changed");
  expect(direction(text, "9", "10")).toBe("changed");
});
