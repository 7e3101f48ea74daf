// The grid: a real table whose rows are placed by hand, so that its size in the DOM depends on the window
// on the screen and not on the result. Row elements are reused; a cell is written only when its text differs.

import { make, write } from "./bar";
import * as columns from "./columns";
import { number, oneLine } from "./format";
import type { Changes, Rows } from "./rows";
import * as scroll from "./scroll";
import { FLASH, HEADER, ROW } from "./style";

const OVERSCAN = 6;
const FLASH_MS = 1400;
const SETTLE_MS = 160;

interface Row {
  element: HTMLTableRowElement;
  gutter: HTMLTableCellElement;
  gap: HTMLTableCellElement;
  cells: HTMLTableCellElement[];
  number: number;
}

export class Grid {
  readonly element = make("div", "view", { tabindex: "0", role: "group" });
  private readonly table = make("table", "", { role: "grid", "aria-readonly": "true" });
  private readonly head = make("thead", "", { role: "rowgroup" });
  private readonly body = make("tbody", "", { role: "rowgroup" });
  private readonly note = make("div", "note");
  private readonly pool: Row[] = [];
  private total = 0;
  private position = 0;
  private scrollTop = 0;
  private widths: number[] = [];
  private gutter = 0;
  private span: columns.Span = { first: 0, end: 0, before: 0, all: 0 };
  private drawnSpan = "";
  private frame = 0;
  private settle = 0;
  private dragging = false;
  private wasHidden = true;

  constructor(
    private readonly rows: Rows,
    private readonly onView: (first: number, end: number) => void,
    private readonly measure: columns.Measure,
    signal: AbortSignal,
  ) {
    this.table.append(this.head, this.body);
    this.element.append(this.table, this.note);
    this.element.addEventListener("scroll", () => this.scrolled(), { passive: true, signal });
    this.element.addEventListener("keydown", (event) => this.key(event), { signal });
    this.element.addEventListener("pointerdown", () => this.grab(true), { signal });
    for (const kind of ["wheel", "pointerup", "touchstart"]) {
      this.element.addEventListener(kind, () => this.grab(false), { passive: true, signal });
    }
    signal.addEventListener("abort", () => {
      cancelAnimationFrame(this.frame);
      clearTimeout(this.settle);
    });
  }

  name(title: string): void {
    this.element.setAttribute("aria-label", title);
    this.table.setAttribute("aria-label", title);
  }

  /** The rows on the screen, `end` excluded. */
  get inView(): { first: number; end: number } {
    return scroll.visible(this.position, this.extent);
  }

  /** Draw what `rows` holds now, of a result of `total` rows. */
  show(total: number, note: string, changes: Changes = new Map()): void {
    this.total = total;
    this.gutter = Math.max(38, Math.ceil(this.measure(number(total)) * 0.88) + 16);
    const same = this.widths.length === this.rows.columns.length ? this.widths : [];
    this.widths = columns.widthsOf(this.rows, this.measure, same);
    this.drawnSpan = "";
    write(this.note, note);
    this.note.hidden = note === "";
    this.table.setAttribute("aria-rowcount", String(total + 1));
    this.table.setAttribute("aria-colcount", String(this.widths.length + 1));
    this.resize();
    this.flash(changes);
  }

  /** Fit the place the table has got; while it has none nothing is drawn and its place is kept. */
  resize(): void {
    if (this.element.clientHeight === 0) {
      this.wasHidden = true; // browsers forget where a hidden element was scrolled to
      return;
    }
    // A scroll may be under way that no event has told of yet: an update must not turn it back.
    if (!this.wasHidden) this.catchUp();
    this.body.style.height = `${scroll.bar(this.extent)}px`;
    this.position = scroll.clamp(this.position, this.extent);
    if (this.wasHidden || !scroll.isScaled(this.extent)) {
      this.place(scroll.toScrollTop(this.position, this.extent));
    }
    this.wasHidden = false;
    this.draw();
  }

  private get extent(): scroll.Extent {
    const view = Math.max(ROW, this.element.clientHeight - HEADER);
    return { rows: this.total, rowHeight: ROW, view };
  }

  private catchUp(): void {
    const top = this.element.scrollTop;
    if (top === this.scrollTop) return;
    this.position = scroll.follow(this.position, this.scrollTop, top, this.extent);
    this.scrollTop = top;
  }

  private scrolled(): void {
    this.catchUp();
    if (!this.frame) {
      this.frame = requestAnimationFrame(() => {
        this.frame = 0;
        this.draw();
      });
    }
    clearTimeout(this.settle);
    this.settle = window.setTimeout(() => this.settled(), SETTLE_MS);
  }

  /** Bring a shortened bar back in line with the position, unless a hand is on it. */
  private settled(): void {
    if (!scroll.isScaled(this.extent) || this.dragging) return;
    this.place(scroll.toScrollTop(this.position, this.extent));
    this.draw();
  }

  private place(top: number): void {
    if (Math.abs(this.element.scrollTop - top) >= 1) this.element.scrollTop = top;
    this.scrollTop = this.element.scrollTop;
  }

  private grab(dragging: boolean): void {
    this.dragging = dragging;
  }

  private key(event: KeyboardEvent): void {
    const { view } = this.extent;
    const rows: Record<string, number> = {
      ArrowDown: ROW,
      ArrowUp: -ROW,
      PageDown: view - ROW,
      PageUp: ROW - view,
      Home: -Infinity,
      End: Infinity,
    };
    const step = rows[event.key];
    if (event.altKey || event.metaKey || event.shiftKey) return;
    if (step === undefined) {
      const sideways = { ArrowLeft: -60, ArrowRight: 60 }[event.key];
      if (sideways === undefined) return;
      this.element.scrollLeft += sideways;
    } else {
      this.grab(false);
      this.position = scroll.clamp(this.position + step, this.extent);
      this.place(scroll.toScrollTop(this.position, this.extent));
      this.draw();
    }
    event.preventDefault();
    event.stopPropagation();
  }

