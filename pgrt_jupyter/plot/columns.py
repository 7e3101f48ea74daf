"""Choose the columns that a chart draws, by their types and by what was asked for.

- x: the first column of times or dates; for bars else the first text; else the first number, if there
  is another for y; else the row's number. A chart that appends takes the time of the result instead of
  a number.
- y: the numbers that are left.
- kind, when it is to be found: lines over time and row numbers, bars over text, else points.

What a column is follows from its dtype, since a column of timestamps that holds 'infinity' is text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import pandas as pd
import pyarrow as pa

from .. import window
from ..errors import ConfigurationError
from .options import Kind, Options

# An instant is a time with a zone; `row` is no column, nor is `result`, the time of the result.
Role = Literal["number", "instant", "time", "date", "text", "row", "result"]

TIMES: tuple[Role, ...] = ("instant", "time", "date")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Hold the columns to draw, by their places in the frame."""

    kind: Kind
    x: int | None  # None where its role is no column
    role: Role  # of x
    ys: tuple[int, ...]
    by: int | None


def choose(frame: pd.DataFrame, types: Sequence[str], options: Options) -> Chosen:
    """Choose columns; raises ConfigurationError, naming those there are, for one that cannot be drawn."""
    return _Choice(frame, types, options).made()


class _Choice:
    """Do one choice."""

    def __init__(self, frame: pd.DataFrame, types: Sequence[str], options: Options) -> None:
        self._options = options
        self._names = [str(name) for name in frame.columns]
        self._types = [*types, *[""] * (len(self._names) - len(types))]
        self._roles = [
            role(frame.iloc[:, place], type_name)
            for place, type_name in zip(range(frame.shape[1]), self._types, strict=False)
        ]

    def made(self) -> Chosen:
        options = self._options
        by = None if options.by is None else self._find("by", options.by)
        ys = tuple(self._numeric(name) for name in options.y or ())
        x, found = self._x(by, ys)
        kind = options.kind or _kind(found)
        if found == "text" and kind != "bar":
            raise ConfigurationError(
                f"x={self._names[cast(int, x)]!r} is neither a number nor a time: "
                f"kind='bar' draws text; {self._there_are()}"
            )
        if options.mode == "append" and found == "text":
            raise ConfigurationError(
                f"mode='append' needs numbers or times for x; {self._there_are()}"
            )
        if options.timed and found not in (*TIMES, "result"):
            raise ConfigurationError(f"window is a time, and x is none; {self._there_are()}")
        if not ys:
            ys = tuple(place for place in self._of("number") if place not in (x, by))
        if not ys:
            raise ConfigurationError(f"there is no column of numbers to draw; {self._there_are()}")
        return Chosen(kind=kind, x=x, role=found, ys=ys, by=by)

    def _x(self, by: int | None, ys: tuple[int, ...]) -> tuple[int | None, Role]:
        """Find the column for x, and what it holds."""
        options = self._options
        if options.x is not None:
            place = self._find("x", options.x)
            return place, self._roles[place]
        taken = (by, *ys)
        for wanted in self._wanted(bool(ys), taken):
            found = next((at for at in self._of(*wanted) if at not in taken), None)
            if found is not None:
                return found, self._roles[found]
        return None, "result" if options.mode == "append" else "row"

    def _wanted(self, has_y: bool, taken: tuple[int | None, ...]) -> list[tuple[Role, ...]]:
        """List what x may hold, the best first."""
        kind = self._options.kind
        wanted: list[tuple[Role, ...]] = [TIMES]
        if self._options.mode == "append":
            return wanted
        if kind == "bar" or kind is None:
            wanted.append(("text",))
        numbers = [place for place in self._of("number") if place not in taken]
        if has_y or len(numbers) > 1:
            wanted.append(("number",))
        return wanted

    def _of(self, *roles: Role) -> list[int]:
        return [place for place, found in enumerate(self._roles) if found in roles]

    def _numeric(self, name: str) -> int:
        place = self._find("y", name)
        if self._roles[place] != "number":
            raise ConfigurationError(f"y={name!r} is not numeric; {self._there_are()}")
        return place

    def _find(self, which: str, name: str) -> int:
        count = self._names.count(name)
        if count == 0:
            raise ConfigurationError(
                f"{which}={name!r}: there is no such column; {self._there_are()}"
            )
        if count > 1:
            raise ConfigurationError(
                f"{which}={name!r}: there are {count} such columns; rename one"
            )
        return self._names.index(name)

    def _there_are(self) -> str:
        named = (
            f"{name} ({type_name or found})"
            for name, type_name, found in zip(self._names, self._types, self._roles, strict=False)
        )
        return f"there are {', '.join(named) or 'no columns'}"


def _kind(x: Role) -> Kind:
    if x == "text":
        return "bar"
    return "scatter" if x == "number" else "line"


def role(column: pd.Series[Any], type_name: str) -> Role:
    """Tell what a column holds, for a chart."""
    dtype = column.dtype
    if isinstance(dtype, pd.ArrowDtype):
        return _arrow_role(dtype.pyarrow_dtype)
    if isinstance(dtype, pd.DatetimeTZDtype):
        return "instant"
    if pd.api.types.is_object_dtype(dtype):  # exact decimals, and dates without Arrow
        base = type_name.partition("(")[0].strip()
        if base in ("numeric", "decimal"):
            return "number"
        return "date" if base == "date" else "text"
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return "time"
    is_number = pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)
    return "number" if is_number else "text"


_ARROW: tuple[tuple[Callable[[pa.DataType], bool], Role], ...] = (
    (pa.types.is_integer, "number"),
    (pa.types.is_floating, "number"),
    (pa.types.is_decimal, "number"),
    (pa.types.is_date, "date"),
)


def _arrow_role(kind: pa.DataType) -> Role:
    if pa.types.is_timestamp(kind):
        return "time" if kind.tz is None else "instant"
    return next((found for is_one, found in _ARROW if is_one(kind)), "text")


def labels(frame: pd.DataFrame) -> list[str]:
    """Name the columns of a frame as a chart shows them."""
    return [window.text(str(name)) or "" for name in frame.columns]
