// One view: builds the parts, wires them to each other and to the model, and takes them down again.

import { tint } from "./adopt";
import { Announcer } from "./announce";
import { Arranging } from "./arranging";
import { Bar } from "./bar";
import { Copier } from "./copier";
import type { Place } from "./cursor";
import { make, on, write } from "./dom";
import { Filters } from "./filters";
import { Foot } from "./foot";
import { Layout } from "./layout";
import { measureIn } from "./measure";
import { type Buffers, hear, type Model } from "./model";
import { moment } from "./moment";
import { Outgoing } from "./outgoing";
import { Overlays } from "./overlays";
import { Popup } from "./popup";
import { type Arrangement, isPush, type Push, read, type State, type Verb } from "./protocol";
import { Questions } from "./questions";
import { Rows } from "./rows";
import { Marks } from "./select";
import { Sight } from "./sight";
import { adopt } from "./style";
import { Grid } from "./table";
import { Viewer } from "./viewer";

/** What outlives a view. */
export interface Memory {
  layout?: Layout;
  flashes: boolean;
}

const TOLD_MS = 6000;
const WAITING = "Waiting for the first result…";

export class View {
  readonly #stop = new AbortController();
  readonly #root = make("div", "pgrt", { "data-lm-suppress-shortcuts": "true" });
  readonly #live = make("div", "unseen", { role: "status", "aria-live": "polite" });
  readonly #announcer = new Announcer((text) => write(this.#live, text));
  readonly #rows = new Rows();
  readonly #viewer: Viewer = new Viewer((message) => this.#model.send(message), this.#rows);
  readonly #questions = new Questions(this.#viewer);
  readonly #arranging = new Arranging(this.#questions);
  readonly #marks = new Marks(
    this.#rows,
    (mode, ranges, revision) => this.#questions.ask({ type: "select", revision, mode, ranges }),
    () => this.#grid.redraw(),
  );
  readonly #popup = new Popup(this.#stop.signal);
  readonly #bar = new Bar(
    "",
    {
      search: (search) => this.#arranging.change({ search }),
      pause: () => this.#act(this.#state?.paused ? "resume" : "pause"),
      refresh: () => this.#act("refresh"),
      more: (anchor) => this.#overlays.tableMenu(anchor),
    },
    this.#stop.signal,
  );
  readonly #filters = new Filters({
    edit: (at, anchor) =>
      this.#overlays.filterForm(this.#arranging.asked.filters[at]?.column ?? 0, anchor, at),
    remove: (at) => this.#arranging.keep((_, number) => number !== at),
    clear: () => this.#arranging.change({ filters: [] }),
  });
  readonly #foot = new Foot(
    {
      flash: (on) => this.#flashes(on),
      stopExport: () => this.#outgoing.stop(),
      unselect: () => this.#marks.clear(),
    },
    this.#stop.signal,
  );
  readonly #grid: Grid;
  readonly #outgoing: Outgoing;
  readonly #overlays: Overlays;
  readonly #sight: Sight;
  #state: State | undefined;
  #tallest = 0;

  readonly #model: Model;
  readonly #memory: Memory;

  constructor(model: Model, el: HTMLElement, memory: Memory) {
    this.#model = model;
    this.#memory = memory;
    memory.layout = new Layout(memory.layout);
    this.#grid = this.#makeGrid(memory.layout);
    const shared = this.#shared(memory.layout);
    this.#outgoing = new Outgoing(shared);
    this.#overlays = new Overlays(shared, this.#outgoing);
    this.#sight = new Sight(shared);
    this.#root.append(this.#bar.el, this.#bar.message, this.#filters.el);
    this.#root.append(this.#grid.el, this.#foot.el, this.#live, this.#popup.el);
    el.append(this.#root);
    this.#listen(this.#stop.signal);
    this.#options();
    this.#flashes(memory.flashes);
    this.#grid.show(0, WAITING, this.#arranging.now);
    this.#viewer.hello(this.#sight.wish, moment());
  }

  close(): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    this.#viewer.bye(moment());
    this.#root.remove();
  }

  // -- building

  #makeGrid(layout: Layout): Grid {
    const acts = {
      look: () => this.#look(),
      sort: (column: number, add: boolean) => this.#arranging.turn(column, add),
      menu: (column: number, anchor: Element) => this.#overlays.columnMenu(column, anchor),
      open: (place: Place, anchor: Element) => this.#overlays.value(place, anchor),
    };
    const measure = measureIn(this.#root);
    return new Grid(this.#rows, layout, this.#marks, acts, measure, this.#stop.signal);
  }

  /** What several parts work with. */
  #shared(layout: Layout) {
    return {
      root: this.#root,
      rows: this.#rows,
      viewer: this.#viewer,
      questions: this.#questions,
      arranging: this.#arranging,
      marks: this.#marks,
      popup: this.#popup,
      bar: this.#bar,
      foot: this.#foot,
      grid: this.#grid,
      copier: new Copier(this.#rows, layout, this.#grid.cursor, this.#marks),
      signal: this.#stop.signal,
      filtered: () => this.#state?.filtered ?? 0,
      tell: (text: string) => this.#tell(text),
    };
  }

  #listen(signal: AbortSignal): void {
    const model = this.#model;
    hear(model, "msg:custom", (said, buffers) => this.#receive(said, buffers ?? []), signal);
    hear(model, "change:title", () => this.#options(), signal);
    hear(model, "change:height", () => this.#options(), signal);
    const size = new ResizeObserver(() => this.#attached());
    for (const sized of [this.#root, this.#grid.el]) size.observe(sized);
    const timer = setInterval(() => this.#tick(), 1000);
    on(signal, "abort", () => {
      size.disconnect();
      clearInterval(timer);
    });
    on(this.#root, "copy", (event) => this.#popup.isOpen || this.#outgoing.fill(event), signal);
    on(document, "visibilitychange", () => this.#tick(), signal);
    on(window, "pagehide", () => this.#viewer.bye(moment()), signal);
    on(window, "pageshow", () => this.#tick(), signal);
  }

  #options(): void {
    const title = String(this.#model.get("title") ?? "");
    const height = Number(this.#model.get("height")) || 320;
    this.#bar.name(title);
    this.#grid.name(title || "live query");
    this.#sight.height = height;
    this.#tallest = 0;
    this.#root.style.minHeight = "";
    this.#root.style.maxHeight = `${height}px`;
    this.#grid.resize();
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
        this.#outgoing.exported(message, buffers);
      } else this.#questions.take(message);
    }
  }

  #take(message: Push, now: number): void {
    adopt(this.#root);
    const { state } = message;
    const before = this.#rows.columns;
    const update = this.#viewer.take(message, this.#sight.wish, now);
    if (message.arrangement) this.#arranged(message.arrangement);
    if (message.selected) {
      this.#marks.take(message.selected);
      this.#foot.selects(this.#marks.count);
    }
    this.#announcer.follow(this.#state, state, now);
    this.#state = state;
    this.#root.classList.toggle("paused", state.paused);
    this.#bar.show(state, now);
    if (update) {
      if (before !== this.#rows.columns) this.#popup.close();
      this.#marks.follow(update.moved);
      this.#filters.show(this.#arranging.now, this.#rows.columns);
      this.#grid.show(state.filtered, this.#note(), this.#arranging.now, update);
      this.#grow();
    }
    this.#look();
  }

  /** Take what the kernel sorts and filters by; what this view asked for is shown from the top. */
  #arranged(now: Arrangement): void {
    this.#bar.searches(now.search);
    if (this.#arranging.become(now)) this.#grid.scroller.toTop();
    if (now.error) this.#announcer.now(now.error);
  }

  #note(): string {
    if (this.#rows.version === 0) return WAITING;
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

  #act(verb: Verb): void {
    this.#questions.ask({ type: "act", verb });
  }

  #flashes(on: boolean): void {
    this.#memory.flashes = this.#grid.flashes = on;
    this.#foot.flashes(on);
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
    this.#viewer.tick(this.#sight.wish, document.hidden, now);
    this.#look();
  }

  #look(): void {
    this.#sight?.look(this.#state); // the grid is drawn while this is still being built
  }
}
