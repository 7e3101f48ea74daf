"""Keep a deterministic test for what the oracle found: each failed before it was mended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

import pgrt_jupyter as pgrt
from pgrt_jupyter import api
from pgrt_jupyter.engine.listener import Pulse
from pgrt_jupyter.engine.loop import EngineLoop
from pgrt_jupyter.testing import wait_until

Connection = psycopg.Connection[Any]
ORDERS = "SELECT id, status FROM orders ORDER BY id"


@pytest.fixture
def db(connect: Callable[..., Any]) -> Connection:
    """Give a connection to a database with a few orders."""
    connection: Connection = connect()
    connection.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, status text);"
        "INSERT INTO orders SELECT n, 'new' FROM generate_series(1, 3) AS n"
    )
    return connection


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have engines look after themselves several times a second."""

    def quick_loop(conninfo: Any, **options: Any) -> EngineLoop:
        pulse = Pulse(interval=0.2, deadline=5.0)
        return EngineLoop(conninfo, **{"pulse": pulse, "audit_seconds": 0.2, **options})

    monkeypatch.setattr(api, "EngineLoop", quick_loop)


@pytest.fixture
def engine(dsn: str, db: Connection, quick: None) -> Iterator[pgrt.Engine]:
    """Give a running engine that looks after itself often."""
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        yield engine


def shows(db: Connection, sql: str = ORDERS) -> Callable[[Any], bool]:
    """Say whether a frame is what the query gives now."""
    return lambda frame: (
        list(frame.itertuples(index=False, name=None)) == db.execute(sql).fetchall()
    )


# -- triggers that somebody else put back


def without_triggers(db: Connection) -> None:
    """Write while no trigger is there to tell."""
    with db.transaction():
        db.execute("DROP SCHEMA _pgrt CASCADE")
        db.execute("INSERT INTO orders VALUES (10, 'untold')")


def test_every_query_of_a_table_runs_when_its_triggers_were_missing(
    engine: pgrt.Engine, db: Connection
) -> None:
    """The query that put them back is not the only one that missed a change."""
    queries = [engine.sub(f"q{n}", f"{ORDERS} LIMIT {n}") for n in range(10, 14)]
    without_triggers(db)
    for query in queries:
        query.wait_for(shows(db))


