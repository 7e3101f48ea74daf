// The entry: builds one view, wires it to the model, and takes it down again.

import { Bar, make } from "./bar";
import { read } from "./protocol";
import { type Changes, Rows } from "./rows";
import { adopt, ROW, tint } from "./style";
import { Grid } from "./table";
import { Viewer } from "./viewer";

export interface Model {
  get(name: string): unknown;
  send(content: object): void;
  on(name: string, callback: (content: unknown) => void): void;
  off(name: string, callback: (content: unknown) => void): void;
}

interface RenderProps {
  model: Model;
  el: HTMLElement;
  signal?: AbortSignal;
}

function render({ model, el, signal }: RenderProps): () => void {
  const view = new View(model, el);
  signal?.addEventListener("abort", () => view.close());
  return () => view.close();
}

class View {
  private readonly stop = new AbortController();
  private readonly root = make("div", "pgrt", { "data-lm-suppress-shortcuts": "true" });
  private readonly rows = new Rows();
  private readonly bar: Bar;
  private readonly grid: Grid;
  private readonly viewer: Viewer;
  private total = 0;
  private tallest = 0;

  constructor(
    private readonly model: Model,
    el: HTMLElement,
  ) {
    const { signal } = this.stop;
    this.bar = new Bar("");
    this.grid = new Grid(this.rows, () => this.look(), measure(this.root), signal);
    this.viewer = new Viewer((message) => model.send(message), this.rows);
    this.root.append(this.bar.element, this.bar.message, this.grid.element);
    el.append(this.root);
    this.listen(signal);
    this.options();
    this.grid.show(0, "Waiting for the first result…");
    this.viewer.hello(this.wish(), performance.now());
  }

  close(): void {
    if (this.stop.signal.aborted) return;
    this.stop.abort();
    this.viewer.bye(performance.now());
    this.root.remove();
  }

  private listen(signal: AbortSignal): void {
    const on = (name: string, call: (content: unknown) => void) => {
      this.model.on(name, call);
      signal.addEventListener("abort", () => this.model.off(name, call));
    };
    on("msg:custom", (content) => this.receive(content));
    on("change:title", () => this.options());
    on("change:height", () => this.options());
    const size = new ResizeObserver(() => this.attached());
    size.observe(this.root);
    const timer = setInterval(() => this.tick(), 1000);
    signal.addEventListener("abort", () => {
      size.disconnect();
      clearInterval(timer);
    });
    document.addEventListener("visibilitychange", () => this.tick(), { signal });
    window.addEventListener("pagehide", () => this.viewer.bye(performance.now()), { signal });
    window.addEventListener("pageshow", () => this.tick(), { signal });
  }

  private options(): void {
    const title = String(this.model.get("title") ?? "");
    this.bar.name(title);
    this.grid.name(title || "live query");
    this.tallest = 0;
    this.root.style.minHeight = "";
    this.root.style.maxHeight = `${Number(this.model.get("height")) || 320}px`;
    this.grid.resize();
  }

  private receive(content: unknown): void {
    const message = read(content, this.viewer.token);
    if (!message) return;
    const now = performance.now();
    const changes = this.viewer.take(message, this.wish(), now);
    this.bar.show(message.state, now);
    if (changes) this.show(message.state.total, changes);
    this.look();
  }

  private show(total: number, changes: Changes): void {
    this.total = total;
    const note = this.rows.version === 0 ? "Waiting for the first result…" : total ? "" : "No rows";
    this.grid.show(total, note, changes);
    this.grow();
  }

  /** Keep the tallest height there was: a shorter result must not move what is below it on the page. */
  private grow(): void {
    const height = this.root.offsetHeight;
    if (height <= this.tallest) return;
    this.tallest = height;
    this.root.style.minHeight = `${height}px`;
  }

  private attached(): void {
    adopt(this.root);
    tint(this.root);
    this.grid.resize();
  }

  private tick(): void {
    const now = performance.now();
    tint(this.root);
    this.bar.tick(now);
    this.viewer.tick(this.wish(), document.hidden, now);
    this.look();
  }

  /** Say what is in view, and see to it that those rows come. */
  private look(): void {
    if (!this.viewer) return; // drawn while still being built
    const now = performance.now();
    const { first, end } = this.grid.inView;
    this.bar.view(first, end);
    const isMissing = this.rows.version > 0 && !this.rows.has(first, end);
    if (isMissing || this.isNearEdge(first, end)) this.viewer.want(this.wish(), now);
    this.bar.hintAt(this.viewer.hint(isMissing || this.rows.version === 0, now));
    if (isMissing) setTimeout(() => this.stop.signal.aborted || this.hint(), 420);
  }

  private hint(): void {
    const { first, end } = this.grid.inView;
    this.bar.hintAt(this.viewer.hint(!this.rows.has(first, end), performance.now()));
  }

  private isNearEdge(first: number, end: number): boolean {
    if (this.rows.whole || this.rows.version === 0) return false;
    const margin = Math.max(4, (end - first) >> 1);
    return !this.rows.has(Math.max(0, first - margin), Math.min(this.total, end + margin));
  }

  /** The rows on the screen and two screens on either side. */
  private wish(): { start: number; count: number } {
    const { first, end } = this.grid.inView;
    const screen = Math.max(
      end - first,
      Math.ceil((Number(this.model.get("height")) || 320) / ROW),
    );
    const start = Math.max(0, first - 2 * screen);
    return { start, count: first - start + 3 * screen };
  }
}

/** Measure text in the font the table has by then. */
function measure(root: HTMLElement): (text: string) => number {
  const context = document.createElement("canvas").getContext?.("2d");
  if (!context) return (text) => text.length * 7.2;
  let font = "";
  return (text) => {
    if (!font && root.isConnected) font = `13px ${getComputedStyle(root).fontFamily}`;
    context.font = font || "13px sans-serif";
    return context.measureText(text).width;
  };
}

export default { render };
