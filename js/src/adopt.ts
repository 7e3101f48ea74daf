// Style sheets by script. A constructed one needs no `style-src 'unsafe-inline'` and works inside a shadow root.

/** Make what gives the root that holds an element a sheet, once; while it is attached nowhere, nothing. */
export function adopter(css: string): (element: HTMLElement) => void {
  const sheets = new WeakMap<Document, CSSStyleSheet>();
  return (element) => {
    const root = element.getRootNode() as Document | ShadowRoot;
    if (!element.isConnected || !("adoptedStyleSheets" in root)) return;
    const page = element.ownerDocument;
    let sheet = sheets.get(page);
    if (!sheet) {
      sheet = new (page.defaultView ?? window).CSSStyleSheet();
      sheet.replaceSync(css.replace(/\$(\w)/g, "var(--$1)")); // as `build.mjs` shortened it
      sheets.set(page, sheet);
    }
    if (!root.adoptedStyleSheets.includes(sheet)) {
      root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
    }
  };
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
