"""Rows are sorted and filtered by what their columns hold, whatever the type."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgrt_jupyter.arrange import arrange
from pgrt_jupyter.arrangement import (
    Arrangement,
    Condition,
    conditions,
    for_browser,
    from_browser,
    read,
    sorting,
)

UTC = dt.UTC
quick = settings(deadline=None, max_examples=15)


def series(values: list[Any], kind: pa.DataType | None) -> Any:
    if kind is None:  # Python objects, as numeric without precision has them
        return np.fromiter((pd.NA if v is None else v for v in values), object, len(values))
    half = len(values) // 2
    chunks = [pa.array(values[:half], kind), pa.array(values[half:], kind)]
    return pd.arrays.ArrowExtensionArray(pa.chunked_array(chunks))


def frame(kind: pa.DataType | None, *values: Any) -> pd.DataFrame:
    return pd.DataFrame({"a": series([*values], kind)})


def shown(made: pd.DataFrame, arrangement: Arrangement, type_name: str = "") -> list[int]:
    order = arrange(made, [type_name] * made.shape[1], arrangement)
    assert order.problems == ()
    return [*range(len(made))] if order.positions is None else order.positions.tolist()


def sort(made: pd.DataFrame, direction: Any = "asc", type_name: str = "") -> list[int]:
    return shown(made, Arrangement(sort=(("a", direction),)), type_name)


def where(made: pd.DataFrame, op: Any, value: Any, type_name: str = "") -> list[int]:
    return shown(made, Arrangement(filters=(Condition("a", op, value),)), type_name)


def number_key(value: Any) -> tuple[bool, Any]:
    return (True, 0) if math.isnan(value) else (False, value)


ORDERED: dict[str, tuple[pa.DataType | None, Any, Any]] = {
    "int8": (pa.int64(), st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3), number_key),
    "float8": (pa.float64(), st.floats() | st.sampled_from([0.0, 1.0, math.nan]), number_key),
    "numeric(20,2)": (pa.decimal128(20, 2), st.decimals(-5, 5, places=2), number_key),
    "numeric": (None, st.decimals(-5, 5) | st.decimals(-(10**60), 10**60), number_key),
    "numeric with NaN": (
        None,
        st.sampled_from(
            [Decimal(n) for n in ("NaN", "Infinity", "-Infinity", "1.0", "1.00", "-2")]
        ),
        lambda value: (True, 0) if value.is_nan() else (False, value),
    ),
    "timestamptz": (
        pa.timestamp("us", "UTC"),
        st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 1, 1), timezones=st.just(UTC)),
        lambda value: value,
    ),
    "date": (pa.date32(), st.dates(), lambda value: value),
    "bool": (pa.bool_(), st.booleans(), lambda value: value),
    "text": (pa.string(), st.text("aAbBłŁ1 ", max_size=3), lambda value: (value.lower(), value)),
    "bytea": (pa.binary(), st.binary(max_size=2), lambda value: "\\x" + value.hex()),
}


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("name", ORDERED)
def test_rows_sort_by_value_stable_and_null_last(name: str, direction: str) -> None:
    """As Python sorts with the type's own order, in both directions."""
    kind, strategy, key = ORDERED[name]

    @quick
    @given(st.lists(st.none() | strategy, max_size=12))
    def check(values: list[Any]) -> None:
        there = [at for at, value in enumerate(values) if value is not None]
        # `reverse` keeps rows that compare the same in order as well.
        ordered = sorted(there, key=lambda at: key(values[at]), reverse=direction == "desc")
        missing = [at for at, value in enumerate(values) if value is None]
        assert sort(frame(kind, *values), direction, name.partition(" ")[0]) == ordered + missing

    check()


thorough = settings(deadline=None, max_examples=60)
COMPARED = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
}
NUMBERS = ["int8", "float8", "numeric(20,2)", "numeric", "numeric with NaN"]
TYPED = st.sampled_from(
    ["0", "1", "1.005", "-2", " 1.50 ", "1e3", "NaN", "Infinity", "-Infinity", "-0.5", "2.5"]
    + ["9223372036854775808", "-9223372036854775809", "1e400", "-1e400", "1e-400", "1E+999999999"]
)


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_compare_exactly(name: str) -> None:
    """With any number that can be typed, NaN being the greatest; NULL meets no condition."""
    kind, strategy, _key = ORDERED[name]

    @thorough
    @given(st.lists(st.none() | strategy, max_size=8), TYPED, st.sampled_from([*COMPARED]))
    def check(values: list[Any], typed: str, op: str) -> None:
        other = Decimal(typed.strip())
        if name == "float8":
            other = Decimal(float(other))
        expected = [
            at
            for at, value in enumerate(values)
            if value is not None and COMPARED[op](number_key(Decimal(value)), number_key(other))
        ]
        assert where(frame(kind, *values), op, typed) == expected

    check()


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_found_among_several(name: str) -> None:
    """`in` is a row of equal signs."""
    kind, strategy, _key = ORDERED[name]

    @quick
    @given(st.lists(st.none() | strategy, max_size=8), st.lists(TYPED, max_size=4))
    def check(values: list[Any], typed: list[str]) -> None:
        made = frame(kind, *values)
        each = {at for one in typed for at in where(made, "eq", one)}
        assert where(made, "in", tuple(typed)) == sorted(each)

    check()


