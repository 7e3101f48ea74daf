import browser from "../../tests/protocol/from_browser.json";
import kernel from "../../tests/protocol/from_kernel.json";
import type { FromBrowser, PatchMessage, StateMessage, WindowMessage } from "../src/protocol";

export const fromKernel = kernel as unknown as {
  first: WindowMessage;
  changed: PatchMessage;
  failed: StateMessage;
};
export const fromBrowser = browser.valid as FromBrowser[];

/** A window of one numeric and one text column. */
export function windowOf(version: number, rows: [string | null, string | null][], start = 0) {
  const { columns, state, ...rest } = fromKernel.first;
  return {
    ...rest,
    seq: version,
    start,
    state: { ...state, version, total: start + rows.length },
    columns: structuredClone(columns),
    cells: [rows.map((row) => row[0]), rows.map((row) => row[1])],
  };
}
