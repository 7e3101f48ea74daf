// Colours. A canvas cannot use variables of the page, so they are read, and read again when the theme may be another.

const LIGHT = "1769aa c2410c 2e7d32 7b3fb5 946200 b8235a 00788c 5f6b7a 8a4b2a 3f51c5".split(" ");
const DARK = "6cb6ff ff9e64 7ee08a d2a8ff f2cc60 ff8fb1 56d4dd b1bac4 d7a679 a5b4fc".split(" ");
const DASHES = [[], [7, 4], [2, 3], [10, 4, 2, 4], [4, 2]];

export interface Ink {
  text: string;
  muted: string;
  line: string;
  paper: string;
  font: string;
  isDark: boolean;
}

export function inkOf(root: HTMLElement): Ink {
  const style = getComputedStyle(root);
  const read = (name: string) => style.getPropertyValue(name).trim();
  return {
    text: read("--text") || "#1d2430",
    muted: read("--muted") || "#5d6673",
    line: read("--line") || "#e0e3e8",
    paper: read("--bg") || "#fff",
    font: style.fontFamily || "sans-serif",
    isDark: root.classList.contains("dark"),
  };
}

export function isSame(one: Ink, other: Ink): boolean {
  return Object.keys(one).every((key) => one[key as keyof Ink] === other[key as keyof Ink]);
}

/** Colours repeat after ten; then the lines are dashed. */
export function colour(slot: number, { isDark }: Ink, alpha = ""): string {
  const all = isDark ? DARK : LIGHT;
  return `#${all[slot % all.length]}${alpha}`;
}

export function dash(slot: number): number[] {
  return DASHES[Math.floor(slot / LIGHT.length) % DASHES.length] ?? [];
}
