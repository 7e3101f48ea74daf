// Lay out JSON text over several lines without parsing it: numbers beyond what JavaScript holds stay exact,
// repeated keys stay repeated, and text that is cut off or no JSON at all comes out as it is.

const STEP = "  ";

/** Indent JSON text; strings and numbers are copied character by character. */
export function indent(text: string): string {
  let out = "";
  let depth = 0;
  let at = 0;
  while (at < text.length) {
    const sign = text[at] as string;
    if (sign === '"') {
      const end = endOfString(text, at);
      out += text.slice(at, end);
      at = end;
      continue;
    }
    if (sign === "{" || sign === "[") {
      const close = afterSpace(text, at + 1);
      if (text[close] === "}" || text[close] === "]") {
        out += sign + text[close];
        at = close + 1;
        continue;
      }
      depth += 1;
      out += sign + line(depth);
    } else if (sign === "}" || sign === "]") {
      depth = Math.max(0, depth - 1);
      out += line(depth) + sign;
    } else if (sign === ",") out += sign + line(depth);
    else if (sign === ":") out += ": ";
    else if (!/\s/.test(sign)) out += sign;
    at += 1;
  }
  return out;
}

function line(depth: number): string {
  return `\n${STEP.repeat(depth)}`;
}

function afterSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && /\s/.test(text[at] as string)) at += 1;
  return at;
}

function endOfString(text: string, from: number): number {
  let at = from + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return Math.min(at + 1, text.length);
}
