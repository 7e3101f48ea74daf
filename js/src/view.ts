// One view: builds the parts, wires them to each other and to the model, and takes them down again.

import { tint } from "./adopt";
import { Announcer } from "./announce";
import * as arrange from "./arrange";
import { Bar } from "./bar";
import { copyText } from "./clipboard";
import { Copier, isCut } from "./copier";
import type { Place } from "./cursor";
import { make, on, textSelection, write } from "./dom";
import { Exporter } from "./exporter";
import { Filters, filterForm } from "./filters";
import { Foot } from "./foot";
import { rows as rowsInWords } from "./format";
import { Layout } from "./layout";
import { menu } from "./menu";
import { columnMenu, columnsMenu, moreMenu } from "./menus";
import { Popup } from "./popup";
import {
  type Answer,
  type Arrangement,
  type Column,
  isPush,
  type Push,
  type Request,
  read,
  type State,
  type Wish,
} from "./protocol";
import { Rows } from "./rows";
import { Marks } from "./select";
import { adopt, ROW } from "./style";
import { Grid } from "./table";
import { ValueBox } from "./value";
import { Viewer } from "./viewer";

type Buffers = readonly DataView<ArrayBuffer>[];

export interface Model {
  get(name: string): unknown;
  send(content: object): void;
  on(name: string, callback: (content: unknown, buffers?: Buffers) => void): void;
  off(name: string, callback: (content: unknown, buffers?: Buffers) => void): void;
}

/** What outlives a view. */
export interface Memory {
  layout?: Layout;
  flashes: boolean;
}

const TOLD_MS = 6000;
const BELIEVED_MS = 3000;
const moment = () => performance.now();

export class View {
  readonly #stop = new AbortController();
  readonly #root = make("div", "pgrt", { "data-lm-suppress-shortcuts": "true" });
  readonly #live = make("div", "unseen", { role: "status", "aria-live": "polite" });
  readonly #rows = new Rows();
  readonly #layout: Layout;
  readonly #marks: Marks;
  readonly #bar: Bar;
  readonly #filters: Filters;
  readonly #grid: Grid;
  readonly #foot: Foot;
  readonly #popup: Popup;
  readonly #viewer: Viewer;
  readonly #copier: Copier;
  readonly #exporter = new Exporter();
  readonly #announcer = new Announcer((text) => write(this.#live, text));
  readonly #answers = new Map<number, (answer: Answer) => void>();
  #arrangement: Arrangement = arrange.AS_IT_COMES; // what is so
  #wished: Arrangement | undefined; // what this view asked for, until it is so
  #wishedAt = 0;
  #state: State | undefined;
  #tallest = 0;

  readonly #model: Model;
  readonly #memory: Memory;

