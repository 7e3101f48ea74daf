// A picture of the chart as a file: what is on the screen, with its name above and its series below.

import { save } from "../exporter";
import { colour, type Ink } from "./ink";
import type { Series } from "./points";

const LINE = 22; // CSS pixels

export function savePng(
  canvas: HTMLCanvasElement,
  title: string,
  series: Series[],
  ink: Ink,
): void {
  const scale = canvas.width / (canvas.clientWidth || canvas.width);
  const keys = series.length > 1 ? rowsOf(series, canvas.width / scale, ink) : [];
  const made = document.createElement("canvas");
  made.width = canvas.width;
  made.height = canvas.height + Math.round((1.4 + keys.length) * LINE * scale);
  const draw = made.getContext("2d");
  if (!draw) return;
  draw.fillStyle = ink.paper;
  draw.fillRect(0, 0, made.width, made.height);
  draw.drawImage(canvas, 0, Math.round(1.2 * LINE * scale));
  draw.scale(scale, scale);
  draw.textBaseline = "middle";
  draw.fillStyle = ink.text;
  draw.font = `600 14px ${ink.font}`;
  draw.fillText(title, 12, 0.7 * LINE);
  draw.font = `12px ${ink.font}`;
  keys.forEach((row, at) => {
    writeRow(draw, row, canvas.height / scale + (1.8 + at) * LINE, ink);
  });
  made.toBlob((file) => file && save(fileName(title), file), "image/png");
}

type Key = { label: string; slot: number; left: number };

/** Put the keys into lines that are wide enough. */
function rowsOf(series: Series[], width: number, ink: Ink): Key[][] {
  const measure = document.createElement("canvas").getContext("2d");
  const rows: Key[][] = [[]];
  let left = 12;
  for (const { label, slot } of series) {
    if (measure) measure.font = `12px ${ink.font}`;
    const size = 34 + (measure?.measureText(label).width ?? 7 * label.length);
    if (left + size > width && left > 12) {
      rows.push([]);
      left = 12;
    }
    rows.at(-1)?.push({ label, slot, left });
    left += size;
  }
  return rows;
}

function writeRow(draw: CanvasRenderingContext2D, row: Key[], middle: number, ink: Ink): void {
  for (const { label, slot, left } of row) {
    draw.fillStyle = colour(slot, ink);
    draw.fillRect(left, middle - 5, 10, 10);
    draw.fillStyle = ink.text;
    draw.fillText(label, left + 15, middle);
  }
}

/** Name the file after the chart, without what a file system may not like. */
export function fileName(title: string): string {
  const plain = title.replace(/[^\p{L}\p{N} _.-]+/gu, "_").replace(/^[. ]+/, "");
  return `${plain.slice(0, 80) || "chart"}.png`;
}
