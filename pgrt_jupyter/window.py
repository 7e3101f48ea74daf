"""Turn a result into what a table shows: text by column, the changed cells, an HTML snapshot."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, cast

import pandas as pd
import pyarrow as pa

from .protocol import Cell, Cells, Column, Kind, State

MAX_TEXT = 300  # characters of one cell that travel to a browser
MAX_WINDOW_CELLS = 100_000
MAX_WHOLE_ROWS = 2_000
MAX_WHOLE_CHARACTERS = 256 * 1024
MAX_HTML_COLUMNS = 50

_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("int2", "int4", "int8", "smallint", "integer", "bigint", "oid"), "number"),
    **dict.fromkeys(("float4", "float8", "real", "double precision"), "number"),
    **dict.fromkeys(("numeric", "decimal", "money", "number"), "number"),
    **dict.fromkeys(("bool", "boolean"), "boolean"),
    **dict.fromkeys(("date", "time", "timetz", "timestamp", "timestamptz", "interval"), "time"),
    **dict.fromkeys(("json", "jsonb"), "json"),
    **dict.fromkeys(("bytea", "binary"), "binary"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Hold what a table shows: a result and how far to trust it."""

    version: int  # of the result; a new status alone keeps it
    frame: pd.DataFrame | None  # None before the first result
    types: tuple[str, ...]  # PostgreSQL type names, one per column
    status: str
    message: str  # the reason, where the status has one
    refreshed_at: dt.datetime | None  # aware
    truncated: bool


NOTHING = Shown(
    version=0,
    frame=None,
    types=(),
    status="starting",
    message="",
    refreshed_at=None,
    truncated=False,
)


def kind(type_name: str) -> Kind:
    """Tell how a column of this PostgreSQL type is drawn."""
    base = type_name.partition("(")[0].strip().lower()
    if type_name.endswith("]"):
        return "text"
    return _KINDS.get(base) or _KINDS.get(base.partition(" ")[0], "text")


def columns(shown: Shown) -> list[Column]:
    """Describe the columns of the frame, in order, duplicates included."""
    if shown.frame is None:
        return []
    names = [str(name) for name in shown.frame.columns]
    types = [*shown.types, *[""] * (len(names) - len(shown.types))]
    return [
        {"name": name, "type": type_name, "kind": kind(type_name)}
        for name, type_name in zip(names, types, strict=False)
    ]


def state(shown: Shown, now: dt.datetime) -> State:
    """Describe the result's state as of `now`, an aware time."""
    at = shown.refreshed_at
    return {
        "version": shown.version,
        "status": shown.status,
        "message": shown.message,
        "refreshed_at": at.isoformat() if at else None,
        "age": max(0.0, round((now - at).total_seconds(), 3)) if at else None,
        "total": 0 if shown.frame is None else len(shown.frame),
        "truncated": shown.truncated,
    }


