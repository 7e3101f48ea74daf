"""Values come through PostgreSQL exactly, with the same dtypes for no rows as for many."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pandas as pd
import psycopg
import pytest

from pgrt_jupyter.engine import frames

pytestmark = pytest.mark.every_server

BACKENDS = ["pyarrow", "numpy_nullable"]
ORDINARY = {  # SQL expression: value, dtype, dtype of numpy_nullable
    "true": (True, "bool[pyarrow]", "boolean"),
    "(-32768)::int2": (-32768, "int16[pyarrow]", "Int16"),
    "2147483647": (2147483647, "int32[pyarrow]", "Int32"),
    "9223372036854775807::int8": (9223372036854775807, "int64[pyarrow]", "Int64"),
    "4294967295::oid": (4294967295, "int64[pyarrow]", "Int64"),
    "1.5::float4": (1.5, "float[pyarrow]", "Float32"),
    "0.1::float8": (0.1, "double[pyarrow]", "Float64"),
    "1.50::numeric(10,2)": (Decimal("1.50"), "decimal128(10, 2)[pyarrow]", "object"),
    "123456789012345678901234567890.10": (
        Decimal("123456789012345678901234567890.10"),
        "object",
        "object",
    ),
    "'a'::text": ("a", "string[pyarrow]", "string"),
    "'a'::varchar(9)": ("a", "string[pyarrow]", "string"),
    "'a'::char(3)": ("a  ", "string[pyarrow]", "string"),
    "date '2024-02-29'": (dt.date(2024, 2, 29), "date32[day][pyarrow]", "object"),
    "time '12:34:56.789012'": (
        dt.time(12, 34, 56, 789012),
        "time64[us][pyarrow]",
        "object",
    ),
    "timestamp '2024-02-29 12:00:00.000001'": (
        dt.datetime(2024, 2, 29, 12, 0, 0, 1),
        "timestamp[us][pyarrow]",
        "datetime64[us]",
    ),
    "timestamptz '2024-02-29 12:00:00+02'": (
        dt.datetime(2024, 2, 29, 10, tzinfo=dt.UTC),
        "timestamp[us, tz=UTC][pyarrow]",
        "datetime64[us, UTC]",
    ),
    "'\\x00ff'::bytea": (b"\x00\xff", "binary[pyarrow]", "object"),
    "array[9007199254740993, null]": ([9007199254740993, None], "object", "object"),
    "array['a,b', 'NULL', null, '', '\"\\']": (
        ["a,b", "NULL", None, "", '"\\'],
        "object",
        "object",
    ),
    "array[array[1.10], array[null]]::numeric(5,2)[]": (
        [[Decimal("1.10")], [None]],
        "object",
        "object",
    ),
    "array[time '12:00', null]": ([dt.time(12), None], "object", "object"),
    "array[true, false]": ([True, False], "object", "object"),
    "array['\\x00ff'::bytea]": ([b"\x00\xff"], "object", "object"),
}
AS_TEXT = {  # SQL expression: the server's text
    "interval '1 mon -2 days 03:00:04.5'": "1 mon -2 days +03:00:04.5",
    "timetz '12:00+02'": "12:00:00+02",
    "'{\"a\":  1.0}'::json": '{"a":  1.0}',
    "'{\"a\":  1.0}'::jsonb": '{"a": 1.0}',
    "'6ecd8c99-4036-403d-bf84-cf8400f67836'::uuid": "6ecd8c99-4036-403d-bf84-cf8400f67836",
    "'10.0.0.1/8'::inet": "10.0.0.1/8",
    "b'101'": "101",
    "to_tsvector('simple', 'b a')": "'a':2 'b':1",
    "int4range(1, 5)": "[1,5)",
    "tstzrange('2024-01-01 00:00+00', null)": '["2024-01-01 01:00:00+01",)',
    "row(1, 'a b', null)": '(1,"a b",)',
    "point(1, 2)": "(1,2)",
    "'pg_class'::regclass": "pg_class",
    "'sad'::mood": "sad",
    "array['sad']::mood[]": "{sad}",
    "row('Main', 5)::address": "(Main,5)",
}
EXTREME = {  # SQL expression: what the column falls back to
    "date 'infinity'": "infinity",
    "date '0044-03-15 BC'": "0044-03-15 BC",
    "timestamp '-infinity'": "-infinity",
    "timestamp '294276-12-31'": "294276-12-31 00:00:00",
    "timestamptz 'infinity'": "infinity",
    "time '24:00'": "24:00:00",
    "array[date 'infinity']": ["infinity"],
}


@pytest.fixture
def connection(connect: Callable[..., psycopg.Connection[Any]]) -> psycopg.Connection[Any]:
    """Open a session with our settings, in a time zone that is not UTC."""
    session = connect()
    for name, value in (*frames.SETTINGS, ("TimeZone", "Europe/Berlin")):
        session.execute("SELECT set_config(%s, %s, false)", (name, value))
    return session


@pytest.fixture
def types(connection: psycopg.Connection[Any]) -> None:
    """Create an enum, a composite type and domains."""
    connection.execute("CREATE TYPE mood AS ENUM ('sad', 'ok')")
    connection.execute("CREATE TYPE address AS (street text, number int)")
    connection.execute("CREATE DOMAIN price AS numeric(8,2) CHECK (VALUE > 0)")


def run(
    connection: psycopg.Connection[Any], query: str, dtype_backend: Any = "pyarrow"
) -> pd.DataFrame:
    described = frames.describe(connection, query)
    fetched = frames.fetch(connection, query)
    return frames.parse(fetched, described.columns, dtype_backend=dtype_backend).frame


def both(expression: str) -> str:
    """Select a value and NULL of its type; an outer join, unlike CASE, keeps the precision."""
    rows = "generate_series(1, 2) AS i LEFT JOIN"
    return f"SELECT v FROM {rows} (SELECT {expression} AS v) AS q ON i = 1 ORDER BY i"


@pytest.mark.parametrize("backend", BACKENDS)
def test_values(connection: psycopg.Connection[Any], backend: str) -> None:
    """Value, NULL and no rows of a type share its documented dtype."""
    for expression, (value, *dtypes) in ORDINARY.items():
        query = both(expression)
        frame = run(connection, query, backend)
        nothing = run(connection, f"SELECT * FROM ({query}) AS q WHERE false", backend)
        assert frame["v"].iloc[0] == value, expression
        assert pd.isna(frame["v"].iloc[1]), expression
        dtype = dtypes[BACKENDS.index(backend)]
        assert [str(frame["v"].dtype), str(nothing["v"].dtype)] == [dtype, dtype], expression


@pytest.mark.usefixtures("types")
def test_texts(connection: psycopg.Connection[Any]) -> None:
    """Types without a dtype of their own keep the server's text."""
    for expression, text in AS_TEXT.items():
        frame = run(connection, both(expression))
        assert frame["v"].fillna("NULL").tolist() == [text, "NULL"], expression
        assert frame["v"].dtype == "string[pyarrow]", expression


