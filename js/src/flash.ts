// Light up cells that changed: where the light starts from says in which direction, a sign says it too for
// who does not see colours.

import type { Direction } from "./rows";

export const FLASH_MS = 1400;

/** Background a changed cell starts from, fading to none. */
export const COLOURS: Record<Direction, string> = {
  up: "color-mix(in srgb, var(--good) 38%, transparent)",
  down: "color-mix(in srgb, var(--bad) 34%, transparent)",
  changed: "color-mix(in srgb, var(--accent) 30%, transparent)",
  new: "color-mix(in srgb, var(--accent) 18%, transparent)",
};

/** Tell whether the person asked their system for less motion. */
export function wantsStillness(): boolean {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

export function blink(cell: HTMLElement, direction: Direction): void {
  still(cell);
  cell.dataset.flash = direction;
  const frames = [{ backgroundColor: COLOURS[direction] }, { backgroundColor: "transparent" }];
  const animation = cell.animate?.(frames, { duration: FLASH_MS, easing: "ease-out" });
  animation?.finished.then(
    () => delete cell.dataset.flash,
    () => undefined, // cancelled: the cell shows another row by now
  );
}

export function still(cell: HTMLElement): void {
  if (cell.dataset.flash === undefined) return;
  delete cell.dataset.flash;
  for (const animation of cell.getAnimations?.() ?? []) animation.cancel();
}
