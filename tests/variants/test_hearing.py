"""A change is found, announced and heard; where one step is left out, it is lost."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import pgrt_jupyter as pgrt
from pgrt_jupyter.engine.attention import Attention
from pgrt_jupyter.engine.listener import Listener
from pgrt_jupyter.testing import wait_until

from .broken import against, noticed, patience

ORDERS = "SELECT id, status FROM orders ORDER BY id"


def shows(query: pgrt.LiveQuery, db: Any) -> bool:
    """Say whether the query shows what a fresh run of it would."""
    fresh = db.execute(query.sql).fetchall()
    return list(query.df.itertuples(index=False, name=None)) == fresh


def end_ours(db: Any) -> None:
    """End every connection of ours to this database."""
    db.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'pgrt_jupyter' AND datname = current_database()"
    )


# -- analysis and capture


@against("views not followed")
def test_a_change_behind_a_view_is_seen(dsn, db, leave_out, broken):
    """A view's tables are watched though the text does not name them."""
    leave_out(broken)
    db.execute("CREATE VIEW v AS SELECT * FROM orders")
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("v", "SELECT id, status FROM v ORDER BY id")
        db.execute("DELETE FROM orders WHERE id = 1")
        with noticed(broken):
            wait_until(lambda: shows(query, db), patience(broken))


@pytest.mark.parametrize(
    ("broken", "statement"),
    [
        ("", "TRUNCATE orders"),
        ("no truncate trigger", "TRUNCATE orders"),
        ("", "SET session_replication_role = replica; DELETE FROM orders"),
        ("silent for replicas", "SET session_replication_role = replica; DELETE FROM orders"),
    ],
)
def test_every_way_to_write_is_heard(dsn, db, leave_out, broken, statement):
    """TRUNCATE and the replica role fire triggers of ours like anything else."""
    leave_out(broken)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("orders", ORDERS)
        db.execute(statement)
        with noticed(broken):
            wait_until(lambda: shows(query, db), patience(broken))


@against("only the table named")
def test_a_write_to_a_partition_is_heard(dsn, db, leave_out, broken):
    """Whoever reads the tree sees what is written to a leaf directly."""
    leave_out(broken)
    db.execute(
        "CREATE TABLE m (at int, v int) PARTITION BY RANGE (at);"
        "CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (10)"
    )
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("m", "SELECT at, v FROM m")
        db.execute("INSERT INTO m1 VALUES (1, 1)")
        with noticed(broken):
            wait_until(lambda: shows(query, db), patience(broken))


@against("compared by equality")
def test_a_number_that_only_looks_different_is_another(dsn, db, leave_out, broken):
    """1.0 that becomes 1.00 is a change."""
    leave_out(broken)
    db.execute("CREATE TABLE n (id int PRIMARY KEY, x numeric); INSERT INTO n VALUES (1, 1.0)")
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("n", "SELECT id, x::text AS x FROM n")
        db.execute("UPDATE n SET x = 1.00")
        with noticed(broken):
            wait_until(lambda: shows(query, db), patience(broken))


@against("errors fail the write")
def test_a_failing_trigger_fails_no_write(dsn, db, leave_out, broken):
    """A write goes on though a part of ours is gone, and is seen."""
    leave_out(broken)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("orders", ORDERS, refresh={"orders": {"status": "done"}})
        db.execute("DROP TABLE _pgrt.changes")
        try:
            db.execute("UPDATE orders SET status = 'done'")
            failed = False
        except Exception:
            failed = True
        with noticed(broken):
            assert not failed
            wait_until(lambda: shows(query, db))


@against("waits for writers")
def test_subscribing_waits_for_no_writer(dsn, db, connect, leave_out, broken):
    """A table that somebody is writing to is watched later; until then the query polls."""
    leave_out(broken)
    writer = connect()
    writer.execute("BEGIN; INSERT INTO orders VALUES (4, 'open')")
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        done = threading.Event()
        waiting = threading.Thread(target=lambda: (engine.sub("orders", ORDERS), done.set()))
        waiting.start()
        try:
            with noticed(broken):
                assert done.wait(patience(broken))
        finally:
            writer.execute("COMMIT")
            waiting.join()


@against("busy tables not told")
def test_a_table_that_cannot_be_watched_yet_is_told(dsn, db, connect, leave_out, broken):
    """Without triggers the status does not say live."""
    leave_out(broken)
    writer = connect()
    writer.execute("BEGIN; INSERT INTO orders VALUES (4, 'open')")
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("orders", ORDERS)
        with noticed(broken):
            assert query.status == "polling"
        writer.execute("ROLLBACK")


