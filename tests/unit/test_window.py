"""How values become text, which rows travel, and what a viewer without a kernel sees."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pgrt_jupyter import window

UTC = dt.UTC


def arrow(values: list[Any], kind: pa.DataType) -> pd.Series:
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([pa.array(values, kind)])))


def texts(series: pd.Series) -> list[str | None]:
    frame = pd.DataFrame({"a": series})
    return window.cells(frame, range(len(frame)))[0]


def shown(frame: pd.DataFrame | None, **values: Any) -> window.Shown:
    told: dict[str, Any] = {
        "version": 1,
        "types": (),
        "status": "live",
        "message": "",
        "refreshed_at": dt.datetime(2026, 1, 2, tzinfo=UTC),
        "truncated": False,
    }
    return window.Shown(frame=frame, **{**told, **values})


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (2**63 - 1, "9223372036854775807"),
        (True, "true"),
        (1.0, "1"),
        (1e300, "1e+300"),
        (1e15, "1e+15"),
        (-1234567890123456.0, "-1.234567890123456e+15"),
        (0.00001, "1e-05"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (Decimal("1.20"), "1.20"),
        (Decimal("1E+3"), "1000"),
        (Decimal("NaN"), "NaN"),
        (dt.datetime(2026, 1, 2, 3, 4, 5, 120000), "2026-01-02 03:04:05.12"),
        (dt.datetime(2026, 1, 2, 3, 4, tzinfo=UTC), "2026-01-02 03:04:00+00"),
        (dt.datetime(2026, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=5.5))),
         "2026-01-02 00:00:00+05:30"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (dt.time(3, 4, 5), "03:04:05"),
        (dt.timedelta(days=1, seconds=3661), "1 day 01:01:01"),
        (dt.timedelta(0), "00:00:00"),
        (pa.MonthDayNano([14, -3, 1_500_000_000]), "1 year 2 mons -3 days 00:00:01.5"),
        (b"\x00\xff", "\\x00ff"),
        ([1, None, "a"], "{1,NULL,a}"),
        ({"a": [1]}, '{"a": [1]}'),
        ("", ""),
        ("NULL", "NULL"),
    ],
)  # fmt: skip
def test_values_are_written_as_postgresql_prints_them(value: Any, written: str) -> None:
    """Text is exact and looks as in psql."""
    assert window.text(value) == written


@pytest.mark.parametrize("value", [None, pd.NA, pd.NaT])
def test_null_has_no_text(value: Any) -> None:
    """NULL is not a word."""
    assert window.text(value) is None


def test_long_text_is_cut_with_a_mark() -> None:
    """What travels of one cell is bounded."""
    written = window.text("x" * 10_000)
    assert written is not None
    assert (len(written), written[-1]) == (window.MAX_TEXT, "…")


def test_nan_is_not_null_in_arrow_columns() -> None:
    """pandas merges them when it iterates; the table must not."""
    assert texts(arrow([1.5, float("nan"), None], pa.float64())) == ["1.5", "NaN", None]


def test_nan_is_not_null_in_nullable_columns() -> None:
    """The numpy_nullable types keep them apart as well."""
    values, missing = np.array([np.nan, 1.0, 0.0]), np.array([False, False, True])
    assert texts(pd.Series(pd.arrays.FloatingArray(values, missing))) == ["NaN", "1", None]


@pytest.mark.parametrize(
    ("kind", "value", "written"),
    [
        (pa.decimal128(38, 10), Decimal("0.0000000001"), "0.0000000001"),
        (pa.timestamp("us", "UTC"), 0, "1970-01-01 00:00:00+00"),
        (pa.date32(), dt.date(1, 1, 1), "0001-01-01"),
        (pa.list_(pa.int64()), [1, None], "{1,NULL}"),
        (pa.binary(), b"\x01", "\\x01"),
        (pa.month_day_nano_interval(), pa.MonthDayNano([1, 0, 0]), "1 mon"),
        (pa.bool_(), False, "false"),
    ],
)
def test_arrow_columns_keep_null_and_value(kind: pa.DataType, value: Any, written: str) -> None:
    """Every Arrow type shows its value and its NULL."""
    assert texts(arrow([value, None], kind)) == [written, None]


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.1, "0.1"), (1e6, "1e+06"), (123456.7, "123456.7"), (1.5e-7, "1.5e-07"), (0.0, "0")],
)
def test_single_precision_has_the_digits_of_single_precision(value: float, written: str) -> None:
    """A real is not shown with the digits of a double precision."""
    assert texts(arrow([value, None], pa.float32())) == [written, None]


def test_a_time_python_cannot_hold_is_still_shown() -> None:
    """Arrow's timestamps reach beyond the year 9999."""
    shown_text = texts(arrow([2**62], pa.timestamp("us")))[0]
    assert shown_text is not None


def test_columns_keep_duplicate_and_empty_names() -> None:
    """Columns are known by position."""
    frame = pd.DataFrame([[1, 2, 3]], columns=["id", "id", ""])
    described = window.columns(shown(frame, types=("int8", "numeric(10,2)", "int4[]")))
    assert [(c["name"], c["kind"]) for c in described] == [
        ("id", "number"),
        ("id", "number"),
        ("", "text"),
    ]


@pytest.mark.parametrize(
    ("type_name", "kind"),
    [
        ("timestamp(3) with time zone", "time"),
        ("double precision", "number"),
        ("character varying(20)", "text"),
        ("numeric(10,2)[]", "text"),
        ("jsonb", "json"),
        ("bytea", "binary"),
        ("mood", "text"),
        ("", "text"),
    ],
)
def test_types_are_drawn_by_kind(type_name: str, kind: str) -> None:
    """Both the short and the SQL name of a type are known."""
    assert window.kind(type_name) == kind


def test_the_snapshot_is_escaped() -> None:
    """Neither values nor names nor messages are markup."""
    evil = "<script>alert(1)</script>"
    frame = pd.DataFrame([[evil, None]], columns=[evil, "n"])
    html = window.html_snapshot(shown(frame, status="error", message=evil), persist=True)
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 3
    assert "<em>NULL</em>" in html


def test_the_snapshot_is_bounded_and_says_so() -> None:
    """A long, wide result does not end up in the notebook file."""
    frame = pd.DataFrame({str(n): range(10_000) for n in range(60)})
    html = window.html_snapshot(shown(frame, truncated=True), persist=True, max_rows=20)
    assert html.count("<tr>") == 21
    assert "first 20 of 10,000 rows · first 50 of 60 columns · truncated · live" in html


def test_the_snapshot_has_no_value_unless_asked_for() -> None:
    """The notebook file names columns and counts rows; a reason may quote a value, so it is out too."""
    frame = pd.DataFrame({"name": ["canary", "canary"], "n": [1, None]})
    told = shown(frame, status="error", message='invalid input syntax: "canary"', truncated=True)
    html = window.html_snapshot(told)
    assert "canary" not in html
    for said in ("<th>name</th><th>n</th>", "2 rows · truncated · error", "--persist"):
        assert said in html
    assert "canary" in window.html_snapshot(told, persist=True)


def test_the_snapshot_before_a_result_says_so() -> None:
    """There is always something to read."""
    assert "No result yet (starting)" in window.html_snapshot(window.NOTHING)


def test_a_result_without_columns_is_shown() -> None:
    """PostgreSQL allows SELECT without a list."""
    frame = pd.DataFrame(index=range(3))
    assert "3 rows" in window.html_snapshot(shown(frame))
