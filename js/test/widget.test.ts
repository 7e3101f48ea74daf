// @vitest-environment happy-dom
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Model } from "../src/model";
import type { FromBrowser } from "../src/protocol";
import start from "../src/widget";
import { fromKernel } from "./samples";

class FakeModel implements Model {
  readonly sent: FromBrowser[] = [];
  readonly listeners = new Map<string, Set<(content: unknown) => void>>();

  get(name: string) {
    return { title: "orders", height: 320 }[name];
  }
  send(content: object) {
    this.sent.push(content as FromBrowser);
  }
  on(name: string, call: (content: unknown) => void) {
    this.listeners.set(name, (this.listeners.get(name) ?? new Set()).add(call));
  }
  off(name: string, call: (content: unknown) => void) {
    this.listeners.get(name)?.delete(call);
  }
  deliver(message: object, buffers: DataView[] = []) {
    const viewer = this.sent[0]?.viewer;
    for (const call of this.listeners.get("msg:custom") ?? []) {
      (call as (content: unknown, buffers: DataView[]) => void)({ ...message, viewer }, buffers);
    }
  }
  last(type: string) {
    return this.sent.findLast((message) => message.type === type);
  }
}

let model: FakeModel;
let el: HTMLElement;
let close: () => void;
let widget: ReturnType<typeof start>;

beforeEach(() => {
  vi.useFakeTimers();
  // There is no layout here; without a size nothing would be drawn.
  vi.spyOn(HTMLElement.prototype, "clientWidth", "get").mockReturnValue(800);
  vi.spyOn(HTMLElement.prototype, "clientHeight", "get").mockReturnValue(280);
  model = new FakeModel();
  el = document.createElement("div");
  widget = start();
  close = widget.render({ model, el });
  document.body.append(el);
});

