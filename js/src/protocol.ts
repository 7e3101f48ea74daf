// The wire between kernel and table; `pgrt_jupyter/protocol.py` mirrors it and explains it.

export type Kind = "number" | "text" | "boolean" | "time" | "json" | "binary";
export type Cell = string | null;
export type Cells = Cell[][]; // by column, then by row

export interface Column {
  name: string;
  type: string;
  kind: Kind;
}

export interface State {
  version: number;
  status: string;
  message: string;
  refreshed_at: string | null;
  age: number | null;
  total: number;
  truncated: boolean;
}

interface Addressed {
  seq: number;
  viewer: string;
}

interface Pushed extends Addressed {
  state: State;
}

export interface WindowMessage extends Pushed {
  type: "window";
  start: number;
  whole: boolean;
  columns: Column[];
  cells: Cells;
}

export interface PatchMessage extends Pushed {
  type: "patch";
  base: number;
  start: number;
  changes: [column: number, rows: number[], text: Cell[]][];
}

export interface StateMessage extends Pushed {
  type: "state";
}

export type FromKernel = WindowMessage | PatchMessage | StateMessage;

export type Request =
  | { type: "hello" | "window"; start: number; count: number }
  | { type: "ack"; of: number }
  | { type: "beat" | "bye" };
export type FromBrowser = Request & Addressed;

/** Return the message if it is one of ours and meant for this viewer. */
export function read(content: unknown, viewer: string): FromKernel | undefined {
  const message = content as FromKernel | null;
  if (typeof message !== "object" || message === null || message.viewer !== viewer)
    return undefined;
  return ["window", "patch", "state"].includes(message.type) ? message : undefined;
}

/** Invent a token no other view has; `randomUUID` is missing on plain http. */
export function token(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
