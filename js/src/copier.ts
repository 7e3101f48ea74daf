// What leaves the table. A copy takes the block of cells, else the selected rows, else the one cell; as
// tab-separated text. What is all here is copied at once, the rest is asked of the kernel.

import { tsv } from "./clipboard";
import type { Cursor } from "./cursor";
import type { Layout } from "./layout";
import type { Request } from "./protocol";
import type { Rows } from "./rows";
import type { Marks } from "./select";

export type CopyRequest = Extract<Request, { type: "copy" }>;

const CUT = 300; // characters of a value that come with a window

/** Tell whether a value's text goes on in the kernel. */
export function isCut(text: string | null | undefined): boolean {
  return typeof text === "string" && text.length >= CUT && text.endsWith("…");
}

export class Copier {
  readonly #rows: Rows;
  readonly #layout: Layout;
  readonly #cursor: Cursor;
  readonly #marks: Marks;

  constructor(rows: Rows, layout: Layout, cursor: Cursor, marks: Marks) {
    this.#rows = rows;
    this.#layout = layout;
    this.#cursor = cursor;
    this.#marks = marks;
  }

  /** Give the text, or the request that gets it; undefined when there is nothing to copy. */
  take(header: boolean): { text: string; rows: number } | CopyRequest | undefined {
    const { shown } = this.#layout;
    const block = this.#cursor.block(shown);
    if (!block && this.#marks.count > 0) return this.#request(null, shown, header);
    const { row, column } = this.#cursor.at;
    if (!block && row < 0) return undefined;
    const { first, end, columns } = block ?? { first: row, end: row + 1, columns: [column] };
    return (
      this.#local(first, end, columns, header) ?? this.#request([[first, end]], columns, header)
    );
  }

  /** Columns of an export: those shown; null where they are all, as they come. */
  get columns(): number[] | null {
    const { shown } = this.#layout;
    const isPlain =
      shown.length === this.#rows.columns.length && shown.every((one, at) => one === at);
    return isPlain ? null : shown;
  }

  #local(first: number, end: number, columns: number[], header: boolean) {
    if (!this.#rows.has(first, end)) return undefined;
    const lines: (string | null)[][] = header
      ? [columns.map((column) => this.#rows.columns[column]?.name ?? "")]
      : [];
    for (let row = first; row < end; row++) {
      const line = columns.map((column) => this.#rows.cell(row, column) ?? null);
      if (line.some(isCut)) return undefined;
      lines.push(line);
    }
    return { text: tsv(lines), rows: end - first };
  }

  #request(ranges: [number, number][] | null, columns: number[], header: boolean): CopyRequest {
    return { type: "copy", revision: this.#rows.revision, ranges, columns, header };
  }
}
