"""Rows are sorted as PostgreSQL sorts them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pgrt_jupyter.engine.ordering import Order, is_as_declared
from pgrt_jupyter.engine.plans import Sort
from pgrt_jupyter.engine.types import DECIMAL, TEXT, kind_of

NAN = float("nan")
ASCENDING: list[tuple[list[Any], pa.DataType | None]] = [
    ([-3, 0, 2**60, None], pa.int64()),
    ([float("-inf"), -1.5, 0.0, float("inf"), NAN, None], pa.float64()),
    ([Decimal("-1.5"), Decimal("1.0"), Decimal("NaN"), pd.NA], None),
    ([Decimal("-1.50"), Decimal("0.00"), Decimal("7.25"), None], pa.decimal128(9, 2)),
    (["", "A", "B", "a", "ä", "😀", None], pa.string()),
    ([False, True, None], pa.bool_()),
    ([dt.date(1, 1, 1), dt.date(2024, 2, 29), None], pa.date32()),
    ([dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.datetime(2024, 1, 2, tzinfo=dt.UTC)],
     pa.timestamp("us", "UTC")),
]  # fmt: skip


def column(values: list[Any], arrow: pa.DataType | None) -> Any:
    """Make a column of a type, or of objects."""
    if arrow is None:
        return np.fromiter(values, object, len(values))
    return pa.chunked_array([pa.array(values, arrow)])


@pytest.mark.parametrize(("values", "arrow"), ASCENDING)
def test_values_rise(values: list[Any], arrow: pa.DataType | None) -> None:
    """NULL is behind everything, NaN behind every number; each equals itself."""
    data, order = (
        [column(values, arrow)],
        Order([Sort(output=0, descending=False, nulls_first=False)]),
    )
    keys = [order.keys(data, row) for row in range(len(values))]
    for one, a in enumerate(keys):
        for other, b in enumerate(keys):
            assert np.sign(order.compare(a, b)) == np.sign(one - other)


def test_minus_zero_is_zero() -> None:
    """Neither comes first."""
    data = [column([0.0, -0.0], pa.float64())]
    order = Order([Sort(output=0, descending=False, nulls_first=False)])
    assert order.compare(order.keys(data, 0), order.keys(data, 1)) == 0


@pytest.mark.parametrize("nulls_first", [True, False])
@pytest.mark.parametrize("descending", [True, False])
def test_a_row_goes_behind_its_equals(descending: bool, nulls_first: bool) -> None:
    """Whatever the direction and wherever NULL stands."""
    numbers = sorted([1, 1, 3, 5, 5], reverse=descending)
    values = [None, *numbers] if nulls_first else [*numbers, None]
    order = Order([Sort(output=0, descending=descending, nulls_first=nulls_first)])
    data = [column(values, pa.int64())]
    for new in (None, 0, 1, 2, 5, 9):
        keys = order.keys([column([new], pa.int64())], 0)
        place = order.place(data, len(values), keys)
        after = [*values[:place], new, *values[place:]]
        there = [v for v in after if v is not None]
        assert there == sorted(there, reverse=descending)
        assert after.index(None) == 0 if nulls_first else after[-1] is None
        assert new not in values[place:]


def test_later_columns_decide_between_equals() -> None:
    """The second is looked at where the first is the same."""
    sorts = [Sort(output=n, descending=n == 1, nulls_first=False) for n in (0, 1)]
    data = [column([1, 1, 2], pa.int64()), column(["b", "a", "z"], pa.string())]
    order = Order(sorts)
    keys = order.keys([column([1], pa.int64()), column(["aa"], pa.string())], 0)
    assert order.place(data, 3, keys) == 1


def test_a_column_that_fell_back_is_noticed() -> None:
    """An infinite date makes a column of text; another column's values would not tell."""
    dates = kind_of(1082)
    assert is_as_declared(column([dt.date(2024, 1, 1)], pa.date32()), dates)
    assert not is_as_declared(column(["infinity"], pa.string()), dates)
    assert is_as_declared(column(["x"], pa.string()), TEXT)
    assert is_as_declared(column([Decimal(1)], None), DECIMAL)
    assert not is_as_declared(column([Decimal(1)], None), kind_of(1700, (9 << 16 | 2) + 4))
