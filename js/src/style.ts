// The look, from Jupyter's theme variables, with fallbacks for pages that have none. A constructed
// stylesheet: it needs no `style-src 'unsafe-inline'` and works inside a shadow root.

export const ROW = 27;
export const HEADER = 42;

const css = `
.pgrt {
  --bg: var(--jp-layout-color0, #fff);
  --raised: var(--jp-layout-color1, #fafafa);
  --hover: var(--jp-layout-color2, #f0f2f5);
  --line: var(--jp-border-color2, #e0e3e8);
  --text: var(--jp-content-font-color1, #1d2430);
  --muted: var(--jp-content-font-color2, #5d6673);
  --accent: var(--jp-brand-color1, #1669c9);
  --good: var(--jp-success-color1, #2b8a3e);
  --warn: var(--jp-warn-color1, #b35c00);
  --bad: var(--jp-error-color1, #c92a2a);
  box-sizing: border-box; display: flex; flex-direction: column; position: relative; min-width: 0;
  margin: 4px 0; overflow: hidden; border: 1px solid var(--line); border-radius: 8px;
  background: var(--bg); color: var(--text); color-scheme: light;
  font: 13px/1.4 var(--jp-ui-font-family, system-ui, -apple-system, "Segoe UI", sans-serif);
}
.pgrt.dark { color-scheme: dark; }
.pgrt.bare.dark {
  --bg: #14181f; --raised: #1b212a; --hover: #232b36; --line: #303a47; --text: #e4e8ee;
  --muted: #98a3b2; --accent: #6cb2ff; --good: #51c46b; --warn: #f0a44b; --bad: #ff7b7b;
}
.pgrt *, .pgrt *::before { box-sizing: border-box; }
.pgrt [hidden] { display: none !important; }

.pgrt .bar {
  display: flex; flex: none; align-items: center; gap: 10px; min-height: 36px; padding: 4px 12px;
  border-bottom: 1px solid var(--line); background: var(--raised); white-space: nowrap;
}
.pgrt .title { overflow: hidden; min-width: 3em; font-weight: 600; text-overflow: ellipsis; }
.pgrt .age, .pgrt .count { color: var(--muted); font-size: 12px; font-variant-numeric: tabular-nums; }
.pgrt .age { overflow: hidden; text-overflow: ellipsis; }
.pgrt .space { flex: 1 0 0; }
.pgrt .badge {
  --tone: var(--muted);
  display: inline-flex; flex: none; align-items: center; gap: 6px; padding: 1px 9px 1px 8px;
  border-radius: 10px; color: var(--tone); font-size: 12px; font-weight: 600;
  background: color-mix(in srgb, var(--tone) 13%, transparent);
}
.pgrt .badge::before {
  content: ""; width: 7px; height: 7px; border-radius: 50%; background: currentColor;
}
.pgrt .badge[data-status="live"] { --tone: var(--good); }
.pgrt .badge[data-status="polling"] { --tone: var(--accent); }
.pgrt .badge[data-status="stale"] { --tone: var(--warn); }
.pgrt .badge[data-status="error"] { --tone: var(--bad); }
.pgrt .badge[data-status="paused"]::before, .pgrt .badge[data-status="closed"]::before {
  border-radius: 1px;
}
.pgrt .chip {
  flex: none; padding: 1px 8px; border: 1px solid color-mix(in srgb, var(--warn) 45%, transparent);
  border-radius: 10px; color: var(--warn); font-size: 12px;
}
.pgrt .message {
  flex: none; max-height: 7.5em; overflow: auto; padding: 7px 12px; border-bottom: 1px solid var(--line);
  border-left: 3px solid var(--tone); background: color-mix(in srgb, var(--tone) 9%, transparent);
  font-size: 12.5px; white-space: pre-wrap; overflow-wrap: anywhere; --tone: var(--accent);
}
.pgrt .message[data-status="error"] { --tone: var(--bad); }
.pgrt .message[data-status="stale"] { --tone: var(--warn); }

.pgrt .view {
  position: relative; flex: 1 1 auto; min-height: 70px; overflow: auto; overflow-anchor: none;
  outline: none; background: var(--bg);
}
.pgrt .view:focus-visible { box-shadow: inset 0 0 0 2px var(--accent); }
.pgrt table, .pgrt thead, .pgrt tbody { display: block; margin: 0; padding: 0; border: 0; }
.pgrt table { position: relative; min-width: 100%; font-size: 13px; table-layout: auto; }
.pgrt thead { position: sticky; z-index: 2; top: 0; min-width: 100%; }
.pgrt tbody { position: relative; min-width: 100%; }
.pgrt .view tr {
  display: grid; grid-template-columns: var(--pgrt-columns); margin: 0; padding: 0; border: 0;
  background: var(--bg);
}
.pgrt .view tbody tr {
  position: absolute; top: 0; left: 0; width: 100%; height: ${ROW}px;
  border-bottom: 1px solid color-mix(in srgb, var(--line) 55%, transparent);
}
.pgrt .view tbody tr:hover { background: var(--hover); }
.pgrt .view thead tr {
  height: ${HEADER}px; border-bottom: 1px solid var(--line); background: var(--raised);
}
.pgrt .view th, .pgrt .view td {
  display: block; min-width: 0; max-width: none; margin: 0; padding: 0 12px; overflow: hidden; border: 0;
  background: none; text-align: left; text-overflow: ellipsis; white-space: pre;
  font-weight: 400; vertical-align: baseline; color: inherit;
}
.pgrt .view td { height: ${ROW - 1}px; line-height: ${ROW - 1}px; }
.pgrt .view th[role="columnheader"] { padding-top: 5px; line-height: 17px; }
.pgrt .view th b { display: block; overflow: hidden; font-weight: 600; text-overflow: ellipsis; }
.pgrt .view th small {
  display: block; overflow: hidden; margin-top: -2px; color: var(--muted); font-size: 11px;
  font-weight: 400; text-overflow: ellipsis;
}
.pgrt .view .gutter {
  position: sticky; z-index: 1; left: 0; padding: 0 8px 0 4px; background: inherit; color: var(--muted);
  font-size: 11px; line-height: ${ROW - 1}px; text-align: right; font-variant-numeric: tabular-nums;
  opacity: 1; user-select: none;
}
.pgrt .view .number { text-align: right; font-variant-numeric: tabular-nums; }
.pgrt .view .time { font-variant-numeric: tabular-nums; }
.pgrt .view td.json, .pgrt .view td.binary {
  font-family: var(--jp-code-font-family, ui-monospace, Menlo, Consolas, monospace); font-size: 12px;
}
.pgrt .view td.null { color: var(--muted); font-size: 11px; font-style: italic; letter-spacing: 0.03em; }
.pgrt .view td.pending::before {
  content: ""; display: inline-block; width: 62%; height: 9px; border-radius: 5px; background: var(--hover);
}
.pgrt .note {
  position: sticky; left: 0; padding: 22px 12px; color: var(--muted); text-align: center;
}
.pgrt .badge.ping::before { animation: pgrt-ping 0.7s ease-out; }
@keyframes pgrt-ping {
  from { box-shadow: 0 0 0 0 currentColor; }
  to { box-shadow: 0 0 0 7px transparent; }
}
@media (prefers-reduced-motion: reduce) { .pgrt .badge.ping::before { animation: none; } }
@media (forced-colors: active) {
  .pgrt .badge, .pgrt .chip { border: 1px solid; }
}
`;

