// One view: builds the parts, wires them to each other and to the model, and takes them down again.

import { tint } from "../adopt";
import { make, on, write } from "../dom";
import { hear, type Model } from "../model";
import { moment } from "../moment";
import { Viewer } from "../viewer";
import { Bar } from "./bar";
import { Figure } from "./figure";
import { Keys } from "./keys";
import { savePng } from "./png";
import { type Buffers, type Picture, Points } from "./points";
import { type Push, read, type Wish } from "./protocol";
import type { Zoom } from "./range";
import { adopt } from "./style";

/** What outlives a view. */
export interface Memory {
  zoom: Zoom;
  hidden: string[];
}

const SETTLED_MS = 150; // after the last step of zooming, finer points are asked for

export class View {
  readonly #stop = new AbortController();
  readonly #root = make("div", "pgrt chart", { "data-lm-suppress-shortcuts": "true" });
  readonly #note = make("div", "note");
  readonly #points = new Points();
  readonly #viewer: Viewer<Push, Wish, true>;
  readonly #bar: Bar;
  readonly #figure: Figure;
  readonly #keys: Keys;
  readonly #hidden: Set<string>;
  readonly #model: Model;
  readonly #memory: Memory;
  #isPaused = false;
  #isBehind = false; // something came while paused
  #settling = 0;

  constructor(model: Model, el: HTMLElement, memory: Memory) {
    this.#model = model;
    this.#memory = memory;
    this.#hidden = new Set(memory.hidden);
    const { signal } = this.#stop;
    this.#viewer = new Viewer((message) => model.send(message), this.#points);
    this.#bar = new Bar({
      reset: () => this.#figure.reset(),
      pause: () => this.#pause(!this.#isPaused),
      save: () => this.#save(),
    });
    this.#keys = new Keys({ toggle: (label, only) => this.#toggle(label, only) });
    const zoom = { ...memory.zoom };
    const acts = { zoomed: () => this.#zoomed(zoom) };
    this.#figure = new Figure(this.#root, zoom, this.#hidden, acts, signal);
    this.#figure.el.append(this.#note);
    this.#root.append(this.#bar.el, this.#bar.message, this.#figure.el, this.#keys.el);
    this.#keys.el.hidden = true;
    el.append(this.#root);
    this.#listen(signal);
    this.#options();
    write(this.#note, "Waiting for the first result…");
    this.#viewer.hello(this.#wish(), moment());
  }

  close(): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    clearTimeout(this.#settling);
    this.#viewer.bye(moment());
    this.#root.remove();
  }

  #listen(signal: AbortSignal): void {
    const model = this.#model;
    hear(model, "msg:custom", (said, buffers) => this.#receive(said, buffers ?? []), signal);
    hear(model, "change:title", () => this.#options(), signal);
    hear(model, "change:height", () => this.#options(), signal);
    const size = new ResizeObserver(() => this.#sized());
    size.observe(this.#figure.el);
    const timer = setInterval(() => this.#tick(), 1000);
    on(signal, "abort", () => {
      size.disconnect();
      clearInterval(timer);
    });
    on(document, "visibilitychange", () => this.#tick(), signal);
    on(window, "pagehide", () => this.#viewer.bye(moment()), signal);
    on(window, "pageshow", () => this.#tick(), signal);
  }

  #options(): void {
    this.#bar.name(String(this.#model.get("title") ?? ""));
    this.#root.style.height = `${Number(this.#model.get("height")) || 320}px`;
  }

  // -- from the kernel

  #receive(content: unknown, buffers: Buffers): void {
    const message = read(content, this.#viewer.token);
    if (!message) return;
    adopt(this.#root);
    const now = moment();
    this.#points.expect(buffers);
    const isNews = this.#viewer.take(message, this.#wish(), now) && message.type === "window";
    this.#bar.show(message.state, now);
    if (isNews) this.#draw();
  }

  /** Draw what is held, unless somebody wants the picture to stay as it is. */
  #draw(): void {
    const { picture } = this.#points;
    if (!picture) return;
    if (this.#isPaused) {
      this.#isBehind = true;
      return;
    }
    this.#isBehind = false;
    this.#keys.show(picture, this.#hidden, this.#figure.ink);
    this.#figure.show(picture);
    this.#bar.counts(picture);
    this.#bar.zoomed(this.#figure.isZoomed);
    write(this.#note, noteOf(picture));
    this.#look();
  }

  // -- what a person does

  #zoomed(zoom: Zoom): void {
    this.#memory.zoom = { ...zoom };
    this.#bar.zoomed(this.#figure.isZoomed);
    clearTimeout(this.#settling);
    this.#settling = window.setTimeout(() => this.#look(), SETTLED_MS);
  }

  /** Ask for finer points where those here were made for another range. */
  #look(): void {
    const wish = this.#wish();
    if (!this.#isPaused && this.#points.picture && !this.#points.holds(wish)) {
      this.#viewer.want(wish, moment());
    }
  }

  #toggle(label: string, only: boolean): void {
    const labels = this.#points.picture?.series.map((one) => one.label) ?? [];
    if (only) {
      const isAlone = labels.every((one) => this.#hidden.has(one) === (one !== label));
      this.#hidden.clear();
      if (!isAlone) for (const one of labels) if (one !== label) this.#hidden.add(one);
    } else if (!this.#hidden.delete(label)) this.#hidden.add(label);
    this.#memory.hidden = [...this.#hidden];
    this.#keys.mark(this.#hidden);
    for (const one of labels) this.#figure.toggle(one);
  }

  #pause(isPaused: boolean): void {
    this.#isPaused = isPaused;
    this.#bar.paused(isPaused);
    if (isPaused) return;
    this.#tick();
    if (this.#isBehind) this.#draw();
    else this.#look();
  }

  #save(): void {
    const { canvas, ink } = this.#figure;
    const series = this.#points.picture?.series.filter((one) => !this.#hidden.has(one.label));
    if (canvas && series) savePng(canvas, this.#bar.title, series, ink);
  }

  // -- time and place

  #sized(): void {
    const width = this.#root.clientWidth;
    this.#root.dataset.width = width < 400 ? "tiny" : width < 640 ? "narrow" : "wide";
    this.#tint();
    this.#figure.resize();
    this.#keys.fit();
    this.#look();
  }

  #tick(): void {
    const now = moment();
    this.#tint();
    this.#bar.tick(now);
    // Who does not want to see what is new is, after a minute, not sent it.
    this.#viewer.tick(this.#wish(), document.hidden || this.#isPaused, now);
    this.#bar.hint(this.#viewer.hint(!this.#points.picture, now));
  }

  #tint(): void {
    adopt(this.#root);
    tint(this.#root);
    this.#figure.tint();
    this.#keys.tint(this.#figure.ink);
  }

  /** In steps of width, so that the page may move a little and nothing is asked for. */
  #wish(): Wish {
    const width = Math.ceil((this.#figure.el.clientWidth || 800) / 100) * 100;
    const [low, high] = this.#figure.zoomedTo ?? [null, null];
    return { width, low, high };
  }
}

function noteOf(picture: Picture): string {
  if (picture.state.version === 0) return "Waiting for the first result…";
  return picture.problem || (picture.points === 0 ? "No points" : "");
}
