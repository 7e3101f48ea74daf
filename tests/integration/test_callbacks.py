"""Whatever users' functions do, the engine goes on and other subscriptions notice nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

import pgrt_jupyter as pgrt
from pgrt_jupyter import observing
from pgrt_jupyter.engine import asking
from pgrt_jupyter.testing import wait_until

from ..variants.broken import against, break_engine, noticed, patience

Connection = psycopg.Connection[Any]
ORDERS = "SELECT id, status FROM orders ORDER BY id"
COUNTER = "SELECT n FROM counter"


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


@pytest.fixture
def engine(dsn: str, db: Connection) -> Iterator[pgrt.Engine]:
    """Give a running engine that does not wait between runs."""
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        yield engine


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Give an event for functions to block on; set when the test ends."""
    event = threading.Event()
    yield event
    event.set()


class Control:
    """Watch a counter that must be followed, by frame and by observer, whatever else goes on."""

    def __init__(self, engine: pgrt.Engine, db: Connection) -> None:
        self._db, self.heard = db, []
        self.query = engine.sub("control", COUNTER)
        self.query.observe(lambda change: self.heard.append(int(change["new"]["n"][0])), "df")

    def follows(self, timeout: float = 10) -> None:
        """Require that the next change arrives."""
        (n,) = self._db.execute("UPDATE counter SET n = n + 1 RETURNING n").fetchone()
        self.query.wait_for(lambda df: df["n"][0] == n)
        assert self.query.status == "live"
        wait_until(lambda: self.heard[-1:] == [n], timeout)


@pytest.fixture
def control(engine: pgrt.Engine, db: Connection) -> Control:
    """Give a subscription that must not be held up."""
    return Control(engine, db)


def rows(frame: Any) -> list[tuple[Any, ...]]:
    return list(frame.itertuples(index=False, name=None))


def changed(db: Connection) -> list[tuple[Any, ...]]:
    """Change the orders and give what they are now."""
    db.execute("UPDATE orders SET status = status || '!'")
    return db.execute(ORDERS).fetchall()


# -- observers that raise, block, or do not return


@pytest.mark.parametrize(
    "error", [ZeroDivisionError, SystemExit, KeyboardInterrupt, RecursionError]
)
def test_an_observer_that_raises_disturbs_nobody(engine, db, control, caplog, error):
    """Not even with what usually ends a program."""
    query, heard = engine.sub("orders", ORDERS), []

    def failing(change: Any) -> None:
        raise error("mine")

    query.observe(failing, "df")
    query.observe(heard.append, "df")
    for times in (1, 2):
        expected = changed(db)
        wait_until(lambda: len(heard) == times)  # noqa: B023
        assert rows(query.df) == expected
        control.follows()
    assert error.__name__ in caplog.text


@against("observers not overtaken")
def test_an_observer_that_does_not_return_is_overtaken(
    engine, db, control, monkeypatch, release, caplog, broken
):
    """It is logged once; others go on without it, and it hears the newest when it has returned."""
    monkeypatch.setattr(observing, "SLOW_SECONDS", 0.3)
    break_engine(monkeypatch, broken)
    query, heard = engine.sub("orders", ORDERS), []

    def stuck(change: Any) -> None:
        heard.append(rows(change["new"]))
        release.wait(30)

    query.observe(stuck, "df")
    expected = changed(db)
    wait_until(lambda: heard == [expected])
    with noticed(broken):
        for _ in range(3):
            expected = changed(db)
            query.wait_for(lambda df: rows(df) == expected)  # noqa: B023
            control.follows(timeout=patience(broken))
    assert len(heard) == 1
    if not broken:
        assert caplog.text.count("LiveQuery(name='orders') has not returned") == 1
    release.set()
    wait_until(lambda: heard[-1] == expected)
    assert len(heard) == 2