# -- interest


@against("run before holding")
def test_a_change_right_after_the_run_read_is_seen(dsn, db, connect, at_run, leave_out, broken):
    """What is committed while a result is on its way is not in it, and makes the next."""
    leave_out(broken)
    writer = connect()
    with pgrt.Engine(dsn) as engine:
        engine.sub("installing", ORDERS)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        at_run(lambda: writer.execute("DELETE FROM orders WHERE id = 2"))
        query = engine.sub("orders", ORDERS)
        with noticed(broken):
            wait_until(lambda: shows(query, db), patience(broken))


@against("looked up before holding", "writers not awaited")
def test_a_writer_that_began_before_the_keys_were_held_is_seen(
    dsn, db, connect, at_run, leave_out, monkeypatch, broken
):
    """A change written just before the keys are taken and committed after the run is shown."""
    with pgrt.Engine(dsn) as engine:
        engine.sub("installing", ORDERS)
    leave_out(broken)
    settle, writer, once = Attention.settle, connect(), threading.Event()

    async def stepping(self: Attention) -> None:
        if self._owner.groups and not once.is_set():
            once.set()
            writer.execute("BEGIN; DELETE FROM orders WHERE id = 1")
        await settle(self)

    monkeypatch.setattr(Attention, "settle", stepping)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        at_run(lambda: writer.execute("COMMIT"))
        query = engine.sub("orders", ORDERS)
        with noticed(broken):
            wait_until(lambda: shows(query, db), patience(broken))


@against("let go after the run", "not taken up again")
def test_a_change_after_letting_go_is_heard(dsn, db, leave_out, broken):
    """An engine that let go because a run was due waits again when it has run."""
    leave_out(broken)
    with pgrt.Engine(dsn, throttle_ms=300) as engine:
        query = engine.sub("orders", ORDERS)
        with noticed(broken):
            for number in (1, 2, 3):
                db.execute("DELETE FROM orders WHERE id = %s", (number,))
                wait_until(lambda: shows(query, db), patience(broken))


