"""Make series of a result: sorted by x, split by the values of a column, cut to the window."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from .columns import Chosen, Role, labels
from .numbers import Codes, Floats, coded, numbers
from .options import Kind, Options

MAX_SERIES = 50
MAX_CATEGORIES = 200
_NAMED = 10  # of those left out


@dataclass(frozen=True, slots=True)
class Series:
    """Hold one series; `x` is sorted and finite, NaN in `y` is a gap."""

    label: str
    x: Floats
    y: Floats
    slot: int = 0  # gives its colour, and stays while it is there


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Hold what a chart draws of one result, every point of it."""

    kind: Kind
    role: Role  # of x
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    categories: tuple[str, ...] = ()  # what x counts, where it is text
    left_out: tuple[str, ...] = ()  # what there is no room for, in words
    extent: tuple[float, float] | None = None  # the least and the greatest x, or the window
    problem: str = ""  # why nothing is drawn
    points: int = 0
    log: bool = False  # the axis of y


def failed(problem: str, kind: Kind = "line") -> Drawn:
    """Draw nothing, and say why."""
    return Drawn(kind=kind, role="row", x_label="", y_label="", series=(), problem=problem)


class Slots:
    """Give series numbers that stay while they are there, so that their colours do."""

    def __init__(self) -> None:
        self._of: dict[str, int] = {}

    def assign(self, present: Iterable[str], most: int = MAX_SERIES) -> dict[str, int]:
        """Give the series that are to be drawn their numbers; those that were keep theirs."""
        wanted = list(dict.fromkeys(present))
        kept = {label: self._of[label] for label in wanted if label in self._of}
        free = iter([slot for slot in range(most) if slot not in kept.values()])
        for label in wanted:
            if label not in kept and (slot := next(free, None)) is not None:
                kept[label] = slot
        self._of = kept
        return {label: kept[label] for label in wanted if label in kept}


def draw(frame: pd.DataFrame, chosen: Chosen, at: dt.datetime | None) -> Drawn:
    """Make series of a result's columns; `at` is the time of the result, an aware one."""
    named = labels(frame)
    x, categories, x_label = _x(frame, chosen, at, named)
    unlisted = max(0, len(categories) - MAX_CATEGORIES)
    rest = f"{unlisted:,} more of {x_label}"
    ys = [(named[place], numbers(frame.iloc[:, place], "number")) for place in chosen.ys]
    if unlisted:
        x = np.where(x < MAX_CATEGORIES, x, np.nan)
    if chosen.by is None:
        series = list(_side_by_side(x, ys))
    else:
        codes, values = coded(frame.iloc[:, chosen.by])
        series = list(_split(x, ys, codes, values))
    return Drawn(
        kind=chosen.kind,
        role=chosen.role,
        x_label=x_label,
        y_label=ys[0][0] if len(ys) == 1 else "",
        series=tuple(series),
        categories=tuple(categories[:MAX_CATEGORIES]),
        left_out=(rest,) if unlisted else (),
    )


def _x(
    frame: pd.DataFrame, chosen: Chosen, at: dt.datetime | None, named: Sequence[str]
) -> tuple[Floats, list[str], str]:
    """Give x, the categories it counts, and its name."""
    if chosen.x is None:
        if chosen.role == "result":
            return np.full(len(frame), np.nan if at is None else at.timestamp()), [], ""
        return np.arange(1, len(frame) + 1, dtype=np.float64), [], "row"
    column, label = frame.iloc[:, chosen.x], named[chosen.x]
    if chosen.role == "text":
        codes, categories = coded(column)
        return codes.astype(np.float64), categories, label
    return numbers(column, chosen.role), [], label


def _side_by_side(x: Floats, ys: Sequence[tuple[str, Floats]]) -> Iterator[Series]:
    """Make a series of each column; they share one x."""
    order = _in_order(x)
    shared = order(x)
    for label, y in ys:
        yield Series(label, shared, order(y))


def _split(
    x: Floats, ys: Sequence[tuple[str, Floats]], codes: Codes, values: Sequence[str]
) -> Iterator[Series]:
    """Make a series of each value, for each column."""
    rows = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(values)))
    for value, first, end in zip(values, [0, *ends], ends, strict=False):
        place = rows[first:end]
        mine = [(f"{value} · {label}" if len(ys) > 1 else value, y[place]) for label, y in ys]
        yield from _side_by_side(x[place], mine)


def _in_order(x: Floats) -> Callable[[Floats], Floats]:
    """Give what drops rows that are nowhere and sorts the others."""
    there = ~np.isnan(x)
    if there.all() and (x[1:] >= x[:-1]).all():
        return lambda values: values
    rows = np.flatnonzero(there)
    rows = rows[np.argsort(x[rows], kind="stable")]
    return lambda values: values[rows]


def finished(drawn: Drawn, options: Options, slots: Slots) -> Drawn:
    """Cut to the window and to as many series as there are colours; say what is left out.

    Where y is logarithmic, what is not above 0 is a gap.
    """
    series = _in_window(drawn, options)
    given = slots.assign(one.label for one in series)
    unseen = [one.label for one in series if one.label not in given]
    series = [replace(one, slot=given[one.label]) for one in series if one.label in given]
    left_out = (*drawn.left_out, *_in_words(unseen))
    if options.log:
        left_out += _without_logarithm(series)
        series = [replace(one, y=np.where(one.y > 0, one.y, np.nan)) for one in series]
    extent = _extent(series)
    if extent is not None and options.window is not None:
        extent = (extent[1] - options.window, extent[1])
    return replace(
        drawn,
        series=tuple(series),
        left_out=left_out,
        extent=extent,
        points=sum(len(one.x) for one in series),
        log=options.log,
    )


def _in_window(drawn: Drawn, options: Options) -> list[Series]:
    """Keep what lies in the window, which ends with the newest point."""
    extent = _extent(drawn.series)
    if options.window is None or extent is None or drawn.role == "text":
        return list(drawn.series)
    oldest = extent[1] - options.window
    cut = []
    for one in drawn.series:
        first = int(np.searchsorted(one.x, oldest, "left"))
        if first < len(one.x):
            cut.append(replace(one, x=one.x[first:], y=one.y[first:]) if first else one)
    return cut


def _extent(series: Sequence[Series]) -> tuple[float, float] | None:
    there = [one for one in series if len(one.x)]
    if not there:
        return None
    return min(float(one.x[0]) for one in there), max(float(one.x[-1]) for one in there)


def _without_logarithm(series: Sequence[Series]) -> tuple[str, ...]:
    count = sum(int(np.count_nonzero(one.y <= 0)) for one in series)
    if not count:
        return ()
    return ("1 value of 0 or less" if count == 1 else f"{count:,} values of 0 or less",)


def _in_words(unseen: Sequence[str]) -> list[str]:
    if not unseen:
        return []
    names = ", ".join(unseen[:_NAMED]) + (", …" if len(unseen) > _NAMED else "")
    return [f"{len(unseen):,} more series ({names})"]
