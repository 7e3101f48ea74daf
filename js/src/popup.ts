// A box above everything else, for menus, forms and long values. It stands in the browser's top layer where
// there is one, so that neither the table's edge nor a notebook's cuts it off, and yet stays a child of the
// table: its style, its shadow root and its end are the table's.

import { focused, isRightToLeft, make, mark } from "./dom";

const GAP = 4;

export class Popup {
  readonly element = make("div", "popup", { popover: "manual" });
  #back: (() => void) | undefined;
  #anchor: Element | undefined;
  #pressedInside = false;
  isOpen = false;

  constructor(signal: AbortSignal) {
    this.element.hidden = true;
    this.element.addEventListener("pointerdown", () => (this.#pressedInside = true), { signal });
    this.element.addEventListener("keydown", (event) => this.#key(event), { signal });
    this.element.addEventListener("focusout", (event) => this.#left(event), { signal });
    document.addEventListener("pointerdown", () => this.#pressed(), { signal });
    document.addEventListener("scroll", (event) => this.#scrolled(event), {
      signal,
      capture: true,
      passive: true,
    });
    window.addEventListener("resize", () => this.close(), { signal });
    signal.addEventListener("abort", () => this.close());
  }

  /** Open beside `anchor`; the focus goes in, and on closing to `back`. Opening again there closes. */
  open(content: HTMLElement, anchor: Element, back: () => void, className = ""): void {
    this.close();
    this.#anchor = anchor;
    this.#back = back;
    this.isOpen = true;
    this.element.className = `popup ${className}`;
    this.element.replaceChildren(content);
    this.element.hidden = false;
    this.element.showPopover?.();
    this.#place(anchor.getBoundingClientRect());
    mark(anchor, "aria-expanded", anchor.hasAttribute("aria-haspopup") ? "true" : null);
    const first = content.querySelector<HTMLElement>("[autofocus]");
    (
      first ??
      content.querySelector<HTMLElement>("button, input, select, textarea") ??
      content
    ).focus({ preventScroll: true });
  }

  /** Replace what is inside, keeping the box where it is. */
  refill(content: HTMLElement): void {
    this.element.replaceChildren(content);
    if (this.#anchor) this.#place(this.#anchor.getBoundingClientRect());
  }

  close(): void {
    if (!this.isOpen) return;
    const hadFocus = this.element.contains(focused(this.element));
    this.isOpen = false;
    if (this.#anchor?.hasAttribute("aria-haspopup")) mark(this.#anchor, "aria-expanded", "false");
    if (hadFocus) this.#back?.();
    if (this.element.isConnected) this.element.hidePopover?.();
    this.element.hidden = true;
    this.element.replaceChildren();
    this.#back = this.#anchor = undefined;
  }

  /** Tell whether the box belongs to this element. */
  isAt(anchor: Element): boolean {
    return this.isOpen && this.#anchor === anchor;
  }

  #place(anchor: DOMRect): void {
    const { style } = this.element;
    style.left = style.top = "0px";
    const box = this.element.getBoundingClientRect();
    const room = { width: document.documentElement.clientWidth, height: window.innerHeight };
    const below = anchor.bottom + GAP;
    const fits = below + box.height <= room.height || anchor.top < room.height - anchor.bottom;
    const top = fits ? below : anchor.top - GAP - box.height;
    const left = isRightToLeft(this.element) ? anchor.right - box.width : anchor.left;
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
    if (to && !this.element.contains(to)) this.close();
  }

  #pressed(): void {
    if (!this.#pressedInside) this.close();
    this.#pressedInside = false;
  }

  /** Close when the page moves under the box; a table that follows its rows does not move it. */
  #scrolled(event: Event): void {
    const target = event.target as Node | null;
    if (!this.isOpen || !this.#anchor || !target) return;
    if (target === document || (target.contains(this.element) && target.contains(this.#anchor))) {
      this.close();
    }
  }
}

function clamp(value: number, most: number): number {
  return Math.max(GAP, Math.min(value, most - GAP));
}
