// What keys mean, as data: nothing here knows the DOM.

export type Step =
  | { do: "move"; rows: number; columns: number; extend: boolean }
  | { do: "page"; pages: number; extend: boolean }
  | { do: "edge"; edge: "row" | "column" | "table"; end: boolean; extend: boolean }
  | { do: "resize" | "reorder"; columns: number }
  | { do: "sort"; add: boolean }
  | { do: "open" | "menu" | "mark" | "all" | "none" };

export interface Stroke {
  key: string;
  shiftKey: boolean;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
}

const ARROWS: Record<string, [rows: number, columns: number]> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

/** Say what a key asks for on a column's head or on a cell; undefined: nothing, the browser may have it. */
export function meaning(stroke: Stroke, isHead: boolean, isRightToLeft: boolean): Step | undefined {
  const { key, shiftKey: extend, altKey } = stroke;
  const control = stroke.ctrlKey || stroke.metaKey;
  const arrow = ARROWS[key];
  if (arrow) {
    const [rows, way] = arrow;
    const columns = isRightToLeft ? 0 - way : way;
    if (altKey) return rows > 0 && !control && !extend ? { do: "menu" } : undefined;
    if (isHead && columns !== 0 && extend) return { do: control ? "reorder" : "resize", columns };
    if (control) {
      return { do: "edge", edge: rows ? "column" : "row", end: rows + columns > 0, extend };
    }
    return { do: "move", rows, columns, extend };
  }
  if (altKey) return undefined;
  switch (key) {
    case "PageDown":
    case "PageUp":
      return control ? undefined : { do: "page", pages: key === "PageDown" ? 1 : -1, extend };
    case "Home":
    case "End":
      return { do: "edge", edge: control ? "table" : "row", end: key === "End", extend };
    case "Enter":
      return isHead ? { do: "sort", add: extend } : { do: "open" };
    case "F2":
      return isHead ? undefined : { do: "open" };
    case " ":
      return isHead ? { do: "sort", add: extend } : { do: "mark" };
    case "ContextMenu":
      return { do: "menu" };
    case "F10":
      return extend ? { do: "menu" } : undefined;
    case "Escape":
      return { do: "none" };
    case "a":
    case "A":
      return control && !extend ? { do: "all" } : undefined;
  }
  return undefined;
}
