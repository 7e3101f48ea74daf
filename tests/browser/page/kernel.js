// A kernel in the page, for tests of speed and stillness: any number of made-up orders, changes at any rate, no
// network. It speaks the protocol but sorts and filters nothing.

const COLUMNS = [
  ["order_id", "int8", "number"],
  ["customer", "text", "text"],
  ["status", "text", "text"],
  ["amount", "numeric", "number"],
  ["ordered_at", "timestamptz", "time"],
  ["paid", "bool", "boolean"],
  ["items", "jsonb", "json"],
  ["weight", "float8", "number"],
  ["note", "text", "text"],
  ["region", "text", "text"],
].map(([name, type, kind]) => ({ name, type, kind }));

const PEOPLE = ["Ada Lovelace", "Grace Hopper", "יעל כהן", "Alan Turing", "Edsger Dijkstra", "Barbara Liskov", "Радия Перлман", "Donald Knuth"];
const STATES = ["pending", "paid", "packed", "shipped", "delivered"];
const REGIONS = ["north", "south", "east", "west"];
const NOTES = [null, "", "leave at the door", "call first: +49 30 901820 and ask for the front desk, second floor on the left", "gift\nwrap it"];

export class Kernel {
  constructor(rows, deliver) {
    this.rows = rows;
    this.added = 0; // rows put on top
    this.deliver = deliver;
    this.seq = 0;
    this.version = this.revision = 1;
    this.amounts = new Map();
    this.wish = { start: 0, count: 60 };
    this.arrangement = { sort: [], search: "", filters: [], error: "" };
    this.selected = new Set();
    this.told = {};
    this.bytes = 0;
    this.pushes = 0;
  }

  get total() {
    return this.rows + this.added;
  }

  identity(row) {
    return row < this.added ? this.rows + this.added - 1 - row : row - this.added;
  }

  place(identity) {
    return identity >= this.rows ? this.rows + this.added - 1 - identity : identity + this.added;
  }

  cell(id, column) {
    switch (COLUMNS[column].name) {
      case "order_id": return String(100000 + id);
      case "customer": return PEOPLE[(id * 7) % PEOPLE.length];
      case "status": return STATES[(id * 3) % STATES.length];
      case "amount": return (this.amounts.get(id) ?? ((id * 7919) % 9_000_000) / 100).toFixed(2);
      case "ordered_at": return `2026-01-${String(1 + (id % 28)).padStart(2, "0")} ${String(id % 24).padStart(2, "0")}:${String((id * 7) % 60).padStart(2, "0")}:05+00`;
      case "paid": return id % 7 ? String(id % 3 > 0) : null;
      case "items": return `{"sku": "A-${id % 977}", "count": ${1 + (id % 5)}, "tags": ["new", "fragile"]}`;
      case "weight": return id % 11 ? String(((id * 13) % 900) / 10) : "NaN";
      case "note": return NOTES[id % NOTES.length];
      default: return REGIONS[id % REGIONS.length];
    }
  }

  state() {
    return {
      version: this.version, revision: this.revision, status: "live", message: "", error: null,
      refreshed_at: new Date().toISOString(), age: 0.2, total: this.total, filtered: this.total,
      truncated: false, paused: false, acts: true, keyed: true, next: this.total, ...this.told,
    };
  }

  take(message) {
    if (message.type === "hello" || message.type === "window") {
      this.viewer = message.viewer;
      this.wish = { start: message.start, count: message.count, anchor: message.anchor ?? null };
      this.window(0, message.type === "hello");
    } else if (message.type === "arrange") {
      this.arrangement = { sort: message.sort, search: message.search, filters: message.filters, error: "" };
      this.revision += 1;
      this.window(0, true);
    } else if (message.type === "select") {
      if (message.mode === "replace") this.selected.clear();
      for (const [start, end] of message.ranges) {
        for (let row = start; row < end; row++) {
          const id = this.identity(row);
          if (message.mode === "toggle" && this.selected.delete(id)) continue;
          this.selected.add(id);
        }
      }
      this.push({ type: "state", selected: this.marks() });
    }
  }

  marks() {
    return { count: this.selected.size, rows: [...this.selected].slice(0, 2000).map((id) => [id, id]) };
  }

  push(message) {
    this.pushes += 1;
    const whole = { seq: ++this.seq, viewer: this.viewer, state: this.state(), ...message };
    this.bytes += JSON.stringify(whole).length;
    this.deliver(whole);
  }

  window(shift, news) {
    const start = Math.max(0, Math.min(this.wish.start, this.total));
    const end = Math.min(this.total, start + this.wish.count);
    const rows = Array.from({ length: end - start }, (_, at) => this.identity(start + at));
    const cells = COLUMNS.map((_, column) => rows.map((id) => this.cell(id, column)));
    this.held = { start, rows };
    const shared = news ? { arrangement: this.arrangement, selected: this.marks() } : {};
    this.push({ type: "window", start, shift, whole: rows.length === this.total, columns: COLUMNS, rows, cells, ...shared });
  }

  /** Change the amounts of some rows of the window, and put new rows on top of all. */
  update(changed, added = 0) {
    const base = this.revision;
    this.version += 1;
    this.revision += 1;
    this.added += added;
    const { rows } = this.held;
    const places = new Set();
    for (let n = 0; n < changed && rows.length; n++) places.add(Math.floor(Math.random() * rows.length));
    for (const at of places) {
      const old = Number(this.cell(rows[at], 3));
      this.amounts.set(rows[at], Math.max(0, old + (Math.random() < 0.5 ? -1 : 1) * Math.random() * 100));
    }
    if (added && this.wish.anchor === null && this.wish.start === 0) return this.window(0, false);
    this.held.start += added;
    this.wish.start += added;
    const at = [...places];
    this.push({
      type: "patch", base, start: this.held.start, shift: added, whole: rows.length === this.total, rows: null,
      changes: at.length ? [[3, at, at.map((one) => this.cell(rows[one], 3))]] : [],
    });
  }

  /** Go on changing; returns what ends it. */
  run(everyMs, changed, added = 0) {
    const timer = setInterval(() => this.held && this.update(changed, added), everyMs);
    return () => clearInterval(timer);
  }
}
