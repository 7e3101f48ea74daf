"""A small result that is read again in one trip is, to the byte, what COPY gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pgrt_jupyter as pgrt
from pgrt_jupyter.engine import frames, small
from pgrt_jupyter.engine.model import Snapshot
from pgrt_jupyter.engine.pieces import in_one
from pgrt_jupyter.engine.transactions import read_small

from .test_types import AS_TEXT, EXTREME, ORDINARY, both

Connection = psycopg.Connection[Any]
MORE = ["'NaN'::numeric(5,2)", "'NaN'::numeric", "'NaN'::float8", "'Infinity'::float4"]
ODD = ["''::text", "E'\\\\.'::text", "E'a\\n\\r\"b,'::text", "''::bytea", "NULL::int"]


@pytest.fixture
def connection(connect: Callable[..., Any]) -> Connection:
    """Give a connection with the types that tests of types use."""
    made: Connection = connect()
    made.execute("CREATE TYPE mood AS ENUM ('sad', 'ok')")
    made.execute("CREATE TYPE address AS (street text, number int)")
    made.execute("CREATE DOMAIN price AS numeric(8,2) CHECK (VALUE > 0)")
    for name, value in (*frames.SETTINGS, ("TimeZone", "Europe/Berlin")):
        made.execute("SELECT set_config(%s, %s, false)", (name, value))
    return made


def assert_same(connection: Connection, query: str) -> None:
    """Require that both ways give the same text, the same digest and the same frame."""
    columns = frames.describe(connection, query).columns
    copied = frames.fetch(connection, query)
    fetched = read_small(connection, query, columns)
    assert fetched is not None, query
    assert replace(fetched, texts=None) == copied
    one, other = (frames.parse(found, columns).frame for found in (fetched, copied))
    assert list(one.dtypes) == list(other.dtypes), query
    assert repr(one.to_numpy().tolist()) == repr(other.to_numpy().tolist()), query
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


@pytest.mark.every_server
def test_every_type(connection: Connection) -> None:
    """Values, NULLs and what no dtype holds are the same both ways."""
    for expression in [*ORDINARY, *AS_TEXT, *EXTREME, *MORE, *ODD]:
        assert_same(connection, both(expression))


@pytest.mark.parametrize(
    "query",
    [
        "SELECT FROM generate_series(1, 3)",
        "SELECT 1 AS a, 2 AS a WHERE false",
        "SELECT i AS a, i AS a, NULL AS b FROM generate_series(1, 3) AS i -- the end",
        "SELECT * FROM (VALUES ('a,b', NULL), ('', 'c'), (NULL, '\"')) AS v",
        "VALUES (E'\\\\.', E'\\\\.')",
    ],
)
def test_every_shape(connection: Connection, query: str) -> None:
    """Rows without columns, no rows, names that occur twice, and text that COPY quotes."""
    assert_same(connection, query)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    st.integers(1, 3).flatmap(
        lambda width: st.lists(
            st.tuples(*[st.none() | st.text('a",\n\r\\.\t é', max_size=4)] * width), max_size=4
        )
    )
)
def test_any_text(connection: Connection, rows: list[tuple[str | None, ...]]) -> None:
    """Whatever stands in it, text is written as COPY writes it."""
    width = len(rows[0]) if rows else 1
    names = ", ".join(f"c{place} text" for place in range(width))
    connection.execute("DROP TABLE IF EXISTS texts")
    connection.execute(f"CREATE TABLE texts (n serial, {names})")
    for row in rows:
        columns = ", ".join(f"c{place}" for place in range(width))
        marks = ", ".join(["%s"] * width)
        connection.execute(f"INSERT INTO texts ({columns}) VALUES ({marks})", row)
    shown = ", ".join(f"c{place}" for place in range(width))
    assert_same(connection, f"SELECT {shown} FROM texts ORDER BY n")


def test_another_shape_takes_the_usual_way(connection: Connection) -> None:
    """Columns that are not what they were, and errors with a place, are left to it; nothing stays open."""
    idle = psycopg.pq.TransactionStatus.IDLE
    columns = frames.describe(connection, "SELECT 1 AS a").columns
    for query in ("SELECT 1 AS b", "SELECT 1::int8 AS a", "SELECT a FROM nowhere"):
        assert read_small(connection, query, columns) is None
        assert connection.info.transaction_status == idle
    with pytest.raises(psycopg.errors.DivisionByZero):
        read_small(connection, "SELECT 1 / i AS a FROM generate_series(0, 1) AS i", columns)
    assert connection.info.transaction_status == idle


def test_what_a_query_did_to_its_session_is_undone(connection: Connection) -> None:
    """Settings, locks and notifications do not outlive it, and it cannot write."""
    query = "SELECT set_config('work_mem', '1MB', false) AS a, pg_advisory_lock(1) IS NULL AS b"
    columns = frames.describe(connection, query).columns
    assert read_small(connection, query, columns) is not None
    assert connection.execute("SHOW work_mem").fetchone() != ("1MB",)
    assert connection.execute(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    ).fetchone() == (0,)
    connection.execute("CREATE SEQUENCE numbers")
    columns = frames.describe(connection, "SELECT nextval('numbers') AS a").columns
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        read_small(connection, "SELECT nextval('numbers') AS a", columns)


@pytest.mark.parametrize(("rows", "expected"), [(0, True), (2_000, True), (2_001, False)])
def test_only_small_results(rows: int, expected: bool) -> None:
    """Beyond some values COPY is quicker; a result that may be cut is always copied."""
    columns = ()
    empty = in_one(b"\n" * rows, rows, ())
    frame = frames.parse(empty, columns).frame
    frame["a"] = frame["b"] = 1
    snapshot = Snapshot(
        version=1,
        frame=frame,
        columns=columns,
        digest=empty.digest,
        refreshed_at=datetime.now(UTC),
        truncated=False,
    )
    assert small.is_small(snapshot, None) is expected
    assert not small.is_small(snapshot, 10)
    assert not small.is_small(None, None)


def test_results_grow_and_shrink(dsn: str, connect: Callable[..., Any]) -> None:
    """Whichever way a result is read, an equal one is no update."""
    db = connect()
    db.execute("CREATE TABLE numbers (n int PRIMARY KEY, t text)")
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("numbers", "SELECT n, t FROM numbers ORDER BY n")
        for count in (3, 2_000, 2, 0, 600):
            db.execute("TRUNCATE numbers")
            db.execute(
                "INSERT INTO numbers SELECT i, 'x,' || i FROM generate_series(1, %s) AS i", (count,)
            )
            query.wait_for(lambda df: len(df) == count)  # noqa: B023
            query.refresh()
            version = query.version
            query.refresh()
            assert query.version == version
            assert query.df["t"].tolist() == [f"x,{i}" for i in range(1, count + 1)]
