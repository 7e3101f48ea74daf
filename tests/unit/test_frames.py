"""COPY's CSV becomes a DataFrame of exact values."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pytest

from pgrt_jupyter.engine import values
from pgrt_jupyter.engine.frames import empty, parse
from pgrt_jupyter.engine.model import Column
from pgrt_jupyter.engine.pieces import Fetched, Piece

BOOL, BYTEA, INT8, INT4, TEXT, FLOAT8 = 16, 17, 20, 23, 25, 701
TIMESTAMPTZ, NUMERIC, INT4_ARRAY = 1184, 1700, 1007
BACKENDS = ["pyarrow", "numpy_nullable"]


def columns(*oids: int) -> tuple[Column, ...]:
    return tuple(Column(name=f"c{i}", type_oid=oid) for i, oid in enumerate(oids))


def whole(text: bytes, rows: int) -> Fetched:
    """Make a result of one piece."""
    piece = Piece(text=text, digest=b"", rows=rows)
    return Fetched(pieces=(piece,), digest=b"", rows=rows, truncated=False)


def parsed(text: str | bytes, *oids: int, dtype_backend: str = "pyarrow") -> pd.DataFrame:
    data = text.encode() if isinstance(text, str) else text
    fetched = whole(data, data.count(b"\n"))
    return parse(fetched, columns(*oids), dtype_backend=dtype_backend).frame  # type: ignore[arg-type]


def only(frame: pd.DataFrame) -> list[object]:
    """List the values of the single column."""
    assert frame.shape[1] == 1
    return frame["c0"].tolist()


@pytest.mark.parametrize("backend", BACKENDS)
def test_null_rows_of_one_column(backend: str) -> None:
    """Empty lines are rows, and an empty string is not NULL."""
    assert only(parsed('\n""\n\n', TEXT, dtype_backend=backend)) == [pd.NA, "", pd.NA]


@pytest.mark.parametrize("backend", BACKENDS)
def test_large_integers_beside_null(backend: str) -> None:
    """A NULL does not turn integers into floats."""
    frame = parsed("9007199254740993\n\n", INT8, dtype_backend=backend)
    assert only(frame) == [9007199254740993, pd.NA]


@pytest.mark.parametrize("backend", BACKENDS)
def test_nan_is_not_null(backend: str) -> None:
    """NaN and infinity stay floats beside NULL."""
    found = only(parsed("NaN\n\n-Infinity\n", FLOAT8, dtype_backend=backend))
    assert str(found) == "[nan, <NA>, -inf]"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "text", ["infinity", "0044-03-15 00:00:00+00 BC", "10000-01-01 00:00:00+00"]
)
def test_instants_beyond_datetime(text: str, backend: str) -> None:
    """A column with an instant that Python cannot hold shows the server's text."""
    frame = parsed(f"2024-01-01 00:00:00+00\n{text}\n", TIMESTAMPTZ, dtype_backend=backend)
    assert only(frame) == ["2024-01-01 00:00:00+00", text]
    assert "string" in str(frame.dtypes.iloc[0])


@pytest.mark.parametrize("text", ["0001-01-01 00:00:00+01", "9999-12-31 23:30:00-01"])
def test_instants_beyond_datetime_in_utc(text: str) -> None:
    """The years 1 to 9999 are counted in UTC, where the values are kept."""
    assert only(parsed(f"{text}\n", TIMESTAMPTZ)) == [text]


def test_offset_with_seconds() -> None:
    """Local mean times are instants, too, whatever Arrow thinks of their offset."""
    frame = parsed("1930-01-01 12:00:00+00:19:32\n2024-06-01 12:00:00.5+02\n\n", TIMESTAMPTZ)
    assert only(frame) == [
        datetime(1930, 1, 1, 11, 40, 28, tzinfo=UTC),
        datetime(2024, 6, 1, 10, 0, 0, 500000, tzinfo=UTC),
        pd.NA,
    ]


