// What the notebook hands to a view: values shared with the kernel, and messages both ways.

import { on } from "./dom";

export type Buffers = readonly DataView<ArrayBuffer>[];
type Heard = (content: unknown, buffers?: Buffers) => void;

export interface Model {
  get(name: string): unknown;
  send(content: object): void;
  on(name: string, callback: Heard): void;
  off(name: string, callback: Heard): void;
}

/** Hear what a model tells until `signal` aborts. */
export function hear(model: Model, name: string, call: Heard, signal: AbortSignal): void {
  model.on(name, call);
  on(signal, "abort", () => model.off(name, call));
}
