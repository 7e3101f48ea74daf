// An export arrives in parts; the browser saves the file when it has the last one.

import { make } from "./dom";
import type { ExportMessage } from "./protocol";

const CSV = "text/csv;charset=utf-8";

export interface Progress {
  rows: number;
  of: number;
  bytes: number;
}

export class Exporter {
  #request: number | undefined;
  #parts: Blob[] = [];
  #bytes = 0;

  /** Whether parts are still to come. */
  get isRunning(): boolean {
    return this.#request !== undefined;
  }

  /** Wait for the answer to a request. */
  start(request: number): void {
    this.stop();
    this.#request = request;
  }

  stop(): void {
    this.#request = undefined;
    this.#parts = [];
    this.#bytes = 0;
  }

  /** Take a part; undefined when nobody waits for it any more. */
  take(
    message: ExportMessage,
    buffers: readonly ArrayBufferView<ArrayBuffer>[],
  ): Progress | undefined {
    if (message.of !== this.#request) return undefined;
    for (const buffer of buffers) {
      this.#bytes += buffer.byteLength;
      this.#parts.push(new Blob([buffer]));
    }
    const progress = { rows: message.rows, of: message.total, bytes: this.#bytes };
    if (message.done) {
      if (!message.error) save(message.name, new Blob(this.#parts, { type: CSV }));
      this.stop();
    }
    return progress;
  }
}

/** Hand a file to the browser's downloads; nothing is attached to the page. */
export function save(name: string, file: Blob): void {
  const address = URL.createObjectURL(file);
  const link = make("a", "", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 30_000);
}