def test_one_odd_column_leaves_the_others() -> None:
    """A value that does not fit its type changes its own column only."""
    frame = parsed("1,infinity,t,1.10\n,,,\n", INT4, TIMESTAMPTZ, BOOL, NUMERIC)
    assert frame.dtypes.astype(str).tolist() == [
        "int32[pyarrow]",
        "string[pyarrow]",
        "bool[pyarrow]",
        "object",
    ]
    assert frame.iloc[0].tolist() == [1, "infinity", True, Decimal("1.10")]
    assert frame.iloc[1].tolist() == [pd.NA] * 4


def test_numeric_computes() -> None:
    """Undeclared numerics are Decimals: exact, with their scale, and NULL stays NULL."""
    amounts = parsed("1.50\n\n123456789012345678.000000001\n", NUMERIC)["c0"]
    assert (amounts + 1).tolist() == [
        Decimal("2.50"),
        pd.NA,
        Decimal("123456789012345679.000000001"),
    ]
    assert amounts.sum() == Decimal("123456789012345679.500000001")


def test_arrays() -> None:
    """Arrays of any dimension are nested lists with None for NULL elements."""
    text = '"{9007199254740993,NULL}"\n"{{1,2},{3,4}}"\n{}\n\n"[0:1]={5,6}"\n'
    assert only(parsed(text, 1016)) == [
        [9007199254740993, None],
        [[1, 2], [3, 4]],
        [],
        pd.NA,
        [5, 6],
    ]


@pytest.mark.parametrize("backend", BACKENDS)
def test_bytes(backend: str) -> None:
    """Bytea is bytes."""
    assert only(parsed("\\x00ff\n\\x\n\n", BYTEA, dtype_backend=backend)) == [
        b"\x00\xff",
        b"",
        pd.NA,
    ]


def test_no_utf8() -> None:
    """Bytes that are not UTF-8 are shown as escapes."""
    assert only(parsed(b"caf\xe9\n", TEXT)) == ["caf\\xe9"]


def test_rows_longer_than_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row may be longer than the blocks the reader takes."""
    monkeypatch.setattr(values, "_BLOCK", 100)
    frame = parsed("1,short\n2," + "x" * 1000 + "\n3,\n", INT4, TEXT)
    assert frame["c0"].tolist() == [1, 2, 3]
    assert frame["c1"].tolist() == ["short", "x" * 1000, pd.NA]


@pytest.mark.parametrize("backend", BACKENDS)
def test_line_breaks_and_quotes(backend: str) -> None:
    """Whatever a text contains comes back."""
    text = '"a\nb",1\n"c ""d"", e\r\n",2\n'
    fetched = whole(text.encode(), 2)
    frame = parse(fetched, columns(TEXT, INT4), dtype_backend=backend).frame  # type: ignore[arg-type]
    assert frame["c0"].tolist() == ["a\nb", 'c "d", e\r\n']


def test_duplicate_and_empty_names() -> None:
    """Columns are named as in SQL."""
    named = [Column(name=name, type_oid=INT4) for name in ("id", "", "id", "?column?")]
    frame = parse(whole(b"1,2,3,4\n", 1), named).frame
    assert frame.columns.tolist() == ["id", "", "id", "?column?"]
    assert frame.iloc[0].tolist() == [1, 2, 3, 4]


def test_no_columns() -> None:
    """A result without columns still has rows."""
    assert parsed("\n\n").shape == (2, 0)


def test_wrong_number_of_columns() -> None:
    """Text of another result is refused."""
    with pytest.raises(pa.ArrowInvalid):
        parsed("1,2\n", INT4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_rows(backend: str) -> None:
    """No rows have the dtypes of many."""
    oids = (BOOL, BYTEA, INT8, TEXT, FLOAT8, TIMESTAMPTZ, NUMERIC, INT4_ARRAY)
    rows = parsed("t,\\x00,1,x,1.5,2024-01-01 00:00:00+00,1.5,{1}\n", *oids, dtype_backend=backend)
    nothing = empty(columns(*oids), dtype_backend=backend)  # type: ignore[arg-type]
    assert len(nothing) == 0
    assert nothing.dtypes.tolist() == rows.dtypes.tolist()
