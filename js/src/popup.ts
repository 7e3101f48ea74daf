// A box above everything else, for menus, forms and long values. It stands in the browser's top layer where
// there is one, so that neither the table's edge nor a notebook's cuts it off, and yet stays a child of the
// table: its style, its shadow root and its end are the table's.

import { focused, isRightToLeft, make, mark, on } from "./dom";

const GAP = 4;

export class Popup {
  readonly el = make("div", "popup", { popover: "manual" });
  #back: (() => void) | undefined;
  #anchor: Element | undefined;
  #pressedInside = false;
  isOpen = false;

  constructor(signal: AbortSignal) {
    this.el.hidden = true;
    on(this.el, "pointerdown", () => (this.#pressedInside = true), signal);
    on(this.el, "keydown", (event) => this.#key(event), signal);
    on(this.el, "focusout", (event) => this.#left(event), signal);
    on(document, "pointerdown", () => this.#pressed(), signal);
    on(document, "scroll", (event) => this.#scrolled(event), signal, {
      capture: true,
      passive: true,
    });
    on(window, "resize", () => this.close(), signal);
    on(signal, "abort", () => this.close());
  }

  /** Open beside `anchor`; the focus goes in, and on closing to `back`. Opening again there closes. */
  open(content: HTMLElement, anchor: Element, back: () => void, className = ""): void {
    this.close();
    this.#anchor = anchor;
    this.#back = back;
    this.isOpen = true;
    this.el.className = `popup ${className}`;
    this.el.replaceChildren(content);
    this.el.hidden = false;
    this.el.showPopover?.();
    this.#place(anchor.getBoundingClientRect());
    mark(anchor, "aria-expanded", anchor.hasAttribute("aria-haspopup") ? "true" : null);
    const first = content.querySelector<HTMLElement>("[autofocus]");
    (
      first ??
      content.querySelector<HTMLElement>("button, input, select, textarea") ??
      content
    ).focus({ preventScroll: true });
  }

  close(): void {
    if (!this.isOpen) return;
    const hadFocus = this.el.contains(focused(this.el));
    this.isOpen = false;
    if (this.#anchor?.hasAttribute("aria-haspopup")) mark(this.#anchor, "aria-expanded", "false");
    if (hadFocus) this.#back?.();
    if (this.el.isConnected) this.el.hidePopover?.();
    this.el.hidden = true;
    this.el.replaceChildren();
    this.#back = this.#anchor = undefined;
  }

  /** Tell whether the box belongs to this element. */
  isAt(anchor: Element): boolean {
    return this.isOpen && this.#anchor === anchor;
  }

  #place(anchor: DOMRect): void {
    const { style } = this.el;
    style.left = style.top = "0px";
    const box = this.el.getBoundingClientRect();
    const room = { width: document.documentElement.clientWidth, height: window.innerHeight };
    const below = anchor.bottom + GAP;
    const fits = below + box.height <= room.height || anchor.top < room.height - anchor.bottom;
    const top = fits ? below : anchor.top - GAP - box.height;
    const left = isRightToLeft(this.el) ? anchor.right - box.width : anchor.left;
    style.top = `${clamp(top, room.height - box.height)}px`;
    style.left = `${clamp(left, room.width - box.width)}px`;
  }

  #key(event: KeyboardEvent): void {
    event.stopPropagation();
    if (event.key !== "Escape") return;
    event.preventDefault();
    this.close();
  }

  #left(event: FocusEvent): void {
    const to = event.relatedTarget as Node | null;
    if (to && !this.el.contains(to)) this.close();
  }

  #pressed(): void {
    if (!this.#pressedInside) this.close();
    this.#pressedInside = false;
  }

  /** Close when the page moves under the box; a table that follows its rows does not move it. */
  #scrolled(event: Event): void {
    if ((event.target as Node).contains(this.el)) this.close();
  }
}

function clamp(value: number, most: number): number {
  return Math.max(GAP, Math.min(value, most - GAP));
}
