// @vitest-environment happy-dom
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { FromBrowser } from "../src/protocol";
import widget, { type Model } from "../src/widget";
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
  deliver(message: object) {
    const viewer = this.sent[0]?.viewer;
    for (const call of this.listeners.get("msg:custom") ?? []) call({ ...message, viewer });
  }
}

let model: FakeModel;
let el: HTMLElement;
let close: () => void;

beforeEach(() => {
  vi.useFakeTimers();
  // There is no layout here; without a size nothing would be drawn.
  vi.spyOn(HTMLElement.prototype, "clientWidth", "get").mockReturnValue(800);
  vi.spyOn(HTMLElement.prototype, "clientHeight", "get").mockReturnValue(280);
  model = new FakeModel();
  el = document.createElement("div");
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
  expect(el.querySelector("b")?.textContent).toBe("id");
});

test("the grid names its size and its rows", () => {
  model.deliver(fromKernel.first);
  const grid = el.querySelector("[role=grid]");
  expect(grid?.getAttribute("aria-rowcount")).toBe("5");
  expect(grid?.getAttribute("aria-colcount")).toBe("3");
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
  expect(text(".message")).toBe("division by zero [SQLSTATE 22012]");
  expect(el.querySelectorAll("tbody tr")).toHaveLength(4);
});

test("the age grows by itself", () => {
  model.deliver(fromKernel.first);
  expect(text(".age")).toBe("2 s ago");
  vi.advanceTimersByTime(3000);
  expect(text(".age")).toBe("5 s ago");
});

test("closing says bye and leaves nothing behind", () => {
  close();
  close();
  expect(model.sent.map((message) => message.type)).toEqual(["hello", "bye"]);
  expect(el.childElementCount).toBe(0);
  expect([...model.listeners.values()].every((calls) => calls.size === 0)).toBe(true);
  expect(vi.getTimerCount()).toBe(0);
});