def test_an_error_handler_that_does_not_return_is_overtaken(
    engine, db, control, monkeypatch, release
):
    """Other handlers still hear of their errors."""
    monkeypatch.setattr(observing, "SLOW_SECONDS", 0.3)
    told: list[Any] = []
    sql = "SELECT 1 / n AS x FROM counter"
    db.execute("UPDATE counter SET n = 1")
    engine.sub("stuck", sql, error_handler=lambda error, query: release.wait(30))
    engine.sub("other", sql + " AS c", error_handler=lambda error, query: told.append(error))
    db.execute("UPDATE counter SET n = 0")
    wait_until(lambda: told)
    control.follows()


def test_an_engine_ends_though_an_observer_does_not(dsn, db, release):
    """Shutdown waits for it a moment only."""
    entered = threading.Event()

    def stuck(change: Any) -> None:
        entered.set()
        release.wait(30)

    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        engine.sub("orders", ORDERS).observe(stuck, "df")
        changed(db)
        assert entered.wait(10)
    assert not engine.running


# -- observers that use the verbs


def test_an_observer_may_remove_itself_and_others(engine, db, control):
    """Who is removed while the same update is told hears of it or not, but of no later one."""
    query, heard = engine.sub("orders", ORDERS), {"one": 0, "two": 0, "three": 0}

    def note(name: str) -> Callable[[Any], None]:
        def observer(change: Any) -> None:
            heard[name] += 1
            if name == "one":
                for gone in ("one", "three"):
                    query.unobserve(observers[gone], "df")

        return observer

    observers = {name: note(name) for name in heard}
    for observer in observers.values():
        query.observe(observer, "df")
    for times in (1, 2, 3):
        changed(db)
        wait_until(lambda: heard["two"] == times)  # noqa: B023
    assert heard["one"] == 1 and heard["three"] <= 1
    control.follows()


def test_an_observer_may_end_its_own_and_other_queries_and_begin_new_ones(engine, db, control):
    """Nothing locks up, and what was ended stays ended."""
    query, other = engine.sub("orders", ORDERS), engine.sub("other", "SELECT id FROM orders")

    def react(change: Any) -> None:
        engine.sub("orders", "SELECT count(*) AS n FROM orders")
        other.close()
        engine.unsub("orders")
        engine.sub("new", COUNTER)

    query.observe(react, "df")
    changed(db)
    wait_until(lambda: set(engine.subscriptions()) == {"control", "new"})
    assert (query.status, other.status) == ("closed", "closed")
    control.follows()


def test_an_observer_may_wait_refresh_pause_and_set_the_interval(engine, db, control):
    """Waiting inside an observer is met by the engine, which runs on."""
    query, done = engine.sub("orders", ORDERS), []

    def react(change: Any) -> None:
        query.throttle_ms = 1
        query.unobserve(react, "df")
        expected = changed(db)
        query.wait_for(lambda df: rows(df) == expected)
        query.refresh()
        query.pause()
        query.resume()
        done.append(query.throttle_ms)

    query.observe(react, "df")
    changed(db)
    wait_until(lambda: done == [1])
    control.follows()


def test_an_observer_may_shut_the_engine_down(engine, db):
    """The engine that told it of the update is gone when it returns."""
    query, done = engine.sub("orders", ORDERS), []
    query.observe(lambda change: done.append(engine.shutdown()), "df")
    changed(db)
    wait_until(lambda: done == [True])
    assert not engine.running


# -- frames that are changed


@against("frames shared")
def test_a_frame_that_is_changed_is_the_users_own(engine, db, control, monkeypatch, broken):
    """Neither another subscription nor the table nor the next delta has what was written into it."""
    break_engine(monkeypatch, broken)
    one, two = engine.sub("one", ORDERS), engine.sub("two", ORDERS)
    one.df.iloc[0, 1] = "mine"
    one.df.loc[1, "status"] = "mine"
    one.df["status"].array[2] = "mine"
    one.df.insert(0, "extra", 1)
    with noticed(broken):
        assert rows(two.df) == db.execute(ORDERS).fetchall()
        assert rows(one._shown().frame) == rows(two.df)
        db.execute("UPDATE orders SET status = 'done' WHERE id = 2")
        one.wait_for(lambda df: list(df.columns) == ["id", "status"])
        assert rows(one.delta.updated) == [(2, "done")]
        assert rows(one.delta.previous) == [(2, "new")]
    control.follows()


