// The points the browser holds: those of one picture, for one wish.

import type { Held } from "../viewer";
import type { Push, WindowMessage, Wish } from "./protocol";

export interface Series {
  label: string;
  slot: number;
  x: Float64Array;
  y: Float64Array; // NaN is a gap
}

export interface Picture extends Omit<WindowMessage, "series"> {
  series: Series[];
}

export type Buffers = readonly DataView<ArrayBufferLike>[];

const NO_PATCH = undefined;

export class Points implements Held<Push, Wish, true> {
  revision = 0;
  picture: Picture | undefined;
  #buffers: Buffers = [];

  /** Note the buffers of the message that comes next. */
  expect(buffers: Buffers): void {
    this.#buffers = buffers;
  }

  replace(message: WindowMessage): true {
    this.revision = message.state.revision;
    const numbers = this.#buffers.map(floats);
    this.#buffers = [];
    const none = new Float64Array();
    const series = message.series.map(({ label, slot, x, y }) => {
      const [xs, ys] = [numbers[x] ?? none, numbers[y] ?? none];
      return xs.length === ys.length
        ? { label, slot, x: xs, y: ys }
        : { label, slot, x: none, y: none };
    });
    this.picture = { ...message, series };
    return true;
  }

  patch(): undefined {
    return NO_PATCH;
  }

  /** Tell whether no other points would show more. */
  holds(wish: Wish): boolean {
    const { picture } = this;
    if (!picture) return false;
    if (picture.whole) return true;
    const same = picture.low === wish.low && picture.high === wish.high;
    return same && picture.width === wish.width;
  }
}

/** Read a buffer, wherever it begins: floats of a copy lie where floats must. */
export function floats(view: DataView<ArrayBufferLike>): Float64Array {
  const count = Math.floor(view.byteLength / 8);
  const found = new Float64Array(count);
  for (let at = 0; at < count; at++) found[at] = view.getFloat64(8 * at, true);
  return found;
}
