import browser from "../../tests/protocol/from_browser.json";
import kernel from "../../tests/protocol/from_kernel.json";
import type {
  CellMessage,
  CopyMessage,
  ExportMessage,
  FromBrowser,
  PatchMessage,
  StateMessage,
  WindowMessage,
} from "../src/protocol";

export const fromKernel = kernel as unknown as {
  first: WindowMessage;
  changed: PatchMessage;
  moved: PatchMessage;
  arranged: WindowMessage;
  selected: StateMessage;
  failed: StateMessage;
  cell: CellMessage;
  copy: CopyMessage;
  export: ExportMessage;
};
export const fromBrowser = browser.valid as FromBrowser[];

type Line = [id: number, number: string | null, text: string | null];

/** A window of one numeric and one text column; `next` is the identity the next new row gets. */
export function windowOf(version: number, rows: Line[], start = 0, next = 100): WindowMessage {
  const { columns, state, ...rest } = fromKernel.first;
  const total = start + rows.length;
  return {
    ...rest,
    seq: version,
    start,
    state: { ...state, version, revision: version, total, filtered: total, next },
    columns: structuredClone(columns),
    rows: rows.map(([id]) => id),
    cells: [rows.map((row) => row[1]), rows.map((row) => row[2])],
  };
}
