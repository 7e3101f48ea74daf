"""Whole columns are written exactly as their values are one by one."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgrt_jupyter import texts, window

INSTANTS = st.integers(-(10**16), 10**17).map(lambda n: n - n % 1000 if n % 3 else n)
VALUES: dict[str, tuple[pa.DataType, Any]] = {
    "int8": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "int2": (pa.int16(), st.integers(-(2**15), 2**15 - 1)),
    "float8": (pa.float64(), st.floats()),
    "float4": (pa.float32(), st.floats(width=32)),
    "numeric(20,2)": (pa.decimal128(20, 2), st.decimals(-(10**17), 10**17, places=2)),
    "numeric(30,15)": (pa.decimal128(30, 15), st.decimals(-(10**14), 10**14, places=15)),
    "timestamptz": (pa.timestamp("us", "UTC"), INSTANTS),
    "timestamp": (pa.timestamp("us"), INSTANTS),
    "date": (pa.date32(), st.dates()),
    "time": (pa.time64("us"), st.times()),
    "bool": (pa.bool_(), st.booleans()),
    "text": (pa.string(), st.text()),
    "bytea": (pa.binary(), st.binary()),
}


def series(values: list[Any], kind: pa.DataType) -> pd.Series:
    half = len(values) // 2
    chunks = [pa.array(values[:half], kind), pa.array(values[half:], kind)]
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array(chunks)))


def one_by_one(column: pd.Series) -> list[str | None]:
    return [window.text(value, window.EVERYTHING) for value in window.values(column)]


@pytest.mark.parametrize("name", VALUES)
def test_columns_are_written_like_values(name: str) -> None:
    """Whatever Arrow would make of a type, the text is PostgreSQL's."""
    kind, strategy = VALUES[name]

    @settings(deadline=None, max_examples=40)
    @given(st.lists(st.none() | strategy, max_size=20))
    def check(values: list[Any]) -> None:
        column = series(values, kind)
        assert texts.texts(column).to_pylist() == one_by_one(column)

    check()


@pytest.mark.parametrize("name", VALUES)
def test_a_column_has_no_character_outside_its_alphabet(name: str) -> None:
    """A search passes over columns that cannot hold what is searched for."""
    kind, strategy = VALUES[name]

    @settings(deadline=None, max_examples=40)
    @given(st.lists(strategy, max_size=20))
    def check(values: list[Any]) -> None:
        column = series(values, kind)
        alphabet = texts.alphabet(column, name)
        if alphabet is not None:
            assert set("".join(map(str, one_by_one(column))).lower()) <= set(alphabet)

    check()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.none() | st.decimals(allow_nan=None, allow_infinity=True), max_size=20))
def test_decimal_objects_are_written_like_values(values: list[Decimal | None]) -> None:
    """Numeric columns of any scale keep every digit."""
    values = [None if v is not None and v.is_snan() else v for v in values]
    objects = np.fromiter((pd.NA if v is None else v for v in values), object, len(values))
    column = pd.Series(objects, dtype=object)
    assert texts.texts(column).to_pylist() == one_by_one(column)


def test_other_columns_are_written_one_by_one() -> None:
    """Arrays, and what is none of PostgreSQL's, have text as well."""
    column = pd.Series([[1, None], pd.NA, [Decimal("1.0")]], dtype=object)
    assert texts.texts(column).to_pylist() == ["{1,NULL}", None, "{1.0}"]
    column = pd.Series(pd.to_datetime(["2026-01-02", None]).tz_localize("UTC"))
    assert texts.texts(column).to_pylist() == ["2026-01-02 00:00:00+00", None]


def test_rows_keep_their_places_as_labels() -> None:
    """What is taken can be found again in the frame."""
    column = series([10, 20, 30, 40], pa.int64())
    taken = texts.take(column, np.array([3, 1]))
    assert taken.to_dict() == {3: 40, 1: 20}
    plain = texts.take(pd.Series([dt.date(2026, 1, 1)] * 3), np.array([2]))
    assert list(plain.index) == [2]
