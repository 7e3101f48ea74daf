"""Turn columns into numbers that can be drawn: 64-bit floats, times in seconds since 1970.

NULL, NaN and infinities become NaN, which is a gap: a scale that must show infinity shows nothing else.
A time without a zone is counted as if it were UTC, so that it is drawn as it is written.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa

from .. import texts, window
from .columns import TIMES, Role

Floats: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"
Codes: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"

_DAY = 86_400.0
_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_EPOCH = dt.date(1970, 1, 1).toordinal()


def numbers(column: pd.Series[Any], role: Role) -> Floats:
    """Give a column of numbers or times as floats."""
    data = texts.arrow(column)
    if data is None:
        found = np.fromiter(map(_number, column.to_numpy()), np.float64, len(column))
    elif role in TIMES:
        found = _seconds(data)
    else:
        found = _floats(data.cast(pa.float64(), safe=False))
    return np.where(np.isfinite(found), found, np.nan)


def coded(column: pd.Series[Any]) -> tuple[Codes, list[str]]:
    """Give a number for each row's text, and the texts, in order of appearance; NULL is one as well."""
    written = texts.texts(column).combine_chunks()
    found = written.dictionary_encode(null_encoding="encode")
    if isinstance(found, pa.ChunkedArray):
        found = found.combine_chunks()
    names = [window.text(value) for value in found.dictionary.to_pylist()]
    named = ["NULL" if name is None else name for name in names]
    return np.asarray(found.indices).astype(np.int64), named


def _floats(data: pa.ChunkedArray) -> Floats:
    found: Floats = data.to_numpy().astype(np.float64, copy=False)
    return found


def _seconds(data: pa.ChunkedArray) -> Floats:
    if pa.types.is_date32(data.type):
        return _floats(data.cast(pa.int32()).cast(pa.float64())) * _DAY
    if pa.types.is_date64(data.type):
        return _floats(data.cast(pa.int64()).cast(pa.float64())) / 1e3
    per_second = _UNITS[data.type.unit]
    return _floats(data.cast(pa.int64()).cast(pa.float64(), safe=False)) / per_second


def _number(value: Any) -> float:
    """Turn a Python object into a number: a decimal, or a date."""
    if isinstance(value, dt.date):
        return (value.toordinal() - _EPOCH) * _DAY
    if value is None or value is pd.NA or value is pd.NaT:
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
