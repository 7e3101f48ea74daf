"""Query a streaming standby: never older than what was heard of, or said to be stale."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

import pgrt_jupyter as pgrt
from pgrt_jupyter.engine import replicas
from pgrt_jupyter.engine.sql import load
from pgrt_jupyter.errors import ConfigurationError
from pgrt_jupyter.testing import wait_until

from .servers import Node

QUERY = "SELECT id, n FROM counters ORDER BY id"
PAGE, HEADER = 8192, 24  # bytes of log


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Node, Node]]:
    """Give a primary and a streaming standby of it."""
    with Node() as primary, primary.standby() as standby:
        yield primary, standby


@pytest.fixture
def writer(pair: tuple[Node, Node]) -> Iterator[psycopg.Connection[Any]]:
    """Give a connection to the primary, with a table of counters."""
    with pair[0].connect() as connection:
        connection.execute("CREATE TABLE counters (id int PRIMARY KEY, n int)")
        connection.execute("INSERT INTO counters VALUES (1, 0)")
        yield connection
        connection.execute("DROP TABLE counters")


@pytest.fixture
def engine(pair: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch) -> Iterator[pgrt.Engine]:
    """Give an engine that listens on the primary, queries the standby and is soon impatient."""
    monkeypatch.setattr(replicas, "PATIENCE", 0.5)
    primary, standby = pair
    with pgrt.Engine(
        primary.conninfo(), query_conninfo=standby.conninfo(), throttle_ms=0
    ) as running:
        yield running


@pytest.fixture
def held_back(pair: tuple[Node, Node], writer: Any) -> Iterator[psycopg.Connection[Any]]:
    """Keep the standby, which has the table, from replaying until the test resumes it, or ends."""
    pair[1].catch_up(pair[0])
    with pair[1].connect() as connection:
        connection.execute("SELECT pg_wal_replay_pause()")
        paused = "SELECT pg_get_wal_replay_pause_state() = 'paused'"
        wait_until(lambda: connection.execute(paused).fetchone() == (True,))
        yield connection
        connection.execute("SELECT pg_wal_replay_resume()")


def resume(connection: psycopg.Connection[Any]) -> None:
    connection.execute("SELECT pg_wal_replay_resume()")


def value(lq: pgrt.LiveQuery) -> int:
    return int(lq.df["n"].iloc[0])


def test_queries_run_on_the_standby_and_follow_the_primary(
    engine: pgrt.Engine, writer: Any
) -> None:
    here = engine.sub(
        "here", "SELECT n, current_setting('in_hot_standby') AS standby FROM counters"
    )
    for n in range(1, 50):
        writer.execute("UPDATE counters SET n = %s", (n,))
        here.wait_for(lambda df, n=n: df["n"].iloc[0] == n)
    assert here.df["standby"].iloc[0] == "on"
    assert here.status == "live"


def test_a_run_waits_for_the_change_it_was_told_of(
    engine: pgrt.Engine, writer: Any, request: pytest.FixtureRequest
) -> None:
    counters = engine.sub("counters", QUERY)
    held_back = request.getfixturevalue("held_back")
    writer.execute("UPDATE counters SET n = 1")
    wait_until(lambda: counters.status == "stale")
    assert value(counters) == 0
    runs = counters.refresh_count
    resume(held_back)
    counters.wait_for(lambda df: df["n"].iloc[0] == 1)
    wait_until(lambda: counters.status == "live")
    assert counters.refresh_count == runs + 1


def test_a_first_result_comes_as_it_is_and_says_that_it_is_stale(
    engine: pgrt.Engine, writer: Any, pair: tuple[Node, Node], request: pytest.FixtureRequest
) -> None:
    pair[1].catch_up(pair[0])
    held_back = request.getfixturevalue("held_back")
    writer.execute("UPDATE counters SET n = 7")
    counters = engine.sub("counters", QUERY)
    assert (value(counters), counters.status) == (0, "stale")
    resume(held_back)
    counters.wait_for(lambda df: df["n"].iloc[0] == 7)
    wait_until(lambda: counters.status == "live")


def test_a_query_is_closed_while_its_replica_is_behind(
    engine: pgrt.Engine, writer: Any, held_back: Any
) -> None:
    writer.execute("UPDATE counters SET n = 1")
    failed: list[BaseException] = []

    def subscribe() -> None:
        try:
            engine.sub("counters", QUERY)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=subscribe)
    thread.start()
    thread.join(60)
    assert engine.unsub("counters")
    resume(held_back)
    again = engine.sub("again", QUERY)
    again.wait_for(lambda df: df["n"].iloc[0] == 1)
    assert not failed


@pytest.fixture
def strict(pair: tuple[Node, Node]) -> Iterator[Node]:
    """Give the standby, which cancels queries that replaying has waited for for a moment."""
    delay = "max_standby_streaming_delay"
    pair[1].execute(f"ALTER SYSTEM SET {delay} = '50ms'")
    pair[1].execute("SELECT pg_reload_conf()")
    wait_until(lambda: pair[1].execute(f"SHOW {delay}") == [("50ms",)])
    yield pair[1]
    pair[1].execute(f"ALTER SYSTEM RESET {delay}")
    pair[1].execute("SELECT pg_reload_conf()")


def test_a_query_that_replaying_cancels_runs_again(
    engine: pgrt.Engine, writer: Any, strict: Node
) -> None:
    """What the query still needs is vacuumed away on the primary; nobody is told."""
    told: list[BaseException] = []
    slow = engine.sub(
        "slow",
        "SELECT n, (SELECT 'x' FROM pg_sleep(0.5)) AS waited FROM counters",
        error_handler=lambda error, query: told.append(error),
    )
    sleeping = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    cancelled = "SELECT sum(confl_snapshot) FROM pg_stat_database_conflicts"
    writer.execute("UPDATE counters SET n = 1")
    wait_until(lambda: strict.execute(sleeping))
    writer.execute("UPDATE counters SET n = 2")
    writer.execute("VACUUM counters")
    slow.wait_for(lambda df: df["n"].iloc[0] == 2)
    wait_until(lambda: strict.execute(cancelled) > [(0,)])
    assert (told, slow.error) == ([], None)


def test_another_database_is_refused(pair: tuple[Node, Node], writer: Any) -> None:
    primary, standby = pair
    elsewhere = make_conninfo(standby.conninfo(), dbname="template1")
    with (
        pgrt.Engine(primary.conninfo()) as engine,
        pytest.raises(ConfigurationError, match="another database"),
    ):
        engine.sub("elsewhere", "SELECT 1", query_conninfo=elsewhere)


def test_a_page_header_is_no_log_to_wait_for(pair: tuple[Node, Node], writer: Any) -> None:
    """Where a record ends a page the insert position lies behind the next page's header."""
    at_the_end = fill_a_page(writer)
    ((written, _),) = writer.execute(load("replica_written")).fetchall()
    assert written == at_the_end - HEADER
    with pair[1].connect() as reader:
        wait_until(lambda: reader.execute(load("replica_replayed")).fetchall()[0][0] >= written)


def fill_a_page(writer: psycopg.Connection[Any]) -> int:
    """Write records until one ends where its page does; return the insert position."""
    overhead = 0
    for _ in range(100):
        before = inserted(writer)
        room = PAGE - before % PAGE
        size = room - overhead if 100 < room - overhead < 4000 else 1000
        message = "SELECT pg_logical_emit_message(false, 'pgrt', repeat('x', %s))"
        writer.execute(message, (size,))
        after = inserted(writer)
        if after % PAGE == HEADER:
            return after
        if before // PAGE == after // PAGE:
            overhead = after - before - size
    raise AssertionError("no record ended a page")


def inserted(writer: psycopg.Connection[Any]) -> int:
    ((position,),) = writer.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchall()
    return int(position)
