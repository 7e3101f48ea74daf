"""Turn columns of the server's text into typed values, and those into pandas arrays.

What an Arrow type cannot hold falls back for the whole column, never to a wrong value: `infinity`,
years beyond 1-9999 and `24:00:00` keep the server's text, a numeric NaN makes Decimal objects.
NULL in a column of Python objects is `pandas.NA`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from psycopg.adapt import Transformer
from psycopg.pq import Format
from pyarrow import csv

from pgrt_jupyter.engine.types import Form, Kind

Objects: TypeAlias = "np.ndarray[Any, np.dtype[np.object_]]"
Values: TypeAlias = "pa.ChunkedArray | Objects"
DtypeBackend = Literal["pyarrow", "numpy_nullable"]

_TEXT_ARRAY_OID = 1009
_BLOCK = 16 << 20  # bytes; 1M x 10 rows: 0.42 s, against 0.49 s with Arrow's default of 1 MiB
_MARK = b"\xef\xbb\xbf"  # U+FEFF in UTF-8
_LARGEST_BLOCK = (1 << 31) - 1
_SMALL = 1 << 16  # bytes, which one thread reads sooner than another would begin
# An empty line is a row: NULL in a result of one column.
_PARSE = csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
_FIRST = datetime(1, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
_NULLABLE = {
    pa.bool_(): "boolean",
    pa.int16(): "Int16",
    pa.int32(): "Int32",
    pa.int64(): "Int64",
    pa.string(): "string",
}


def read_exactly(data: bytes, kinds: Sequence[Kind]) -> list[Values]:
    """Read CSV as COPY writes it into one column of values for each kind.

    Raises `pyarrow.ArrowInvalid` when a value does not fit its type, or the number of columns differs.
    """
    columns = _read(data, [_wire_type(kind) for kind in kinds])
    return [_finish(column, kind) for column, kind in zip(columns, kinds, strict=True)]


def read_anything(data: bytes, kinds: Sequence[Kind]) -> list[Values]:
    """Read CSV with columns of other types where values do not fit.

    Raises `pyarrow.ArrowInvalid` when the text has another number of columns.
    """
    if not data:
        return [joined([], kind) for kind in kinds]
    try:
        return read_exactly(data, kinds)
    except pa.ArrowInvalid:
        # One value that a type cannot hold fails the read without saying which column.
        raw = _read(data, [pa.binary()] * len(kinds), block=len(data))
        return [decode(_text(column), kind) for column, kind in zip(raw, kinds, strict=True)]


def read_texts(
    texts: Sequence[Sequence[bytes | str | None]], kinds: Sequence[Kind]
) -> list[Values]:
    """Read columns of few values, for which that is quicker than CSV; the same values.

    Raises `pyarrow.ArrowInvalid` for what is not UTF-8.
    """
    columns = (_chunked(column, pa.string()) for column in texts)
    return [decode(column, kind) for column, kind in zip(columns, kinds, strict=True)]


def joined(parts: Sequence[Any], kind: Kind) -> Values:
    """Put pieces of a column together, all Arrow data, which is not copied, or all objects."""
    if not parts:
        return decode(_chunked([], pa.string()), kind)
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    return pa.chunked_array([chunk for part in parts for chunk in part.chunks], parts[0].type)


def decode(texts: pa.ChunkedArray, kind: Kind) -> Values:
    """Turn one column of text into values of a kind, or into its fallback."""
    return _DECODERS[kind.form](texts, kind)


def to_pandas(values: Values, dtype_backend: DtypeBackend) -> Any:
    """Wrap values in the array of a DataFrame column."""
    if isinstance(values, np.ndarray):
        return values
    if dtype_backend == "pyarrow":
        return pd.arrays.ArrowExtensionArray(values)
    return _to_nullable(values)


def _read(data: bytes, types: Sequence[pa.DataType], *, block: int = 0) -> list[pa.ChunkedArray]:
    """Read CSV into columns of the types; `block` raises how long a row may be, in bytes."""
    block = min(max(block, _BLOCK), _LARGEST_BLOCK)
    if data.startswith(_MARK):
        data = _MARK + data  # a reader takes the first one for no part of the value
    table = csv.read_csv(
        pa.BufferReader(data),
        read_options=csv.ReadOptions(
            column_names=[str(position) for position in range(len(types))],
            block_size=block,
            use_threads=len(data) > _SMALL,
        ),
        parse_options=_PARSE,
        convert_options=_convert(tuple(types)),
    )
    return list(table.columns)


@lru_cache(256)
def _convert(types: tuple[pa.DataType, ...]) -> csv.ConvertOptions:
    """Say how the CSV reader is to make values; nobody changes what is given."""
    return csv.ConvertOptions(
        column_types={str(position): kind for position, kind in enumerate(types)},
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        true_values=["t"],
        false_values=["f"],
    )


def _wire_type(kind: Kind) -> pa.DataType:
    """Say what the CSV reader is to make of a column."""
    return kind.arrow if kind.form is Form.PLAIN else pa.string()


def _finish(column: pa.ChunkedArray, kind: Kind) -> Values:
    """Complete a column that the CSV reader made."""
    return _checked(column) if kind.form is Form.PLAIN else decode(column, kind)


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Decode bytes as UTF-8, showing what is not by escapes: SQL_ASCII databases hold anything."""
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        decoded = [
            None if value is None else value.decode(errors="backslashreplace")
            for value in column.to_pylist()
        ]
        return _chunked(decoded, pa.string())


