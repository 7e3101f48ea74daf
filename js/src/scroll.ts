// Where rows are. Browsers cap an element at some 33 million pixels (5 in Firefox's tables), so that a long
// result is scrolled by a shorter bar: `position`, in pixels of the full result, is kept apart from the
// bar's own `scrollTop`. Small steps (wheel, keys, touch) move both alike; a jump of the bar is scaled.

export const LONGEST = 8_000_000;

export interface Extent {
  rows: number;
  rowHeight: number;
  /** Pixels that show rows. */
  view: number;
}

/** Pixels all rows would take. */
export function full(extent: Extent): number {
  return extent.rows * extent.rowHeight;
}

/** Pixels the scrolled element gets. */
export function bar(extent: Extent): number {
  return Math.min(full(extent), LONGEST);
}

export function isScaled(extent: Extent): boolean {
  return full(extent) > LONGEST;
}

export function clamp(position: number, extent: Extent): number {
  return Math.max(0, Math.min(position, full(extent) - extent.view));
}

/** Translate the bar's place to a position. */
export function toPosition(scrollTop: number, extent: Extent): number {
  if (!isScaled(extent)) return clamp(scrollTop, extent);
  return clamp((scrollTop / (LONGEST - extent.view)) * (full(extent) - extent.view), extent);
}

/** Translate a position to the bar's place. */
export function toScrollTop(position: number, extent: Extent): number {
  if (!isScaled(extent)) return position;
  return (position / (full(extent) - extent.view)) * (LONGEST - extent.view);
}

/** Follow the bar from one place to the next. */
export function follow(position: number, from: number, to: number, extent: Extent): number {
  const step = to - from;
  const atEnd = to <= 0 || to >= LONGEST - extent.view;
  if (!isScaled(extent) || atEnd || Math.abs(step) > extent.view) return toPosition(to, extent);
  return clamp(position + step, extent);
}

/** The rows in view, `end` excluded. */
export function visible(position: number, extent: Extent): { first: number; end: number } {
  const first = Math.floor(position / extent.rowHeight);
  const end = Math.ceil((position + extent.view) / extent.rowHeight);
  return { first: Math.max(0, first), end: Math.min(extent.rows, end) };
}
