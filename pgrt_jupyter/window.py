"""Turn a result into what a table shows: text by column, an HTML snapshot."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa

from .protocol import Cell, Cells, Column, Failure, Kind

EVERYTHING = sys.maxsize
MAX_TEXT = 300  # characters of one cell that travel to a browser
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
    error: Failure | None = None  # of the last run
    key: tuple[str, ...] = ()  # the columns that identify a row
    acts: bool = False  # there is a query to pause, resume and refresh


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


def names(shown: Shown) -> list[str]:
    """Name the columns of the frame, in order, duplicates included."""
    return [] if shown.frame is None else [str(name) for name in shown.frame.columns]


def columns(shown: Shown) -> list[Column]:
    """Describe the columns of the frame, in order, duplicates included."""
    named = names(shown)
    types = [*shown.types, *[""] * (len(named) - len(shown.types))]
    return [
        {"name": name, "type": type_name, "kind": kind(type_name)}
        for name, type_name in zip(named, types, strict=False)
    ]


def cells(frame: pd.DataFrame, rows: range) -> Cells:
    """Give the text of these rows by column."""
    part = frame.iloc[rows.start : rows.stop]
    return [[text(value) for value in values(part.iloc[:, i])] for i in range(part.shape[1])]


def text(value: Any, most: int = MAX_TEXT) -> Cell:
    """Write a value as PostgreSQL prints it, at most so many characters; None for NULL."""
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    written = value if isinstance(value, str) else _written(value, most)
    return written if len(written) <= most else written[: most - 1] + "…"


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


def values(series: pd.Series) -> Iterable[Any]:
    """Give Python values with NULL told from NaN, which pandas' own iteration merges."""
    array = series.array
    convert = getattr(array, "__arrow_array__", None)
    if convert is None:
        return cast(Iterable[Any], array)
    arrow = convert()
    if pa.types.is_float32(arrow.type):  # as a Python float it would have more digits
        return [None if value is None else _single(value) for value in arrow.to_pylist()]
    try:
        return cast(Iterable[Any], arrow.to_pylist())
    except (ValueError, OverflowError):  # beyond Python's years 1 to 9999
        return cast(Iterable[Any], arrow.cast(pa.string()).to_pylist())


def _written(value: Any, most: int) -> str:
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
            return "\\x" + bytes(value[:most]).hex()
        case dict():
            return json.dumps(value, ensure_ascii=False, default=str)
        case list() | tuple():
            return _array(value, most)
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        plain = value.tolist()
        return _written(plain, most) if not isinstance(plain, str) else plain
    return str(value)


def _float(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    written = repr(value).removesuffix(".0")
    if 1e15 <= abs(value) < 1e16:  # Python writes these as whole numbers, PostgreSQL does not
        sign, digits = ("-", written[1:]) if value < 0 else ("", written)
        digits = digits.rstrip("0")
        return f"{sign}{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}e+15"
    return written


def _single(value: float) -> str:
    if not math.isfinite(value):
        return _float(value)
    single = np.float32(value)
    mantissa, _, exponent = np.format_float_scientific(single, trim="-").partition("e")
    if single == 0 or -4 <= int(exponent) < 6:
        return np.format_float_positional(single, trim="-")
    return f"{mantissa}e{int(exponent):+03}"


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


def _array(items: Sequence[Any], most: int) -> str:
    shown = [("NULL" if (item := text(value, most)) is None else item) for value in items[:most]]
    return "{" + ",".join(shown) + "}"
