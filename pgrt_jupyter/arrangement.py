"""Say how the rows of a table are sorted and filtered: frozen values, read from Python's and the wire's.

Columns are kept by name, so that an arrangement outlives a query whose columns stand in another order;
by number where a name stands for several columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

from . import protocol, window
from .protocol import Direction, Operator

ColumnId = str | int

_SPELLINGS: dict[str, Operator] = {
    **{op: cast(Operator, op) for op in get_args(Operator)},
    "=": "eq",
    "==": "eq",
    "!=": "ne",
    "<>": "ne",
    "≠": "ne",
    "<": "lt",
    "<=": "le",
    "≤": "le",
    ">": "gt",
    ">=": "ge",
    "≥": "ge",
    "starts with": "starts",
    "one of": "in",
    "is null": "null",
    "is not null": "notnull",
}


@dataclass(frozen=True, slots=True)
class Condition:
    """Keep the rows whose value in a column compares like this with a text, or with one of several."""

    column: ColumnId
    op: Operator
    value: str | tuple[str, ...] | None = None  # None for null and notnull


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Hold the sort order, the text searched for, and conditions that must all be met."""

    sort: tuple[tuple[ColumnId, Direction], ...] = ()
    search: str = ""
    filters: tuple[Condition, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether rows are shown otherwise than as the query gave them."""
        return bool(self.sort or self.search or self.filters)


def read(sort: Any, search: Any, filters: Any) -> Arrangement:
    """Read an arrangement as Python's users write it; raises ValueError."""
    if not isinstance(search, str):
        raise ValueError(f"{search!r} is no text to search for.")
    return Arrangement(sorting(sort), search, conditions(filters))


def sorting(value: Any) -> tuple[tuple[ColumnId, Direction], ...]:
    """Read `"amount"`, `["amount", …]` or `[("amount", "desc"), …]`; raises ValueError."""
    if value is None:
        return ()
    given = [value] if isinstance(value, (str, int)) else list(value)
    return tuple(_sort_key(one) for one in given)


def conditions(value: Any) -> tuple[Condition, ...]:
    """Read `[("amount", ">", 10), ("paid_at", "is null"), …]`; raises ValueError."""
    return tuple(_condition(one) for one in value or ())


def _sort_key(one: Any) -> tuple[ColumnId, Direction]:
    match one:
        case str() | int():
            return one, "asc"
        case [str() | int() as column, "asc" | "desc" as direction]:
            return column, cast(Direction, direction)
    raise ValueError(f"{one!r} is no sort key: use 'column' or ('column', 'asc' or 'desc').")


def _condition(one: Any) -> Condition:
    if isinstance(one, Condition):
        return one
    column, spelling, *rest = one if isinstance(one, (tuple, list)) else (None, None)
    op = _SPELLINGS.get(spelling) if isinstance(spelling, str) else None
    if not isinstance(column, (str, int)) or op is None or len(rest) != (op[-4:] != "null"):
        known = ", ".join(name for name in _SPELLINGS if name not in ("==", "<>"))
        raise ValueError(f"{one!r} is no condition: use ('column', operator, value) with {known}.")
    if not rest:
        return Condition(column, op)
    if op != "in":
        return Condition(column, op, _text(rest[0]))
    if isinstance(rest[0], str) or not isinstance(rest[0], Iterable):
        raise ValueError(f"{one!r}: 'one of' takes a list of values.")
    return Condition(column, op, tuple(_text(value) for value in rest[0]))


def _text(value: Any) -> str:
    """Write a value of Python as it would be typed."""
    written = window.text(value, window.EVERYTHING)
    if written is None:
        raise ValueError("nothing compares with NULL: use 'is null' or 'is not null'.")
    return written


def from_browser(request: protocol.Request, names: Sequence[str]) -> Arrangement:
    """Read a browser's arrangement of columns it knows by number; unknown ones are left out."""
    known = range(len(names))
    return Arrangement(
        sort=tuple(
            (_known_as(column, names), direction)
            for column, direction in request["sort"]
            if column in known
        ),
        search=request["search"],
        filters=tuple(
            Condition(_known_as(one["column"], names), one["op"], _hashable(one["value"]))
            for one in request["filters"]
            if one["column"] in known
        ),
    )


def for_browser(
    arrangement: Arrangement, names: Sequence[str], problems: Iterable[str]
) -> protocol.Arrangement:
    """Write an arrangement with the numbers of columns; those that are not there are left out."""
    numbers: dict[ColumnId, int] = {place: place for place in range(len(names))}
    numbers.update((name, place) for place, name in enumerate(names) if names.count(name) == 1)
    return {
        "sort": [(numbers[c], direction) for c, direction in arrangement.sort if c in numbers],
        "search": arrangement.search,
        "filters": [
            {
                "column": numbers[one.column],
                "op": one.op,
                "value": list(one.value) if isinstance(one.value, tuple) else one.value,
            }
            for one in arrangement.filters
            if one.column in numbers
        ],
        "error": "\n".join(problems),
    }


def _known_as(column: int, names: Sequence[str]) -> ColumnId:
    return names[column] if names.count(names[column]) == 1 else column


def _hashable(value: str | list[str] | None) -> str | tuple[str, ...] | None:
    return tuple(value) if isinstance(value, list) else value
