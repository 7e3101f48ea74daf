// What the menus of the table offer.

import { AS_IT_COMES, isSame, sorted } from "./arrange";
import type { Arranging } from "./arranging";
import type { Layout } from "./layout";
import type { Entry, Item } from "./menu";
import type { Outgoing } from "./outgoing";
import type { Column, Order } from "./protocol";
import type { Marks } from "./select";
import type { Grid } from "./table";

export function columnMenu(
  number: number,
  column: Column,
  grid: Grid,
  arranging: Arranging,
  filter: () => void,
): Entry[] {
  const { layout } = grid;
  const { sort, filters } = arranging.asked;
  const now = sort.find(([other]) => other === number)?.[1];
  const others = sort.some(([other]) => other !== number);
  const isFiltered = filters.some((filter) => filter.column === number);
  const place = layout.shown.indexOf(number);
  const change = changing(grid);
  const by = (order: Order, add: boolean): Item => ({
    label: `${add ? "Then sort" : "Sort"} ${order === "asc" ? "ascending" : "descending"}`,
    icon: order === "asc" ? "ascending" : "descending",
    run: () => arranging.change({ sort: sorted(sort, number, order, add) }),
  });
  return [
    by("asc", false),
    by("desc", false),
    ...(others ? [by("asc", true), by("desc", true)] : []),
    ...(now
      ? [
          entry("Do not sort", () =>
            arranging.change({ sort: sorted(sort, number, undefined, true) }),
          ),
        ]
      : []),
    "line",
    entry("Filter…", filter, "filter"),
    ...(isFiltered
      ? [entry("Remove filter", () => arranging.keep((one) => one.column !== number))]
      : []),
    "line",
    entry("Fit width", () => grid.fit(number), "fit"),
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

/** Make what is done to a layout show at once. */
function changing(grid: Grid): (run: () => void) => () => void {
  return (run) => () => {
    run();
    grid.redraw();
  };
}

function grouping(number: number, layout: Layout, change: ReturnType<typeof changing>): Item {
  const checked = layout.isGrouped(number);
  return {
    ...entry(
      "Group digits",
      change(() => layout.group(number, !checked)),
    ),
    checked,
  };
}

export function columnsMenu(columns: Column[], grid: Grid): Entry[] {
  const { layout } = grid;
  const change = changing(grid);
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

/** The table's own menu; `columns` opens the one of columns, `filtered` counts the rows shown. */
export function moreMenu(
  filtered: () => number,
  columns: () => void,
  layout: Layout,
  marks: Marks,
  arranging: Arranging,
  outgoing: Outgoing,
): Entry[] {
  const { hiddenCount } = layout;
  const isPlain = isSame(arranging.asked, AS_IT_COMES);
  const isEmpty = filtered() === 0;
  const busy = isEmpty || outgoing.exporter.isRunning;
  const without = (): void => arranging.change(AS_IT_COMES);
  const copy = (header: boolean) => () => outgoing.copy(header);
  return [
    entry(hiddenCount ? `Columns (${hiddenCount} hidden)…` : "Columns…", columns, "columns"),
    { ...entry("No sorting, no filters", without, "filter"), disabled: isPlain },
    "line",
    {
      ...entry("Select all rows", () => marks.all(filtered())),
      keys: "Ctrl+A",
      disabled: isEmpty,
    },
    { ...entry("Select nothing", () => marks.clear()), keys: "Esc", disabled: marks.count === 0 },
    "line",
    { ...entry("Copy", copy(false), "copy"), keys: "Ctrl+C", disabled: isEmpty },
    { ...entry("Copy with column names", copy(true)), disabled: isEmpty },
    { ...entry("Export as CSV", () => outgoing.export(filtered()), "export"), disabled: busy },
  ];
}

function entry(label: string, run: () => void, icon?: Item["icon"]): Item {
  return icon ? { label, run, icon } : { label, run };
}