@pytest.mark.parametrize(
    ("op", "value", "found"),
    [
        ("eq", "ann", [1]),
        ("ne", "ann", [0, 2, 4]),
        ("lt", "b", [0, 1, 4]),
        ("ge", "Ann", [0, 1, 2]),
        ("contains", "N", [0, 1]),
        ("contains", "", [0, 1, 2, 4]),
        ("starts", "BO", [2]),
        ("in", ("bob", "", "x"), [2, 4]),
        ("null", None, [3]),
        ("notnull", None, [0, 1, 2, 4]),
    ],
)
def test_text_compares_without_case_but_for_equality(op: str, value: Any, found: list[int]) -> None:
    """Order and parts disregard case, equality does not; the empty string is not NULL."""
    assert where(frame(pa.string(), "Ann", "ann", "bob", None, ""), op, value) == found


def test_a_search_looks_at_every_column_as_it_is_shown() -> None:
    """Numbers, times and NULL included, in either case; not across columns."""
    made = pd.DataFrame(
        {
            "n": series([42, 7, None, 1], pa.int64()),
            "name": series(["Łódź", None, "x42", "null"], pa.string()),
            "at": series(
                [None, dt.datetime(2026, 1, 2, tzinfo=UTC)] * 2, pa.timestamp("us", "UTC")
            ),
            "amount": series([Decimal("1.10")] * 4, None),
            "tags": series([["red"], None, ["Blue"], []], None),
        }
    )
    types = ["int8", "text", "timestamptz", "numeric", "text[]"]

    def found(words: str) -> list[int]:
        order = arrange(made, types, Arrangement(search=words))
        return [] if order.positions is None else order.positions.tolist()

    assert found("42") == [0, 2]
    assert found("łÓ") == [0]
    assert found("NULL") == [3]
    assert found("2026-01-02 00") == [1, 3]
    assert found("1.1") == [0, 1, 2, 3]
    assert found("blue") == [2]
    assert found("7Łódź") == []
    assert found("%") == found("' OR 1=1") == found("[") == []


def test_conditions_must_all_be_met_and_the_sort_is_of_what_is_left() -> None:
    """Several conditions, a search, and two sort keys."""
    made = pd.DataFrame(
        {
            "s": series(["b", "a", "b", "a", "b"], pa.string()),
            "n": series([1, 2, 3, 4, 5], pa.int64()),
        }
    )
    arrangement = Arrangement(
        (("s", "asc"), ("n", "desc")), "", (Condition("n", "gt", "1"), Condition("n", "lt", "5"))
    )
    assert shown(made, arrangement) == [3, 1, 2]
    assert shown(made, Arrangement(arrangement.sort, "b", arrangement.filters)) == [2]


@pytest.mark.parametrize(
    ("kind", "type_name", "values", "typed", "found"),
    [
        (pa.date32(), "date", [dt.date(2026, 1, 1), dt.date(2026, 1, 2)], "2026-01-01", [1]),
        (
            pa.timestamp("us", "UTC"),
            "timestamptz",
            [dt.datetime(2026, 1, 1, 12, tzinfo=UTC), dt.datetime(2026, 1, 1, 14, tzinfo=UTC)],
            "2026-01-01 15:00+02:00",
            [1],
        ),
        (pa.time64("us"), "time", [dt.time(8), dt.time(9)], "08:30", [1]),
        (pa.bool_(), "bool", [True, False], "no", [0]),
        (pa.string(), "interval", ["1 mon", "40 days", "-1 days +02:00:00", None], "31 days", [1]),
        (pa.string(), "money", ["$1,000.00", "-$2.50", "$9.00"], "9.5", [0]),
    ],
)
def test_other_types_compare_by_what_they_mean(
    kind: Any, type_name: str, values: list[Any], typed: str, found: list[int]
) -> None:
    """Instants across zones, intervals with months of 30 days, money without its signs."""
    assert where(frame(kind, *values), "gt", typed, type_name) == found


def test_intervals_and_money_sort_by_size() -> None:
    """They come as text, and are not sorted as such."""
    intervals = ["2 days", "10 days", "1 year", "-00:00:01", "24:00:01", None]
    assert sort(frame(pa.string(), *intervals), "asc", "interval") == [3, 4, 0, 1, 2, 5]
    assert sort(frame(pa.string(), "$9.00", "$10.00", "($1.00)"), "desc", "money") == [1, 0, 2]


