import { expect, test } from "vitest";
import { direction, Rows } from "../src/rows";
import { fromKernel, windowOf } from "./samples";

test("the kernel's samples build on each other", () => {
  const rows = new Rows();
  expect(rows.replace(fromKernel.first).size).toBe(0);
  expect(rows.cell(0, 0)).toBe("9007199254740993");
  expect(rows.cell(0, 1)).toBe("NULL");
  expect(rows.cell(1, 1)).toBeNull();
  expect(rows.cell(4, 0)).toBeUndefined();
  const changes = rows.patch(fromKernel.changed);
  expect([rows.cell(1, 0), rows.cell(2, 1), rows.cell(3, 1)]).toEqual(["1", "new", null]);
  expect(changes?.get(1)?.get(0)).toBe("down");
  expect(changes?.get(2)?.get(1)).toBe("changed");
});

test("a patch on another version is refused and changes nothing", () => {
  const rows = new Rows();
  rows.replace(fromKernel.first);
  expect(rows.patch({ ...fromKernel.changed, base: 7 })).toBeUndefined();
  expect(rows.cell(1, 0)).toBe("2");
});

test("scrolling to other rows of the same result flashes nothing", () => {
  const rows = new Rows();
  rows.replace(windowOf(1, [["1", "a"]]));
  expect(rows.replace(windowOf(1, [["2", "b"]], 1)).size).toBe(0);
});

test("rows pushed down by a new one have not changed", () => {
  const rows = new Rows();
  rows.replace(
    windowOf(1, [
      ["1", "a"],
      ["2", "b"],
    ]),
  );
  const changes = rows.replace(
    windowOf(2, [
      ["0", "x"],
      ["1", "a"],
      ["2", "b"],
    ]),
  );
  expect([...changes.keys()]).toEqual([0]);
  expect(changes.get(0)?.get(-1)).toBe("new");
});

test("a row added at the end is new", () => {
  const rows = new Rows();
  rows.replace(windowOf(1, [["1", "a"]]));
  const changes = rows.replace(
    windowOf(2, [
      ["1", "a"],
      ["2", "b"],
      ["3", "c"],
    ]),
  );
  expect([...changes.keys()]).toEqual([1, 2]);
});

test("a deleted row flashes nothing", () => {
  const rows = new Rows();
  rows.replace(
    windowOf(1, [
      ["1", "a"],
      ["2", "b"],
      ["3", "c"],
    ]),
  );
  expect(
    rows.replace(
      windowOf(2, [
        ["1", "a"],
        ["3", "c"],
      ]),
    ).size,
  ).toBe(0);
});

test("other columns are a new table, not a change", () => {
  const rows = new Rows();
  rows.replace(windowOf(1, [["1", "a"]]));
  const other = windowOf(2, [["2", "b"]]);
  other.columns = [{ name: "x", type: "int4", kind: "number" }];
  expect(rows.replace(other).size).toBe(0);
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
