// One value in full, in a box: long text as it is, JSON laid out.

import { tool } from "./bar";
import { make, write } from "./dom";
import { number } from "./format";
import { indent } from "./json";
import type { Column } from "./protocol";

export class ValueBox {
  readonly el = make("div", "value", { role: "dialog", tabindex: "-1" });
  readonly #text = make("pre", "", { tabindex: "0", dir: "auto" });
  readonly #size = make("span", "size");
  #whole = "";

  constructor(column: Column, row: number, copy: (text: string) => void, close: () => void) {
    const label = `${column.name}, row ${number(row + 1)}`;
    this.el.setAttribute("aria-label", label);
    this.#text.setAttribute("aria-label", label);
    const name = make("b", "", {}, column.name);
    const type = make("span", "size", {}, column.type);
    const tools = [tool("copy", "Copy", () => copy(this.#whole)), tool("close", "Close", close)];
    const bar = [name, type, make("span", "space"), this.#size, ...tools];
    this.el.append(make("div", "value-bar", {}, ...bar), this.#text);
  }

  /** Show the text; `isCut` while or when there is more of it than is here. */
  show(text: string | null, column: Column, note: string): void {
    this.#whole = text ?? "";
    this.#text.classList.toggle("null", text === null);
    write(this.#text, text === null ? "NULL" : column.kind === "json" ? indent(text) : text);
    const count = `${number([...this.#whole].length)} characters`;
    write(this.#size, [note, text === null ? "" : count].filter(Boolean).join(" · "));
  }
}
