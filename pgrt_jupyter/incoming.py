"""Read what a browser sends: only known fields, of the types and sizes the protocol allows, get in.

Whoever is on the other side of a comm is not trusted: with Voilà it is anybody. What a number means,
whether there is such a row or column, is for the table to see. A chart has fields of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast, get_args

from .protocol import Direction, Mode, Operator, Request, Verb

Check = Callable[[object], bool]

MAX_TOKEN = 64
MAX_NUMBER = 2**53 - 1  # what a JavaScript number holds exactly
MAX_SORT = 16  # columns
MAX_FILTERS = 64
MAX_WORDS = 1_000  # characters of a search or of one value
MAX_VALUES = 1_000  # of one condition
MAX_RANGES = 10_000
MAX_COLUMNS = 1_700  # PostgreSQL's own limit is 1664


def read(content: object, fields: dict[str, dict[str, Check]] | None = None) -> Request | None:
    """Return a browser's message holding only known, valid fields, or None; the table's by default."""
    fields = FIELDS if fields is None else fields
    if not isinstance(content, dict):
        return None
    kind, viewer = content.get("type"), content.get("viewer")
    if not isinstance(kind, str) or kind not in fields:
        return None
    if not isinstance(viewer, str) or not 0 < len(viewer) <= MAX_TOKEN:
        return None
    request: dict[str, Any] = {"type": kind, "viewer": viewer}
    for name, is_valid in {"seq": _is_number, **fields[kind]}.items():
        value = content.get(name, _DEFAULTS.get(name))
        if not is_valid(value):
            return None
        request[name] = value
    return cast(Request, request)


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_NUMBER


def _is_anchor(value: object) -> bool:
    return value is None or _is_number(value)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_words(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_WORDS


def _is_column(value: object) -> bool:
    return type(value) is int and 0 <= value < MAX_COLUMNS


def _is_columns(value: object) -> bool:
    return value is None or _is_list(value, MAX_COLUMNS, _is_column)


def _is_ranges(value: object) -> bool:
    return _is_list(value, MAX_RANGES, _is_range)


def _is_copied(value: object) -> bool:
    return value is None or _is_ranges(value)


def _is_range(value: object) -> bool:
    return _is_list(value, 2, _is_number) and len(cast(list[int], value)) == 2


def _is_sort(value: object) -> bool:
    return _is_list(value, MAX_SORT, _is_sorting)


def _is_sorting(value: object) -> bool:
    match value:
        case [column, str(direction)]:
            return _is_column(column) and direction in get_args(Direction)
    return False


def _is_filters(value: object) -> bool:
    return _is_list(value, MAX_FILTERS, _is_condition)


def _is_condition(value: object) -> bool:
    if not isinstance(value, dict) or value.keys() != {"column", "op", "value"}:
        return False
    if not _is_column(value["column"]):
        return False
    match value["op"], value["value"]:
        case "null" | "notnull", None:
            return True
        case "in", list() as values:
            return _is_list(values, MAX_VALUES, _is_words)
        case str(op), str(text):
            return op in _COMPARISONS and _is_words(text)
    return False


def _is_list(value: object, most: int, is_valid: Check) -> bool:
    return isinstance(value, list) and len(value) <= most and all(map(is_valid, value))


def _one_of(names: tuple[str, ...]) -> Check:
    return lambda value: isinstance(value, str) and value in names


_COMPARISONS = frozenset(get_args(Operator)) - {"in", "null", "notnull"}
_DEFAULTS = {"anchor": None, "revision": 0}
_ROWS: dict[str, Check] = {
    "start": _is_number,
    "count": _is_number,
    "anchor": _is_anchor,
    "revision": _is_number,
}
FIELDS: dict[str, dict[str, Check]] = {
    "hello": _ROWS,
    "window": _ROWS,
    "ack": {"of": _is_number},
    "beat": {},
    "bye": {},
    "arrange": {"sort": _is_sort, "search": _is_words, "filters": _is_filters},
    "select": {"revision": _is_number, "mode": _one_of(get_args(Mode)), "ranges": _is_ranges},
    "act": {"verb": _one_of(get_args(Verb))},
    "cell": {"row": _is_number, "column": _is_column},
    "copy": {
        "revision": _is_number,
        "ranges": _is_copied,
        "columns": _is_columns,
        "header": _is_flag,
    },
    "export": {"columns": _is_columns},
    "export_stop": {},
}
