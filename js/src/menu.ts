// Menus: a list of things to do, walked by arrow keys and by first letters.

import { make, mark, on } from "./dom";
import { type Icon, icon } from "./icons";

export interface Item {
  label: string;
  icon?: Icon;
  /** What is to be pressed instead, for who wants to know. */
  keys?: string;
  /** On or off, for what can be switched. */
  checked?: boolean;
  disabled?: boolean;
  /** The menu stays, so that several can be switched in a row. */
  stays?: boolean;
  run: () => void;
}

export type Entry = Item | "line";

/** Build a menu; `done` is called before what was chosen runs, unless the menu stays. */
export function menu(label: string, entries: Entry[], done: () => void): HTMLElement {
  const element = make("div", "menu", { role: "menu", "aria-label": label });
  for (const entry of entries) {
    element.append(
      entry === "line" ? make("div", "rule", { role: "separator" }) : button(entry, done),
    );
  }
  on(element, "keydown", (event) => walk(element, event));
  return element;
}

function button(item: Item, done: () => void): HTMLButtonElement {
  const switches = item.checked !== undefined;
  const element = make("button", "item", {
    role: switches ? "menuitemcheckbox" : "menuitem",
    tabindex: "-1",
  });
  const sign = switches ? "check" : item.icon;
  element.append(make("span", "sign", {}, sign ? icon(sign) : ""));
  element.append(make("span", "label", {}, item.label));
  if (item.keys) element.append(make("kbd", "", {}, item.keys));
  if (switches) mark(element, "aria-checked", String(item.checked));
  element.disabled = item.disabled ?? false;
  on(element, "click", () => {
    if (item.stays) {
      mark(element, "aria-checked", String(element.getAttribute("aria-checked") !== "true"));
    } else done();
    item.run();
  });
  return element;
}

function walk(element: HTMLElement, event: KeyboardEvent): void {
  const items = [...element.querySelectorAll<HTMLButtonElement>("button:not(:disabled)")];
  const to = items.at(
    next(
      items.map((item) => item.querySelector(".label")?.textContent?.toLowerCase() ?? ""),
      items.findIndex((item) => item.matches(":focus")),
      event.key.toLowerCase(),
    ) ?? items.length,
  );
  if (!to) return;
  event.preventDefault();
  to.focus();
}

/** Say which item a key leads to, -1 being the last. */
export function next(labels: string[], at: number, key: string): number | undefined {
  switch (key) {
    case "arrowdown":
      return (at + 1) % labels.length;
    case "arrowup":
      return at - 1;
    case "home":
      return 0;
    case "end":
      return -1;
    case "tab":
      return at; // a menu is left by Escape
  }
  if (key.length !== 1 || key === " ") return undefined;
  const after = labels.findIndex((label, number) => number > at && label.startsWith(key));
  const found = after < 0 ? labels.findIndex((label) => label.startsWith(key)) : after;
  return found < 0 ? undefined : found;
}
