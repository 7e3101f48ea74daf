// Small words for the DOM: text and attributes only, never markup.

export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = "",
  attributes: Record<string, string> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (tag === "button") mark(element, "type", "button");
  for (const name in attributes) mark(element, name, attributes[name] as string);
  element.append(...children);
  return element;
}

type Events = WindowEventMap & DocumentEventMap;

/** Listen to an event until `signal` aborts. */
export function on<K extends keyof Events>(
  target: EventTarget,
  kind: K,
  call: (event: Events[K]) => void,
  signal?: AbortSignal,
  options: AddEventListenerOptions = {},
): void {
  if (signal) options.signal = signal;
  target.addEventListener(kind, call as EventListener, options);
}

/** Write text only where it differs: a selection in unchanged text survives. */
export function write(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Set an attribute only where it differs; null removes it. */
export function mark(element: Element, name: string, value: string | null): void {
  if (value === null) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

export function isRightToLeft(element: HTMLElement): boolean {
  return getComputedStyle(element).direction === "rtl";
}

/** Tell which element has the focus, inside a shadow root too. */
export function focused(element: HTMLElement): Element | null {
  return (element.getRootNode() as Document | ShadowRoot).activeElement ?? null;
}

/** Give the selected text's range where it begins or ends inside `element`. */
export function textSelection(element: HTMLElement): Selection | null {
  const root = element.getRootNode() as Document | ShadowRoot;
  const own = "getSelection" in root ? (root.getSelection as () => Selection | null)() : null;
  const selection = own ?? element.ownerDocument.getSelection();
  if (!selection || selection.isCollapsed) return null;
  return element.contains(selection.anchorNode) || element.contains(selection.focusNode)
    ? selection
    : null;
}
