// The wire between kernel and table; `pgrt_jupyter/protocol.py` mirrors it and explains it.

export type Kind = "number" | "text" | "boolean" | "time" | "json" | "binary";
export type Cell = string | null;
export type Cells = Cell[][]; // by column, then by row
export type Order = "asc" | "desc";
export type Operator =
  | "eq"
  | "ne"
  | "lt"
  | "le"
  | "gt"
  | "ge"
  | "contains"
  | "starts"
  | "in"
  | "null"
  | "notnull";
export type Mode = "replace" | "add" | "remove" | "toggle";
export type Verb = "pause" | "resume" | "refresh";

export interface Column {
  name: string;
  type: string;
  kind: Kind;
}

export interface Failure {
  message: string;
  sqlstate: string | null;
}

export interface State {
  version: number; // of the result; 0 before the first
  revision: number; // of what is shown: grows with every result and every arrangement
  status: string;
  message: string;
  error: Failure | null;
  refreshed_at: string | null;
  age: number | null;
  total: number; // rows of the whole result
  filtered: number; // rows shown
  truncated: boolean;
  paused: boolean;
  acts: boolean; // whether there is a query to pause, resume and refresh
  keyed: boolean; // whether identities follow a key, or a place in the result
  next: number; // the identity the next new row gets
}

export interface Condition {
  column: number;
  op: Operator;
  value: string | string[] | null; // a list for `in`, null for `null` and `notnull`
}

export interface Arrangement {
  sort: [column: number, order: Order][];
  search: string;
  filters: Condition[];
  error: string; // names each part that was left out, and why
}

export interface Selected {
  count: number;
  rows: [first: number, last: number][]; // runs of identities among the rows of the window
}

interface Addressed {
  seq: number;
  viewer: string;
}

interface Pushed extends Addressed {
  state: State;
  arrangement?: Arrangement; // when it is another than this view was last told
  selected?: Selected; // likewise
}

export interface WindowMessage extends Pushed {
  type: "window";
  start: number;
  shift: number; // by how many rows the anchor moved
  whole: boolean;
  columns: Column[];
  rows: number[]; // identities
  cells: Cells;
}

export type Piece =
  | { place: number; count: number } // rows held, by their place in the window held
  | { rows: number[]; cells: Cells }; // rows not held

export interface PatchMessage extends Pushed {
  type: "patch";
  base: number; // the revision it builds on
  start: number;
  shift: number;
  whole: boolean;
  rows: Piece[] | null; // null: the same rows in the same places
  changes: [column: number, rows: number[], text: Cell[]][]; // of the window as it is then
}

export interface StateMessage extends Pushed {
  type: "state";
}

export interface CellMessage extends Addressed {
  type: "cell";
  of: number;
  text: Cell;
  cut: boolean; // there is more than a browser is sent
  error: string;
}

export interface CopyMessage extends Addressed {
  type: "copy";
  of: number;
  text: string;
  rows: number;
  error: string;
}

/** Its UTF-8 text is the one buffer that comes with the message. */
export interface ExportMessage extends Addressed {
  type: "export";
  of: number;
  name: string; // of the file
  rows: number; // written so far
  total: number;
  done: boolean;
  error: string;
}

export type Push = WindowMessage | PatchMessage | StateMessage;
export type Answer = CellMessage | CopyMessage | ExportMessage;
export type FromKernel = Push | Answer;

export interface Wish {
  start: number;
  count: number;
  anchor: number | null; // identity of the first row on the screen; null to stay by number
  revision: number; // in which `start` counts; 0 when this view holds none
}

export type Request =
  | ({ type: "hello" | "window" } & Wish)
  | { type: "ack"; of: number } // of window, patch, state and export
  | { type: "beat" | "bye" | "export_stop" }
  | {
      type: "arrange";
      sort: [column: number, order: Order][];
      search: string;
      filters: Condition[];
    }
  | { type: "select"; revision: number; mode: Mode; ranges: [start: number, end: number][] }
  | { type: "act"; verb: Verb }
  | { type: "cell"; row: number; column: number } // the row by its identity
  | {
      type: "copy";
      revision: number;
      ranges: [start: number, end: number][] | null; // null: the selected rows
      columns: number[] | null; // null: all
      header: boolean;
    }
  | { type: "export"; columns: number[] | null };
export type FromBrowser = Request & Addressed;

const TYPES = ["window", "patch", "state", "cell", "copy", "export"];

/** Return the message if it is one of ours and meant for this viewer. */
export function read(content: unknown, viewer: string): FromKernel | undefined {
  const message = content as FromKernel | null;
  if (typeof message !== "object" || message === null || message.viewer !== viewer)
    return undefined;
  return TYPES.includes(message.type) ? message : undefined;
}

/** Tell what is pushed from what answers a request. */
export function isPush(message: FromKernel): message is Push {
  return "state" in message;
}

/** Invent a token no other view has; `randomUUID` is missing on plain http. */
export function token(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
