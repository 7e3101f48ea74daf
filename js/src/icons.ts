// Icons as outlines on a square of 16, drawn with the colour of the text around them.

const SVG = "http://www.w3.org/2000/svg";

const OUTLINES = {
  search: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9M10.3 10.3 14 14",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  resume: "M5 3.2v9.6L12.5 8z",
  refresh: "M13 8a5 5 0 1 1-1.6-3.7M13.2 2v3h-3",
  columns: "M2.5 3h11v10h-11zM6.2 3v10M9.8 3v10",
  export: "M8 2.5v7.5M5 7.2 8 10.2l3-3M3 13.3h10",
  more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
  close: "M4 4l8 8M12 4l-8 8",
  copy: "M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z",
  filter: "M2.5 3.5h11L9.5 8.4v4.1l-3 1.2V8.4z",
  ascending: "M8 13V3.5M4.5 7 8 3.5 11.5 7",
  descending: "M8 3v9.5M4.5 9 8 12.5 11.5 9",
  menu: "M4.5 6.5 8 10l3.5-3.5",
  check: "M3.5 8.5 6.5 11.5 12.5 4.5",
  hide: "M2 8s2.3-4 6-4 6 4 6 4-2.3 4-6 4-6-4-6-4M3 13 13 3",
  fit: "M2.5 3v10M13.5 3v10M5 8h6M6.8 6 5 8l1.8 2M9.2 6 11 8l-1.8 2",
  left: "M9.5 4 5.5 8l4 4",
  right: "M6.5 4l4 4-4 4",
} as const;

export type Icon = keyof typeof OUTLINES;

export function icon(name: Icon): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", OUTLINES[name]);
  svg.append(path);
  return svg;
}
