// How wide a text is, in pixels.

export type Measure = (text: string) => number;

/** Measure text in the font the table has by then. */
export function measureIn(root: HTMLElement): Measure {
  const context = document.createElement("canvas").getContext?.("2d");
  if (!context) return (text) => text.length * 7.2;
  let font = "";
  return (text) => {
    if (!font && root.isConnected) font = `13px ${getComputedStyle(root).fontFamily}`;
    context.font = font || "13px sans-serif";
    return context.measureText(text).width;
  };
}