def holds(db: Any) -> list[Any]:
    """List who waits for something in this database."""
    return db.execute(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock'"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    ).fetchall()


@against("refused keys not told")
def test_a_key_that_cannot_be_had_is_told(dsn, db, connect, leave_out, broken):
    """Where another session keeps our key to itself, triggers stay silent and the query polls."""
    leave_out(broken)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("orders", ORDERS)
        keys = engine._loop.runtime._attention._listener.held
        query.close()
        wait_until(lambda: not holds(db))
        thief = connect()
        for key in keys:
            thief.execute("SELECT pg_advisory_lock(%s)", (key,))
        query = engine.sub("orders", ORDERS)
        with noticed(broken):
            assert query.status == "polling"


@against("one key for the columns read first")
def test_an_update_of_any_column_read_is_heard(dsn, db, leave_out, broken):
    """A key is held for each column that the query reads."""
    leave_out(broken)
    db.execute("CREATE TABLE t (id int PRIMARY KEY, a int, b int); INSERT INTO t VALUES (1, 1, 1)")
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("t", "SELECT a, b FROM t")
        with noticed(broken):
            for column in ("a", "b"):
                db.execute(f"UPDATE t SET {column} = 2")
                wait_until(lambda: shows(query, db), patience(broken))


# -- listening


@against("rest of a batch dropped")
def test_every_notification_of_a_batch_counts(dsn, db, leave_out, broken):
    """One transaction that changes two tables runs the queries on both."""
    leave_out(broken)
    db.execute("CREATE TABLE others (id int PRIMARY KEY)")
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        queries = [engine.sub(name, f"SELECT id FROM {name} ORDER BY id") for name in TABLES]
        with db.transaction():
            db.execute("INSERT INTO orders VALUES (4); INSERT INTO others VALUES (4)")
        with noticed(broken):
            wait_until(lambda: all(shows(query, db) for query in queries), patience(broken))


TABLES = ("orders", "others")


@against("strangers end the batch")
def test_a_strangers_notification_takes_no_other_along(dsn, db, leave_out, broken):
    """A payload that nobody can read is passed over, whatever comes with it is acted on."""
    leave_out(broken)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("orders", ORDERS)
        with db.transaction():
            db.execute("SELECT pg_notify('pgrt_jupyter', 'nonsense')")
            db.execute("DELETE FROM orders WHERE id = 1")
            db.execute("SELECT pg_notify('pgrt_jupyter', '{\"a\": [')")
        with noticed(broken):
            wait_until(lambda: shows(query, db), patience(broken))


@against("heartbeat always true")
def test_a_session_that_no_longer_listens_is_noticed(dsn, db, leave_out, look_often, broken):
    """UNLISTEN behind our back, as a pooler's reset does it, is found out and mended."""
    look_often(interval=0.1, deadline=0.3)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("orders", ORDERS)
        leave_out(broken)
        deafen(engine)
        db.execute("DELETE FROM orders WHERE id = 1")
        with noticed(broken):
            wait_until(lambda: shows(query, db), patience(broken))


def deafen(engine: pgrt.Engine) -> None:
    """Have the engine's own session stop listening."""
    loop = engine._loop
    listener: Listener = loop.runtime._attention._listener
    loop.call(listener._execute, "UNLISTEN *")


@against("no run after reconnecting")
def test_a_change_while_disconnected_is_shown_after_reconnecting(dsn, db, leave_out, broken):
    """What was committed while nobody listened needs no further write to be seen."""
    leave_out(broken)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("orders", ORDERS)
        with db.transaction():
            end_ours(db)
            db.execute("DELETE FROM orders WHERE id = 1")
        wait_until(lambda: engine._loop.runtime._attention._connections == 2)
        with noticed(broken):
            wait_until(lambda: shows(query, db), patience(broken))


@against("no check after reconnecting")
def test_triggers_lost_while_disconnected_are_put_back(dsn, db, leave_out, broken):
    """The next change after an outage is heard whatever happened to the triggers in it."""
    leave_out(broken)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("orders", ORDERS)
        with db.transaction():
            end_ours(db)
            db.execute("DROP TRIGGER _pgrt_delete ON orders")
        wait_until(lambda: engine._loop.runtime._attention._connections == 2)
        wait_until(lambda: query.status == "live")
        db.execute("DELETE FROM orders WHERE id = 1")
        with noticed(broken):
            wait_until(lambda: shows(query, db), patience(broken))


@against("outage not told")
def test_a_lost_connection_is_told(dsn, db, leave_out, broken):
    """Observers of the status hear that it was stale."""
    leave_out(broken)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("orders", ORDERS)
        heard: list[str] = []
        query.observe(lambda change: heard.append(change["new"]), "status")
        end_ours(db)
        with noticed(broken):
            wait_until(lambda: "stale" in heard, patience(broken))


@against("live before it ran")
def test_the_status_is_not_live_before_the_query_has_caught_up(dsn, db, at_run, leave_out, broken):
    """While the first run after an outage is under way the result is stale, and said to be."""
    leave_out(broken)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("orders", ORDERS)
        seen: list[str] = []
        at_run(lambda: seen.append(query.status), before=True)
        end_ours(db)
        wait_until(lambda: seen)
        with noticed(broken):
            assert seen == ["stale"]


# -- audit


@against("audit never")
def test_what_a_lost_trigger_did_not_announce_is_found(dsn, db, leave_out, look_often, broken):
    """A change that nothing announced is seen by the audit."""
    look_often(audit=0.2)
    leave_out(broken)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("orders", ORDERS)
        with db.transaction():
            db.execute("DROP TRIGGER _pgrt_delete ON orders; DELETE FROM orders WHERE id = 1")
        with noticed(broken):
            wait_until(lambda: shows(query, db), patience(broken))


@against("definitions not compared", "audit never")
def test_a_view_over_another_table_is_found(dsn, db, leave_out, look_often, broken):
    """CREATE OR REPLACE VIEW changes a result without a write to any watched table."""
    look_often(audit=0.2)
    leave_out(broken)
    db.execute("CREATE TABLE others (id int PRIMARY KEY); CREATE VIEW v AS SELECT id FROM orders")
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("v", "SELECT id FROM v")
        db.execute("CREATE OR REPLACE VIEW v AS SELECT id FROM others")
        with noticed(broken):
            wait_until(lambda: list(query.tables) == ["public.others"], patience(broken))
            wait_until(lambda: shows(query, db))


@against("full queue not told")
def test_a_full_queue_is_told(dsn, db, leave_out, look_often, monkeypatch, broken):
    """While triggers keep silent for the server's sake, the status says polling."""
    look_often(audit=0.1)
    leave_out(broken)

    async def usage(self: Listener) -> float:
        return 0.6

    monkeypatch.setattr(Listener, "queue_usage", usage)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("orders", ORDERS)
        with noticed(broken):
            wait_until(lambda: query.status == "polling", patience(broken))
