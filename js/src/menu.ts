// Menus: a list of things to do, walked by arrow keys and by first letters.

import { make, mark, write } from "./dom";
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
      entry === "line" ? make("div", "line", { role: "separator" }) : button(entry, done),
    );
  }
  element.addEventListener("keydown", (event) => walk(element, event));
  return element;
}

function button(item: Item, done: () => void): HTMLButtonElement {
  const switches = item.checked !== undefined;
  const element = make("button", "item", {
    type: "button",
    role: switches ? "menuitemcheckbox" : "menuitem",
    tabindex: "-1",
  });
  const label = make("span", "label");
  write(label, item.label);
  const sign = switches ? "check" : item.icon;
  const place = make("span", "sign");
  if (sign) place.append(icon(sign));
  element.append(place, label);
  if (item.keys) {
    const keys = make("kbd");
    write(keys, item.keys);
    element.append(keys);
  }
  if (switches) mark(element, "aria-checked", String(item.checked));
  element.disabled = item.disabled ?? false;
  element.addEventListener("click", () => {
    if (item.stays) {
      mark(element, "aria-checked", String(element.getAttribute("aria-checked") !== "true"));
    } else done();
    item.run();
  });
  return element;
}

function walk(element: HTMLElement, event: KeyboardEvent): void {
  const items = [...element.querySelectorAll<HTMLButtonElement>("button:not(:disabled)")];
  const at = items.findIndex((item) => item.matches(":focus"));
  const to = next(items, at, event.key);
  if (to === undefined) return;
  event.preventDefault();
  items[to]?.focus();
}

function next(items: HTMLElement[], at: number, key: string): number | undefined {
  const count = items.length;
  switch (key) {
    case "ArrowDown":
      return (at + 1) % count;
    case "ArrowUp":
      return (at <= 0 ? count : at) - 1;
    case "Home":
      return 0;
    case "End":
      return count - 1;
    case "Tab":
      return at; // a menu is left by Escape
  }
  if (key.length !== 1 || key === " ") return undefined;
  const wanted = key.toLowerCase();
  for (let step = 1; step <= count; step++) {
    const item = items[(at + step) % count];
    if (item?.querySelector(".label")?.textContent?.toLowerCase().startsWith(wanted)) {
      return (at + step) % count;
    }
  }
  return undefined;
}
