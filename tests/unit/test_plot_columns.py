"""Which columns a chart draws, and what it says of those it cannot."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pgrt_jupyter.plot.columns import Chosen, choose, role
from pgrt_jupyter.plot.numbers import coded, numbers
from pgrt_jupyter.plot.options import read

ARROW = {
    "id": ("int8", "int64"),
    "at": ("timestamptz", pd.ArrowDtype(pa.timestamp("us", "UTC"))),
    "local": ("timestamp", pd.ArrowDtype(pa.timestamp("us"))),
    "day": ("date", pd.ArrowDtype(pa.date32())),
    "amount": ("numeric", object),
    "price": ("numeric(10,2)", pd.ArrowDtype(pa.decimal128(10, 2))),
    "weight": ("float8", pd.ArrowDtype(pa.float64())),
    "paid": ("bool", pd.ArrowDtype(pa.bool_())),
    "customer": ("text", pd.ArrowDtype(pa.string())),
    "span": ("interval", pd.ArrowDtype(pa.string())),
}


def frame(*names: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    columns = {name: pd.Series([], dtype=ARROW[name][1]) for name in names}
    return pd.DataFrame(columns), tuple(ARROW[name][0] for name in names)


def chosen(*names: str, kind: str = "line", mode: str = "replace", **asked: Any) -> Chosen:
    plain: dict[str, Any] = {"x": None, "y": None, "by": None, "window": None, **asked}
    return choose(*frame(*names), read(kind, **plain, mode=mode))


def named(names: str, **asked: Any) -> tuple[Any, ...]:
    """Give kind, x, y and by as names."""
    split = names.split()
    made = chosen(*split, **asked)
    ys = [split[place] for place in made.ys]
    x = made.role if made.x is None else split[made.x]
    return made.kind, x, ys, None if made.by is None else split[made.by]


@pytest.mark.parametrize(
    ("names", "asked", "expected"),
    [
        ("id at amount", {}, ("line", "at", ["id", "amount"], None)),
        ("id day amount", {}, ("line", "day", ["id", "amount"], None)),
        ("id amount price", {}, ("line", "id", ["amount", "price"], None)),
        ("amount", {}, ("line", "row", ["amount"], None)),
        ("customer paid amount", {}, ("line", "row", ["amount"], None)),
        ("id at amount", {"y": "amount"}, ("line", "at", ["amount"], None)),
        ("id amount", {"y": "id"}, ("line", "amount", ["id"], None)),
        ("id amount", {"x": "amount"}, ("line", "amount", ["id"], None)),
        ("at customer amount", {"by": "customer"}, ("line", "at", ["amount"], "customer")),
        ("at id amount", {"by": "id"}, ("line", "at", ["amount"], "id")),
        ("at local amount", {"by": "at"}, ("line", "local", ["amount"], "at")),
        ("customer amount", {"kind": "bar"}, ("bar", "customer", ["amount"], None)),
        ("customer at amount", {"kind": "bar"}, ("bar", "at", ["amount"], None)),
        ("at amount", {"kind": "auto"}, ("line", "at", ["amount"], None)),
        ("customer amount", {"kind": "auto"}, ("bar", "customer", ["amount"], None)),
        ("weight amount", {"kind": "auto"}, ("scatter", "weight", ["amount"], None)),
        ("amount", {"kind": "auto"}, ("line", "row", ["amount"], None)),
        ("id", {"mode": "append", "window": 60}, ("line", "result", ["id"], None)),
        ("id at", {"mode": "append", "window": 60}, ("line", "at", ["id"], None)),
        ("id amount", {"mode": "append", "window": 6, "x": "id"}, ("line", "id", ["amount"], None)),
    ],
)
def test_columns_are_chosen_by_their_types(
    names: str, asked: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    """Times first, then numbers, then the row's number; what is asked for goes before."""
    assert named(names, **asked) == expected


@pytest.mark.parametrize(
    ("names", "asked", "said"),
    [
        ("at amount", {"x": "nope"}, r"x='nope': there is no such column; there are at \(times"),
        ("at amount", {"y": ["amount", "b"]}, "y='b': there is no such column"),
        ("at amount", {"by": "c"}, "by='c'"),
        ("at customer", {"y": "customer"}, r"y='customer' is not numeric; .* customer \(text\)"),
        ("at paid", {"y": "paid"}, "y='paid' is not numeric"),
        ("at customer", {}, r"no column of numbers to draw; there are at"),
        ("customer amount", {"x": "customer"}, "neither a number nor a time: kind='bar'"),
        ("id amount", {"window": "5min"}, "window is a time, and x is none"),
        ("customer id", {"kind": "bar", "mode": "append", "window": 5, "x": "customer"}, "needs"),
        ("id amount", {"kind": "pie"}, "kind='pie': use 'line', 'area'"),
        ("id amount", {"mode": "add"}, "mode='add': use 'replace' or 'append'"),
        ("id amount", {"mode": "append"}, "give one"),
        ("id amount", {"x": 5}, "x=5: give the name"),
        ("id amount", {"y": 5}, "y=5: give the name"),
        ("id amount", {"y": []}, "give the name of a column"),
        ("id amount", {"window": "soon"}, "window='soon': give seconds"),
        ("id amount", {"window": True}, "window=True"),
        ("id amount", {"window": [1]}, "give seconds"),
        ("id amount", {"window": -1}, "greater than nothing"),
        ("id amount", {"window": float("nan")}, "greater than nothing"),
    ],
)
def test_what_makes_no_sense_is_said(names: str, asked: dict[str, Any], said: str) -> None:
    """With the columns there are."""
    with pytest.raises(ValueError, match=said):
        chosen(*names.split(), **asked)


