// The wire between kernel and chart; `pgrt_jupyter/plot/protocol.py` mirrors it and explains it.

import type { Failure } from "../protocol";

export type Kind = "line" | "area" | "bar" | "scatter";
export type Role = "number" | "instant" | "time" | "date" | "text" | "row" | "result";

export interface State {
  version: number; // of the result; 0 before the first
  revision: number; // of what is drawn
  status: string;
  message: string;
  error: Failure | null;
  refreshed_at: string | null;
  age: number | null;
  total: number; // rows of the result
  truncated: boolean;
}

export interface Line {
  label: string;
  slot: number; // gives its colour
  x: number; // which buffer
  y: number;
}

/** What a view can show: its width, and the range of x on the screen, null where it is all. */
export interface Wish {
  width: number;
  low: number | null;
  high: number | null;
}

export interface WindowMessage extends Wish {
  type: "window"; // for the wish it repeats
  seq: number;
  viewer: string;
  state: State;
  kind: Kind;
  role: Role; // of x
  x: string; // its name
  y: string; // its name, where all series have the same
  log: boolean; // its axis is logarithmic
  categories: string[];
  extent: [low: number, high: number] | null; // of x, when nobody has zoomed
  series: Line[];
  left_out: string[]; // what there is no room for, in words
  problem: string; // why nothing is drawn
  points: number; // of all series
  whole: boolean; // these are all
}

export interface StateMessage {
  type: "state";
  seq: number;
  viewer: string;
  state: State;
}

export type Push = WindowMessage | StateMessage;

export type Request =
  | ({ type: "hello" | "window" } & Wish)
  | { type: "ack"; of: number }
  | { type: "beat" | "bye" };
export type FromBrowser = Request & { seq: number; viewer: string };

/** Return the message if it is one of ours and meant for this viewer. */
export function read(content: unknown, viewer: string): Push | undefined {
  const message = content as Push | null;
  if (typeof message !== "object" || message === null || message.viewer !== viewer)
    return undefined;
  return message.type === "window" || message.type === "state" ? message : undefined;
}