@pytest.mark.parametrize("backend", BACKENDS)
def test_extremes(connection: psycopg.Connection[Any], backend: str) -> None:
    """A value that no dtype holds is shown as the server writes it."""
    for expression, text in EXTREME.items():
        frame = run(connection, both(expression), backend)
        assert frame["v"].iloc[0] == text, expression
        assert pd.isna(frame["v"].iloc[1]), expression
        assert str(text).strip("[]'") in repr(frame), expression


def test_nan(connection: psycopg.Connection[Any]) -> None:
    """NaN is a value, NULL is none."""
    for expression in ("'NaN'::numeric(5,2)", "'NaN'::numeric", "'NaN'::float8"):
        first, second = run(connection, both(expression))["v"].tolist()
        assert first != first, expression
        assert second is pd.NA, expression


def test_infinite_numeric(connection: psycopg.Connection[Any]) -> None:
    """Numeric has infinities."""
    assert run(connection, both("'-Infinity'::numeric"))["v"].iloc[0] == Decimal("-Infinity")


@pytest.mark.usefixtures("types")
def test_domain(connection: psycopg.Connection[Any]) -> None:
    """A domain is its base type, with its precision."""
    frame = run(connection, "SELECT 1.5::price AS v")
    assert str(frame["v"].dtype) == "decimal128(8, 2)[pyarrow]"
    assert frame["v"].tolist() == [Decimal("1.50")]


def test_time_zone_of_the_session(connection: psycopg.Connection[Any]) -> None:
    """Days begin where the session says they do; instants are the same everywhere."""
    frame = run(
        connection, "SELECT t::date AS d, t FROM (SELECT timestamptz '2024-06-30 23:00Z') q(t)"
    )
    assert frame["d"].iloc[0] == dt.date(2024, 7, 1)
    assert frame["t"].iloc[0] == dt.datetime(2024, 6, 30, 23, tzinfo=dt.UTC)


def test_local_mean_time(connection: psycopg.Connection[Any]) -> None:
    """Offsets with seconds are read."""
    frame = run(connection, "SELECT timestamptz '1880-01-01 00:00:00+00' AS t")
    assert frame["t"].iloc[0] == dt.datetime(1880, 1, 1, tzinfo=dt.UTC)


