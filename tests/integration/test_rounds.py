"""A filter's triggers fall silent after the first change, and nothing is lost by it.

As in test_interleavings.py, tests run as built and on variants with a step left out.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import pgrt_jupyter as pgrt
from pgrt_jupyter import api
from pgrt_jupyter.engine import interest, rounds
from pgrt_jupyter.engine.attention import Attention
from pgrt_jupyter.engine.loop import EngineLoop
from pgrt_jupyter.engine.rounds import Rounds
from pgrt_jupyter.testing import wait_until

from ..variants.broken import against, break_engine, noticed, patience

QUERY = "SELECT id, status FROM orders WHERE status = 'done' ORDER BY id"
DONE = {"orders": {"status": "done"}}
OTHER = "UPDATE orders SET status = status || '.' WHERE id = 3"  # matters to nobody
FINISH = "UPDATE orders SET status = 'done' WHERE id = 1"
QUICK, SLOW = (
    100,
    1_500,
)  # milliseconds between readings: come about by themselves, or leave time to act

Connection = Any


@pytest.fixture
def shop(dsn: str, connect: Callable[..., Any]) -> Connection:
    """Give a connection to a database with some orders, whose triggers are in place already."""
    connection = connect()
    connection.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, status text, note text);"
        "INSERT INTO orders SELECT i, 'new' FROM generate_series(1, 3) AS i"
    )
    with pgrt.Engine(dsn) as engine:
        engine.sub("installing", QUERY)
    return connection


@pytest.fixture
def leave_out(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Give a function that breaks the engine in a named way."""
    return functools.partial(break_engine, monkeypatch)


@pytest.fixture
def ear(connect: Callable[..., Any]) -> Connection:
    """Give a connection that hears what is announced."""
    connection = connect()
    connection.execute("LISTEN pgrt_jupyter")
    return connection


@contextlib.contextmanager
def writer(connect: Callable[..., Any], isolation: str = "READ COMMITTED") -> Iterator[Connection]:
    """Give a connection with an open transaction and a snapshot."""
    connection = connect()
    connection.execute(f"BEGIN ISOLATION LEVEL {isolation}; SELECT count(*) FROM pg_class")
    yield connection


def is_shown(query: pgrt.LiveQuery, connection: Connection) -> bool:
    fresh = connection.execute(query.sql).fetchall()
    return [tuple(row) for row in query.df.itertuples(index=False)] == fresh


def check(query: pgrt.LiveQuery, connection: Connection, broken: str) -> None:
    """Require convergence as built, and the lack of it where a step was left out."""
    with noticed(broken):
        wait_until(lambda: is_shown(query, connection), patience(broken))


def held(connection: Connection) -> list[int]:
    """List the lower halves of the keys held in this database."""
    rows = connection.execute(
        "SELECT objid::int8 FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock'"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    ).fetchall()
    return [key for (key,) in rows]


def is_quiet(connection: Connection) -> bool:
    """Say whether images are asked for, and notifications are not."""
    keys = held(connection)
    return bool(keys) and min(keys) >= interest.IMAGES


def is_loud(connection: Connection) -> bool:
    """Say whether both are asked for."""
    keys = held(connection)
    return interest.RELATION in keys and interest.ROWS in keys


def silence(connection: Connection) -> None:
    """Make a change that matters to nobody, after which nothing is announced."""
    connection.execute(OTHER)
    wait_until(lambda: is_quiet(connection))


def has_read(engine: pgrt.Engine) -> bool:
    """Say whether images have been read, and are not being read."""
    reading = engine._loop.runtime._asking._reading
    return reading is not None and reading.done()


def announced(ear: Connection, shop: Connection) -> list[str]:
    """Take what was announced up to now."""
    shop.execute("NOTIFY pgrt_jupyter, 'end 1'")
    found = []
    for notification in ear.notifies(timeout=10):
        if notification.payload == "end 1":
            return found
        found.append(notification.payload)
    raise AssertionError("the notification that ends the rest did not arrive")