def test_two_columns_of_one_name_are_told_apart_by_nobody() -> None:
    """Neither is taken."""
    twice = pd.DataFrame([[1, 2, 3]], columns=["a", "b", "b"])
    with pytest.raises(ValueError, match="there are 2 such columns"):
        choose(twice, ("int4",) * 3, read("line", None, "b", None, None, "replace"))


@pytest.mark.parametrize(
    ("window", "seconds"),
    [
        (5, 5),
        (0.5, 0.5),
        (np.int64(7), 7),
        ("5min", 300),
        (dt.timedelta(hours=1), 3600),
        (pd.Timedelta("2s"), 2),
        (np.timedelta64(90, "s"), 90),
    ],
)
def test_a_window_is_seconds_or_a_time(window: Any, seconds: float) -> None:
    """As a number, a timedelta, or text."""
    assert read("line", None, None, None, window, "replace").window == seconds


@pytest.mark.parametrize(
    ("dtype", "type_name", "expected"),
    [
        (pd.ArrowDtype(pa.timestamp("us", "UTC")), "timestamptz", "instant"),
        (pd.DatetimeTZDtype("us", "UTC"), "timestamptz", "instant"),
        ("datetime64[us]", "timestamp", "time"),
        (object, "date", "date"),
        (object, "numeric(40,2)", "number"),
        (object, "int4[]", "text"),
        ("Int64", "int8", "number"),
        ("boolean", "bool", "text"),
        ("string", "text", "text"),
        (pd.ArrowDtype(pa.string()), "timestamptz", "text"),
        (pd.ArrowDtype(pa.time64("us")), "time", "text"),
    ],
)
def test_what_a_column_is_follows_from_its_dtype(dtype: Any, type_name: str, expected: str) -> None:
    """With either backend; a timestamp column with 'infinity' in it is text."""
    assert role(pd.Series([], dtype=dtype), type_name) == expected


def test_numbers_are_floats_and_gaps() -> None:
    """NULL, NaN and infinities are gaps; decimals and large integers come as near as floats do."""
    cases: list[tuple[Any, list[float]]] = [
        (pd.array([1, None, 2**53], dtype="int64[pyarrow]"), [1, np.nan, 2**53]),
        (pd.array([1, None], dtype="Int64"), [1, np.nan]),
        (pa_array([1.5, None, float("nan"), float("inf")], pa.float64()), [1.5, *[np.nan] * 3]),
        (pa_array([Decimal("1.25"), None], pa.decimal128(10, 2)), [1.25, np.nan]),
        (
            pd.Series([Decimal("2.5"), pd.NA, Decimal("NaN"), None], dtype=object),
            [2.5, *[np.nan] * 3],
        ),
    ]
    for values, expected in cases:
        np.testing.assert_array_equal(numbers(pd.Series(values), "number"), expected)


def pa_array(values: list[Any], kind: pa.DataType) -> Any:
    return pd.arrays.ArrowExtensionArray(pa.chunked_array([pa.array(values, kind)]))


def test_times_are_seconds() -> None:
    """Instants since 1970; times without a zone as if they were UTC; dates at their beginning."""
    at = dt.datetime(2026, 1, 2, 3, 4, 5, 250_000)
    aware = at.replace(tzinfo=dt.UTC)
    seconds = aware.timestamp()
    day = seconds // 86400 * 86400
    for values, role_of, expected in [
        (pa_array([aware, None], pa.timestamp("us", "UTC")), "instant", seconds),
        (pa_array([at, None], pa.timestamp("us")), "time", seconds),
        (pa_array([at.date(), None], pa.date32()), "date", day),
        (pd.Series([at.date(), None], dtype=object), "date", day),
        (pd.array([at, None], dtype="datetime64[us]"), "time", seconds),
        (pd.array([aware, None], dtype="datetime64[us, UTC]"), "instant", seconds),
    ]:
        found = numbers(pd.Series(values), role_of)  # type: ignore[arg-type]
        np.testing.assert_array_equal(found, [expected, np.nan])


def test_texts_are_numbered_as_they_appear() -> None:
    """NULL is one of them; so are booleans and numbers."""
    codes, names = coded(pd.Series(["b", None, "a", "b"], dtype="string[pyarrow]"))
    assert ([*codes], names) == ([0, 1, 2, 0], ["b", "NULL", "a"])
    codes, names = coded(pd.Series([True, False, None], dtype="bool[pyarrow]"))
    assert ([*codes], names) == ([0, 1, 2], ["true", "false", "NULL"])