def test_description(connection: psycopg.Connection[Any]) -> None:
    """Columns carry name, type and the table column they come from; parameters their types."""
    connection.execute("CREATE TABLE goods (id int8 PRIMARY KEY, price numeric(8,2))")
    oid = connection.execute("SELECT 'goods'::regclass::oid").fetchone()[0]  # type: ignore[index]
    described = frames.describe(connection, "SELECT price, id + $2 FROM goods WHERE id = $1")
    price, computed = described.columns
    assert (price.name, price.type_oid, price.relation, price.attnum) == ("price", 1700, oid, 2)
    assert (computed.name, computed.relation, computed.attnum) == ("?column?", 0, 0)
    assert described.parameter_oids == (20, 20)


def test_given_parameter_types(connection: psycopg.Connection[Any]) -> None:
    """Types that the server cannot guess may be given."""
    described = frames.describe(connection, "SELECT generate_series($1, $2)", [23, 23])
    assert described.parameter_oids == (23, 23)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("SELECT 1; SELECT 2", psycopg.errors.SyntaxError),
        ("SELECT * FROM missing", psycopg.errors.UndefinedTable),
    ],
)
def test_bad_statement(
    connection: psycopg.Connection[Any], query: str, error: type[psycopg.Error]
) -> None:
    """A statement the server refuses raises its error and leaves the session usable."""
    with pytest.raises(error):
        frames.describe(connection, query)
    assert frames.describe(connection, "SELECT 1").columns[0].type_oid == 23


def test_error_while_running(connection: psycopg.Connection[Any]) -> None:
    """An error in the middle of a result raises and leaves the session usable."""
    with pytest.raises(psycopg.errors.DivisionByZero):
        frames.fetch(connection, "SELECT 1 / (5 - i) FROM generate_series(1, 9) i")
    assert frames.fetch(connection, "SELECT 1").rows == 1


@pytest.mark.parametrize(
    ("query", "max_rows"),
    [
        ("SELECT 1) TO STDOUT; DROP TABLE victim; COPY (SELECT 2", None),
        ("SELECT 1) q) TO STDOUT; DROP TABLE victim; COPY (SELECT * FROM (SELECT 2", 1),
    ],
)
def test_one_statement(
    connection: psycopg.Connection[Any], query: str, max_rows: int | None
) -> None:
    """Text that breaks out of our COPY runs nothing."""
    connection.execute("CREATE TABLE victim ()")
    with pytest.raises(psycopg.errors.SyntaxError):
        frames.fetch(connection, query, max_rows=max_rows)
    assert connection.execute("SELECT to_regclass('victim')").fetchone() == ("victim",)


def test_max_rows(connection: psycopg.Connection[Any]) -> None:
    """Reading stops at the limit, in the query's order, and says so."""
    query = "SELECT i, i AS i FROM generate_series(1, 9) i ORDER BY i DESC -- last first"
    columns = frames.describe(connection, query).columns
    some = frames.fetch(connection, query, max_rows=2)
    assert frames.parse(some, columns).frame.iloc[:, 1].tolist() == [9, 8]
    assert (some.rows, some.truncated) == (2, True)
    assert not frames.fetch(connection, query, max_rows=9).truncated


def test_max_rows_without_columns(connection: psycopg.Connection[Any]) -> None:
    """Rows of no columns are counted, too."""
    some = frames.fetch(connection, "SELECT FROM generate_series(1, 9)", max_rows=3)
    assert frames.parse(some, ()).frame.shape == (3, 0)


@pytest.mark.parametrize("query", ["VALUES (1), (2)", "WITH q AS (VALUES (1), (2)) TABLE q"])
def test_forms_of_queries(connection: psycopg.Connection[Any], query: str) -> None:
    """A query need not begin with SELECT."""
    assert run(connection, query)["column1"].tolist() == [1, 2]
    assert frames.fetch(connection, query, max_rows=1).rows == 1


def test_digest(connection: psycopg.Connection[Any]) -> None:
    """Equal results have equal digests; scale, NULL and truncation make a difference."""
    queries = ["SELECT 1.0", "SELECT 1.00", "SELECT ''", "SELECT NULL"]
    digests = [frames.fetch(connection, query).digest for query in queries]
    assert len(set(digests)) == 4
    assert digests == [frames.fetch(connection, query).digest for query in queries]
    many = "SELECT 1 FROM generate_series(1, 2)"
    one = frames.fetch(connection, "SELECT 1", max_rows=1)
    assert frames.fetch(connection, many, max_rows=1).digest != one.digest


def test_widest_result(connection: psycopg.Connection[Any]) -> None:
    """1,600 columns, as many as a table may have."""
    frame = run(connection, "SELECT " + ", ".join(f"{i} AS c" for i in range(1600)))
    assert frame.iloc[0].tolist() == list(range(1600))
