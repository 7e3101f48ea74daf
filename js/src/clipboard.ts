// Put text on the clipboard: asking the browser, else by a hidden field, where plain http has no better way.

import { make } from "./dom";

/** Copy; tell whether it worked. `root` holds the hidden field for a moment. */
export async function copyText(text: string, root: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyByField(text, root);
  }
}

function copyByField(text: string, root: HTMLElement): boolean {
  const field = make("textarea", "unseen", { "aria-hidden": "true", tabindex: "-1" });
  field.value = text;
  const before = (root.getRootNode() as Document | ShadowRoot).activeElement;
  root.append(field);
  field.select();
  const worked = document.execCommand("copy");
  field.remove();
  if (before instanceof HTMLElement) before.focus({ preventScroll: true });
  return worked;
}

/** Write rows as tab-separated text, the way spreadsheets read it: quoted where a value has a tab or a break. */
export function tsv(rows: (string | null)[][]): string {
  return rows.map((row) => row.map(field).join("\t")).join("\n");
}

function field(value: string | null): string {
  const text = value ?? "";
  return /["\t\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
}
