// What leaves the table: copies, which the kernel completes where not all is here, and exports.

import { copyText } from "./clipboard";
import type { Copier, CopyRequest } from "./copier";
import { textSelection } from "./dom";
import { Exporter } from "./exporter";
import type { Foot } from "./foot";
import { rows as inWords } from "./format";
import type { Buffers } from "./model";
import type { ExportMessage } from "./protocol";
import type { Questions } from "./questions";

interface Parts {
  root: HTMLElement;
  copier: Copier;
  questions: Questions;
  foot: Foot;
  /** Say what was done. */
  tell(text: string): void;
}

export class Outgoing {
  readonly exporter = new Exporter();
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Fill the clipboard as the browser copies, unless that takes selected text. */
  fill(event: ClipboardEvent): void {
    const { root, copier, tell } = this.#parts;
    const from = event.composedPath()[0];
    if (from instanceof HTMLInputElement || from instanceof HTMLTextAreaElement) return;
    if (textSelection(root)) return;
    const taken = copier.take(false);
    if (!taken) return;
    event.preventDefault();
    if ("text" in taken) {
      event.clipboardData?.setData("text/plain", taken.text);
      tell(copied(taken.rows));
    } else this.#complete(taken);
  }

  copy(header: boolean): void {
    const taken = this.#parts.copier.take(header);
    if (!taken) this.#parts.tell("Nothing is selected");
    else if ("text" in taken) this.put(taken.text, copied(taken.rows));
    else this.#complete(taken);
  }

  /** Put a text on the clipboard and say so. */
  put(text: string, done: string): void {
    const { root, tell } = this.#parts;
    copyText(text, root).then((worked) => {
      tell(worked ? done : "The browser did not let the table copy");
    });
  }

  /** Have the columns shown written to a file; `of` rows are to come. */
  export(of: number): void {
    const { copier, questions, foot } = this.#parts;
    this.exporter.start(questions.ask({ type: "export", columns: copier.columns }));
    foot.exports({ rows: 0, of, bytes: 0 });
  }

  /** Take a part of an export. */
  exported(message: ExportMessage, buffers: Buffers): void {
    const { foot, tell } = this.#parts;
    const progress = this.exporter.take(message, buffers);
    if (!progress) return;
    foot.exports(this.exporter.isRunning ? progress : undefined);
    if (message.error) tell(`Export failed: ${message.error}`);
    else if (message.done) tell(`Exported ${inWords(progress.rows)}`);
  }

  stop(): void {
    const { questions, foot, tell } = this.#parts;
    this.exporter.stop();
    foot.exports();
    questions.ask({ type: "export_stop" });
    tell("Export stopped");
  }

  #complete(request: CopyRequest): void {
    const { questions, tell } = this.#parts;
    tell("Copying…");
    questions.ask(request, (answer) => {
      if (answer.error) tell(answer.error);
      else this.put(answer.text, copied(answer.rows));
    });
  }
}

function copied(rows: number): string {
  return `Copied ${inWords(rows)}`;
}
