import { describe, expect, test } from "vitest";
import { Cursor, type Size } from "../src/cursor";
import { meaning } from "../src/keys";

const SIZE: Size = { rows: 100, shown: [2, 0, 1], page: 10 };
const PLAIN = { shiftKey: false, ctrlKey: false, metaKey: false, altKey: false };

function press(cursor: Cursor, key: string, held: Partial<typeof PLAIN> = {}, size = SIZE) {
  const step = meaning({ key, ...PLAIN, ...held }, cursor.at.row < 0, false);
  if (step) cursor.step(step, size);
  return cursor.at;
}

function at(row: number, column: number): Cursor {
  const cursor = new Cursor();
  cursor.go({ row, column }, false);
  return cursor;
}

describe("keys", () => {
  test("walk through columns in the order shown, up into the head and no further", () => {
    const cursor = at(0, 0);
    expect(press(cursor, "ArrowRight")).toEqual({ row: 0, column: 1 });
    expect(press(cursor, "ArrowRight")).toEqual({ row: 0, column: 1 });
    expect(press(cursor, "ArrowUp")).toEqual({ row: -1, column: 1 });
    expect(press(cursor, "ArrowUp")).toEqual({ row: -1, column: 1 });
    expect(press(cursor, "ArrowDown")).toEqual({ row: 0, column: 1 });
  });

  test("go by pages and to the edges", () => {
    const cursor = at(5, 0);
    expect(press(cursor, "PageDown").row).toBe(15);
    expect(press(cursor, "PageUp").row).toBe(5);
    expect(press(cursor, "PageUp").row).toBe(0);
    expect(press(cursor, "End")).toEqual({ row: 0, column: 1 });
    expect(press(cursor, "End", { ctrlKey: true })).toEqual({ row: 99, column: 1 });
    expect(press(cursor, "ArrowUp", { ctrlKey: true })).toEqual({ row: 0, column: 1 });
    expect(press(cursor, "Home", { metaKey: true })).toEqual({ row: 0, column: 2 });
  });

  test("stretch a block that leaves the head alone", () => {
    const cursor = at(1, 2);
    press(cursor, "ArrowRight", { shiftKey: true });
    press(cursor, "ArrowUp", { shiftKey: true });
    press(cursor, "ArrowUp", { shiftKey: true });
    expect(cursor.block(SIZE.shown)).toEqual({ first: 0, end: 2, columns: [2, 0] });
    press(cursor, "ArrowDown");
    expect(cursor.block(SIZE.shown)).toBeUndefined();
  });

  test("do something else on a head", () => {
    const on = (key: string, held = {}) => meaning({ key, ...PLAIN, ...held }, true, false);
    expect(on("Enter", { shiftKey: true })).toEqual({ do: "sort", add: true });
    expect(on("ArrowLeft", { shiftKey: true })).toEqual({ do: "resize", columns: -1 });
    const both = { shiftKey: true, ctrlKey: true };
    expect(on("ArrowRight", both)).toEqual({ do: "reorder", columns: 1 });
    expect(on("ArrowDown", { altKey: true })).toEqual({ do: "menu" });
  });

  test("that mean nothing here are left to the page", () => {
    for (const key of ["Tab", "x", "F5"])
      expect(meaning({ key, ...PLAIN }, false, false)).toBe(undefined);
    expect(meaning({ key: "ArrowLeft", ...PLAIN, altKey: true }, false, false)).toBeUndefined();
  });

  test("go the other way where text is read from the right", () => {
    const step = meaning({ key: "ArrowLeft", ...PLAIN }, false, true);
    expect(step).toMatchObject({ do: "move", columns: 1 });
  });
});

describe("the cursor", () => {
  test("follows its row, and stays inside what is left", () => {
    const cursor = at(50, 1);
    cursor.follow((row) => row + 7);
    expect(cursor.at.row).toBe(57);
    cursor.fit({ rows: 3, shown: [0], page: 1 });
    expect(cursor.at).toEqual({ row: 2, column: 0 });
    cursor.fit({ rows: 0, shown: [0], page: 1 });
    expect(cursor.at.row).toBe(-1);
  });

  test("has nowhere to go without rows", () => {
    const none = { rows: 0, shown: [0], page: 1 };
    const cursor = at(-1, 0);
    for (const key of ["ArrowDown", "PageDown", "End"]) press(cursor, key, {}, none);
    expect(cursor.at).toEqual({ row: -1, column: 0 });
  });
});
