"""DDL of users and our own looking and installing do not stand in each other's way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pandas as pd
import psycopg
import pytest

import pgrt_jupyter as pgrt
from pgrt_jupyter import api
from pgrt_jupyter.engine import analysis, capture, families, removal
from pgrt_jupyter.engine.listener import Pulse
from pgrt_jupyter.engine.loop import EngineLoop
from pgrt_jupyter.engine.statement import parse
from pgrt_jupyter.testing import wait_until

ORDERS = "SELECT id, status FROM orders ORDER BY id"
Connection = psycopg.Connection[Any]


def rows(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    """List a frame's rows."""
    return list(frame.itertuples(index=False, name=None))


@pytest.fixture
def db(connect: Callable[..., Any]) -> Connection:
    """Give a connection to a database with a few orders."""
    connection: Connection = connect()
    connection.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, status text, note text);"
        "INSERT INTO orders SELECT n, 'new' FROM generate_series(1, 3) AS n"
    )
    return connection


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have engines look after themselves several times a second."""
    loop = partial(EngineLoop, pulse=Pulse(interval=0.1, deadline=3.0), audit_seconds=0.2)
    monkeypatch.setattr(api, "EngineLoop", loop)


@pytest.fixture
def engine(dsn: str, db: Connection, quick: None) -> Iterator[pgrt.Engine]:
    """Give a running engine that looks after itself often."""
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        yield engine


@pytest.mark.every_server
def test_ten_sessions_install_at_once(db: Connection, connect: Callable[..., Any]) -> None:
    """They come one after the other; what the last finds is complete, and no error but "busy" is seen."""
    ((oid,),) = db.execute("SELECT 'orders'::regclass::oid").fetchall()
    problems: list[Any] = []
    sessions = [connect() for _ in range(10)]
    ready = threading.Barrier(10)

    def install(session: Connection) -> None:
        ready.wait()
        for _ in range(50):
            done = capture.complete(session, families.find(session, [oid])[oid])
            if not done.problems:
                return
            problems.extend(done.problems)
        raise AssertionError("never free")

    threads = [threading.Thread(target=install, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {problem.is_busy for problem in problems} <= {True}
    ((member,),) = families.find(db, [oid]).values()
    assert capture.is_complete(db, member)
    triggers = db.execute("SELECT count(*) FROM pg_trigger WHERE tgrelid = %s", (oid,))
    assert triggers.fetchone() == (4,)


@pytest.mark.every_server
def test_analysing_and_looking_stand_in_no_ddls_way(
    db: Connection, connect: Callable[..., Any]
) -> None:
    """While queries are analysed all the time, DDL gets its lock at once, and nothing is left behind."""
    db.execute("CREATE VIEW v AS SELECT id, status FROM orders")
    left = (
        "SELECT (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_proc),"
        " (SELECT count(*) FROM pg_namespace), (SELECT count(*) FROM pg_depend)"
    )
    before = db.execute(left).fetchone()
    stop = threading.Event()
    looked: list[int] = []
    failures: list[BaseException] = []
    query = parse("SELECT v.id, o.note FROM v JOIN orders AS o USING (id) WHERE v.id > $1", [0])

    def look(session: Connection) -> None:
        try:
            while not stop.is_set():
                found = analysis.analyse(session, query).dependencies
                oids = [relation.oid for relation in found.relations]
                families.find(session, oids)
                analysis.fingerprint(session, oids)
                looked.append(1)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=look, args=(connect(),), daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    # Ten times the 100 ms that analysis may hold its locks for: the machine may be busy, too.
    hammer = connect(options="-c lock_timeout=1s")
    try:
        wait_until(lambda: len(looked) > 5 or failures)
        for number in range(20):
            hammer.execute("ALTER TABLE orders ALTER note SET DEFAULT 'x'")
            hammer.execute(f"ALTER VIEW v RENAME COLUMN status TO status{number}")
            hammer.execute(f"ALTER VIEW v RENAME COLUMN status{number} TO status")
            hammer.execute("ALTER TABLE orders ALTER note DROP DEFAULT")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert db.execute(left).fetchone() == before


@pytest.mark.every_server
def test_a_dropped_table_is_said_and_followed_again_when_it_is_back(
    engine: pgrt.Engine, db: Connection
) -> None:
    """Without the table the last good frame stays with the error; made anew, it is live again."""
    lq = engine.sub("orders", ORDERS)
    db.execute("DROP TABLE orders")
    wait_until(lambda: lq.status == "error")
    assert (lq.error.sqlstate, len(lq.df)) == ("42P01", 3)
    db.execute("CREATE TABLE orders (id int, status text); INSERT INTO orders VALUES (7, 'back')")
    lq.wait_for(lambda df: rows(df) == [(7, "back")], timeout=30)
    wait_until(lambda: lq.status == "live")
    db.execute("UPDATE orders SET status = 'heard'")
    lq.wait_for(lambda df: rows(df) == [(7, "heard")])


@pytest.mark.every_server
def test_a_column_that_goes_and_comes_back(engine: pgrt.Engine, db: Connection) -> None:
    """The error names it; with the column the query goes on by itself."""
    lq = engine.sub("orders", ORDERS)
    db.execute("ALTER TABLE orders DROP status")
    wait_until(lambda: lq.status == "error")
    assert lq.error.sqlstate == "42703"
    db.execute("ALTER TABLE orders ADD status int DEFAULT 5")
    lq.wait_for(lambda df: rows(df) == [(1, 5), (2, 5), (3, 5)], timeout=30)


@pytest.mark.every_server
@pytest.mark.parametrize("kind", ["bigint", "text", "numeric(8,2)"])
def test_a_column_of_another_type_with_a_filter(
    kind: str, engine: pgrt.Engine, db: Connection
) -> None:
    """Plans, triggers and filters made for the old type give way to the new one."""
    lq = engine.sub("orders", "SELECT id FROM orders ORDER BY 1", refresh={"orders": {"id": 5}})
    db.execute(f"ALTER TABLE orders ALTER id TYPE {kind}")
    db.execute("INSERT INTO orders VALUES (5)")
    lq.wait_for(lambda df: len(df) == 4)
    db.execute("DELETE FROM orders WHERE note IS NULL")
    lq.wait_for(lambda df: df.empty)


@pytest.mark.every_server
def test_a_partition_made_later_is_written_to_directly(engine: pgrt.Engine, db: Connection) -> None:
    """What is written to a new leaf before the audit is shown by it, and heard after it."""
    db.execute("CREATE TABLE m (at int, v int) PARTITION BY RANGE (at)")
    lq = engine.sub("m", "SELECT at, v FROM m ORDER BY at")
    assert lq.df.empty
    with db.transaction():
        db.execute("CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (10)")
        db.execute("INSERT INTO m1 VALUES (1, 1)")
    lq.wait_for(lambda df: rows(df) == [(1, 1)])
    wait_until(
        lambda: db.execute(
            "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'm1'::regclass"
        ).fetchone() == (4,)
    )  # fmt: skip
    db.execute("UPDATE m1 SET v = 2")
    lq.wait_for(lambda df: rows(df) == [(1, 2)])
    db.execute("DROP TABLE m1")
    lq.wait_for(lambda df: df.empty)


@pytest.mark.every_server
def test_crossing_ddl_does_not_make_a_user_the_victim(
    db: Connection, connect: Callable[..., Any]
) -> None:
    """Transactions that lock tables in either order go through while we install and remove all the time."""
    db.execute("CREATE TABLE bills (id int)")
    found = db.execute("SELECT 'orders'::regclass::oid, 'bills'::regclass::oid").fetchone()
    stop = threading.Event()
    failures: list[BaseException] = []

    def come_and_go(session: Connection) -> None:
        try:
            while not stop.is_set():
                for members in families.find(session, list(found)).values():
                    capture.complete(session, members)
                removal.uninstall(session, patience=30)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=come_and_go, args=(connect(),), daemon=True)
    thread.start()
    user = connect(options="-c deadlock_timeout=50ms")
    try:
        for number in range(30):
            first, second = ("orders", "bills")[:: 1 if number % 2 else -1]
            with user.transaction():
                user.execute(f"ALTER TABLE {first} ALTER id SET STATISTICS {number}")
                user.execute(f"ALTER TABLE {second} ALTER id SET STATISTICS {number}")
    finally:
        stop.set()
        thread.join()
    assert not failures


@pytest.mark.every_server
def test_no_extension_is_needed(engine: pgrt.Engine, db: Connection) -> None:
    """A server with nothing but plpgsql will do, row filters included."""
    lq = engine.sub("orders", ORDERS, refresh={"orders": {"status": "x" * 6000}})
    assert lq.status == "live"
    assert db.execute("SELECT extname FROM pg_extension").fetchall() == [("plpgsql",)]
    db.execute("UPDATE orders SET status = repeat('x', 6000) WHERE id = 1")
    lq.wait_for(lambda df: len(df["status"][0]) == 6000)


def test_a_dead_programs_locks_silence_the_triggers(
    dsn: str, db: Connection, connect: Callable[..., Any]
) -> None:
    """What a killed kernel leaves behind is silent, and goes with destroy."""
    with pgrt.Engine(dsn) as engine:
        engine.sub("orders", ORDERS)
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock'"
        wait_until(lambda: db.execute(held).fetchone() != (0,))
    ear = connect()
    ear.execute("LISTEN pgrt_jupyter")
    wait_until(lambda: db.execute(held).fetchone() == (0,))
    db.execute("DELETE FROM orders")
    assert list(ear.notifies(timeout=0.1)) == []
    assert pgrt.destroy(dsn)[-1] == "schema _pgrt"