def _checked(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Raise ArrowInvalid for instants that fall outside the years 1-9999 in UTC.

    Arrow holds them, but reading one as a Python datetime or a pandas Timestamp fails.
    """
    if _is_instant(column.type):
        bounds = pc.min_max(column)
        first, last = (pa.scalar(bound, column.type).value for bound in (_FIRST, _LAST))
        if bounds["min"].is_valid and not (
            first <= bounds["min"].value and bounds["max"].value <= last
        ):
            raise pa.ArrowInvalid("timestamp out of range")
    return column


def _plain(texts: pa.ChunkedArray, kind: Kind) -> Values:
    """Convert text as the CSV reader does, or fall back."""
    if kind.arrow == pa.string():
        return texts
    try:
        return _checked(_convert_texts(texts, kind.arrow))
    except pa.ArrowInvalid:
        return _fall_back(texts, kind)


def _convert_texts(texts: pa.ChunkedArray, arrow: pa.DataType | None) -> pa.ChunkedArray:
    """Convert text to what the CSV reader makes of it."""
    if pa.types.is_boolean(arrow):
        return pc.equal(texts, "t")
    if pa.types.is_time(arrow):
        return _read_lines(texts, arrow)  # no cast is made for it
    return texts.cast(arrow)


def _read_lines(texts: pa.ChunkedArray, arrow: pa.DataType | None) -> pa.ChunkedArray:
    """Convert text by the CSV reader, one line a value; no such value holds a line break."""
    if not len(texts):
        return _chunked([], arrow)
    lines = "\n".join(pc.fill_null(texts, "").to_pylist()) + "\n"
    return _read(lines.encode(), [arrow])[0]


def _is_instant(arrow: pa.DataType | None) -> bool:
    """Tell timestamptz from timestamp without time zone and from the rest."""
    return arrow is not None and pa.types.is_timestamp(arrow) and arrow.tz is not None


def _fall_back(texts: pa.ChunkedArray, kind: Kind) -> Values:
    """Keep every value of a column that its Arrow type cannot hold."""
    if pa.types.is_decimal(kind.arrow):
        return _decimals(texts, kind)
    if _is_instant(kind.arrow):
        return _instants(texts, kind)
    return texts


def _instants(texts: pa.ChunkedArray, kind: Kind) -> pa.ChunkedArray:
    """Read offsets with seconds, as local mean times have them, which Arrow refuses."""
    try:
        parsed = [None if text is None else datetime.fromisoformat(text) for text in _each(texts)]
        return _checked(_chunked(parsed, kind.arrow))
    except (ValueError, OverflowError):
        return texts


def _decimals(texts: pa.ChunkedArray, kind: Kind) -> Objects:
    """Make Decimal objects, which keep every digit, the scale, NaN and infinity."""
    return _objects((None if text is None else Decimal(text) for text in _each(texts)), len(texts))


def _bytes(texts: pa.ChunkedArray, kind: Kind) -> pa.ChunkedArray:
    """Decode `\\x` and hexadecimal digits."""
    values = [None if text is None else bytes.fromhex(text[2:]) for text in _each(texts)]
    return _chunked(values, pa.binary())


def _lists(texts: pa.ChunkedArray, kind: Kind) -> Objects:
    """Decode arrays of any dimension into nested Python lists; NULL elements are None.

    Arrow's list type has a fixed depth, and pandas shows an int8 list that has a NULL as floats.
    """
    assert kind.element is not None
    # psycopg's loader of text[] leaves every element as the server wrote it, at any depth.
    load = Transformer().get_loader(_TEXT_ARRAY_OID, Format.TEXT).load
    lists = [None if text is None else load(text.encode()) for text in _each(texts)]
    decoded = decode(_chunked(list(_leaves(lists)), pa.string()), kind.element)
    return _objects(_replace_leaves(lists, iter(_each(decoded))), len(lists))


def _leaves(value: Any) -> Iterator[str]:
    """Yield what stands in nested lists, in order, without NULLs."""
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif value is not None:
        yield value


def _replace_leaves(value: Any, leaves: Iterator[Any]) -> Any:
    """Rebuild nested lists with other leaves."""
    if isinstance(value, list):
        return [_replace_leaves(item, leaves) for item in value]
    return None if value is None else next(leaves)


def _to_nullable(values: pa.ChunkedArray) -> Any:
    """Wrap values in pandas' own nullable arrays, or as Python objects where it has none."""
    if pa.types.is_floating(values.type):
        # The constructor keeps NaN apart from NULL; pandas' conversion from Arrow does not.
        numbers = pc.fill_null(values, 0.0).to_numpy()
        return pd.arrays.FloatingArray(numbers.copy(), values.is_null().to_numpy().copy())
    if values.type in _NULLABLE:
        dtype: Any = pd.api.types.pandas_dtype(_NULLABLE[values.type])
        return dtype.__from_arrow__(values)
    series = values.to_pandas()
    if pa.types.is_timestamp(values.type):
        return series.array
    return _objects(series.to_numpy(object), len(values))


def _objects(values: Iterable[Any], count: int) -> Objects:
    """Hold Python objects; `fromiter`, because `array` makes lists of one length a matrix."""
    return np.fromiter((pd.NA if value is None else value for value in values), object, count)


def _each(values: Values) -> list[Any]:
    """List the values of a column as Python objects."""
    return values.tolist() if isinstance(values, np.ndarray) else values.to_pylist()


def _chunked(values: Sequence[Any], arrow: pa.DataType | None) -> pa.ChunkedArray:
    """Make a column of an Arrow type, of no rows as well."""
    return pa.chunked_array([pa.array(values, type=arrow)])


_DECODERS: dict[Form, Callable[[pa.ChunkedArray, Kind], Values]] = {
    Form.PLAIN: _plain,
    Form.DECIMAL: _decimals,
    Form.HEX: _bytes,
    Form.LIST: _lists,
}
