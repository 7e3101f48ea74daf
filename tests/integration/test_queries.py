"""Queries that are slow, large, odd or wrong: the engine stays bounded, says so, and recovers."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

import pgrt_jupyter as pgrt
from pgrt_jupyter.engine import refresh
from pgrt_jupyter.testing import wait_until

from ..variants.broken import against, break_engine, noticed

Connection = psycopg.Connection[Any]
ORDERS = "SELECT id, status FROM orders ORDER BY id"
SLOW = "SELECT n, pg_sleep(n * 0.001)::text AS slept FROM counter"


@pytest.fixture
def db(dsn: str, connect: Callable[..., Any]) -> Connection:
    """Give a connection to a database with some orders and a counter."""
    connection: Connection = connect(dsn)
    connection.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, status text);"
        "INSERT INTO orders SELECT i, 'new' FROM generate_series(1, 3) AS i;"
        "CREATE TABLE counter (n int); INSERT INTO counter VALUES (0)"
    )
    return connection


def rows(frame: Any) -> list[tuple[Any, ...]]:
    return list(frame.itertuples(index=False, name=None))


def shows(query: pgrt.LiveQuery, db: Connection) -> bool:
    """Say whether the query shows what a fresh run of it would."""
    return rows(query.df) == db.execute(query.sql).fetchall()


class Runs:
    """Count the runs of queries, and how many went on at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.started: list[float] = []
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()
        run = refresh.run

        def counted(*arguments: Any, **named: Any) -> Any:
            with self._lock:
                self.started.append(time.monotonic())
                self._now += 1
                self.most = max(self.most, self._now)
            try:
                return run(*arguments, **named)
            finally:
                with self._lock:
                    self._now -= 1

        monkeypatch.setattr(refresh, "run", counted)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Count runs from here on."""
    return Runs(monkeypatch)


@contextmanager
def written(connect: Callable[..., Any], pause: float = 0.0) -> Iterator[None]:
    """Count up without an end while the block runs."""
    stop = threading.Event()

    def write() -> None:
        writer = connect()
        while not stop.is_set():
            writer.execute("UPDATE counter SET n = n + 1")
            stop.wait(pause)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


# -- D1, D2, P6, P9: slow queries and steady streams


def test_a_query_slower_than_its_interval_says_so(dsn, db):
    """It is what it was, and the message says that runs take longer than they are to be apart."""
    with pgrt.Engine(dsn, throttle_ms=300) as engine:
        query = engine.sub("slow", SLOW)
        db.execute("UPDATE counter SET n = 400")
        query.wait_for(lambda df: df["n"][0] == 400)
        wait_until(lambda: "longer than the interval of 0.3 s" in query._shown().message)
        assert query.status == "polling"
        db.execute("UPDATE counter SET n = 0")
        wait_until(lambda: "longer than" not in query._shown().message)


def test_a_slow_query_runs_one_at_a_time_and_once_more_at_the_end(dsn, db, runs):
    """Changes during a run are answered by one run after it."""
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("slow", "SELECT n, pg_sleep(0.2)::text AS slept FROM counter")
        before = len(runs.started)
        for _ in range(20):
            db.execute("UPDATE counter SET n = n + 1")
        query.wait_for(lambda df: df["n"][0] == 20)
        wait_until(lambda: not query._group.throttle.running)
        assert runs.most == 1
        assert len(runs.started) - before <= 3


def test_a_stream_of_changes_is_followed_at_the_rate_of_the_interval(dsn, db, connect, runs):
    """No starvation, at most one run an interval, and what was counted never goes back."""
    seen: list[int] = []
    with pgrt.Engine(dsn, throttle_ms=100) as engine:
        query = engine.sub("counter", "SELECT n FROM counter")
        query.observe(lambda change: seen.append(int(change["new"]["n"][0])), "df")
        began, before = time.monotonic(), len(runs.started)
        with written(connect):
            wait_until(lambda: len(runs.started) - before >= 10)
        took = time.monotonic() - began
        assert len(runs.started) - before <= took / 0.1 + 2
        wait_until(lambda: shows(query, db))
    assert len(seen) >= 3 and seen == sorted(seen)


def test_versions_and_counters_never_go_back(dsn, db, connect):
    """With forced refreshes from several threads, under writes, every result is newer than the last."""
    seen: list[tuple[int, int]] = []
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("counter", "SELECT n FROM counter")

        def note() -> None:
            while not stop.is_set():
                view = query._view
                seen.append((view.version, int(view.df["n"][0])))

        stop = threading.Event()
        forcing = [
            threading.Thread(target=lambda: [query.refresh() for _ in range(15)]) for _ in range(3)
        ]
        noting = threading.Thread(target=note)
        with written(connect):
            for thread in [noting, *forcing]:
                thread.start()
            for thread in forcing:
                thread.join()
        stop.set()
        noting.join()
        wait_until(lambda: shows(query, db))
    assert seen == sorted(seen)
    assert len(set(seen)) > 5


# -- D3: size

LARGE = """
import resource, sys
import pgrt_jupyter as pgrt
with pgrt.Engine(sys.argv[1], deliver="thread") as engine:
    engine.sub("small", "SELECT 1", max_rows=1000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    query = engine.sub("large", sys.argv[2], max_rows=1000)
    assert (len(query.df), query.truncated) == (1000, True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_the_rest_of_a_large_result_takes_no_memory(dsn, db):
    """Of five million rows a thousand are read; the kernel grows by less than 50 MB."""
    sql = "SELECT n, repeat('x', 100) AS text FROM generate_series(1, 5000000) AS n"
    done = subprocess.run(
        [sys.executable, "-c", LARGE, dsn, sql], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 50_000


# -- D4, D5, D9: errors that pass


def test_a_statement_timeout_is_said_and_passes(dsn, db):
    """The server's time-out keeps the last frame, and the next change that is quick enough is shown."""
    conninfo = make_conninfo(dsn, options="-c statement_timeout=300")
    with pgrt.Engine(dsn, throttle_ms=0, query_conninfo=conninfo) as engine:
        query = engine.sub("slow", SLOW, error_handler=lambda error, query: None)
        db.execute("UPDATE counter SET n = 60000")
        wait_until(lambda: query.status == "error")
        assert (query.error.sqlstate, query.df["n"][0]) == ("57014", 0)
        db.execute("UPDATE counter SET n = 1")
        query.wait_for(lambda df: df["n"][0] == 1)
        wait_until(lambda: query.error is None)


def test_a_cancelled_run_is_tried_again(dsn, db):
    """A run that an administrator cancels is an error until the next one, which comes by itself."""
    errors: list[Any] = []
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub(
            "slow",
            "SELECT n, pg_sleep(CASE WHEN n = 1 THEN 0.5 ELSE 0 END)::text AS x FROM counter",
            error_handler=lambda error, query: errors.append(error.sqlstate),
        )
        db.execute("UPDATE counter SET n = 1")
        assert wait_until(lambda: db.execute(CANCEL).fetchall())
        wait_until(lambda: errors)
        query.wait_for(lambda df: df["n"][0] == 1)
        wait_until(lambda: query.error is None)
    assert errors == ["57014"]


CANCEL = """SELECT pg_cancel_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'pgrt_jupyter' AND wait_event = 'PgSleep' AND datname = current_database()"""


def test_one_failing_query_disturbs_no_other(dsn, db, connect):
    """While one divides by zero the other follows; when the data is right again, so does the first."""
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        control = engine.sub("control", "SELECT n FROM counter")
        failing = (
            engine.sub(
                "failing", "SELECT 10 / n AS x FROM counter", error_handler=lambda e, q: None
            )
            if db.execute("UPDATE counter SET n = 1")
            else None
        )
        for n in (0, 2, 0, 5):
            db.execute("UPDATE counter SET n = %s", (n,))
            control.wait_for(lambda df, n=n: df["n"][0] == n)
            wait_until(lambda n=n: (failing.status == "error") == (n == 0))
        assert rows(failing.df) == [(2,)]


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
def test_a_conflict_with_recovery_is_tried_again(dsn, db, monkeypatch, sqlstate):
    """What a standby cancels for its own reasons is read again without a further change."""
    left = [2]
    run = refresh.run

    def conflicting(*arguments: Any, **named: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise pgrt.QueryFailed("canceling statement", sqlstate=sqlstate)
        return run(*arguments, **named)

    with pgrt.Engine(dsn, throttle_ms=0, error_handler=lambda error, query: None) as engine:
        query = engine.sub("orders", ORDERS)
        monkeypatch.setattr(refresh, "run", conflicting)
        db.execute("DELETE FROM orders WHERE id = 1")
        wait_until(lambda: shows(query, db), 20)
        wait_until(lambda: query.status == "live")


# -- D6: side effects


WRITING = [
    "WITH gone AS (DELETE FROM orders RETURNING id) SELECT id FROM gone",
    "SELECT id FROM orders FOR UPDATE",
    "SELECT nextval('numbers')",
    "SELECT setval('numbers', 5)",
    "SELECT sneaky()",
    "SELECT 1; DELETE FROM orders",
    "CREATE TABLE made AS SELECT 1",
    "EXPLAIN ANALYZE DELETE FROM orders",
]


def test_a_query_with_side_effects_is_refused_and_has_none(dsn, db):
    """Whatever writes is an error, also under a superuser."""
    db.execute(
        "CREATE SEQUENCE numbers; CREATE FUNCTION sneaky() RETURNS int LANGUAGE plpgsql AS"
        " $$ BEGIN DELETE FROM orders; RETURN 1; END $$"
    )
    with pgrt.Engine(dsn) as engine:
        for sql in WRITING:
            with pytest.raises((pgrt.QueryRefused, pgrt.QueryFailed)):
                engine.sub("sneaky", sql)
        assert engine.subscriptions() == {}
        # Before 16 a transaction that reads only may make large objects; its end undoes it.
        with nullcontext() if db.info.server_version < 160000 else pytest.raises(pgrt.QueryFailed):
            engine.sub("sneaky", "SELECT lo_create(0)")
    found = (
        "SELECT (SELECT count(*) FROM orders), (SELECT is_called FROM numbers),"
        " (SELECT count(*) FROM pg_largeobject_metadata)"
    )
    assert db.execute(found).fetchone() == (3, False, 0)


def test_a_query_that_notifies_does_not_call_itself(dsn, db, runs):
    """A notification that looks like a trigger's own is not sent by a run, however it is asked for."""
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub(
            "loop",
            "SELECT n, pg_notify('pgrt_jupyter', 'counter'::regclass::oid || ' I *')::text FROM counter",
        )
        control = engine.sub("control", "SELECT n + 0 AS n FROM counter")
        db.execute("UPDATE counter SET n = 1")
        query.wait_for(lambda df: df["n"][0] == 1)
        control.wait_for(lambda df: df["n"][0] == 1)
        before = len(runs.started)
        assert stays(lambda: len(runs.started) <= before + 2)


def stays(condition: Callable[[], bool], seconds: float = 0.5) -> bool:
    """Say whether a condition holds for some time."""
    try:
        wait_until(lambda: not condition(), seconds)
    except TimeoutError:
        return True
    return False


@against("runs committed")
def test_a_query_leaves_nothing_in_the_session_for_the_next(dsn, db, monkeypatch, broken):
    """What a query sets is undone, so that others who get its connection notice nothing."""
    break_engine(monkeypatch, broken)
    with pgrt.Engine(dsn, throttle_ms=0, pool_size=1) as engine:
        engine.sub("setting", "SELECT set_config('search_path', 'nowhere', false)")
        try:
            found = rows(engine.sub("orders", ORDERS).df)
        except pgrt.QueryFailed:
            found = []
        with noticed(broken):
            assert found == db.execute(ORDERS).fetchall()


def test_a_query_leaves_no_lock_behind(dsn, db):
    """An advisory lock that a query takes ends with its run."""
    with pgrt.Engine(dsn, throttle_ms=0, pool_size=1) as engine:
        engine.sub("locking", "SELECT pg_advisory_lock(4711)::text")
        assert db.execute("SELECT pg_try_advisory_lock(4711)").fetchone() == (True,)


# -- D8: odd columns


ODD = [
    ("SELECT FROM orders", [], 3),
    ("SELECT", [], 1),
    ("SELECT id FROM orders WHERE false", ["id"], 0),
    ("SELECT 1 AS a, 2 AS a, 3 AS a", ["a", "a", "a"], 1),
    ('SELECT 1 AS "%s", 2 AS "{}", 3 AS "$1", 4 AS ":x"', ["%s", "{}", "$1", ":x"], 1),
    ('SELECT 1 AS "a""b", 2 AS "\'", 3 AS "<b>&"', ['a"b', "'", "<b>&"], 1),
    ('SELECT 1 AS "a\nb", 2 AS " ", 3 AS "a,b"', ["a\nb", " ", "a,b"], 1),
    (f'SELECT 1 AS "{"é" * 31}"', ["é" * 31], 1),
    ('SELECT 1 AS "index", 2 AS "df", 3 AS "0"', ["index", "df", "0"], 1),
]


def test_column_names_are_kept_whatever_they_are(dsn, db):
    """None, doubled, quoted, empty-looking: the frame has them in order."""
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        for sql, columns, length in ODD:
            query = engine.sub(sql, sql)
            assert (list(query.df.columns), len(query.df)) == (columns, length)
            assert query.status == "live"
            query.refresh()
            assert query.version == 1


def test_sixteen_hundred_columns_are_followed(dsn, db):
    """The widest table there can be has a frame, a delta and a table."""
    columns = ", ".join(f"c{i} int" for i in range(1599))
    db.execute(f"CREATE TABLE wide (id int PRIMARY KEY, {columns}); INSERT INTO wide VALUES (1)")
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("wide", "SELECT * FROM wide")
        assert query.df.shape == (1, 1600)
        db.execute("UPDATE wide SET c1598 = 5")
        query.wait_for(lambda df: df["c1598"].notna()[0])
        assert rows(query.delta.updated[["id", "c1598"]]) == [(1, 5)]


# -- D11, D12: results that differ without a change


def test_a_result_without_an_order_is_what_a_fresh_run_gives(dsn, db):
    """Rows that only moved are a new result: the order shown is the server's."""
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("orders", "SELECT id, status FROM orders")
        db.execute("UPDATE orders SET status = status WHERE id = 1; UPDATE orders SET status = 'x'")
        query.wait_for(lambda df: set(df["status"]) == {"x"})
        wait_until(lambda: shows(query, db))


def test_a_result_that_is_never_the_same_keeps_nothing_going(dsn, db, runs):
    """What depends on time or chance is named, and runs no more often than it is polled."""
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        for sql in ("SELECT random()", "SELECT now()", "SELECT id, now() FROM orders"):
            query = engine.sub(sql, sql)
            assert query.status == "polling"
            assert query.unwatched != ()
            assert query._shown().message.startswith("cannot be watched: ")
        assert stays(lambda: len(runs.started) == 3)