@against("images let go with the rest", "read once and left quiet")
def test_a_change_while_nothing_is_announced(dsn, shop, leave_out, broken):
    """Images go on when notifications end, and are read an interval later."""
    leave_out(broken)
    with pgrt.Engine(dsn, throttle_ms=700) as engine:
        query = engine.sub("orders", QUERY, refresh=DONE)
        shop.execute(OTHER)
        wait_until(lambda: interest.RELATION not in held(shop) and has_read(engine))
        shop.execute(FINISH)
        assert not is_shown(query, shop)
        with noticed(broken):
            wait_until(lambda: is_shown(query, shop), 1.5 if broken else 10)


@against("armed again without reading")
def test_a_change_just_before_announcing_begins(dsn, shop, monkeypatch, leave_out, broken):
    """What was written after the last reading and before the keys were held is read once more."""
    leave_out(broken)
    with pgrt.Engine(dsn, throttle_ms=QUICK) as engine:
        query = engine.sub("orders", QUERY, refresh=DONE)
        _at(monkeypatch, "before arming", lambda: shop.execute(FINISH))
        shop.execute(OTHER)
        wait_until(lambda: is_loud(shop) and shop.execute(QUERY).fetchall() != [])
        check(query, shop, broken)


@against("armed again without looking up writers")
@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ"])
def test_a_writer_that_told_nobody_and_commits_later(
    dsn, connect, shop, leave_out, broken, isolation
):
    """Who wrote while nothing was announced is waited for, and then images are read."""
    leave_out(broken)
    with writer(connect, isolation) as other, pgrt.Engine(dsn, throttle_ms=SLOW) as engine:
        query = engine.sub("orders", QUERY, refresh=DONE)
        silence(shop)
        other.execute(FINISH)
        wait_until(lambda: is_loud(shop))
        wait_until(lambda: query._group not in engine._loop.runtime._rounds._following)
        other.execute("COMMIT")
        check(query, shop, broken)


@against("quiet for ever")
def test_after_an_interval_without_changes_they_are_announced(dsn, shop, ear, leave_out, broken):
    """The first change after a quiet time is announced again, and answered."""
    leave_out(broken)
    with pgrt.Engine(dsn, throttle_ms=QUICK) as engine:
        query = engine.sub("orders", QUERY, refresh=DONE)
        silence(shop)
        with noticed(broken):
            wait_until(lambda: is_loud(shop), patience(broken))
        announced(ear, shop)
        shop.execute(FINISH)
        check(query, shop, broken)
        if not broken:
            assert len(announced(ear, shop)) == 1


@against("never quiet")
def test_a_stream_is_hardly_announced(dsn, shop, ear, leave_out, broken):
    """Many commits make a notification or two, and the one that matters is shown."""
    leave_out(broken)
    with pgrt.Engine(dsn, throttle_ms=SLOW) as engine:
        query = engine.sub("orders", QUERY, refresh=DONE)
        silence(shop) if not broken else shop.execute(OTHER)
        for _ in range(50):
            shop.execute(OTHER)
        shop.execute(FINISH)
        wait_until(lambda: is_shown(query, shop))
        with noticed(broken):
            assert len(announced(ear, shop)) <= 2


STATEMENTS = {
    "truncate": "TRUNCATE orders",
    "more rows than have images": "INSERT INTO orders SELECT i, 'done' FROM generate_series(9, 1010) AS i",
}


@against("no marks")
@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
def test_what_has_no_images_leaves_a_mark(dsn, shop, leave_out, broken, statement):
    """A truncate, or a change of very many rows, is found in the next reading."""
    shop.execute(FINISH)
    leave_out(broken)
    with pgrt.Engine(dsn, throttle_ms=300) as engine:
        query = engine.sub("orders", QUERY, refresh=DONE)
        silence(shop)
        shop.execute(statement)
        check(query, shop, broken)


@against("images pruned at once")
def test_images_are_not_pruned_before_they_are_read(dsn, shop, monkeypatch, leave_out, broken):
    """However often the audit prunes, and however long the throttle is, images are read before."""
    leave_out(broken)
    monkeypatch.setattr(rounds, "LONGEST", 2.5)
    monkeypatch.setattr(api, "EngineLoop", functools.partial(EngineLoop, audit_seconds=0.1))
    with pgrt.Engine(dsn, throttle_ms=60_000) as engine:
        asked: list[Any] = []
        engine.sub("orders", QUERY, refresh=lambda c, df, change: asked.append(change))
        silence(shop)
        wait_until(lambda: has_read(engine) and len(asked) == 1)
        shop.execute(FINISH)
        with noticed(broken):
            wait_until(lambda: len(asked) == 2, 4 if broken else 10)