afterEach(() => {
  close();
  el.remove();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const text = (selector: string) => el.querySelector(selector)?.textContent;

test("a view asks for rows at once and says what it is waiting for", () => {
  expect(model.sent.map((message) => message.type)).toEqual(["hello"]);
  expect(text(".title")).toBe("orders");
  expect(text(".badge")).toBe("starting");
  expect(text(".note")).toBe("Waiting for the first result…");
});

test("values are text, never markup, and NULL is told from its name", () => {
  model.deliver(fromKernel.first);
  const cells = [...el.querySelectorAll("tbody tr")].map((row) => row.querySelectorAll("td")[2]);
  expect(cells.map((cell) => cell?.textContent).sort()).toEqual(["", "<b>", "NULL", "NULL"]);
  expect(cells.filter((cell) => cell?.classList.contains("null"))).toHaveLength(1);
  expect(el.querySelector("b")?.textContent).toBe("n");
});

test("the grid names its size and its rows", () => {
  model.deliver(fromKernel.first);
  const grid = el.querySelector("[role=grid]");
  expect(grid?.getAttribute("aria-rowcount")).toBe("5");
  expect(grid?.getAttribute("aria-colcount")).toBe("4");
  const indexes = [...el.querySelectorAll("tbody tr")].map((row) =>
    row.getAttribute("aria-rowindex"),
  );
  expect(indexes.sort()).toEqual(["2", "3", "4", "5"]);
});

test("a patch writes changed cells into the elements that are there", () => {
  model.deliver(fromKernel.first);
  const before = new Set(el.querySelectorAll("tbody td"));
  model.deliver(fromKernel.changed);
  expect([...el.querySelectorAll("tbody td")].every((cell) => before.has(cell))).toBe(true);
  expect(text(`tr[aria-rowindex="3"] td[aria-colindex="2"]`)).toBe("1");
  expect(text(".count")).toBe("4 rows");
  expect([...el.querySelectorAll<HTMLElement>(".chip")].at(-1)?.hidden).toBe(false);
});

test("a failure shows its message and keeps the rows", () => {
  model.deliver(fromKernel.first);
  model.deliver(fromKernel.changed);
  model.deliver(fromKernel.failed);
  expect(text(".badge")).toBe("error");
  expect(text(".message")).toBe("division by zero SQLSTATE 22012");
  expect(el.querySelectorAll("tbody tr")).toHaveLength(4);
});

test("the age grows by itself", () => {
  model.deliver(fromKernel.first);
  expect(text(".age")).toBe("2 s ago");
  vi.advanceTimersByTime(3000);
  expect(text(".age")).toBe("5 s ago");
});

function press(selector: string, type = "click", init: object = {}) {
  const Kind = type.startsWith("key") ? KeyboardEvent : MouseEvent;
  el.querySelector(selector)?.dispatchEvent(new Kind(type, { bubbles: true, ...init }));
}

function choose(label: string) {
  const items = [...el.querySelectorAll<HTMLButtonElement>(".item")];
  items.find((item) => item.querySelector(".label")?.textContent === label)?.click();
}

test("a click on a head sorts, the next one builds on it before the kernel answers", () => {
  model.deliver(fromKernel.first);
  press('th[aria-colindex="2"]');
  expect(model.last("arrange")).toMatchObject({ sort: [[0, "asc"]], search: "", filters: [] });
  press('th[aria-colindex="3"]', "click", { shiftKey: true });
  const both = [
    [0, "asc"],
    [1, "asc"],
  ];
  expect(model.last("arrange")).toMatchObject({ sort: both });
});

test("what the kernel sorts and filters by is shown", () => {
  model.deliver(fromKernel.first);
  model.deliver(fromKernel.arranged);
  expect(el.querySelector('th[aria-colindex="2"]')?.getAttribute("aria-sort")).toBe("descending");
  expect(el.querySelector('th[aria-colindex="3"]')?.getAttribute("aria-sort")).toBe("none");
  expect(text(".filter .edit")).toBe("n > 1");
  expect(text(".count")).toBe("3 rows (filtered from 4)");
  press(".filter .small");
  expect(model.last("arrange")).toMatchObject({ sort: [[0, "desc"]], filters: [] });
});

test("a filter is made in the menu of its column", () => {
  model.deliver(fromKernel.first);
  press('th[aria-colindex="3"]', "contextmenu");
  choose("Filter…");
  const input = el.querySelector<HTMLInputElement>(".form input");
  if (input) input.value = "abc";
  press(".form", "submit");
  const filters = [{ column: 1, op: "contains", value: "abc" }];
  expect(model.last("arrange")).toMatchObject({ filters });
  expect(el.querySelector(".form")).toBeNull();
});

test("typing searches after a moment", () => {
  model.deliver(fromKernel.first);
  const input = el.querySelector<HTMLInputElement>(".search input");
  for (const value of ["a", "ab"]) {
    if (input) input.value = value;
    press(".search input", "input");
  }
  expect(model.last("arrange")).toBeUndefined();
  vi.advanceTimersByTime(300);
  expect(model.last("arrange")).toMatchObject({ search: "ab" });
});

test("rows are selected by their numbers, and stay so wherever they go", () => {
  model.deliver(fromKernel.first);
  press('tr[aria-rowindex="5"] .gutter', "pointerdown");
  vi.advanceTimersByTime(100);
  press('tr[aria-rowindex="2"] .gutter', "pointerdown", { ctrlKey: true });
  const told = model.sent.filter((message) => message.type === "select");
  expect(told).toMatchObject([
    { mode: "replace", ranges: [[3, 4]], revision: 1 },
    { mode: "toggle", ranges: [[0, 1]], revision: 1 },
  ]);
  model.deliver(fromKernel.arranged);
  model.deliver(fromKernel.selected);
  const selected = [...el.querySelectorAll('tr[aria-selected="true"]')];
  expect(selected.map((row) => row.getAttribute("aria-rowindex")).sort()).toEqual(["3", "4"]);
  expect(text(".selection")).toBe("2 rows selected");
});

test("an answer to an older choice does not undo a newer one", () => {
  model.deliver(fromKernel.first);
  press('tr[aria-rowindex="2"] .gutter', "pointerdown");
  vi.advanceTimersByTime(100);
  press('tr[aria-rowindex="4"] .gutter', "pointerdown", { shiftKey: true });
  const selected = { count: 1, rows: [[0, 0]] };
  const { state } = fromKernel.first;
  model.deliver({ ...fromKernel.selected, state, selected });
  expect(el.querySelectorAll('tr[aria-selected="true"]')).toHaveLength(3);
  vi.advanceTimersByTime(100);
  expect(model.last("select")).toMatchObject({ ranges: [[0, 3]] });
});

test("verbs are offered where there is a query to obey them", () => {
  model.deliver(fromKernel.first);
  const pause = el.querySelector<HTMLButtonElement>(".tool");
  expect(pause?.hidden).toBe(true);
  const { state } = fromKernel.selected;
  const now = { ...fromKernel.selected, seq: 20, state: { ...state, acts: true, paused: true } };
  model.deliver({ ...fromKernel.arranged, seq: 19 });
  model.deliver(now);
  expect([pause?.hidden, pause?.title]).toEqual([false, "Resume"]);
  pause?.click();
  expect(model.last("act")).toMatchObject({ verb: "resume" });
});

test("a long value is asked for and shown whole", () => {
  const long = `${"x".repeat(299)}…`;
  const { first } = fromKernel;
  model.deliver({ ...first, cells: [first.cells[0], [long, null, "", "<b>"]] });
  press('tr[aria-rowindex="2"] td[aria-colindex="3"]', "focusin");
  press('tr[aria-rowindex="2"] td[aria-colindex="3"]', "keydown", { key: "Enter" });
  const asked = model.last("cell");
  expect(asked).toMatchObject({ row: 0, column: 1 });
  model.deliver({ ...fromKernel.cell, of: asked?.seq, text: "x".repeat(500) });
  expect(text(".value pre")).toHaveLength(500);
});

test("parts of an export are acknowledged and counted, its end is told", () => {
  model.deliver(fromKernel.first);
  press('.tool[aria-haspopup="menu"]');
  choose("Export as CSV");
  const of = model.last("export")?.seq;
  const part = { ...fromKernel.export, of, seq: 30, rows: 1, done: false };
  model.deliver(part, [new DataView(new ArrayBuffer(1500))]);
  expect(text(".export")).toBe("1 of 3 rows, 2 kB");
  expect(model.last("ack")).toMatchObject({ of: 30 });
  model.deliver({ ...part, seq: 31, done: true, error: "disk full" });
  expect(text(".told")).toBe("Export failed: disk full");
  model.deliver({ ...part, seq: 32, of: 1 });
  expect(model.last("ack")).toMatchObject({ of: 32 });
});

test("another view begins with the layout of the one before", () => {
  model.deliver(fromKernel.first);
  press('th[aria-colindex="2"]', "contextmenu");
  choose("Hide column");
  vi.advanceTimersByTime(50);
  expect(text("th b")).toBe("?column?");
  close();
  el.replaceChildren();
  model.sent.length = 0;
  close = widget.render({ model, el });
  model.deliver(fromKernel.first);
  expect(text("th b")).toBe("?column?");
});

test("closing says bye and leaves nothing behind", () => {
  close();
  close();
  expect(model.sent.map((message) => message.type)).toEqual(["hello", "bye"]);
  expect(el.childElementCount).toBe(0);
  expect([...model.listeners.values()].every((calls) => calls.size === 0)).toBe(true);
  expect(vi.getTimerCount()).toBe(0);
});
