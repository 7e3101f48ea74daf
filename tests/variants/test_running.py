"""A change is weighed, run at the right time and told; where one step is left out, it shows."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, ClassVar

import pytest

import pgrt_jupyter as pgrt
from pgrt_jupyter.delivery import Delivery
from pgrt_jupyter.engine import conditions, images
from pgrt_jupyter.engine.asking import Asking
from pgrt_jupyter.engine.listener import Listener
from pgrt_jupyter.engine.throttle import Action, Throttle
from pgrt_jupyter.testing import wait_until

from .broken import against, noticed, patience

ORDERS = "SELECT id, status FROM orders ORDER BY id"
DONE = {"orders": {"status": "done"}}


def shows(query: pgrt.LiveQuery, db: Any) -> bool:
    """Say whether the query shows what a fresh run of it would."""
    return rows(query.df) == db.execute(query.sql).fetchall()


def rows(frame: Any) -> list[tuple[Any, ...]]:
    return list(frame.itertuples(index=False, name=None))


# -- relevance and filters


@against("unsure ignored")
def test_a_trigger_that_could_not_tell_refreshes(dsn, db, leave_out, broken):
    """When in doubt the query runs."""
    leave_out(broken)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("orders", ORDERS)
        with db.transaction():
            db.execute("SET LOCAL pgrt.none = ''; ALTER TABLE orders DISABLE TRIGGER USER")
            db.execute("DELETE FROM orders WHERE id = 1")
            db.execute("SELECT pg_notify('pgrt_jupyter', 'orders'::regclass::oid || ' ? 22012')")
        with noticed(broken):
            wait_until(lambda: shows(query, db), patience(broken))


@against("only the new image")
def test_a_row_that_leaves_the_filter_refreshes(dsn, db, leave_out, broken):
    """A filter is asked about both images of a row."""
    leave_out(broken)
    db.execute("UPDATE orders SET status = 'done' WHERE id = 1")
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("orders", ORDERS, refresh=DONE)
        db.execute("UPDATE orders SET status = 'sent' WHERE id = 1")
        with noticed(broken):
            wait_until(lambda: shows(query, db), patience(broken))


@against("a failing filter says no")
def test_a_filter_that_raises_loses_no_update(dsn, db, leave_out, broken):
    """The query runs where its filter could not decide."""
    leave_out(broken)

    def failing(connection: Any, frame: Any, change: Any) -> bool:
        raise ZeroDivisionError

    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("orders", ORDERS, refresh=failing, error_handler=lambda e, q: None)
        db.execute("DELETE FROM orders WHERE id = 1")
        with noticed(broken):
            wait_until(lambda: shows(query, db), patience(broken))


@against("images of another snapshot")
def test_a_row_image_committed_while_others_are_read_is_asked_about(
    dsn, db, connect, leave_out, monkeypatch, broken
):
    """What becomes visible after the read began is read next, though nobody announces it."""
    typed, writer, late = images._typed, connect(), threading.Event()

    def meanwhile(*arguments: Any) -> Any:
        if not late.is_set():
            writer.execute("UPDATE orders SET status = 'done' WHERE id = 2")
            late.set()
        return typed(*arguments)

    leave_out(broken)
    monkeypatch.setattr(images, "_typed", meanwhile)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("orders", ORDERS, refresh=DONE)
        db.execute("UPDATE orders SET status = 'other' WHERE id = 1")
        assert late.wait(10)
        with noticed(broken):
            wait_until(lambda: shows(query, db), patience(broken))


@against("images read only once")
def test_who_asks_for_images_has_them_read_from_then_on(leave_out, broken):
    """A reading under way, which may have missed what was written since, answers nobody who comes later."""
    leave_out(broken)
    readings: list[Any] = []

    class Slow:
        groups: ClassVar[set[Any]] = set()

        async def run(self, work: Any) -> images.Batch:
            readings.append(work)
            await asyncio.sleep(0.05)
            return images.Batch("1:1:", ())

    async def ask_twice() -> None:
        reader: Any = Asking(Slow(), Slow())
        await reader.begin()
        first = asyncio.ensure_future(reader.read())
        while len(readings) < 2:
            await asyncio.sleep(0)
        await asyncio.gather(first, reader.read())

    asyncio.run(ask_twice())
    with noticed(broken):
        assert len(readings) == 3  # the first gave the snapshot to read from


# -- conditions of the query itself


@against("conditions count beside outer joins")
def test_a_partner_that_appears_behind_an_outer_join_refreshes(
    dsn, db, leave_out, look_at_rows, broken
):
    """A row that fails `IS NULL` after the join is what keeps another away."""
    leave_out(broken)
    db.execute("CREATE TABLE notes (id int PRIMARY KEY, about int, words text)")
    sql = (
        "SELECT o.id FROM orders AS o LEFT JOIN notes AS n ON n.about = o.id"
        " WHERE n.words IS NULL AND o.id < 9"
    )
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("open", sql)
        look_at_rows()
        db.execute("INSERT INTO notes VALUES (1, 1, 'paid')")
        with noticed(broken):
            wait_until(lambda: shows(query, db), patience(broken))


@against("only the first place")
def test_a_row_that_matters_in_one_of_two_places_refreshes(
    dsn, db, leave_out, look_at_rows, broken
):
    """A table that is read twice matters where either place says so."""
    leave_out(broken)
    sql = "SELECT id FROM orders WHERE status = 'done' UNION SELECT -id FROM orders WHERE status = 'sent'"
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("two", sql)
        look_at_rows()
        db.execute("UPDATE orders SET status = 'sent' WHERE id = 1")
        with noticed(broken):
            wait_until(lambda: shows(query, db), patience(broken))


@against("only the new image is looked at")
def test_a_row_that_leaves_the_query_refreshes(dsn, db, leave_out, look_at_rows, broken):
    """A row that met the condition before the change was in the result."""
    leave_out(broken)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("new", "SELECT id FROM orders WHERE status = 'new' ORDER BY id")
        look_at_rows()
        db.execute("UPDATE orders SET status = 'sent' WHERE id = 1")
        with noticed(broken):
            wait_until(lambda: shows(query, db), patience(broken))


@against("hashed values meet nothing")
def test_a_row_with_a_large_value_refreshes(dsn, db, leave_out, look_at_rows, broken):
    """Of a large value only a hash is known, and it may meet a condition."""
    leave_out(broken)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("large", "SELECT id FROM orders WHERE status LIKE 'x%' ORDER BY id")
        look_at_rows()
        db.execute("INSERT INTO orders VALUES (4, repeat('x', 6000))")
        with noticed(broken):
            wait_until(lambda: shows(query, db), patience(broken))


@against("a failing look says no")
def test_a_row_that_cannot_be_looked_at_refreshes(
    dsn, db, leave_out, look_at_rows, monkeypatch, broken
):
    """What cannot be decided refreshes."""
    leave_out(broken)

    def failing(*arguments: Any) -> Any:
        raise ZeroDivisionError

    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("new", "SELECT id FROM orders WHERE status = 'new' ORDER BY id")
        look_at_rows()
        monkeypatch.setattr(conditions, "read_at_once", failing)
        db.execute("INSERT INTO orders VALUES (4, 'new')")
        with noticed(broken):
            wait_until(lambda: shows(query, db), patience(broken))


@against("conditions by another name")
def test_an_operator_of_the_users_own_refreshes(dsn, db, leave_out, look_at_rows, broken):
    """What compares in the query may not be what compares elsewhere."""
    leave_out(broken)
    db.execute(
        "ALTER TABLE orders ALTER status TYPE varchar;"
        "CREATE FUNCTION same(varchar, varchar) RETURNS bool LANGUAGE sql IMMUTABLE"
        " AS 'SELECT lower($1::text) = lower($2::text)';"
        "CREATE OPERATOR = (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = same)"
    )
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("new", "SELECT id FROM orders WHERE status = 'sent' ORDER BY id")
        wait_until(lambda: query.refresh_count > 0)
        if broken:
            look_at_rows()
        db.execute("UPDATE orders SET status = 'SENT' WHERE id = 1")
        with noticed(broken):
            wait_until(lambda: shows(query, db), patience(broken))


# -- throttle and runs


@against("restarting throttle", "no interval")
def test_a_steady_stream_of_changes_runs_once_an_interval(leave_out, broken):
    """A change every 50 ms for a minute makes a run every half second, no more and no fewer."""
    leave_out(broken)
    throttle, runs = Throttle(0.5), 0
    for tick in range(1200):
        now = tick * 0.05
        if throttle.changed(now).action is Action.START:
            throttle.started(now)
            throttle.finished(now)
            runs += 1
    with noticed(broken):
        assert 115 <= runs <= 121


@against("changes during a run forgotten", "older replaces newer")
def test_a_change_during_a_run_is_shown_after_it(dsn, db, at_run, leave_out, broken):
    """A run that read an older state ends first, and one that sees the change follows."""
    leave_out(broken)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("orders", ORDERS)
        throttle, first = query._group.throttle, query.version

        def meanwhile() -> None:
            db.execute("DELETE FROM orders WHERE id = 2")
            wait_until(lambda: throttle.dirty or query.version > first)
            if broken == "older replaces newer":
                wait_until(lambda: query.version > first)

        done = at_run(meanwhile)
        db.execute("DELETE FROM orders WHERE id = 1")
        assert done.wait(10)
        wait_until(lambda: query.version > first and not throttle.running)
        with noticed(broken):
            wait_until(lambda: len(query.df) == 1, patience(broken))
            assert not becomes_older(query), "an older result replaced a newer one"


def becomes_older(query: pgrt.LiveQuery) -> bool:
    """Say whether a row that is gone comes back."""
    try:
        wait_until(lambda: len(query.df) != 1, 0.3)
    except TimeoutError:
        return False
    return True


@against("resumed without a run")
def test_a_resumed_query_catches_up(dsn, db, leave_out, broken):
    """What was committed during a pause needs no further change to be seen."""
    leave_out(broken)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("orders", ORDERS)
        query.pause()
        db.execute("DELETE FROM orders WHERE id = 1")
        wait_until(lambda: not broken or query._group.throttle.dirty)  # heard, and left at that
        query.resume()
        with noticed(broken):
            wait_until(lambda: shows(query, db), patience(broken))


@against("never by itself")
def test_what_cannot_be_watched_is_polled(dsn, db, leave_out, broken):
    """A query on what no trigger can announce follows it all the same."""
    leave_out(broken)
    db.execute("CREATE MATERIALIZED VIEW m AS SELECT count(*) AS n FROM orders")
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("m", "SELECT n FROM m", max_age_ms=50)
        db.execute("INSERT INTO orders VALUES (4); REFRESH MATERIALIZED VIEW m")
        with noticed(broken):
            wait_until(lambda: shows(query, db), patience(broken))


@against("may write")
def test_a_live_query_cannot_write(dsn, db, leave_out, broken):
    """A function that writes is refused, and has not written."""
    leave_out(broken)
    db.execute(
        "CREATE FUNCTION sneaky() RETURNS int LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO orders VALUES (99); RETURN 1; END $$"
    )
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        try:
            engine.sub("sneaky", "SELECT sneaky()")
            refused = False
        except pgrt.QueryFailed as error:
            refused = error.sqlstate == "25006"
    with noticed(broken):
        assert refused
        assert db.execute("SELECT count(*) FROM orders WHERE id = 99").fetchone() == (0,)


@against("shared across roles")
def test_two_roles_see_their_own_rows(dsn, db, make_role, leave_out, broken):
    """The same text under another role is another query."""
    leave_out(broken)
    role = make_role("reader")
    db.execute(
        f"GRANT SELECT ON orders TO {role.name};"
        "CREATE POLICY p ON orders USING (id = 1); ALTER TABLE orders ENABLE ROW LEVEL SECURITY"
    )
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        everything = engine.sub("all", ORDERS)
        some = engine.sub("some", ORDERS, query_conninfo=role.conninfo(dsn))
        assert len(everything.df) == 3
        with noticed(broken):
            assert len(some.df) == 1


@against("frame kept after a revoke")
def test_rows_go_with_the_right_to_read_them(dsn, db, make_role, leave_out, broken):
    """After a REVOKE the next run takes the rows away."""
    leave_out(broken)
    role = make_role("reader")
    db.execute(f"GRANT SELECT ON orders TO {role.name}")
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("orders", ORDERS, query_conninfo=role.conninfo(dsn))
        db.execute(f"REVOKE SELECT ON orders FROM {role.name}; DELETE FROM orders WHERE id = 1")
        wait_until(lambda: query.status == "error")
        with noticed(broken):
            assert query.df.empty


# -- telling


@against("equal results published")
def test_an_equal_result_is_no_news(dsn, db, leave_out, broken):
    """A run that finds what was known changes neither frame nor version."""
    leave_out(broken)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("orders", ORDERS)
        frame = query.df
        query.refresh()
        with noticed(broken):
            assert (query.df is frame, query.version) == (True, 1)


@against("delta of the wrong base")
def test_a_delta_compares_with_the_result_before(dsn, db, leave_out, broken):
    """The second delta names what the second change did and nothing else."""
    leave_out(broken)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("orders", ORDERS)
        for number in (1, 2):
            db.execute("UPDATE orders SET status = 'done' WHERE id = %s", (number,))
            wait_until(lambda: shows(query, db))
        with noticed(broken):
            assert rows(query.delta.updated) == [(2, "done")]


class Receiver:
    """Stand for a live query whose news comes while it is being told the last."""

    def __init__(self, delivery: Delivery) -> None:
        self.told, self._delivery = 0, delivery

    def push(self) -> None:
        self.told += 1
        if self.told == 1:
            self._delivery.news(self)

    def flush(self) -> None:
        pass


@against("news lost in merging")
def test_news_during_the_telling_is_told(leave_out, broken):
    """What comes while a receiver is being told is told next."""
    leave_out(broken)
    delivery = Delivery("thread")
    try:
        receiver = Receiver(delivery)
        delivery.news(receiver)
        with noticed(broken):
            wait_until(lambda: receiver.told == 2, patience(broken))
    finally:
        delivery.stop()


@against("one observer stops the others")
def test_an_observer_that_raises_stops_no_other(dsn, db, leave_out, broken):
    """The others hear of the same update."""
    leave_out(broken)
    heard: list[Any] = []

    def failing(change: Any) -> None:
        raise ZeroDivisionError

    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("orders", ORDERS)
        query.observe(failing, "df")
        query.observe(heard.append, "df")
        db.execute("DELETE FROM orders WHERE id = 1")
        with noticed(broken):
            wait_until(lambda: heard, patience(broken))


@against("old observers left behind")
def test_a_replaced_query_keeps_its_observers(dsn, db, leave_out, broken):
    """Who observes a name hears of whatever runs under it."""
    leave_out(broken)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("orders", ORDERS)
        heard: list[Any] = []
        query.observe(heard.append, "df")
        engine.sub("orders", "SELECT id FROM orders")
        with noticed(broken):
            wait_until(lambda: heard, patience(broken))


def test_the_harness_is_strict(dsn, db, leave_out):
    """A variant that goes unnoticed fails its test."""
    with pytest.raises(pytest.fail.Exception, match="unnoticed"), noticed("no interest"):
        assert Listener
