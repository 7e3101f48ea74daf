"""Prove that no interleaving of a writer and the engine loses a change.

Each test runs twice: as built, where the DataFrame must end up equal to a fresh run of its query, and
on a variant with one step left out, where it must not. A harness that cannot fail proves nothing.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

import pgrt_jupyter as pgrt
from pgrt_jupyter.engine import refresh
from pgrt_jupyter.engine.attention import Attention
from pgrt_jupyter.testing import wait_until

from ..variants.broken import against, break_engine, noticed, patience

QUERY = "SELECT id, status FROM orders ORDER BY id"

pytestmark = pytest.mark.every_server


@pytest.fixture
def shop(dsn: str, connect: Callable[..., Any]) -> Any:
    """Give a connection to a database with some orders, whose triggers are in place already."""
    connection = connect()
    connection.execute("CREATE TABLE orders (id int PRIMARY KEY, status text)")
    connection.execute("INSERT INTO orders SELECT i, 'new' FROM generate_series(1, 3) AS i")
    with pgrt.Engine(dsn) as engine:
        engine.sub("installing", QUERY)
    return connection


@pytest.fixture
def leave_out(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Give a function that breaks the engine in a named way."""
    return functools.partial(break_engine, monkeypatch)


@contextlib.contextmanager
def writer(connect: Callable[..., Any], isolation: str = "READ COMMITTED") -> Iterator[Any]:
    """Give a connection with an open transaction."""
    connection = connect()
    connection.execute(f"BEGIN ISOLATION LEVEL {isolation}")
    yield connection


def fresh(connection: Any) -> list[tuple[Any, ...]]:
    return connection.execute(QUERY).fetchall()


def shown(query: pgrt.LiveQuery) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in query.df.itertuples(index=False)]


def check(query: pgrt.LiveQuery, connection: Any, broken: str) -> None:
    """Require convergence as built, and the lack of it where a step was left out."""
    with noticed(broken):
        wait_until(lambda: shown(query) == fresh(connection), patience(broken))


@against("no look up")
def test_writer_open_before_subscribing(dsn, connect, shop, leave_out, broken):
    """A transaction that wrote before anybody waited is seen when it commits."""
    with writer(connect) as other, pgrt.Engine(dsn, throttle_ms=0) as engine:
        other.execute("UPDATE orders SET status = 'done' WHERE id = 1")
        if broken:
            leave_out(broken)
        query = engine.sub("orders", QUERY)
        assert shown(query) == fresh(shop)
        other.execute("COMMIT")
        check(query, shop, broken)


@against("no look up")
def test_writer_that_found_nobody_waiting_and_commits_after_the_run(
    dsn, connect, shop, leave_out, broken
):
    """A writer that kept silent while the engine had let go is seen when it commits after the run."""
    if broken:
        leave_out(broken)
    with writer(connect) as other, pgrt.Engine(dsn, throttle_ms=600) as engine:
        query = engine.sub("orders", QUERY)
        shop.execute("UPDATE orders SET status = 'paid' WHERE id = 2")
        wait_until(lambda: not _held(shop))
        runs = query.refresh_count
        other.execute("UPDATE orders SET status = 'done' WHERE id = 1")
        wait_until(lambda: query.refresh_count > runs)
        other.execute("COMMIT")
        check(query, shop, broken)


@against("no interest")
def test_writer_with_an_old_snapshot(dsn, connect, shop, leave_out, broken):
    """A REPEATABLE READ writer speaks though its snapshot is older than the subscription."""
    if broken:
        leave_out(broken)
    with writer(connect, "REPEATABLE READ") as other, pgrt.Engine(dsn, throttle_ms=0) as engine:
        other.execute("SELECT count(*) FROM pg_class")
        query = engine.sub("orders", QUERY)
        other.execute("UPDATE orders SET status = 'done' WHERE id = 1")
        other.execute("COMMIT")
        check(query, shop, broken)


@against("no look up")
def test_writer_with_an_old_snapshot_that_wrote_before(dsn, connect, shop, leave_out, broken):
    """A REPEATABLE READ writer that wrote before the subscription is seen when it commits."""
    if broken:
        leave_out(broken)
    with writer(connect, "REPEATABLE READ") as other, pgrt.Engine(dsn, throttle_ms=0) as engine:
        other.execute("UPDATE orders SET status = 'done' WHERE id = 1")
        query = engine.sub("orders", QUERY)
        other.execute("COMMIT")
        check(query, shop, broken)


@against("no interest")
def test_rollback_does_not_use_up_the_interest(dsn, connect, shop, leave_out, broken):
    """A change rolled back is not shown, and the next one that commits is."""
    if broken:
        leave_out(broken)
    with writer(connect) as other, pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("orders", QUERY)
        other.execute("UPDATE orders SET status = 'no' WHERE id = 1")
        other.execute("ROLLBACK")
        shop.execute("UPDATE orders SET status = 'yes' WHERE id = 1")
        check(query, shop, broken)
        assert "no" not in set(query.df["status"])


@against("no interest")
def test_savepoint_rollback_keeps_what_follows(dsn, connect, shop, leave_out, broken):
    """A notification taken back with its savepoint does not swallow an equal one after it."""
    if broken:
        leave_out(broken)
    with writer(connect) as other, pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("orders", QUERY)
        other.execute("SAVEPOINT one")
        other.execute("UPDATE orders SET status = 'no' WHERE id = 1")
        other.execute("ROLLBACK TO one")
        other.execute("UPDATE orders SET status = 'yes' WHERE id = 2")
        other.execute("COMMIT")
        check(query, shop, broken)