@pytest.mark.parametrize(
    ("kind", "op", "value", "said"),
    [
        (pa.int64(), "gt", "abc", "'abc' is no number"),
        (pa.float64(), "eq", "", "'' is no number"),
        (pa.date32(), "lt", "yesterday", "'yesterday' is no date or time"),
        (pa.bool_(), "eq", "maybe", "'maybe' is neither true nor false"),
        (pa.int64(), "in", ("1", "x"), "'x' is no number"),
    ],
)
def test_what_cannot_be_compared_is_left_out_and_named(
    kind: Any, op: Any, value: Any, said: str
) -> None:
    """The rows stay, and the table says what was wrong with the condition."""
    arrangement = Arrangement(filters=(Condition("a", op, value), Condition("a", "notnull")))
    order = arrange(frame(kind, None), [""], arrangement)
    assert order.positions is not None
    assert order.positions.tolist() == []
    [problem] = order.problems
    assert problem.startswith(f"a: {said}")


def test_columns_that_are_not_there_are_named() -> None:
    """By a name nobody has, a name two have, or a number beyond the last."""
    made = pd.DataFrame([[1, 2]], columns=["a", "a"])
    arrangement = Arrangement(sort=(("b", "asc"), ("a", "asc"), (7, "asc"), (1, "desc")))
    order = arrange(made, ["int4", "int4"], arrangement)
    assert order.problems == (
        "there is no column 'b'",
        "there are 2 columns 'a': use a number",
        "there is no column number 7",
    )


@pytest.mark.parametrize("digits", [30, 37, 38, 39, 75, 76, 77, 200])
def test_long_numerics_are_read_as_they_are(digits: int) -> None:
    """However many digits: Arrow makes other numbers of those that are too long for it."""
    large, small = Decimal("9" * digits), Decimal("0." + "0" * (digits - 1) + "1")
    assert sort(frame(None, large, Decimal(1), -large, small, None), "desc", "numeric") == [
        0, 1, 3, 2, 4
    ]  # fmt: skip
    assert where(frame(None, large, Decimal(1), -large), "ge", str(large), "numeric") == [0]


def test_an_empty_result_can_be_arranged() -> None:
    """No rows of every type."""
    for kind, _strategy, _key in ORDERED.values():
        made = frame(kind)
        assert sort(made) == []
        assert shown(made, Arrangement(search="x")) == []


def test_other_dtypes_can_be_arranged() -> None:
    """numpy_nullable and plain columns sort and compare like Arrow's."""
    made = pd.DataFrame({"a": pd.array([3, None, 1], dtype="Int64")})
    assert sort(made) == [2, 0, 1]
    assert where(made, "gt", "2.5") == [0]
    values = pd.arrays.FloatingArray(np.array([np.nan, 1.0, 0.0]), np.array([False, False, True]))
    assert sort(pd.DataFrame({"a": values}), "desc") == [0, 1, 2]
    assert sort(pd.DataFrame({"a": ["b", "a"]})) == [1, 0]


# -- how an arrangement is written


def test_pythons_spellings_are_read() -> None:
    """Names, pairs, signs and words."""
    assert sorting("a") == sorting(["a"]) == sorting([("a", "asc")]) == (("a", "asc"),)
    assert sorting(None) == ()
    assert conditions([("a", "≠", 5), ["b", "is null"], ("c", "one of", [1, "x"])]) == (
        Condition("a", "ne", "5"),
        Condition("b", "null"),
        Condition("c", "in", ("1", "x")),
    )
    assert conditions([("at", ">=", dt.date(2026, 1, 2))])[0].value == "2026-01-02"
    assert not read(None, "", None)
    assert read(None, "x", None)


@pytest.mark.parametrize(
    "value",
    [[("a", "up")], [3.5], [("a",)]],
)
def test_a_wrong_sort_is_refused(value: Any) -> None:
    """The message shows what to write."""
    with pytest.raises(ValueError, match="no sort key"):
        sorting(value)


@pytest.mark.parametrize(
    "value",
    ["a > 1", [("a", "like", "x")], [("a", "=")], [("a", "is null", 1)], [("a", "one of", "xy")],
     [("a", "=", None)], [(None, "=", 1)], [("a", "eq", 1, 2)]],
)  # fmt: skip
def test_a_wrong_condition_is_refused(value: Any) -> None:
    """So is a comparison with NULL."""
    with pytest.raises(ValueError, match=r"no condition|takes a list|nothing compares"):
        conditions(value)


def test_a_browser_names_columns_by_number() -> None:
    """Kept by name where the name is one column's alone, and told back by number."""
    names = ["id", "x", "x"]
    request: Any = {
        "sort": [[0, "desc"], [2, "asc"], [9, "asc"]],
        "search": "q",
        "filters": [
            {"column": 1, "op": "in", "value": ["a"]},
            {"column": 5, "op": "null", "value": None},
        ],
    }
    read_one = from_browser(request, names)
    assert read_one == Arrangement((("id", "desc"), (2, "asc")), "q", (Condition(1, "in", ("a",)),))
    assert for_browser(read_one, names, ["odd"]) == {
        "sort": [(0, "desc"), (2, "asc")],
        "search": "q",
        "filters": [{"column": 1, "op": "in", "value": ["a"]}],
        "error": "odd",
    }
    assert for_browser(read_one, ["x"], [])["sort"] == []
