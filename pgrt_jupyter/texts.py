"""Write whole columns as text, the way `window.text` writes one value.

Searching and exporting a million rows go through here. What Arrow writes differently from
PostgreSQL, or cannot write, is written one value at a time.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from . import window

Positions: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"

_DECIMAL = {Decimal, type(None), type(pd.NA)}
_DAY = 86_400
_MICRO = 1_000_000
_PLAIN = 1e-4, 1e10  # floats between are written without exponent, by Arrow as well


def arrow(column: pd.Series[Any]) -> pa.ChunkedArray | None:
    """Give the Arrow data of a column, NaN told from NULL; None for Python objects."""
    if column.dtype == object:
        return None
    data = pa.array(column.array, from_pandas=False)
    return data if isinstance(data, pa.ChunkedArray) else pa.chunked_array([data])


def take(column: pd.Series[Any], positions: Positions) -> pd.Series[Any]:
    """Take rows of a column, labelled by their positions."""
    data = arrow(column) if isinstance(column.dtype, pd.ArrowDtype) else None
    if data is not None:
        # Arrow looks for the chunk of each row; pandas joins all chunks first.
        taken: Any = pd.arrays.ArrowExtensionArray(data.take(pa.array(positions)))
    else:
        taken = column.array.take(positions)
    return pd.Series(taken, index=pd.Index(positions), copy=False)


def texts(column: pd.Series[Any], most: int | None = None) -> pa.ChunkedArray:
    """Write every value of a column; null for NULL. `most` cuts long ones."""
    if most is None:
        data = arrow(column)
        written = decimals(column) if data is None else _whole(data)
        if written is not None:
            return written
    cut = most or window.EVERYTHING
    return pa.chunked_array(
        [pa.array([window.text(value, cut) for value in window.values(column)], pa.string())]
    )


def decimals(column: pd.Series[Any]) -> pa.ChunkedArray | None:
    """Write a column of Decimal objects, six times quicker than Arrow reads them; None for others."""
    if column.dtype != object:
        return None
    values = column.to_numpy().tolist()
    if not set(map(type, values)) <= _DECIMAL:
        return None
    written = pa.array(list(map(str, values)), pa.string())
    missing = pc.is_in(written, value_set=pa.array([str(pd.NA), str(None)]))
    written = pc.if_else(missing, pa.scalar(None, pa.string()), written)
    odd = pc.fill_null(pc.match_substring(written, "E"), False)
    if pc.any(odd).as_py():  # an exponent, which PostgreSQL never writes
        by_hand = [format(values[at], "f") for at in np.flatnonzero(odd)]
        written = pc.replace_with_mask(written, odd, pa.array(by_hand, pa.string()))
    return pa.chunked_array([written])


def alphabet(column: pd.Series[Any], type_name: str) -> str | None:
    """Give the lower-case characters that the texts of a column are made of; None for any."""
    if column.dtype == object:
        return "0123456789-.naifty" if type_name == "numeric" else None
    kind = column.dtype.pyarrow_dtype if isinstance(column.dtype, pd.ArrowDtype) else None
    if kind is None:
        return None
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return "0123456789-."
    if pa.types.is_floating(kind):
        return "0123456789-+.enaifty"  # NaN, Infinity
    if pa.types.is_temporal(kind) and not pa.types.is_duration(kind):
        return None if pa.types.is_interval(kind) else "0123456789-+:. "
    return "truefals" if pa.types.is_boolean(kind) else None


def _whole(data: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Write a column without looking at each value; None where that cannot be done exactly."""
    kind = data.type
    if pa.types.is_string(kind):
        return data
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_date32(kind):
        return data.cast(pa.string())
    if pa.types.is_decimal128(kind):
        return _decimals(data)
    if pa.types.is_float64(kind):
        return _floats(data)
    if pa.types.is_timestamp(kind) and kind.unit == "us" and kind.tz in (None, "UTC"):
        return _instants(data, "" if kind.tz is None else "+00")
    return None


def _decimals(data: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Write decimals; small ones of more than six digits Arrow writes with an exponent."""
    return data.cast(pa.string()) if data.type.scale <= 6 else None


def _floats(data: pa.ChunkedArray) -> pa.ChunkedArray:
    """Write floats, those that Arrow writes otherwise by hand."""
    size = pc.abs(data)
    # Comparisons with NaN are false, so it counts as odd.
    between = pc.and_(pc.greater_equal(size, _PLAIN[0]), pc.less(size, _PLAIN[1]))
    plain = pc.or_(between, pc.equal(size, 0.0))
    written = data.cast(pa.string())
    odd = pc.invert(pc.fill_null(plain, True))
    if not pc.any(odd).as_py():
        return written
    by_hand = [window.text(value) for value in data.filter(odd).to_pylist()]
    return pc.replace_with_mask(
        written.combine_chunks(), odd.combine_chunks(), pa.array(by_hand, pa.string())
    )


def _instants(data: pa.ChunkedArray, zone: str) -> pa.ChunkedArray:
    """Write timestamps from tables of the days and seconds there are: Arrow takes 1 µs for each."""
    if not len(data):
        return pa.chunked_array([pa.array([], pa.string())])
    return pa.chunked_array([_chunk(chunk, zone) for chunk in data.chunks], pa.string())


def _chunk(chunk: pa.Array, zone: str) -> pa.Array:
    seconds, fraction = np.divmod(np.asarray(chunk.view(pa.int64()).fill_null(0)), _MICRO)
    days, clock = np.divmod(seconds, _DAY)
    parts = [_dates(days), _clock().take(pa.array(clock))]
    if fraction.any():
        digits = pc.utf8_slice_codeunits(pa.array(fraction + _MICRO).cast(pa.string()), 1)
        digits = pc.binary_join_element_wise(".", pc.utf8_rtrim(digits, "0"), "")
        parts.append(pc.if_else(pa.array(fraction != 0), digits, ""))
    joined = pc.binary_join_element_wise(*parts, pa.scalar(zone), "")
    return pc.if_else(chunk.is_null(), pa.scalar(None, pa.string()), joined)


def _dates(days: Positions) -> pa.Array:
    """Write days since 1970; from a table where they are as close together as they mostly are."""
    first, last = int(days.min(initial=0)), int(days.max(initial=0))
    if last - first > len(days):
        return pa.array(days.astype(np.int32), pa.int32()).view(pa.date32()).cast(pa.string())
    table = pa.array(np.arange(first, last + 1, dtype=np.int32), pa.int32())
    return table.view(pa.date32()).cast(pa.string()).take(pa.array(days - first))


@cache
def _clock() -> pa.Array:
    """Write every second of a day."""
    times = (f" {s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}" for s in range(_DAY))
    return pa.array(times, pa.string())