@against("one flag for all")
def test_two_engines(dsn, shop, leave_out, broken):
    """One engine that lets go does not silence the triggers for another."""
    with pgrt.Engine(dsn, throttle_ms=0) as first, pgrt.Engine(dsn, throttle_ms=60_000) as second:
        query = first.sub("orders", QUERY)
        lazy = second.sub("orders", QUERY)
        shop.execute("UPDATE orders SET status = 'a' WHERE id = 1")
        wait_until(lambda: shown(query) == fresh(shop))
        wait_until(lambda: len({pid for pid, _ in _held(shop)}) == 1)  # the second has let go
        if broken:
            leave_out(broken)
            shop.execute("SELECT pg_terminate_backend(%s)", (_held(shop)[0][0],))
            wait_until(lambda: not _held(shop))
        shop.execute("UPDATE orders SET status = 'b' WHERE id = 2")
        check(query, shop, broken)
        assert shown(lazy) != fresh(shop)


@against("no run for who joins")
def test_joining_a_query_that_waits_for_its_throttle(dsn, shop, leave_out, broken):
    """A second subscriber is shown what was committed before it came, whatever the first waits for."""
    leave_out(broken)
    with pgrt.Engine(dsn, throttle_ms=60_000) as engine:
        first = engine.sub("first", QUERY)
        shop.execute("UPDATE orders SET status = 'done'")
        assert shown(first) != fresh(shop)
        second = engine.sub("second", QUERY)
        with noticed(broken):
            assert shown(second) == fresh(shop)


POINTS = ("before holding", "before looking", "before running", "after running")


@pytest.mark.parametrize(
    ("writes", "commits"), list(itertools.combinations_with_replacement(POINTS, 2))
)
def test_every_step(dsn, connect, shop, monkeypatch, writes, commits):
    """Wherever between the engine's steps a writer writes and commits, its change is shown."""
    with writer(connect) as other, pgrt.Engine(dsn, throttle_ms=0) as engine:
        _at(monkeypatch, writes, lambda: other.execute("UPDATE orders SET status = 'done'"))
        _at(monkeypatch, commits, lambda: other.execute("COMMIT"))
        query = engine.sub("orders", QUERY)
        wait_until(lambda: shown(query) == fresh(shop))
        assert set(query.df["status"]) == {"done"}


def test_every_step_needs_the_look_up(dsn, connect, shop, monkeypatch, leave_out):
    """Without the look-up, a writer that began before the keys were held is lost for good."""
    broken = "no look up"
    leave_out(broken)
    with writer(connect) as other, pgrt.Engine(dsn, throttle_ms=0) as engine:
        _at(monkeypatch, POINTS[0], lambda: other.execute("UPDATE orders SET status = 'done'"))
        _at(monkeypatch, "after running", lambda: other.execute("COMMIT"))
        query = engine.sub("orders", QUERY)
        check(query, shop, broken)


def _at(monkeypatch: pytest.MonkeyPatch, point: str, act: Callable[[], Any]) -> None:
    """Do something once, when the engine gets to a point between two of its steps."""
    done = threading.Event()

    def once() -> None:
        if not done.is_set():
            done.set()
            act()

    if point in ("before running", "after running"):
        run = refresh.run

        def stepped(*arguments: Any, **named: Any) -> Any:
            if point == "before running":
                once()
            outcome = run(*arguments, **named)
            if point == "after running":
                once()
            return outcome

        monkeypatch.setattr(refresh, "run", stepped)
        return
    name = "settle" if point == "before holding" else "look_up_writers"
    method = getattr(Attention, name)

    async def stepping(self: Attention, *arguments: Any) -> None:
        if name == "look_up_writers" or self._owner.groups:
            once()
        await method(self, *arguments)

    monkeypatch.setattr(Attention, name, stepping)


ARMED = """
import sys, threading
import pgrt_jupyter as pgrt
engine = pgrt.start(sys.argv[1], deliver="thread")
query = pgrt.sub("orders", sys.argv[2])
print("armed", flush=True)
threading.Event().wait()
"""


def test_engine_killed_while_armed(dsn, connect, shop):
    """A killed engine leaves nothing that makes writers speak."""
    child = subprocess.Popen(
        [sys.executable, "-c", ARMED, dsn, QUERY], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None and child.stdout.readline() == "armed\n"
        listening = connect()
        listening.execute("LISTEN pgrt_jupyter")
        shop.execute("UPDATE orders SET status = 'heard' WHERE id = 1")
        assert len(list(listening.notifies(timeout=5, stop_after=1))) == 1
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        if child.stdout is not None:
            child.stdout.close()
    wait_until(lambda: not _held(shop))
    shop.execute("UPDATE orders SET status = 'unheard' WHERE id = 1")
    assert _heard_nothing(listening)
    with pgrt.Engine(dsn) as engine:
        assert shown(engine.sub("orders", QUERY)) == fresh(shop)


def _heard_nothing(listening: psycopg.Connection[Any]) -> bool:
    """Say that no change was announced before a mark sent after it."""
    listening.execute("NOTIFY pgrt_jupyter, 'end 1'")
    return [n.payload for n in listening.notifies(timeout=5, stop_after=1)] == ["end 1"]


def _held(connection: Any) -> list[tuple[int, int]]:
    """List who waits for something in this database: pid and half of the key."""
    return connection.execute(
        "SELECT pid, objid FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock'"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    ).fetchall()