def clamp(frame: pd.DataFrame | None, start: int, count: int) -> range:
    """Fit a wished window into the frame and into what one message may carry."""
    rows, width = (0, 1) if frame is None else (len(frame), max(1, len(frame.columns)))
    first = min(start, rows)
    most = max(1, MAX_WINDOW_CELLS // width)
    return range(first, min(rows, first + min(count, most)))


def cells(frame: pd.DataFrame | None, rows: range) -> Cells:
    """Give the text of these rows by column."""
    if frame is None:
        return []
    part = frame.iloc[rows.start : rows.stop]
    return [[text(value) for value in _values(part.iloc[:, i])] for i in range(part.shape[1])]


class Text:
    """Remember the text of one frame, so that several viewers cost one formatting."""

    def __init__(self, frame: pd.DataFrame | None) -> None:
        self.frame = frame
        self._whole: Cells | None = None
        self._measured = False
        self._last: tuple[range, Cells] = (range(0), [])

    def window(self, start: int, count: int) -> tuple[int, bool, Cells]:
        """Give the first row's number, whether these are all rows, and their text."""
        everything = self._everything()
        if everything is not None:
            return 0, True, everything
        rows = clamp(self.frame, start, count)
        if rows != self._last[0]:
            self._last = (rows, cells(self.frame, rows))
        return rows.start, False, self._last[1]

    def _everything(self) -> Cells | None:
        if not self._measured:
            self._whole, self._measured = whole(self.frame), True
        return self._whole


def whole(frame: pd.DataFrame | None) -> Cells | None:
    """Give the text of all rows when that is little enough to send with every update."""
    if frame is None:
        return []
    if len(frame) > MAX_WHOLE_ROWS or frame.size > MAX_WHOLE_CHARACTERS:
        return None
    everything = cells(frame, range(len(frame)))
    characters = sum(len(cell or "") + 3 for column in everything for cell in column)
    return everything if characters <= MAX_WHOLE_CHARACTERS else None


def changes(before: Cells, after: Cells) -> list[tuple[int, list[int], list[Cell]]]:
    """List the cells that differ between two texts of equal shape, by column."""
    found = []
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        if old == new:
            continue
        rows = [row for row, cell in enumerate(new) if cell != old[row]]
        found.append((number, rows, [new[row] for row in rows]))
    return found


def text(value: Any) -> Cell:
    """Write a value as PostgreSQL prints it, at most MAX_TEXT characters; None for NULL."""
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    written = value if isinstance(value, str) else _written(value)
    return written if len(written) <= MAX_TEXT else written[: MAX_TEXT - 1] + "…"


def html_snapshot(shown: Shown, *, persist: bool = False, max_rows: int = 50) -> str:
    """Write what viewers without a kernel see, as plain HTML; the notebook file carries it.

    Only with `persist` are values in it: without, it names the columns and counts the rows.
    """
    if shown.frame is None:
        return f"<p>No result yet ({escape(shown.status)}).</p>"
    total, width = shown.frame.shape
    described = columns(shown)[:MAX_HTML_COLUMNS]
    head = "".join(f"<th>{escape(column['name'])}</th>" for column in described)
    caption = _caption(shown, total, width, max_rows if persist else None)
    body = _html_rows(shown.frame, min(max_rows, total)) if persist else ""
    return (
        f"<table>\n<caption>{escape(caption)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    )


def _html_rows(frame: pd.DataFrame, rows: int) -> str:
    shape = cells(frame.iloc[:, :MAX_HTML_COLUMNS], range(rows))
    return "\n".join(
        "<tr>" + "".join(_html_cell(cell) for cell in row) + "</tr>"
        for row in zip(*shape, strict=True)
    )


def _html_cell(cell: Cell) -> str:
    return "<td><em>NULL</em></td>" if cell is None else f"<td>{escape(cell)}</td>"


def _caption(shown: Shown, total: int, width: int, max_rows: int | None) -> str:
    """Say what it is; the status' reason may quote a value, so it stays out with the rows."""
    at = shown.refreshed_at
    parts = [f"Snapshot of {at.isoformat(sep=' ', timespec='seconds')}" if at else "Snapshot"]
    rows = "1 row" if total == 1 else f"{total:,} rows"
    parts.append(rows if max_rows is None or total <= max_rows else f"first {max_rows:,} of {rows}")
    if width > MAX_HTML_COLUMNS:
        parts.append(f"first {MAX_HTML_COLUMNS} of {width:,} columns")
    if shown.truncated:
        parts.append("truncated")
    if max_rows is None:
        parts += [shown.status, "rows are not saved with the notebook (--persist saves them)"]
    else:
        parts.append(f"{shown.status}: {shown.message}" if shown.message else shown.status)
    return " · ".join(parts)


def _values(series: pd.Series) -> Iterable[Any]:
    """Give Python values with NULL told from NaN, which pandas' own iteration merges."""
    array = series.array
    convert = getattr(array, "__arrow_array__", None)
    if convert is None:
        return cast(Iterable[Any], array)
    arrow = convert()
    try:
        return cast(Iterable[Any], arrow.to_pylist())
    except (ValueError, OverflowError):  # beyond Python's years 1 to 9999
        return cast(Iterable[Any], arrow.cast(pa.string()).to_pylist())


def _written(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return _float(value)
        case decimal.Decimal():
            return format(value, "f")
        case dt.datetime() | dt.time():
            return _fraction(
                value.isoformat(sep=" ") if isinstance(value, dt.datetime) else value.isoformat()
            )
        case dt.timedelta():
            return _interval(0, value.days, value.seconds * 10**6 + value.microseconds)
        case pa.MonthDayNano():
            return _interval(value.months, value.days, value.nanoseconds // 1000)
        case bytes() | bytearray() | memoryview():
            return "\\x" + bytes(value[:MAX_TEXT]).hex()
        case dict():
            return json.dumps(value, ensure_ascii=False, default=str)
        case list() | tuple():
            return _array(value)
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        plain = value.tolist()
        return _written(plain) if not isinstance(plain, str) else plain
    return str(value)


def _float(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value).removesuffix(".0")


def _fraction(written: str) -> str:
    """Drop what PostgreSQL does not print: zeros ending a fraction, minutes of a whole zone."""
    head, dot, tail = written.partition(".")
    if dot:
        digits = tail[:6].rstrip("0")
        written = head + (f".{digits}" if digits else "") + tail[6:]
    return written[:-3] if written.endswith(":00") and written[-6:-5] in ("+", "-") else written


def _interval(months: int, days: int, microseconds: int) -> str:
    years, months = (abs(months) // 12 * (1 if months >= 0 else -1), int(math.fmod(months, 12)))
    words = [
        f"{number} {unit if abs(number) == 1 else unit + 's'}"
        for number, unit in ((years, "year"), (months, "mon"), (days, "day"))
        if number
    ]
    if microseconds or not words:
        seconds, fraction = divmod(abs(microseconds), 10**6)
        clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        digits = f".{fraction:06}".rstrip("0") if fraction else ""
        words.append(("-" if microseconds < 0 else "") + clock + digits)
    return " ".join(words)


def _array(values: Sequence[Any]) -> str:
    shown = [("NULL" if (item := text(value)) is None else item) for value in values[:MAX_TEXT]]
    return "{" + ",".join(shown) + "}"