/** Background a changed cell starts from, fading to none. */
export const FLASH = {
  up: "color-mix(in srgb, var(--good) 38%, transparent)",
  down: "color-mix(in srgb, var(--bad) 34%, transparent)",
  changed: "color-mix(in srgb, var(--accent) 30%, transparent)",
  new: "color-mix(in srgb, var(--accent) 18%, transparent)",
} as const;

const sheets = new WeakMap<Document, CSSStyleSheet>();

/** Give the root that holds `element` our sheet, once; the element must be attached. */
export function adopt(element: HTMLElement): void {
  const root = element.getRootNode() as Document | ShadowRoot;
  if (!("adoptedStyleSheets" in root)) return;
  const page = element.ownerDocument;
  let sheet = sheets.get(page);
  if (!sheet) {
    sheet = new (page.defaultView ?? window).CSSStyleSheet();
    sheet.replaceSync(css);
    sheets.set(page, sheet);
  }
  if (!root.adoptedStyleSheets.includes(sheet)) {
    root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
  }
}

/** Follow Jupyter's theme where there is one, else the system's. */
export function tint(root: HTMLElement): void {
  const theme = getComputedStyle(root).getPropertyValue("--jp-layout-color0").trim();
  const light = root.ownerDocument.body.dataset.jpThemeLight;
  const dark = theme
    ? light === "false"
    : (root.ownerDocument.defaultView?.matchMedia("(prefers-color-scheme: dark)").matches ?? false);
  root.classList.toggle("bare", !theme);
  root.classList.toggle("dark", dark);
}