def test_a_query_runs_when_another_engine_put_the_triggers_back(
    engine: pgrt.Engine, dsn: str, db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that finds everything in place still sees that it was made anew."""
    monkeypatch.setattr(api, "EngineLoop", EngineLoop)
    query = engine.sub("orders", ORDERS)
    with pgrt.Engine(dsn) as other, db.transaction():
        without_triggers(db)
        db.execute("COMMIT; BEGIN")
        other.sub("the same table", "SELECT count(*) FROM orders")
    query.wait_for(shows(db))


# -- what changes a result and fires no trigger


@pytest.mark.parametrize(
    ("before", "sql", "ddl"),
    [
        pytest.param(
            "",
            ORDERS,
            "ALTER TABLE orders ALTER status TYPE text USING upper(status)",
            id="rewrite",
        ),
        pytest.param(
            "CREATE FUNCTION n() RETURNS bigint LANGUAGE sql STABLE"
            " BEGIN ATOMIC SELECT count(*) FROM orders; END",
            "SELECT n()",
            "CREATE OR REPLACE FUNCTION n() RETURNS bigint LANGUAGE sql STABLE"
            " BEGIN ATOMIC SELECT 7 FROM orders LIMIT 1; END",
            id="function",
        ),
        pytest.param(
            "CREATE TYPE mood AS ENUM ('calm', 'cross'); ALTER TABLE orders ADD mood mood DEFAULT 'calm'",
            "SELECT id, mood FROM orders ORDER BY id",
            "ALTER TYPE mood RENAME VALUE 'calm' TO 'quiet'",
            id="enum label",
        ),
        pytest.param(
            "",
            ORDERS,
            "CREATE SCHEMA postgres; CREATE TABLE postgres.orders AS TABLE orders LIMIT 1",
            id="a table found first",
        ),
        pytest.param(
            "CREATE TABLE other AS SELECT id, 'other' AS status FROM orders",
            ORDERS,
            "ALTER TABLE orders RENAME TO x; ALTER TABLE other RENAME TO orders",
            id="swap",
        ),
    ],
)
def test_a_definition_that_changes_the_result_is_noticed(
    before: str, sql: str, ddl: str, engine: pgrt.Engine, db: Connection
) -> None:
    """The result follows a change of definition that touches no row, and what is written then."""
    db.execute(before or "SELECT")
    query = engine.sub("q", sql)
    assert shows(db, sql)(query.df)
    db.execute(ddl)
    query.wait_for(shows(db, sql))
    db.execute("DELETE FROM orders WHERE id = 1")
    query.wait_for(shows(db, sql))


@pytest.mark.parametrize(
    "revoke",
    [
        "REVOKE USAGE ON SCHEMA hall FROM {}",
        "REVOKE EXECUTE ON FUNCTION hall.n() FROM PUBLIC, {}",
    ],
)
def test_a_privilege_on_what_surrounds_a_table_counts(
    revoke: str,
    engine: pgrt.Engine,
    db: Connection,
    dsn: str,
    make_role: Callable[..., Any],
) -> None:
    """A role that may no longer enter the schema, or call the function, sees nothing."""
    role = make_role("reader")
    db.execute(
        "CREATE SCHEMA hall; CREATE TABLE hall.guests AS SELECT 1 AS id;"
        "CREATE FUNCTION hall.n() RETURNS bigint LANGUAGE sql STABLE RETURN 1;"
        f"GRANT USAGE ON SCHEMA hall TO {role.name}; GRANT SELECT ON hall.guests TO {role.name}"
    )
    query = engine.sub(
        "q", "SELECT id, hall.n() FROM hall.guests", query_conninfo=role.conninfo(dsn)
    )
    assert len(query.df) == 1
    db.execute(revoke.format(role.name))
    wait_until(lambda: query.status == "error")
    assert (len(query.df), type(query.error)) == (0, pgrt.PermissionMissing)


def test_a_role_is_not_told_what_only_the_installing_role_may_know(
    engine: pgrt.Engine, db: Connection, dsn: str, make_role: Callable[..., Any]
) -> None:
    """Whether a column exists in a schema that the role may not enter is none of its business."""
    role = make_role("reader")
    db.execute("CREATE SCHEMA hall; CREATE TABLE hall.guests AS SELECT 1 AS id")
    with pytest.raises(pgrt.PermissionMissing):
        engine.sub("q", "SELECT secret FROM hall.guests", query_conninfo=role.conninfo(dsn))


def test_a_query_that_fails_after_an_outage_says_so(engine: pgrt.Engine, db: Connection) -> None:
    """Once the server answers again, an error is an error and not a lost connection."""
    query = engine.sub("orders", ORDERS)
    with db.transaction():
        db.execute("ALTER TABLE orders RENAME status TO state")
        db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'pgrt_jupyter' AND datname = current_database()"
        )
    wait_until(lambda: query.status == "error")
    assert isinstance(query.error, pgrt.QueryFailed)


def test_what_was_there_and_back_between_two_audits_leaves_no_trace(
    engine: pgrt.Engine, db: Connection
) -> None:
    """A run in between may have shown another table; the result is right again afterwards."""
    db.execute("CREATE TABLE other AS SELECT id, 'other' AS status FROM orders")
    swap = (
        "ALTER TABLE orders RENAME TO x; ALTER TABLE other RENAME TO orders;"
        "ALTER TABLE x RENAME TO other"
    )
    query = engine.sub("orders", ORDERS)
    wait_until(lambda: query.status == "live")
    audited = query.refresh_count
    for _ in range(10):
        db.execute(swap)
        query.refresh()
        db.execute(swap)
        query.wait_for(shows(db))
    assert query.refresh_count > audited


def test_a_query_that_always_runs_is_audited_too(
    engine: pgrt.Engine, db: Connection, connect: Callable[..., Any]
) -> None:
    """A query whose runs follow each other without a gap still gets its triggers when they can be had."""
    db.execute("CREATE TABLE clock AS SELECT 0 AS at")
    slow = "(SELECT count(*) FROM generate_series(1, 1000000))"
    writer = connect()
    writer.execute("BEGIN; UPDATE orders SET status = 'open' WHERE id = 1")
    query = engine.sub("q", f"SELECT at, {slow} AS n, (SELECT count(*) FROM orders) FROM clock")
    assert query.status == "polling"
    writer.execute("COMMIT")

    def ticking() -> bool:
        db.execute("UPDATE clock SET at = at + 1")
        return bool(query.status == "live")

    wait_until(ticking)


# -- columns that no trigger tells of


def test_a_system_column_is_polled_for(engine: pgrt.Engine, db: Connection) -> None:
    """The number of the transaction that wrote a row changes with any column, and with none."""
    sql = "SELECT xmin::text, id FROM orders ORDER BY id"
    query = engine.sub("q", sql, max_age_ms=100)
    assert query.status == "polling"
    assert query.unwatched == ("xmin of public.orders",)
    db.execute("UPDATE orders SET status = status")
    query.wait_for(shows(db, sql))


def test_the_column_that_names_the_table_is_watched(engine: pgrt.Engine, db: Connection) -> None:
    """A row gets another tableoid only by being deleted and inserted."""
    query = engine.sub("q", "SELECT tableoid::int8, id FROM orders")
    assert (query.status, query.unwatched) == ("live", ())