def test_a_frame_stays_the_same_object_until_there_is_another_result(engine, db):
    """What a user writes into it is there as long as it is shown."""
    query = engine.sub("orders", ORDERS)
    frame = query.df
    frame["extra"] = 1
    query.pause()
    query.resume()
    assert query.refresh() is frame
    changed(db)
    query.wait_for(lambda df: df is not frame)
    assert "extra" not in query.df


def test_a_filter_that_changes_its_frame_changes_nobodys(engine, db):
    """A function gets a frame of its own."""

    def spoil(connection: Any, frame: Any, change: Any) -> bool:
        frame.iloc[0, 1] = "spoilt"
        asked.append(change)
        return False

    asked: list[Any] = []
    query = engine.sub("orders", ORDERS, refresh=spoil)
    db.execute("UPDATE orders SET status = 'x' WHERE id = 3")
    wait_until(lambda: asked)
    assert rows(query.df) == [(1, "new"), (2, "new"), (3, "new")]


# -- filters


@against("filters awaited for ever")
def test_a_filter_that_does_not_return_counts_as_unsure(
    engine, db, control, monkeypatch, release, broken
):
    """After a while the query runs without its answer, and the error is told."""
    monkeypatch.setattr(asking, "PATIENCE", 0.3)
    break_engine(monkeypatch, broken)
    errors: list[Any] = []

    def stuck(connection: Any, frame: Any, change: Any) -> bool:
        release.wait(30)
        return False

    query = engine.sub(
        "orders", ORDERS, refresh=stuck, error_handler=lambda error, query: errors.append(error)
    )
    with noticed(broken):
        for _ in range(3):
            expected = changed(db)
            query.wait_for(lambda df: rows(df) == expected, patience(broken))  # noqa: B023
    control.follows()
    if broken:
        return
    assert [type(error) for error in errors] == [pgrt.FilterFailed]
    assert "busy for 0.3 s" in str(errors[0])


def test_a_filter_that_is_slow_piles_nothing_up(engine, db, connect, monkeypatch, release):
    """Beyond a number of questions that wait, the query runs instead."""
    monkeypatch.setattr(asking, "BACKLOG", 50)
    asked: list[Any] = []

    def slow(connection: Any, frame: Any, change: Any) -> bool:
        asked.append(change)
        release.wait(30)
        return False

    query = engine.sub("orders", ORDERS, refresh=slow)
    db.execute("UPDATE orders SET status = 'first' WHERE id = 1")
    wait_until(lambda: asked)
    for number in range(100):
        db.execute("UPDATE orders SET status = %s WHERE id = 1", (str(number),))
    query.wait_for(lambda df: df["status"][0] not in ("new", "first"))
    assert query._group.questions <= 50
    release.set()
    wait_until(lambda: query._group.questions == 0)
    db.execute("UPDATE orders SET status = 'last' WHERE id = 1")
    wait_until(lambda: asked[-1].row["status"] == "last")


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit, KeyboardInterrupt])
def test_a_filter_that_raises_refreshes_and_disturbs_nobody(engine, db, control, error):
    """Not even with what usually ends a program."""
    errors: list[Any] = []

    def failing(connection: Any, frame: Any, change: Any) -> bool:
        raise error("mine")

    query = engine.sub(
        "orders", ORDERS, refresh=failing, error_handler=lambda error, query: errors.append(error)
    )
    expected = changed(db)
    query.wait_for(lambda df: rows(df) == expected)
    wait_until(lambda: errors)
    assert isinstance(errors[0].__cause__, error)
    control.follows()


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit])
def test_an_error_handler_that_raises_disturbs_nobody(engine, db, control, caplog, error):
    """Its error is shown, and the query recovers."""

    def failing(problem: Any, query: Any) -> None:
        raise error("mine")

    db.execute("UPDATE counter SET n = 1")
    query = engine.sub("x", "SELECT 1 / n AS x FROM counter", error_handler=failing)
    db.execute("UPDATE counter SET n = 0")
    wait_until(lambda: error.__name__ in caplog.text)
    control.follows()
    wait_until(lambda: query.status in ("live", "error") and rows(query.df) == [(1,)])