  constructor(model: Model, el: HTMLElement, memory: Memory) {
    this.#model = model;
    this.#memory = memory;
    const { signal } = this.#stop;
    this.#layout = new Layout(memory.layout);
    memory.layout = this.#layout;
    this.#viewer = new Viewer((message) => model.send(message), this.#rows);
    this.#marks = new Marks(
      this.#rows,
      (mode, ranges, revision) => this.#ask({ type: "select", revision, mode, ranges }),
      () => this.#marked(),
    );
    this.#popup = new Popup(signal);
    this.#bar = this.#makeBar(signal);
    this.#filters = this.#makeFilters();
    this.#foot = new Foot(
      {
        flash: (on) => this.#flashes(on),
        stopExport: () => this.#stopExport(),
        unselect: () => this.#marks.clear(),
      },
      signal,
    );
    this.#grid = this.#makeGrid(signal);
    this.#copier = new Copier(this.#rows, this.#layout, this.#grid.cursor, this.#marks);
    this.#root.append(this.#bar.el, this.#bar.message, this.#filters.el);
    this.#root.append(this.#grid.el, this.#foot.el, this.#live, this.#popup.el);
    el.append(this.#root);
    this.#listen(signal);
    this.#options();
    this.#flashes(memory.flashes);
    this.#grid.show(0, "Waiting for the first result…", this.#arrangement);
    this.#viewer.hello(this.#wish(), moment());
  }

  close(): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    this.#viewer.bye(moment());
    this.#root.remove();
  }

  // -- building

  #makeBar(signal: AbortSignal): Bar {
    return new Bar(
      "",
      {
        search: (search) => this.#arrange({ search }),
        pause: () => this.#ask({ type: "act", verb: this.#state?.paused ? "resume" : "pause" }),
        refresh: () => this.#ask({ type: "act", verb: "refresh" }),
        more: (anchor) => this.#more(anchor),
      },
      signal,
    );
  }

  #makeFilters(): Filters {
    const without = (at: number) => this.#asked.filters.filter((_, number) => number !== at);
    return new Filters({
      edit: (at, anchor) => this.#editFilter(this.#asked.filters[at]?.column ?? 0, anchor, at),
      remove: (at) => this.#arrange({ filters: without(at) }),
      clear: () => this.#arrange({ filters: [] }),
    });
  }

  #makeGrid(signal: AbortSignal): Grid {
    return new Grid(
      this.#rows,
      this.#layout,
      this.#marks,
      {
        look: () => this.#look(),
        sort: (column, add) =>
          this.#arrange({ sort: arrange.turned(this.#asked.sort, column, add) }),
        menu: (column, anchor) => this.#columnMenu(column, anchor),
        open: (place, anchor) => this.#open(place, anchor),
      },
      measure(this.#root),
      signal,
    );
  }

  #listen(signal: AbortSignal): void {
    const hear = (name: string, call: (content: unknown, buffers?: Buffers) => void) => {
      this.#model.on(name, call);
      on(signal, "abort", () => this.#model.off(name, call));
    };
    hear("msg:custom", (content, buffers) => this.#receive(content, buffers ?? []));
    hear("change:title", () => this.#options());
    hear("change:height", () => this.#options());
    const size = new ResizeObserver(() => this.#attached());
    for (const sized of [this.#root, this.#grid.el]) size.observe(sized);
    const timer = setInterval(() => this.#tick(), 1000);
    on(signal, "abort", () => {
      size.disconnect();
      clearInterval(timer);
    });
    on(this.#root, "copy", (event) => this.#copied(event), signal);
    on(document, "visibilitychange", () => this.#tick(), signal);
    on(window, "pagehide", () => this.#viewer.bye(moment()), signal);
    on(window, "pageshow", () => this.#tick(), signal);
  }

  #options(): void {
    const title = String(this.#model.get("title") ?? "");
    this.#bar.name(title);
    this.#grid.name(title || "live query");
    this.#tallest = 0;
    this.#root.style.minHeight = "";
    this.#root.style.maxHeight = `${this.#height}px`;
    this.#grid.resize();
  }

  get #height(): number {
    return Number(this.#model.get("height")) || 320;
  }

  // -- from the kernel

  #receive(content: unknown, buffers: Buffers): void {
    const message = read(content, this.#viewer.token);
    if (!message) return;
    const now = moment();
    if (isPush(message)) this.#take(message, now);
    else {
      this.#viewer.heard(now);
      if (message.type === "export") {
        this.#viewer.acknowledge(message.seq, now);
        this.#exported(message, buffers);
      } else {
        this.#answers.get(message.of)?.(message);
        this.#answers.delete(message.of);
      }
    }
  }

  #take(message: Push, now: number): void {
    adopt(this.#root);
    const before = this.#rows.columns;
    const update = this.#viewer.take(message, this.#wish(), now);
    if (message.arrangement) this.#arranged(message.arrangement);
    if (message.selected) {
      this.#marks.take(message.selected);
      this.#foot.selects(this.#marks.count);
    }
    this.#count(message.state, now);
    this.#bar.show(message.state, now);
    if (update) {
      if (before !== this.#rows.columns) this.#popup.close();
      this.#marks.follow(update.moved);
      this.#filters.show(this.#arrangement, this.#rows.columns);
      this.#grid.show(message.state.filtered, this.#note(), this.#arrangement, update);
      this.#grow();
    }
    this.#look();
  }

  /** Take what the kernel sorts and filters by; what this view asked for is shown from the top. */
  #arranged(now: Arrangement): void {
    const differs = !arrange.isSame(now, this.#arrangement);
    this.#arrangement = now;
    this.#bar.searches(now.search);
    if (differs && this.#wished) this.#grid.toTop();
    // What comes may answer an older wish; one that never comes true is let go of in time.
    if (
      !this.#wished ||
      arrange.isSame(now, this.#wished) ||
      moment() - this.#wishedAt > BELIEVED_MS
    ) {
      this.#wished = undefined;
    }
    if (now.error) this.#announcer.now(now.error);
  }

  /** Note which rows came and went, for who cannot see it. */
  #count(state: State, now: number): void {
    const before = this.#state;
    this.#state = state;
    this.#root.classList.toggle("paused", state.paused);
    if (!before?.version || before.version === state.version) return;
    const added = state.keyed ? state.next - before.next : Math.max(0, state.total - before.total);
    this.#announcer.changed(added, added - (state.total - before.total), now);
  }

  #note(): string {
    if (this.#rows.version === 0) return "Waiting for the first result…";
    if (this.#state?.filtered) return "";
    return this.#state?.total ? "No row passes the filters" : "No rows";
  }

  /** Keep the tallest height there was: a shorter result must not move what is below it on the page. */
  #grow(): void {
    const height = this.#root.offsetHeight;
    if (height <= this.#tallest) return;
    this.#tallest = height;
    this.#root.style.minHeight = `${height}px`;
  }

  // -- what a person does

  #ask(request: Request): number {
    return this.#viewer.ask(request, moment());
  }

  /** What the next step builds on. */
  get #asked(): Arrangement {
    return this.#wished ?? this.#arrangement;
  }

  #arrange(change: Partial<Arrangement>): void {
    const next = { ...this.#asked, ...change };
    if (arrange.isSame(next, this.#asked)) return;
    this.#wished = next;
    this.#wishedAt = moment();
    const { sort, search, filters } = next;
    this.#ask({ type: "arrange", sort, search, filters });
  }

  #flashes(on: boolean): void {
    this.#memory.flashes = this.#grid.flashes = on;
    this.#foot.flashes(on);
  }

  #marked(): void {
    this.#grid.redraw();
  }

  #columnMenu(number: number, anchor: Element): void {
    const column = this.#rows.columns[number];
    if (!column) return;
    if (this.#popup.isAt(anchor)) {
      this.#popup.close();
      return;
    }
    const entries = columnMenu(number, column, this.#layout, this.#asked, {
      sort: (sort) => this.#arrange({ sort }),
      filter: () => this.#editFilter(number, anchor),
      unfilter: () =>
        this.#arrange({ filters: this.#asked.filters.filter((one) => one.column !== number) }),
      fit: () => this.#grid.fit(number),
      laidOut: () => this.#grid.redraw(),
    });
    this.#openMenu(`Column ${column.name}`, entries, anchor);
  }

  #openMenu(label: string, entries: Parameters<typeof menu>[1], anchor: Element): void {
    const content = menu(label, entries, () => this.#popup.close());
    this.#popup.open(content, anchor, () =>
      anchor instanceof HTMLElement && this.#bar.el.contains(anchor)
        ? anchor.focus()
        : this.#grid.focus(),
    );
  }

  #more(anchor: HTMLElement): void {
    if (this.#popup.isAt(anchor)) {
      this.#popup.close();
      return;
    }
    const asked = this.#asked;
    const entries = moreMenu(
      {
        columns: () => {
          const all = columnsMenu(this.#rows.columns, this.#layout, () => this.#grid.redraw());
          this.#openMenu("Columns", all, anchor);
        },
        copy: (header) => this.#copy(header),
        export: () => this.#export(),
        selectAll: () => this.#marks.all(this.#state?.filtered ?? 0),
        unselect: () => this.#marks.clear(),
        clear: () => this.#arrange({ sort: [], search: "", filters: [] }),
      },
      {
        selected: this.#marks.count > 0,
        arranged: !arrange.isSame(asked, arrange.AS_IT_COMES),
        exporting: this.#exporter.isRunning,
        empty: !this.#state?.filtered,
        hidden: this.#layout.hiddenCount,
      },
    );
    this.#openMenu("Table", entries, anchor);
  }

  #editFilter(number: number, anchor: Element, at?: number): void {
    const column = this.#rows.columns[number];
    if (!column) return;
    const before = at === undefined ? undefined : this.#asked.filters[at];
    const form = filterForm(
      column,
      number,
      before,
      (made) => {
        const { filters } = this.#asked;
        this.#popup.close();
        this.#arrange({
          filters: before
            ? filters.map((one) => (one === before ? made : one))
            : [...filters, made],
        });
      },
      () => this.#popup.close(),
    );
    this.#popup.open(form, anchor, () => this.#grid.focus());
  }

  /** Show a whole value; what is not here of it is asked for. */
  #open({ row, column: number }: Place, anchor: Element): void {
    const column: Column | undefined = this.#rows.columns[number];
    const identity = this.#rows.identity(row);
    const text = this.#rows.cell(row, number);
    if (!column || identity === undefined || text === undefined) return;
    const box = new ValueBox(
      column,
      row,
      (whole) => this.#put(whole, "Copied the value"),
      () => this.#popup.close(),
    );
    box.show(text, column, isCut(text) ? "loading the rest…" : "");
    this.#popup.open(box.el, anchor, () => this.#grid.focus(), "wide");
    if (!isCut(text)) return;
    this.#answers.set(this.#ask({ type: "cell", row: identity, column: number }), (answer) => {
      if (answer.type !== "cell") return;
      const note = answer.error || (answer.cut ? "only its beginning" : "");
      box.show(answer.error ? text : answer.text, column, note);
    });
  }

  // -- copy and export

  #copied(event: ClipboardEvent): void {
    const from = event.composedPath()[0];
    if (from instanceof HTMLInputElement || from instanceof HTMLTextAreaElement) return;
    if (textSelection(this.#root) || this.#popup.isOpen) return;
    const taken = this.#copier.take(false);
    if (!taken) return;
    event.preventDefault();
    if ("text" in taken) {
      event.clipboardData?.setData("text/plain", taken.text);
      this.#tell(`Copied ${rowsInWords(taken.rows)}`);
    } else this.#copyFromKernel(taken);
  }

  #copy(header: boolean): void {
    const taken = this.#copier.take(header);
    if (!taken) this.#tell("Nothing is selected");
    else if ("text" in taken) this.#put(taken.text, `Copied ${rowsInWords(taken.rows)}`);
    else this.#copyFromKernel(taken);
  }

  #copyFromKernel(request: Request): void {
    this.#tell("Copying…");
    this.#answers.set(this.#ask(request), (answer) => {
      if (answer.type !== "copy") return;
      if (answer.error) this.#tell(answer.error);
      else this.#put(answer.text, `Copied ${rowsInWords(answer.rows)}`);
    });
  }

  #put(text: string, done: string): void {
    copyText(text, this.#root).then((worked) => {
      this.#tell(worked ? done : "The browser did not let the table copy");
    });
  }

  #export(): void {
    const { shown } = this.#layout;
    const isPlain =
      shown.length === this.#rows.columns.length && shown.every((one, at) => one === at);
    this.#exporter.start(this.#ask({ type: "export", columns: isPlain ? null : shown }));
    this.#foot.exports({ rows: 0, of: this.#state?.filtered ?? 0, bytes: 0 });
  }

  #exported(message: Extract<Answer, { type: "export" }>, buffers: Buffers): void {
    const progress = this.#exporter.take(message, buffers);
    if (!progress) return;
    this.#foot.exports(this.#exporter.isRunning ? progress : undefined);
    if (message.error) this.#tell(`Export failed: ${message.error}`);
    else if (message.done) this.#tell(`Exported ${rowsInWords(progress.rows)}`);
  }

  #stopExport(): void {
    this.#exporter.stop();
    this.#foot.exports();
    this.#ask({ type: "export_stop" });
    this.#tell("Export stopped");
  }

  /** Say what was done, for a moment, to eyes and ears. */
  #tell(text: string): void {
    this.#foot.tell(text);
    this.#announcer.now(text);
    setTimeout(() => this.#stop.signal.aborted || this.#foot.untell(text), TOLD_MS);
  }

  // -- time and place

  #attached(): void {
    adopt(this.#root);
    tint(this.#root);
    const { width } = this.#root.getBoundingClientRect();
    this.#root.dataset.width = width < 400 ? "tiny" : width < 640 ? "narrow" : "wide";
    this.#grid.resize();
  }

  #tick(): void {
    const now = moment();
    tint(this.#root);
    this.#bar.tick(now);
    this.#announcer.tick(now);
    this.#viewer.tick(this.#wish(), document.hidden, now);
    this.#look();
  }

  /** Say what is in view, and see to it that those rows come. */
  #look(): void {
    if (!this.#grid) return; // drawn while still being built
    const now = moment();
    const { first, end } = this.#grid.inView;
    const state = this.#state;
    if (state?.version) this.#foot.view(first, end, state.filtered, state.total);
    const isMissing = this.#rows.version > 0 && !this.#rows.has(first, end);
    if (isMissing || this.#isNearEdge(first, end)) this.#viewer.want(this.#wish(), now);
    this.#bar.hintAt(this.#viewer.hint(isMissing || this.#rows.version === 0, now));
    if (isMissing) setTimeout(() => this.#stop.signal.aborted || this.#hint(), 420);
  }

  #hint(): void {
    const { first, end } = this.#grid.inView;
    this.#bar.hintAt(this.#viewer.hint(!this.#rows.has(first, end), moment()));
  }

  #isNearEdge(first: number, end: number): boolean {
    if (this.#rows.whole || this.#rows.version === 0) return false;
    const margin = Math.max(4, (end - first) >> 1);
    const total = this.#state?.filtered ?? 0;
    return !this.#rows.has(Math.max(0, first - margin), Math.min(total, end + margin));
  }

  /** The rows on the screen and two screens on either side. */
  #wish(): Wish {
    const { first, end } = this.#grid.inView;
    const screen = Math.max(end - first, Math.ceil(this.#height / ROW));
    const start = Math.max(0, first - 2 * screen);
    return {
      start,
      count: first - start + 3 * screen,
      anchor: this.#grid.isAtTop ? null : (this.#rows.identity(first) ?? null),
      revision: this.#rows.revision,
    };
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
