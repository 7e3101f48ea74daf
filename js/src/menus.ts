// What the menus of the table offer.

import { sorted } from "./arrange";
import type { Layout } from "./layout";
import type { Entry, Item } from "./menu";
import type { Arrangement, Column, Order } from "./protocol";

export interface ColumnActs {
  sort(sort: Arrangement["sort"]): void;
  filter(): void;
  unfilter(): void;
  fit(): void;
  laidOut(): void;
}

export function columnMenu(
  number: number,
  column: Column,
  layout: Layout,
  { sort, filters }: Arrangement,
  acts: ColumnActs,
): Entry[] {
  const now = sort.find(([other]) => other === number)?.[1];
  const others = sort.some(([other]) => other !== number);
  const isFiltered = filters.some((filter) => filter.column === number);
  const place = layout.shown.indexOf(number);
  const change = (run: () => void) => () => {
    run();
    acts.laidOut();
  };
  const by = (order: Order, add: boolean): Item => ({
    label: `${add ? "Then sort" : "Sort"} ${order === "asc" ? "ascending" : "descending"}`,
    icon: order === "asc" ? "ascending" : "descending",
    run: () => acts.sort(sorted(sort, number, order, add)),
  });
  return [
    by("asc", false),
    by("desc", false),
    ...(others ? [by("asc", true), by("desc", true)] : []),
    ...(now ? [entry("Do not sort", () => acts.sort(sorted(sort, number, undefined, true)))] : []),
    "line",
    entry("Filter…", acts.filter, "filter"),
    ...(isFiltered ? [entry("Remove filter", acts.unfilter)] : []),
    "line",
    entry("Fit width", acts.fit, "fit"),
    {
      ...entry(
        "Move left",
        change(() => layout.move(number, place - 1)),
        "left",
      ),
      disabled: place <= 0,
    },
    {
      ...entry(
        "Move right",
        change(() => layout.move(number, place + 1)),
        "right",
      ),
      disabled: place >= layout.shown.length - 1,
    },
    {
      ...entry(
        "Hide column",
        change(() => layout.hide(number, true)),
        "hide",
      ),
      disabled: layout.shown.length < 2,
    },
    ...(column.kind === "number" ? [grouping(number, layout, change)] : []),
  ];
}

function grouping(number: number, layout: Layout, change: (run: () => void) => () => void): Item {
  const checked = layout.isGrouped(number);
  return {
    ...entry(
      "Group digits",
      change(() => layout.group(number, !checked)),
    ),
    checked,
  };
}

export function columnsMenu(columns: Column[], layout: Layout, laidOut: () => void): Entry[] {
  const change = (run: () => void) => () => {
    run();
    laidOut();
  };
  const toggle = (number: number): Item => ({
    label: columns[number]?.name ?? "",
    checked: !layout.isHidden(number),
    stays: true,
    run: change(() => layout.hide(number, !layout.isHidden(number))),
  });
  return [
    ...layout.all.map(toggle),
    "line",
    {
      ...entry(
        "Show all, as the query has them",
        change(() => layout.reset()),
      ),
      disabled: !layout.isTouched,
    },
  ];
}

export interface MoreActs {
  columns(): void;
  copy(header: boolean): void;
  export(): void;
  selectAll(): void;
  unselect(): void;
  clear(): void;
}

export function moreMenu(
  acts: MoreActs,
  is: { selected: boolean; arranged: boolean; exporting: boolean; empty: boolean; hidden: number },
): Entry[] {
  const columns = is.hidden ? `Columns (${is.hidden} hidden)…` : "Columns…";
  return [
    entry(columns, acts.columns, "columns"),
    { ...entry("No sorting, no filters", acts.clear, "filter"), disabled: !is.arranged },
    "line",
    { ...entry("Select all rows", acts.selectAll), keys: "Ctrl+A", disabled: is.empty },
    { ...entry("Select nothing", acts.unselect), keys: "Esc", disabled: !is.selected },
    "line",
    { ...entry("Copy", () => acts.copy(false), "copy"), keys: "Ctrl+C", disabled: is.empty },
    { ...entry("Copy with column names", () => acts.copy(true)), disabled: is.empty },
    {
      ...entry("Export as CSV", acts.export, "export"),
      disabled: is.empty || is.exporting,
    },
  ];
}

function entry(label: string, run: () => void, icon?: Item["icon"]): Item {
  return icon ? { label, run, icon } : { label, run };
}