  private draw(): void {
    const room = this.element.clientWidth - this.gutter;
    const widths = columns.stretch(this.widths, room);
    this.span = columns.visible(widths, this.element.scrollLeft, room);
    this.drawHead(widths);
    const { first, end } = this.inView;
    this.drawRows(Math.max(0, first - OVERSCAN), Math.min(this.total, end + OVERSCAN));
    this.onView(first, end);
  }

  private drawHead(widths: number[]): void {
    const { first, end, before, all } = this.span;
    const key = `${this.gutter} ${first} ${before} ${widths.join(" ")} ${end}`;
    if (key === this.drawnSpan) return;
    this.drawnSpan = key;
    const shown = widths.slice(first, end).map((width) => `${width}px`);
    const template = `${this.gutter}px ${before}px ${shown.join(" ")} 1fr`;
    this.table.style.setProperty("--pgrt-columns", template);
    this.table.style.width = `${all + this.gutter}px`;
    this.head.replaceChildren(this.header(first, end));
  }

  private header(first: number, end: number): HTMLTableRowElement {
    const row = make("tr", "", { role: "row", "aria-rowindex": "1" });
    row.append(
      make("th", "gutter", { role: "columnheader", "aria-label": "row", "aria-colindex": "1" }),
    );
    row.append(make("th", "", { role: "presentation" }));
    this.rows.columns.slice(first, end).forEach((column, at) => {
      const index = { "aria-colindex": String(first + at + 2) };
      const cell = make("th", column.kind, { role: "columnheader", scope: "col", ...index });
      const name = make("b");
      const type = make("small");
      write(name, oneLine(column.name));
      write(type, column.type);
      cell.append(name, type);
      cell.title = column.type ? `${column.name}\n${column.type}` : column.name;
      row.append(cell);
    });
    return row;
  }

  /** Reuse the elements of rows that left for rows that came; the others stay where they are. */
  private drawRows(first: number, end: number): void {
    const wanted = new Set<number>();
    for (let row = first; row < end; row++) wanted.add(row);
    const free: Row[] = [];
    const drawn: Row[] = [];
    for (const row of this.pool) (wanted.delete(row.number) ? drawn : free).push(row);
    for (const number of wanted) {
      const row = free.pop() ?? this.newRow();
      row.number = number;
      for (const cell of row.cells) still(cell);
      drawn.push(row);
    }
    for (const row of free) {
      row.element.remove();
      this.pool.splice(this.pool.indexOf(row), 1);
    }
    for (const row of drawn) this.drawRow(row);
    this.table.setAttribute("aria-busy", String(!this.rows.has(first, end)));
  }

  private newRow(): Row {
    const element = make("tr", "", { role: "row" });
    const gutter = make("th", "gutter", { role: "rowheader", "aria-colindex": "1" });
    const gap = make("td", "", { role: "presentation" });
    element.append(gutter, gap);
    this.body.append(element);
    const row = { element, gutter, gap, cells: [], number: -1 };
    this.pool.push(row);
    return row;
  }

  private drawRow(row: Row): void {
    const y = row.number * ROW - this.position + this.scrollTop;
    row.element.style.transform = `translateY(${y}px)`;
    row.element.setAttribute("aria-rowindex", String(row.number + 2));
    write(row.gutter, number(row.number + 1));
    const { first, end } = this.span;
    while (row.cells.length > end - first) row.cells.pop()?.remove();
    for (let column = first; column < end; column++) {
      const at = column - first;
      const cell = row.cells[at] ?? this.newCell(row);
      this.drawCell(cell, row.number, column);
    }
  }

  private newCell(row: Row): HTMLTableCellElement {
    const cell = make("td", "", { role: "gridcell", dir: "auto" });
    row.cells.push(cell);
    row.element.append(cell);
    return cell;
  }

  private drawCell(cell: HTMLTableCellElement, row: number, column: number): void {
    const value = this.rows.cell(row, column);
    const mark = value === undefined ? " pending" : value === null ? " null" : "";
    const text = value === null ? "NULL" : (value ?? "");
    const className = `${this.rows.columns[column]?.kind ?? "text"}${mark}`;
    if (cell.className !== className) cell.className = className;
    write(cell, oneLine(text));
    const title = text.length > 30 ? text : "";
    if (cell.title !== title) cell.title = title;
    const index = String(column + 2);
    if (cell.getAttribute("aria-colindex") !== index) cell.setAttribute("aria-colindex", index);
  }

  private flash(changes: Changes): void {
    if (changes.size === 0 || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    for (const row of this.pool) {
      const changed = changes.get(row.number);
      if (!changed) continue;
      const everywhere = changed.get(-1);
      row.cells.forEach((cell, at) => {
        const direction = everywhere ?? changed.get(this.span.first + at);
        if (direction) blink(cell, direction);
      });
    }
  }
}

function blink(cell: HTMLElement, direction: keyof typeof FLASH): void {
  still(cell);
  cell.dataset.flash = direction;
  const frames = [{ backgroundColor: FLASH[direction] }, { backgroundColor: "transparent" }];
  const animation = cell.animate?.(frames, { duration: FLASH_MS, easing: "ease-out" });
  animation?.finished.then(
    () => delete cell.dataset.flash,
    () => undefined, // cancelled: the cell shows another row by now
  );
}

function still(cell: HTMLElement): void {
  if (cell.dataset.flash === undefined) return;
  delete cell.dataset.flash;
  for (const animation of cell.getAnimations?.() ?? []) animation.cancel();
}