POINTS: dict[str, tuple[type, str, int]] = {
    "before letting go": (Rounds, "_be_quiet", 1),
    "before the second reading": (Rounds, "_read", 2),
    "before arming": (Attention, "arm", 1),
    "before looking": (Attention, "look_up_unread", 1),
    "before the last reading": (Rounds, "_read", 3),
    "after the last reading": (Rounds, "_read", 4),  # in the round that another change begins
}


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ"])
@pytest.mark.parametrize(
    ("writes", "commits"), list(itertools.combinations_with_replacement(POINTS, 2))
)
def test_every_step(dsn, connect, shop, monkeypatch, writes, commits, isolation):
    """Wherever between the steps of a round a writer writes and commits, its change is shown."""
    with writer(connect, isolation) as other, pgrt.Engine(dsn, throttle_ms=QUICK) as engine:
        query = engine.sub("orders", QUERY, refresh=DONE)
        written = _at(monkeypatch, writes, lambda: other.execute(FINISH))
        committed = _at(monkeypatch, commits, lambda: other.execute("COMMIT"))
        shop.execute(OTHER)

        def nudged() -> bool:
            if is_loud(shop):
                shop.execute(OTHER)
            return bool(written and committed)

        wait_until(nudged)
        wait_until(lambda: is_shown(query, shop))
        assert list(query.df["id"]) == [1]


def _at(monkeypatch: pytest.MonkeyPatch, point: str, act: Callable[[], Any]) -> list[Any]:
    """Do something once, at a point of the engine's first rounds; the list says whether it was done."""
    owner, name, when = POINTS[point]
    method, calls, done = getattr(owner, name), itertools.count(1), []

    async def stepping(self: Any, *arguments: Any) -> Any:
        if next(calls) == when:
            act()
            done.append(point)
        return await method(self, *arguments)

    monkeypatch.setattr(owner, name, stepping)
    return done


def test_what_is_rolled_back_is_not_shown(dsn, connect, shop):
    """An image that is rolled back asks no filter, and the next one does."""
    asked: list[Any] = []
    with writer(connect) as other, pgrt.Engine(dsn, throttle_ms=QUICK) as engine:
        query = engine.sub(
            "orders", QUERY, refresh=lambda c, df, change: asked.append(change.row["id"]) or True
        )
        other.execute("UPDATE orders SET status = 'done' WHERE id = 2")
        silence(shop)
        other.execute("ROLLBACK")
        shop.execute(FINISH)
        wait_until(lambda: is_shown(query, shop))
        wait_until(lambda: set(asked) == {1, 3})


def test_one_engines_silence_is_not_anothers(dsn, shop, ear):
    """A plain query beside a filter hears every change at once, and causes no images of its own."""
    with pgrt.Engine(dsn, throttle_ms=60_000) as first, pgrt.Engine(dsn, throttle_ms=0) as second:
        first.sub("filtered", QUERY, refresh=DONE)
        silence(shop)
        notes = second.sub("notes", "SELECT id, note FROM orders WHERE note > ''")
        announced(ear, shop)
        shop.execute("UPDATE orders SET note = 'read' WHERE id = 2")
        wait_until(lambda: is_shown(notes, shop))
        assert [payload.split(" ", 1)[1] for payload in announced(ear, shop)] == [
            f"U {interest.tag('note')}"
        ]
        shop.execute(OTHER)
        assert announced(ear, shop) == []


def test_a_filter_and_a_plain_query_of_one_engine(dsn, shop):
    """On one table, with one set of keys, both are right."""
    with pgrt.Engine(dsn, throttle_ms=QUICK) as engine:
        plain = engine.sub("plain", "SELECT id, status FROM orders ORDER BY id")
        filtered = engine.sub("filtered", QUERY, refresh=DONE)
        for status in ("a", "done", "b", "done"):
            for number in (1, 2, 3):
                shop.execute("UPDATE orders SET status = %s WHERE id = %s", (status, number))
            wait_until(lambda: is_shown(plain, shop) and is_shown(filtered, shop))


def test_a_function_is_asked_about_everything_in_order(dsn, shop):
    """Images, a truncate, and images again: round after round each is asked about once."""
    asked: list[str] = []

    def ask(connection: Any, frame: Any, change: Any) -> bool:
        asked.append(change.operation if change.row is None else change.row["note"])
        return False

    with pgrt.Engine(dsn, throttle_ms=200) as engine:
        engine.sub("orders", QUERY, refresh=ask)
        for number in range(40):
            shop.execute("UPDATE orders SET note = %s WHERE id = 1", (str(number),))
        shop.execute("TRUNCATE orders")
        shop.execute("INSERT INTO orders VALUES (1, 'new', 'last')")
        wait_until(lambda: asked[-1:] == ["last"])
        assert asked == [*map(str, range(40)), "truncate", "last"]


def test_paused_while_quiet_and_resumed(dsn, shop):
    """Nothing is held while paused; resumed, the query catches up and hears again."""
    with pgrt.Engine(dsn, throttle_ms=QUICK) as engine:
        query = engine.sub("orders", QUERY, refresh=DONE)
        silence(shop)
        query.pause()
        wait_until(lambda: not held(shop))
        shop.execute(FINISH)
        query.resume()
        wait_until(lambda: is_shown(query, shop))
        wait_until(lambda: is_loud(shop))
        shop.execute("UPDATE orders SET status = 'done' WHERE id = 2")
        wait_until(lambda: is_shown(query, shop))


def test_a_connection_lost_while_quiet(dsn, shop):
    """After reconnecting the query has caught up, and hears again."""
    with pgrt.Engine(dsn, throttle_ms=SLOW) as engine:
        query = engine.sub("orders", QUERY, refresh=DONE)
        silence(shop)
        shop.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'pgrt_jupyter' AND datname = current_database()"
        )
        shop.execute(FINISH)
        wait_until(lambda: is_shown(query, shop))
        wait_until(lambda: is_loud(shop))
        shop.execute("UPDATE orders SET status = 'done' WHERE id = 2")
        wait_until(lambda: is_shown(query, shop))


@pytest.mark.parametrize("failure", [KeyError("unknown"), RuntimeError("anything")])
def test_a_reading_that_fails_refreshes(dsn, shop, monkeypatch, failure):
    """Images that cannot be read run the query, which hears again afterwards."""
    from pgrt_jupyter.engine import images

    def fail(*arguments: Any, **named: Any) -> Any:
        raise failure

    with pgrt.Engine(dsn, throttle_ms=QUICK) as engine:
        query = engine.sub("orders", QUERY, refresh=DONE)
        silence(shop)
        with monkeypatch.context() as patch:
            patch.setattr(images, "read", fail)
            shop.execute(FINISH)
            wait_until(lambda: is_shown(query, shop))
        wait_until(lambda: is_loud(shop))
        shop.execute("UPDATE orders SET status = 'done' WHERE id = 2")
        wait_until(lambda: is_shown(query, shop))


QUIET = """
import sys, threading
import pgrt_jupyter as pgrt
engine = pgrt.start(sys.argv[1], deliver="thread", throttle_ms=60_000)
query = pgrt.sub("orders", sys.argv[2], refresh={"orders": {"status": "done"}})
print("subscribed", flush=True)
threading.Event().wait()
"""


def test_engine_killed_while_quiet(dsn, shop):
    """A killed engine leaves nothing that makes writers keep images."""
    child = subprocess.Popen(
        [sys.executable, "-c", QUIET, dsn, QUERY], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None and child.stdout.readline() == "subscribed\n"
        silence(shop)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        if child.stdout is not None:
            child.stdout.close()
    wait_until(lambda: not held(shop))
    kept = shop.execute("SELECT count(*) FROM _pgrt.changes").fetchone()
    shop.execute(OTHER)
    assert shop.execute("SELECT count(*) FROM _pgrt.changes").fetchone() == kept
