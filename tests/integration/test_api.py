"""Everything a user calls, called as a user would, on a real server."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import psycopg
import pytest
import traitlets

import pgrt_jupyter as pgrt
from pgrt_jupyter.engine import diff
from pgrt_jupyter.testing import wait_until

ORDERS = "SELECT id, status, region, note FROM orders ORDER BY id"
STATUS = "SELECT id, status FROM orders ORDER BY id"
ROWS = [(1, "pending", "EU", "a"), (2, "done", "US", "b"), (3, None, None, None)]


@pytest.fixture
def db(dsn: str, connect: Callable[..., Any]) -> psycopg.Connection[Any]:
    """Give a connection to a database with a few orders."""
    connection: psycopg.Connection[Any] = connect(dsn)
    connection.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, status text, region text, note text);"
        "CREATE TABLE customers (id int PRIMARY KEY, name text);"
        "INSERT INTO customers VALUES (1, 'Ann')"
    )
    connection.cursor().executemany("INSERT INTO orders VALUES (%s, %s, %s, %s)", ROWS)
    return connection


@pytest.fixture
def engine(dsn: str, db: psycopg.Connection[Any]) -> Iterator[pgrt.Engine]:
    """Give a running engine that does not wait between runs."""
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        yield engine


@pytest.fixture
def module(dsn: str, db: psycopg.Connection[Any]) -> Iterator[str]:
    """Give the conninfo for the module-level verbs, and shut their engine down afterwards."""
    yield dsn
    pgrt.shutdown()


def rows(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    """List a frame's rows with None for NULL."""
    return [
        tuple(None if value is pd.NA or value is None else value for value in row)
        for row in frame.itertuples(index=False, name=None)
    ]


def shows(statement: str, db: psycopg.Connection[Any]) -> Callable[[pd.DataFrame], bool]:
    """Say whether a frame is what the query gives now."""
    return lambda frame: rows(frame) == db.execute(statement).fetchall()


# -- subscribing


def test_a_subscription_has_its_result_at_once(engine: pgrt.Engine) -> None:
    """`sub` returns when the first result is there."""
    lq = engine.sub("orders", ORDERS)
    assert rows(lq.df) == ROWS
    assert list(lq.df.columns) == ["id", "status", "region", "note"]
    assert (lq.name, lq.sql, lq.params, lq.status, lq.error) == (
        "orders",
        ORDERS,
        None,
        "live",
        None,
    )
    assert (lq.version, lq.refresh_count, lq.key) == (1, 1, ("id",))


def test_the_traits_say_what_is_watched(engine: pgrt.Engine) -> None:
    """`tables` names tables and columns, `unwatched` is empty where all can be watched."""
    lq = engine.sub("joined", "SELECT o.status FROM orders o JOIN customers c USING (id)")
    assert lq.tables == {
        "public.orders": frozenset({"id", "status"}),
        "public.customers": frozenset({"id"}),
    }
    assert lq.unwatched == ()


def test_the_time_of_a_run_is_aware(engine: pgrt.Engine) -> None:
    """`refreshed_at` carries its zone and is about now."""
    lq = engine.sub("orders", ORDERS)
    assert abs(datetime.now(UTC) - lq.refreshed_at) < timedelta(minutes=1)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO orders VALUES (4, 'new')",
        "UPDATE orders SET status = 'changed' WHERE id = 2",
        "DELETE FROM orders WHERE id = 1",
        "TRUNCATE orders",
        "WITH d AS (DELETE FROM orders RETURNING *) INSERT INTO orders SELECT id + 10 FROM d",
    ],
)
def test_a_change_arrives(statement: str, engine: pgrt.Engine, db: psycopg.Connection[Any]) -> None:
    """What is written is seen."""
    lq = engine.sub("orders", ORDERS)
    db.execute(statement)
    lq.wait_for(shows(ORDERS, db))
    wait_until(lambda: lq.status == "live")


def test_a_transaction_arrives_as_a_whole(engine: pgrt.Engine, db: psycopg.Connection[Any]) -> None:
    """No result shows part of a transaction."""
    lq = engine.sub("sums", "SELECT count(*) AS n, count(status) AS s FROM orders")
    seen: list[tuple[Any, ...]] = []
    lq.observe(lambda change: seen.append(rows(change["new"])[0]), "df")
    with db.transaction():
        for number in range(100, 120):
            db.execute("INSERT INTO orders VALUES (%s, 'x')", (number,))
    lq.wait_for(lambda df: df.loc[0, "n"] == 23)
    wait_until(lambda: seen)
    assert set(seen) == {(23, 22)}


@pytest.mark.parametrize(
    ("sql", "params"),
    [
        ("SELECT id FROM orders WHERE status = $1 AND id < $2", ["pending", 9]),
        (
            "SELECT id FROM orders WHERE status = :status AND id < :most",
            {"status": "pending", "most": 9},
        ),
        ("SELECT id FROM orders WHERE status = ANY(:some)", {"some": ["pending", "x"]}),
        ("SELECT id FROM orders WHERE status LIKE :like || '%'", {"like": "pend"}),
    ],
)
def test_parameters_are_bound(
    sql: str, params: Any, engine: pgrt.Engine, db: psycopg.Connection[Any]
) -> None:
    """Positional and named parameters hold in every run."""
    lq = engine.sub("some", sql, params)
    assert (rows(lq.df), lq.params) == ([(1,)], params)
    db.execute("UPDATE orders SET status = 'pending' WHERE id = 2")
    lq.wait_for(lambda df: rows(df) == [(1,), (2,)])


def test_a_name_alone_gives_the_same_object(engine: pgrt.Engine) -> None:
    """`sub(name)` finds what runs."""
    lq = engine.sub("orders", ORDERS)
    assert engine.sub("orders") is lq


def test_an_unknown_name_says_what_runs(engine: pgrt.Engine) -> None:
    """The error lists the names there are."""
    engine.sub("orders", ORDERS)
    with pytest.raises(pgrt.SubscriptionNotFound, match=r"'oders'(.|\n)*orders"):
        engine.sub("oders")


def test_unsub_says_whether_there_was_one(engine: pgrt.Engine) -> None:
    """True for one that ran, False for none."""
    engine.sub("orders", ORDERS)
    assert (engine.unsub("orders"), engine.unsub("orders"), engine.unsub("x")) == (
        True,
        False,
        False,
    )
    assert engine.subscriptions() == {}


def test_subscriptions_are_listed_by_name(engine: pgrt.Engine) -> None:
    """A copy: changing it changes nothing."""
    lq = engine.sub("orders", ORDERS)
    listed = engine.subscriptions()
    assert listed == {"orders": lq}
    listed.clear()
    assert engine.subscriptions() == {"orders": lq}


def test_a_closed_query_keeps_its_last_result(
    engine: pgrt.Engine, db: psycopg.Connection[Any]
) -> None:
    """After the end the frame stays readable, and nothing moves any more."""
    lq = engine.sub("orders", ORDERS)
    other = engine.sub("other", STATUS)
    lq.close()
    lq.close()
    db.execute("DELETE FROM orders")
    other.wait_for(lambda df: df.empty)
    assert (lq.status, rows(lq.df)) == ("closed", ROWS)
    for verb in (lq.refresh, lq.pause, lq.resume):
        with pytest.raises(pgrt.EngineNotRunning):
            verb()


@pytest.mark.parametrize(
    "name", ["df", "status", "error", "delta", "version", "name", "sql", "params", "key", "tables"]
)
def test_traits_cannot_be_set_from_outside(name: str, engine: pgrt.Engine) -> None:
    """What the database says is not overwritten by a slip in a cell."""
    lq = engine.sub("orders", ORDERS)
    with pytest.raises(traitlets.TraitError):
        setattr(lq, name, None)


@pytest.mark.parametrize(
    ("sql", "params", "error", "said"),
    [
        ("SELEC 1", None, pgrt.QueryFailed, "SELEC"),
        ("SELECT nothing FROM orders", None, pgrt.QueryFailed, "nothing"),
        ("SELECT 1 / 0", None, pgrt.QueryFailed, "zero"),
        ("SELECT 1; SELECT 2", None, pgrt.QueryRefused, "one"),
        ("DELETE FROM orders", None, pgrt.QueryRefused, "query"),
        ("", None, pgrt.QueryRefused, "empty"),
        ("SELECT :a", None, pgrt.ConfigurationError, ":a"),
        ("SELECT $1", [], pgrt.ConfigurationError, r"\$1"),
    ],
)
def test_what_is_wrong_with_a_query_is_raised(
    sql: str,
    params: Any,
    error: type[Exception],
    said: str,
    engine: pgrt.Engine,
    db: psycopg.Connection[Any],
) -> None:
    """`sub` raises a specific error, keeps no subscription and has run nothing."""
    with pytest.raises(error, match=said):
        engine.sub("bad", sql, params)
    assert engine.subscriptions() == {}
    assert db.execute("SELECT count(*) FROM orders").fetchone() == (3,)


def test_an_error_points_into_the_users_text(engine: pgrt.Engine) -> None:
    """Position and text are there for a caret, whatever parameters stand before."""
    sql = "SELECT :a::int, nothing FROM orders"
    with pytest.raises(pgrt.QueryFailed) as caught:
        engine.sub("bad", sql, {"a": 1})
    assert caught.value.text == sql
    assert caught.value.position == sql.index("nothing") + 1


@pytest.mark.parametrize(
    "options",
    [
        {"throttle_ms": -1},
        {"throttle_ms": 1.5},
        {"throttle_ms": True},
        {"max_age_ms": 0},
        {"max_rows": 0},
        {"refresh": "orders"},
        {"refresh": {"missing": {"id": 1}}},
        {"refresh": {"orders": {"missing": 1}}},
        {"refresh": {"orders": {"id": "x"}}},
        {"refresh": {"orders": {"id": pgrt.result("missing")}}},
        {"refresh": {"orders": 1}},
        {"refresh": 5},
        {"key": "missing"},
        {"query_conninfo": "nonsense"},
    ],
)
def test_options_that_cannot_be_used_are_refused(options: Any, engine: pgrt.Engine) -> None:
    """A slip in an option is an error when subscribing, not a query that never refreshes."""
    with pytest.raises(pgrt.ConfigurationError):
        engine.sub("orders", ORDERS, **options)
    assert engine.subscriptions() == {}


@pytest.mark.parametrize("name", ["", None, 5])
def test_a_name_is_a_word(name: Any, engine: pgrt.Engine) -> None:
    """A name that is none is refused."""
    with pytest.raises(pgrt.ConfigurationError):
        engine.sub(name, ORDERS)


def test_an_unknown_option_is_a_type_error(engine: pgrt.Engine) -> None:
    """Python says which word it does not know."""
    with pytest.raises(TypeError, match="throtle_ms"):
        engine.sub("orders", ORDERS, throtle_ms=5)  # type: ignore[call-arg]


# -- replacing


def test_replacing_keeps_the_object_and_its_observers(
    engine: pgrt.Engine, db: psycopg.Connection[Any]
) -> None:
    """Subscribing again under a name changes the query of the same object."""
    lq = engine.sub("orders", ORDERS)
    heard: list[int] = []
    lq.observe(lambda change: heard.append(len(change["new"])), "df")
    again = engine.sub("orders", "SELECT name FROM customers")
    assert again is lq
    assert rows(lq.df) == [("Ann",)]
    assert (lq.sql, lq.version) == ("SELECT name FROM customers", 2)
    wait_until(lambda: heard == [1])
    db.execute("INSERT INTO customers VALUES (2, 'Bob')")
    wait_until(lambda: heard == [1, 2])


def test_a_replaced_query_is_heard_no_more(
    engine: pgrt.Engine, db: psycopg.Connection[Any]
) -> None:
    """Changes of the old query's tables do not come back."""
    lq = engine.sub("orders", ORDERS)
    engine.sub("orders", "SELECT name FROM customers")
    other = engine.sub("other", STATUS)
    db.execute("DELETE FROM orders")
    other.wait_for(lambda df: df.empty)
    assert rows(lq.df) == [("Ann",)]


def test_other_parameters_replace_the_result(engine: pgrt.Engine) -> None:
    """The same text with other values is another query."""
    sql = "SELECT id FROM orders WHERE status = :s"
    lq = engine.sub("some", sql, {"s": "pending"})
    engine.sub("some", sql, {"s": "done"})
    assert (rows(lq.df), lq.params) == ([(2,)], {"s": "done"})


def test_subscribing_again_to_the_same_counts_no_run_twice(engine: pgrt.Engine) -> None:
    """Running the same cell again runs the query again and keeps version and result."""
    lq = engine.sub("orders", ORDERS)
    engine.sub("orders", ORDERS)
    assert (lq.version, rows(lq.df), lq.status) == (1, ROWS, "live")
    assert lq.refresh_count == 2


@pytest.mark.parametrize(
    ("sql", "options"),
    [
        ("SELECT nothing FROM orders", {}),
        ("SELECT 1 / 0", {}),
        ("SELECT 1; SELECT 2", {}),
        ("SELECT :missing", {}),
        (STATUS, {"refresh": {"missing": {}}}),
        (STATUS, {"query_conninfo": "host=/nowhere"}),
    ],
)
def test_a_failing_replacement_leaves_the_old_one_running(
    sql: str, options: Any, engine: pgrt.Engine, db: psycopg.Connection[Any]
) -> None:
    """What was running goes on as it was."""
    lq = engine.sub("orders", ORDERS)
    with pytest.raises(pgrt.PgrtError):
        engine.sub("orders", sql, **options)
    assert (lq.sql, lq.status, engine.sub("orders")) == (ORDERS, "live", lq)
    db.execute("DELETE FROM orders WHERE id = 1")
    lq.wait_for(shows(ORDERS, db))


# -- refresh filters


@dataclass
class Filtered:
    """Hold a filtered query and a probe that tells when a change has been asked about."""

    engine: pgrt.Engine
    db: psycopg.Connection[Any]
    lq: Any
    asked: list[Any] = field(default_factory=list)

    def write(self, statement: str) -> None:
        """Write, and wait until the filters have been asked."""
        before = len(self.asked)
        self.db.execute(statement)
        wait_until(lambda: len(self.asked) > before)

    def must_refresh(self, statement: str) -> None:
        """Write, and wait until the query has run and its result differs."""
        before = self.lq.version
        self.write(statement)
        wait_until(lambda: self.lq.version > before, message=f"no refresh after {statement}")

    def must_ignore(self, statement: str) -> None:
        """Write what changes the result, and see that the query does not run by itself."""
        before = self.lq.version
        self.write(statement)
        self.write("UPDATE quiet SET n = n + 1")  # a round later a run would be over
        assert self.lq.version == before, f"a refresh after {statement}"
        self.lq.refresh()
        assert self.lq.version == before + 1, "the statement did not change the result"


@pytest.fixture
def filtered(engine: pgrt.Engine, db: psycopg.Connection[Any]) -> Callable[..., Filtered]:
    """Give a function that subscribes with a filter, and a probe beside it."""
    db.execute("CREATE TABLE quiet (n int PRIMARY KEY); INSERT INTO quiet VALUES (1)")

    def subscribe(refresh: Any, sql: str = ORDERS, tables: str = "orders") -> Filtered:
        found = Filtered(engine, db, engine.sub("filtered", sql, refresh=refresh))

        def probe(connection: Any, df: Any, change: Any) -> bool:
            found.asked.append(change)
            return False

        engine.sub("probe", f"SELECT 1 FROM quiet, {tables}", refresh=probe)
        return found

    return subscribe


TO_PENDING = "UPDATE orders SET status = 'pending' WHERE id = 2"
TO_DONE = "UPDATE orders SET status = 'done' WHERE id = 1"
TO_OTHER = "UPDATE orders SET status = 'other' WHERE id = 2"
TO_NULL = "UPDATE orders SET status = NULL WHERE id = 2"
FROM_NULL = "UPDATE orders SET status = 'x' WHERE id = 3"
NOTE_1 = "UPDATE orders SET note = 'changed' WHERE id = 1"
NOTE_2 = "UPDATE orders SET note = 'changed' WHERE id = 2"
NEW_PENDING = "INSERT INTO orders VALUES (4, 'pending', 'US')"
NEW_DONE = "INSERT INTO orders VALUES (4, 'done', 'US')"
GONE_1 = "DELETE FROM orders WHERE id = 1"
GONE_2 = "DELETE FROM orders WHERE id = 2"
BOTH = "UPDATE orders SET status = 'swapped' WHERE id IN (1, 2)"

FILTERS: dict[str, tuple[Any, dict[str, bool]]] = {
    "literal": (
        {"orders": {"status": "pending"}},
        {
            TO_PENDING: True,
            TO_DONE: True,
            TO_OTHER: False,
            NOTE_1: True,
            NOTE_2: False,
            NEW_PENDING: True,
            NEW_DONE: False,
            GONE_1: True,
            GONE_2: False,
            BOTH: True,
            FROM_NULL: False,
        },
    ),
    "NULL": (
        {"orders": {"status": None}},
        {TO_NULL: True, FROM_NULL: True, TO_OTHER: False, TO_DONE: False},
    ),
    "set": (
        {"orders": {"status": {"pending", "x"}}},
        {TO_PENDING: True, TO_DONE: True, FROM_NULL: True, TO_OTHER: False},
    ),
    "list with NULL": (
        {"orders": {"status": ["pending", None]}},
        {TO_PENDING: True, FROM_NULL: True, TO_OTHER: False},
    ),
    "predicate": (
        {"orders": {"status": lambda value: value is not None and value.startswith("pend")}},
        {TO_PENDING: True, TO_DONE: True, TO_OTHER: False, NEW_DONE: False},
    ),
    "several columns": (
        {"orders": {"status": "pending", "region": "US"}},
        {TO_PENDING: True, TO_DONE: False, NEW_PENDING: True, TO_OTHER: False},
    ),
    "any of several": (
        [{"orders": {"status": "pending"}}, {"orders": {"region": "US"}}],
        {TO_OTHER: True, TO_DONE: True, FROM_NULL: False},
    ),
    "coerced literal": ({"orders": {"id": "2"}}, {NOTE_2: True, NOTE_1: False}),
    "qualified": ({"public.orders": {"status": "pending"}}, {TO_PENDING: True, TO_OTHER: False}),
}


@pytest.mark.parametrize(
    ("name", "statement"),
    [(name, statement) for name, (_, cases) in FILTERS.items() for statement in cases],
)
def test_a_filter_decides(name: str, statement: str, filtered: Callable[..., Filtered]) -> None:
    """A row that enters or leaves a filter refreshes, another one does not."""
    refresh, cases = FILTERS[name]
    found = filtered(refresh)
    (found.must_refresh if cases[statement] else found.must_ignore)(statement)


@pytest.mark.parametrize(("statement", "expected"), [(NOTE_1, True), (NOTE_2, False)])
def test_a_filter_on_the_current_result(
    statement: str, expected: bool, filtered: Callable[..., Filtered]
) -> None:
    """`result("id")` matches rows that the result shows now."""
    sql = "SELECT id, (SELECT string_agg(note, ',') FROM orders) AS notes FROM orders WHERE id = 1"
    found = filtered({"orders": {"id": pgrt.result("id")}}, sql)
    (found.must_refresh if expected else found.must_ignore)(statement)


def test_a_filter_follows_the_result(filtered: Callable[..., Filtered]) -> None:
    """After an update `result` means the new result."""
    sql = (
        "SELECT id, (SELECT string_agg(note, ',') FROM orders) AS notes FROM orders"
        " WHERE status = 'pending' ORDER BY id"
    )
    found = filtered({"orders": {"id": pgrt.result("id")}}, sql)
    found.write(TO_PENDING)
    found.lq.refresh()
    found.must_refresh(NOTE_2)


def test_a_table_left_out_keeps_the_default(filtered: Callable[..., Filtered]) -> None:
    """A filter on one table leaves the others as they are."""
    sql = "SELECT o.status, c.name FROM orders o LEFT JOIN customers c ON true ORDER BY 1, 2"
    found = filtered({"orders": {"status": "pending"}}, sql, "orders, customers")
    found.must_refresh("UPDATE customers SET name = 'Eve'")
    found.must_ignore(TO_OTHER)


def test_several_tables_have_a_filter_each(filtered: Callable[..., Filtered]) -> None:
    """Each table is asked about its own condition."""
    sql = "SELECT o.status, c.name FROM orders o LEFT JOIN customers c ON true ORDER BY 1, 2"
    refresh = {"orders": {"status": "pending"}, "customers": {"name": "Eve"}}
    found = filtered(refresh, sql, "orders, customers")
    found.must_ignore("UPDATE customers SET name = 'Bob'")
    found.must_refresh("UPDATE customers SET name = 'Eve'")
    found.must_ignore(TO_OTHER)
    found.must_refresh(TO_PENDING)


def test_a_table_off_the_search_path_goes_by_its_full_name(
    filtered: Callable[..., Filtered], db: psycopg.Connection[Any]
) -> None:
    """`schema.table` names a table the search path does not find."""
    db.execute("CREATE SCHEMA s; CREATE TABLE s.orders (id int PRIMARY KEY, v int)")
    sql = "SELECT a.id, (SELECT string_agg(note, ',') FROM orders) FROM s.orders AS a ORDER BY 1"
    found = filtered({"s.orders": {"v": 1}}, sql, "orders, s.orders AS x")
    found.must_ignore("INSERT INTO s.orders VALUES (1, 2)")
    found.must_refresh("INSERT INTO s.orders VALUES (2, 1)")
    found.must_refresh(NOTE_1)


def test_a_column_the_query_does_not_read_may_be_filtered_on(
    filtered: Callable[..., Filtered],
) -> None:
    """A row that enters the filter by such a column refreshes as well."""
    found = filtered(
        {"orders": {"region": "EU"}}, "SELECT sum(length(region || coalesce(note, ''))) FROM orders"
    )
    found.must_refresh("UPDATE orders SET region = 'EU', note = 'long' WHERE id = 2")


def test_a_truncate_refreshes_whatever_the_filter(
    filtered: Callable[..., Filtered], db: psycopg.Connection[Any]
) -> None:
    """A statement without rows is not put to a filter."""
    found = filtered({"orders": {"status": "pending"}})
    db.execute("TRUNCATE orders")
    found.lq.wait_for(lambda df: df.empty)


def test_a_statement_over_many_rows_refreshes_without_asking(
    filtered: Callable[..., Filtered], db: psycopg.Connection[Any]
) -> None:
    """Beyond a thousand rows nobody is asked, and the query runs."""
    found = filtered({"orders": {"status": "pending"}}, "SELECT count(*) AS n FROM orders")
    db.execute("INSERT INTO orders SELECT n, 'new' FROM generate_series(1001, 2001) AS n")
    found.lq.wait_for(lambda df: df.loc[0, "n"] == 1004)


def test_a_large_value_in_a_filter_refreshes(
    filtered: Callable[..., Filtered], db: psycopg.Connection[Any]
) -> None:
    """A condition on a value that was not carried cannot be answered, so the query runs."""
    found = filtered({"orders": {"note": "never"}})
    found.must_refresh("UPDATE orders SET note = repeat('x', 6000) WHERE id = 1")


Asked = list[tuple[Any, pd.DataFrame, Any]]


@pytest.fixture
def function(engine: pgrt.Engine) -> Callable[..., tuple[Any, Asked]]:
    """Give a function that subscribes with a filter function giving one answer."""

    def subscribe(answer: Any, sql: str = ORDERS) -> tuple[Any, Asked]:
        asked: Asked = []

        def refresh(connection: Any, df: pd.DataFrame, change: Any) -> Any:
            asked.append((connection, df, change))
            return answer(change) if callable(answer) else answer

        return engine.sub("function", sql, refresh=refresh), asked

    return subscribe


@pytest.mark.parametrize(
    ("answer", "expected"), [(True, True), (False, False), ("yes", True), (None, False)]
)
def test_a_function_decides(
    answer: Any, expected: bool, function: Callable[..., Any], db: psycopg.Connection[Any]
) -> None:
    """What a function answers counts as true or false."""
    lq, asked = function(answer)
    db.execute(NOTE_1)
    wait_until(lambda: len(asked) == 1)
    db.execute(NOTE_2)
    wait_until(lambda: len(asked) == 2)
    if expected:
        lq.wait_for(shows(ORDERS, db))
    else:
        assert (lq.version, rows(lq.df)) == (1, ROWS)


@pytest.mark.parametrize(("statement", "expected"), [(TO_OTHER, True), (NOTE_1, False)])
def test_a_function_may_leave_it_to_the_default(
    statement: str, expected: bool, function: Callable[..., Any], db: psycopg.Connection[Any]
) -> None:
    """TRACKED_COLUMNS refreshes when a column the query reads has changed."""
    lq, asked = function(pgrt.TRACKED_COLUMNS, STATUS)
    runs = lq.refresh_count
    db.execute(statement)
    wait_until(lambda: len(asked) == 1)
    db.execute("UPDATE orders SET note = 'again' WHERE id = 3")
    wait_until(lambda: len(asked) == 2)
    if expected:
        lq.wait_for(shows(STATUS, db))
    else:
        assert lq.refresh_count == runs


def test_a_function_is_asked_about_every_change_in_order(
    function: Callable[..., Any], db: psycopg.Connection[Any]
) -> None:
    """No change is left out, however quickly they come."""
    _, asked = function(False)
    for number in range(20):
        db.execute("UPDATE orders SET note = %s WHERE id = 1", (str(number),))
    wait_until(lambda: len(asked) == 20)
    assert [change.row["note"] for _, _, change in asked] == [str(number) for number in range(20)]


def test_a_function_may_query(engine: pgrt.Engine, db: psycopg.Connection[Any]) -> None:
    """The connection a function gets works and sees the change it is asked about."""
    answers: list[Any] = []

    def refresh(connection: Any, df: pd.DataFrame, change: Any) -> bool:
        answers.append(connection.execute("SELECT count(*) FROM orders").fetchone())
        return True

    engine.sub("query", ORDERS, refresh=refresh)
    db.execute(GONE_1)
    wait_until(lambda: answers)
    assert answers[0] == (2,)


def test_what_a_function_sets_and_writes_is_gone(
    engine: pgrt.Engine, db: psycopg.Connection[Any]
) -> None:
    """A filter reads only, and its settings do not reach the queries that follow."""
    errors: list[Any] = []

    def refresh(connection: Any, df: pd.DataFrame, change: Any) -> bool:
        connection.execute("SET search_path = nowhere")
        connection.execute("DELETE FROM public.orders")
        return True

    lq = engine.sub("query", ORDERS, refresh=refresh, error_handler=lambda e, q: errors.append(e))
    db.execute(GONE_1)
    lq.wait_for(lambda df: rows(df) == ROWS[1:])
    wait_until(lambda: errors)
    assert isinstance(errors[0].__cause__, psycopg.errors.ReadOnlySqlTransaction)
    lq.refresh()
    assert (lq.status, len(errors)) == ("live", 1)


def test_a_function_sees_the_current_result(
    function: Callable[..., Any], db: psycopg.Connection[Any]
) -> None:
    """The frame it gets is like the one that is shown."""
    lq, asked = function(False)
    db.execute(NOTE_1)
    wait_until(lambda: asked)
    pd.testing.assert_frame_equal(asked[0][1], lq.df)


def test_an_update_shows_its_row_and_its_changes(
    function: Callable[..., Any], db: psycopg.Connection[Any]
) -> None:
    """`row` is the new image, `changes` maps a column to old and new."""
    _, asked = function(False)
    db.execute("UPDATE orders SET status = NULL, note = 'x' WHERE id = 1")
    wait_until(lambda: asked)
    change = asked[0][2]
    assert (change.operation, change.table) == ("update", "orders")
    assert change.row == {"id": 1, "status": None, "region": "EU", "note": "x"}
    assert change.changes == {"status": ("pending", None), "note": ("a", "x")}
    assert change.hashed == frozenset()


def test_an_insert_shows_its_row(function: Callable[..., Any], db: psycopg.Connection[Any]) -> None:
    """An insert has a row and no changes."""
    _, asked = function(False)
    db.execute("INSERT INTO orders VALUES (4, 'new')")
    wait_until(lambda: asked)
    change = asked[0][2]
    assert (change.operation, change.row["id"], change.changes) == ("insert", 4, {})


def test_a_delete_shows_the_row_that_went(
    function: Callable[..., Any], db: psycopg.Connection[Any]
) -> None:
    """A delete gives the old image as its row."""
    _, asked = function(False)
    db.execute(GONE_1)
    wait_until(lambda: asked)
    change = asked[0][2]
    assert (change.operation, change.row["status"]) == ("delete", "pending")


def test_a_truncate_has_no_row(function: Callable[..., Any], db: psycopg.Connection[Any]) -> None:
    """A function is asked about a truncate, without a row."""
    _, asked = function(False)
    db.execute("TRUNCATE orders")
    wait_until(lambda: asked)
    change = asked[0][2]
    assert (change.operation, change.table, change.row) == ("truncate", "orders", None)


def test_a_function_is_asked_about_each_row(
    function: Callable[..., Any], db: psycopg.Connection[Any]
) -> None:
    """A statement over several rows is several changes."""
    _, asked = function(False)
    db.execute("UPDATE orders SET note = id::text")
    wait_until(lambda: len(asked) == 3)
    assert sorted(change.row["note"] for _, _, change in asked) == ["1", "2", "3"]


def test_the_name_of_a_table_is_qualified_off_the_search_path(
    function: Callable[..., Any], db: psycopg.Connection[Any]
) -> None:
    """`change.table` is the name the query finds it by."""
    db.execute("CREATE SCHEMA s; CREATE TABLE s.far (id int)")
    _, asked = function(False, "SELECT id FROM s.far")
    db.execute("INSERT INTO s.far VALUES (1)")
    wait_until(lambda: asked)
    assert asked[0][2].table == "s.far"


def test_values_in_a_change_have_their_types(
    function: Callable[..., Any], db: psycopg.Connection[Any]
) -> None:
    """Values come as the driver gives them for the column's type."""
    db.execute(
        "CREATE TABLE typed (id int8, n numeric, d date, t timestamptz, j jsonb, a int[], b bytea,"
        " f float8, flag bool, u uuid)"
    )
    _, asked = function(False, "SELECT * FROM typed")
    db.execute(
        "INSERT INTO typed VALUES (9007199254740993, 1.50, '2024-02-29', '2024-02-29 12:00+02',"
        " '{\"k\": [1, null]}', '{1,NULL}', '\\x00ff', 'NaN', true,"
        " '00000000-0000-0000-0000-000000000001')"
    )
    wait_until(lambda: asked)
    row = asked[0][2].row
    expected = db.execute("SELECT * FROM typed").fetchone()
    assert {name: type(value) for name, value in row.items()} == {
        name: type(value) for name, value in zip(row, expected, strict=True)
    }
    assert row["id"] == 9007199254740993
    assert (row["n"], str(row["n"])) == (Decimal("1.50"), "1.50")
    assert row["t"] == datetime(2024, 2, 29, 10, tzinfo=UTC)
    assert (row["j"], row["a"], row["b"], row["flag"]) == (
        {"k": [1, None]},
        [1, None],
        b"\x00\xff",
        True,
    )
    assert row["f"] != row["f"]


def test_a_large_value_in_a_change_is_a_hash(
    function: Callable[..., Any], db: psycopg.Connection[Any]
) -> None:
    """A value over 5,000 bytes comes as its SHA-256, and its column is named."""
    _, asked = function(False)
    db.execute("UPDATE orders SET note = repeat('x', 6000) WHERE id = 1")
    wait_until(lambda: asked)
    change = asked[0][2]
    expected = db.execute("SELECT encode(sha256(note::bytea), 'hex') FROM orders WHERE id = 1")
    assert change.hashed == {"note"}
    assert (change.row["note"],) == expected.fetchone()
    assert change.changes["note"][0] == "a"


def test_a_function_that_raises_refreshes_and_is_reported(
    engine: pgrt.Engine, db: psycopg.Connection[Any]
) -> None:
    """An error in the user's filter loses no update and reaches the handler."""
    errors: list[tuple[Any, Any]] = []

    def refresh(connection: Any, df: Any, change: Any) -> bool:
        raise ZeroDivisionError("mine")

    lq = engine.sub("raising", ORDERS, refresh=refresh, error_handler=lambda *e: errors.append(e))
    db.execute(NOTE_1)
    lq.wait_for(shows(ORDERS, db))
    wait_until(lambda: errors)
    error, query = errors[0]
    assert isinstance(error, pgrt.FilterFailed)
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert (query, lq.status) == (lq, "live")


def test_a_predicate_that_raises_refreshes_and_is_reported(
    engine: pgrt.Engine, db: psycopg.Connection[Any]
) -> None:
    """A predicate that cannot take NULL loses no update."""
    errors: list[Any] = []
    refresh = {"orders": {"status": lambda value: value.startswith("p")}}
    lq = engine.sub("raising", ORDERS, refresh=refresh, error_handler=lambda e, q: errors.append(e))
    db.execute(FROM_NULL)
    lq.wait_for(shows(ORDERS, db))
    wait_until(lambda: errors)
    assert isinstance(errors[0].__cause__, AttributeError)


def test_a_function_that_hangs_holds_nobody_up(
    engine: pgrt.Engine, db: psycopg.Connection[Any]
) -> None:
    """A filter that does not return stops no other query."""
    release = threading.Event()
    entered = threading.Event()

    def refresh(connection: Any, df: Any, change: Any) -> bool:
        entered.set()
        release.wait(30)
        return True

    slow = engine.sub("slow", ORDERS, refresh=refresh)
    quick = engine.sub("quick", STATUS)
    try:
        db.execute(TO_DONE)
        assert entered.wait(10)
        quick.wait_for(shows(STATUS, db))
        assert slow.version == 1
    finally:
        release.set()
    slow.wait_for(shows(ORDERS, db))


# -- throttle, age, rows, key


def test_a_change_within_the_interval_waits(
    engine: pgrt.Engine, db: psycopg.Connection[Any]
) -> None:
    """A long interval holds the run back, a shorter one set later lets it go."""
    lq = engine.sub("slow", ORDERS, throttle_ms=3_600_000)
    other = engine.sub("other", STATUS)
    db.execute("DELETE FROM orders")
    other.wait_for(lambda df: df.empty)
    assert (lq.throttle_ms, rows(lq.df)) == (3_600_000, ROWS)
    lq.throttle_ms = 0
    lq.wait_for(lambda df: df.empty)


def test_a_shorter_interval_counts_for_what_waits(
    engine: pgrt.Engine, db: psycopg.Connection[Any]
) -> None:
    """A change that waits for the end of an hour gets its run at the end of the new interval."""
    lq = engine.sub("slow", ORDERS, throttle_ms=3_600_000)
    other = engine.sub("other", STATUS)
    db.execute("DELETE FROM orders")
    other.wait_for(lambda df: df.empty)
    lq.throttle_ms = 2_000
    lq.wait_for(lambda df: df.empty)


def test_the_engine_has_a_default_interval(dsn: str, db: psycopg.Connection[Any]) -> None:
    """`throttle_ms` of the engine holds where a subscription says nothing."""
    with pgrt.Engine(dsn, throttle_ms=1234) as engine:
        assert engine.sub("a", ORDERS).throttle_ms == 1234
        assert engine.sub("b", ORDERS, throttle_ms=0).throttle_ms == 0


@pytest.mark.parametrize("value", [-1, "x"])
def test_an_interval_that_cannot_be_is_refused(value: Any, engine: pgrt.Engine) -> None:
    """Setting the trait checks it."""
    lq = engine.sub("orders", ORDERS)
    with pytest.raises(traitlets.TraitError):
        lq.throttle_ms = value
    assert lq.throttle_ms == 0


def test_a_steady_stream_of_changes_is_followed(
    engine: pgrt.Engine, db: psycopg.Connection[Any], connect: Callable[..., Any]
) -> None:
    """While changes keep coming, results keep coming."""
    lq = engine.sub("stream", "SELECT max(id) AS m FROM orders", throttle_ms=100)
    stop = threading.Event()

    def write() -> None:
        writer, number = connect(), 1000
        while not stop.is_set():
            number += 1
            writer.execute("INSERT INTO orders (id) VALUES (%s)", (number,))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        wait_until(lambda: lq.version >= 5)
    finally:
        stop.set()
        thread.join()
    lq.wait_for(shows("SELECT max(id) AS m FROM orders", db))


def test_a_query_that_cannot_be_watched_polls_and_says_why(
    engine: pgrt.Engine, db: psycopg.Connection[Any]
) -> None:
    """What hides its tables is named, and `max_age_ms` says how often to look."""
    db.execute(
        "CREATE FUNCTION hidden() RETURNS bigint STABLE LANGUAGE plpgsql AS"
        " $$ BEGIN RETURN (SELECT count(*) FROM orders); END $$"
    )
    lq = engine.sub("hidden", "SELECT hidden() AS n", max_age_ms=50)
    assert lq.status == "polling"
    assert any("hidden()" in name for name in lq.unwatched)
    db.execute("DELETE FROM orders")
    lq.wait_for(lambda df: df.loc[0, "n"] == 0)


def test_max_age_also_runs_what_is_watched(engine: pgrt.Engine) -> None:
    """A watched query runs again by age, and is live meanwhile."""
    lq = engine.sub("orders", ORDERS, max_age_ms=20)
    wait_until(lambda: lq.refresh_count >= 4)
    assert (lq.status, lq.version) == ("live", 1)


def test_max_rows_stops_reading(engine: pgrt.Engine, db: psycopg.Connection[Any]) -> None:
    """No more rows than asked for are read, in order, and it is said."""
    lq = engine.sub("few", ORDERS, max_rows=2)
    assert rows(lq.df) == ROWS[:2]
    assert lq._shown().truncated
    db.execute("DELETE FROM orders WHERE id = 1")
    lq.wait_for(lambda df: rows(df) == ROWS[1:])
    assert not lq._shown().truncated


def test_a_delta_names_the_rows_that_changed(
    engine: pgrt.Engine, db: psycopg.Connection[Any]
) -> None:
    """Rows are matched by the primary key without a word from the user."""
    lq = engine.sub("orders", ORDERS)
    with db.transaction():
        db.execute("INSERT INTO orders VALUES (4, 'new')")
        db.execute("UPDATE orders SET note = 'x' WHERE id = 2")
        db.execute("DELETE FROM orders WHERE id = 1")
    lq.wait_for(shows(ORDERS, db))
    delta = lq.delta
    assert delta.key == ("id",)
    assert rows(delta.inserted) == [(4, "new", None, None)]
    assert rows(delta.updated) == [(2, "done", "US", "x")]
    assert rows(delta.previous) == [(2, "done", "US", "b")]
    assert rows(delta.deleted) == [ROWS[0]]


def test_a_delta_is_not_worked_out_where_observers_run(
    engine: pgrt.Engine, db: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Comparing large results would hold the kernel's main loop up."""
    worked_out, told = [], []
    real = diff.delta

    def noted(*arguments: Any) -> Any:
        worked_out.append(threading.current_thread())
        return real(*arguments)

    monkeypatch.setattr(diff, "delta", noted)
    lq = engine.sub("orders", ORDERS)
    lq.observe(lambda change: told.append((threading.current_thread(), change["new"])), "delta")
    db.execute(GONE_1)
    wait_until(lambda: told)
    observers, delta = told[0]
    assert rows(delta.deleted) == [ROWS[0]]
    assert observers not in worked_out


def test_the_key_may_be_given(engine: pgrt.Engine, db: psycopg.Connection[Any]) -> None:
    """A result without a primary key has a delta when the user says what identifies a row."""
    sql = "SELECT status, count(*) AS n FROM orders GROUP BY status ORDER BY 1"
    lq = engine.sub("counts", sql, key="status")
    db.execute("INSERT INTO orders VALUES (4, 'new')")
    lq.wait_for(lambda df: "new" in set(df["status"].dropna()))
    assert lq.key == ("status",)


def test_without_a_key_there_is_no_delta(engine: pgrt.Engine, db: psycopg.Connection[Any]) -> None:
    """None, and the frame is all there is."""
    lq = engine.sub("counts", "SELECT count(*) AS n FROM orders")
    db.execute("DELETE FROM orders")
    lq.wait_for(lambda df: df.loc[0, "n"] == 0)
    assert (lq.key, lq.delta) == ((), None)


def test_an_equal_result_is_not_published(engine: pgrt.Engine, db: psycopg.Connection[Any]) -> None:
    """A run that finds what was known changes neither version nor frame."""
    lq = engine.sub("count", "SELECT count(*) AS n FROM orders")
    heard: list[Any] = []
    lq.observe(heard.append, "df")
    frame, runs, at = lq.df, lq.refresh_count, lq.refreshed_at
    db.execute(NOTE_1)
    wait_until(lambda: lq.refresh_count > runs)
    assert lq.df is frame
    assert lq.version == 1
    assert lq.refreshed_at > at
    assert heard == []


def test_frames_are_never_mutated(engine: pgrt.Engine, db: psycopg.Connection[Any]) -> None:
    """An update brings another object, the old one is what it was."""
    lq = engine.sub("orders", ORDERS)
    frame, copy = lq.df, lq.df.copy()
    db.execute("DELETE FROM orders")
    lq.wait_for(lambda df: df.empty)
    assert lq.df is not frame
    pd.testing.assert_frame_equal(frame, copy)
    assert list(lq.df.dtypes) == list(frame.dtypes)


def test_the_backend_of_dtypes_may_be_chosen(dsn: str, db: psycopg.Connection[Any]) -> None:
    """`dtype_backend` follows pandas' own parameter."""
    with pgrt.Engine(dsn, dtype_backend="numpy_nullable") as engine:
        assert engine.sub("orders", ORDERS).df["id"].dtype == "Int32"
    with pgrt.Engine(dsn) as engine:
        assert str(engine.sub("orders", ORDERS).df["id"].dtype) == "int32[pyarrow]"


# -- refresh, wait_for, pause, updates


def test_refresh_runs_now(engine: pgrt.Engine, db: psycopg.Connection[Any]) -> None:
    """Whoever asks gets what is committed, whatever the throttle says."""
    lq = engine.sub("orders", ORDERS, throttle_ms=3_600_000)
    db.execute(GONE_1)
    assert rows(lq.refresh()) == ROWS[1:]
    assert rows(lq.df) == ROWS[1:]


def test_refresh_raises_what_the_run_raised(
    engine: pgrt.Engine, db: psycopg.Connection[Any]
) -> None:
    """The error of the run is the error of the call."""
    lq = engine.sub("orders", ORDERS)
    db.execute("ALTER TABLE orders RENAME TO moved")
    with pytest.raises(pgrt.QueryFailed, match="orders") as caught:
        lq.refresh()
    assert caught.value.sqlstate == "42P01"
    assert (lq.status, lq.error, rows(lq.df)) == ("error", caught.value, ROWS)


def test_refresh_gives_up_after_its_timeout(
    engine: pgrt.Engine, db: psycopg.Connection[Any]
) -> None:
    """A run that takes too long is a TimeoutError that says how things stand."""
    lq = engine.sub("orders", ORDERS)
    with db.transaction():
        db.execute("LOCK orders")
        with pytest.raises(TimeoutError, match=r"orders.*version 1"):
            lq.refresh(timeout=0.1)
    lq.refresh()


def test_wait_for_returns_the_frame(engine: pgrt.Engine, db: psycopg.Connection[Any]) -> None:
    """The frame that fulfilled the condition is returned."""
    lq = engine.sub("orders", ORDERS)
    db.execute("DELETE FROM orders")
    frame = lq.wait_for(lambda df: df.empty)
    assert frame is lq.df


def test_wait_for_says_how_things_stood(engine: pgrt.Engine) -> None:
    """A condition that does not come true names the query, its state and its size."""
    lq = engine.sub("orders", ORDERS)
    with pytest.raises(TimeoutError, match=r"orders: not within 0\.05 s.*live.*version 1, 3 rows"):
        lq.wait_for(lambda df: False, timeout=0.05)


def test_wait_for_raises_what_the_predicate_raises(engine: pgrt.Engine) -> None:
    """A slip in the condition is not a timeout."""
    lq = engine.sub("orders", ORDERS)
    with pytest.raises(KeyError):
        lq.wait_for(lambda df: df["missing"].any())


def test_a_paused_query_stays_as_it_is(engine: pgrt.Engine, db: psycopg.Connection[Any]) -> None:
    """Paused nothing changes, resumed it catches up."""
    lq = engine.sub("orders", ORDERS)
    other = engine.sub("other", STATUS)
    lq.pause()
    lq.pause()
    assert lq.status == "paused"
    db.execute("DELETE FROM orders")
    other.wait_for(lambda df: df.empty)
    assert (rows(lq.df), lq.status) == (ROWS, "paused")
    lq.resume()
    lq.wait_for(lambda df: df.empty)
    wait_until(lambda: lq.status == "live")


def test_pausing_one_of_two_stops_only_that_one(
    engine: pgrt.Engine, db: psycopg.Connection[Any]
) -> None:
    """Two subscriptions to the same query pause each for itself."""
    one, two = engine.sub("one", ORDERS), engine.sub("two", ORDERS)
    one.pause()
    db.execute("DELETE FROM orders")
    two.wait_for(lambda df: df.empty)
    assert (rows(one.df), one.status, two.status) == (ROWS, "paused", "live")
    one.resume()
    one.wait_for(lambda df: df.empty)


def test_refresh_of_a_paused_query_runs_once(
    engine: pgrt.Engine, db: psycopg.Connection[Any]
) -> None:
    """Asking for a result while paused gives it, and it stays paused."""
    lq = engine.sub("orders", ORDERS)
    lq.pause()
    db.execute(GONE_1)
    assert rows(lq.refresh()) == ROWS[1:]
    assert lq.status == "paused"


def test_refresh_of_a_query_paused_during_a_run_does_not_hang(
    engine: pgrt.Engine, db: psycopg.Connection[Any]
) -> None:
    """A run asked for while another one is under way follows it, paused or not."""
    lq = engine.sub("orders", ORDERS)
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'orders'::regclass"
    with db.transaction():
        db.execute("LOCK orders; DELETE FROM orders WHERE id = 1")
        first = threading.Thread(target=lq.refresh)
        first.start()
        wait_until(lambda: db.execute(waiting).fetchone() == (1,))
        lq.pause()
        found: list[Any] = []
        second = threading.Thread(target=lambda: found.append(rows(lq.refresh(timeout=20))))
        second.start()
        wait_until(lambda: lq._group.next_run)
    first.join()
    second.join()
    assert found == [ROWS[1:]]


def test_a_query_resumed_after_a_refresh_is_live(
    engine: pgrt.Engine, db: psycopg.Connection[Any]
) -> None:
    """Refreshing while paused does not make the query deaf afterwards."""
    lq = engine.sub("orders", ORDERS)
    lq.pause()
    lq.refresh()
    lq.resume()
    wait_until(lambda: lq.status == "live")
    lq.refresh()
    db.execute("DELETE FROM orders")
    lq.wait_for(lambda df: df.empty)


def test_a_query_shared_with_a_paused_one_is_live(
    engine: pgrt.Engine, db: psycopg.Connection[Any]
) -> None:
    """Subscribing to what somebody else has paused gives a current and live result."""
    paused = engine.sub("paused", ORDERS)
    paused.pause()
    db.execute(GONE_1)
    lq = engine.sub("live", ORDERS)
    assert rows(lq.df) == ROWS[1:]
    db.execute("DELETE FROM orders")
    lq.wait_for(lambda df: df.empty)
    assert rows(paused.df) == ROWS


def test_updates_are_iterated_over(engine: pgrt.Engine, db: psycopg.Connection[Any]) -> None:
    """`async for` gives a Delta per update and ends with the query."""
    lq = engine.sub("orders", ORDERS)

    async def follow() -> list[Any]:
        found: list[Any] = []
        updates = lq.updates()
        await asyncio.to_thread(db.execute, GONE_1)
        async for delta in updates:
            found.append(delta)
            if len(found) == 1:
                await asyncio.to_thread(db.execute, GONE_2)
            else:
                lq.close()
        return found

    first, second = asyncio.run(asyncio.wait_for(follow(), 20))
    assert (rows(first.deleted), rows(second.deleted)) == ([ROWS[0]], [ROWS[1]])


def test_updates_without_a_key_are_frames(engine: pgrt.Engine, db: psycopg.Connection[Any]) -> None:
    """Where no row can be identified the frame itself comes."""
    lq = engine.sub("count", "SELECT count(*) AS n FROM orders")

    async def follow() -> Any:
        updates = lq.updates()
        await asyncio.to_thread(db.execute, GONE_1)
        return await anext(updates)

    assert rows(asyncio.run(asyncio.wait_for(follow(), 20))) == [(2,)]


def test_a_slow_consumer_gets_the_newest(engine: pgrt.Engine, db: psycopg.Connection[Any]) -> None:
    """What was missed is skipped."""
    sql = "SELECT max(id) AS m FROM orders"
    lq = engine.sub("max", sql)

    async def follow() -> Any:
        updates = lq.updates()
        for number in (10, 11, 12):
            await asyncio.to_thread(db.execute, "INSERT INTO orders VALUES (%s)", (number,))
            await asyncio.to_thread(lq.wait_for, shows(sql, db))
        return await anext(updates)

    assert rows(asyncio.run(asyncio.wait_for(follow(), 20))) == [(12,)]


# -- observers


def test_an_observer_hears_of_an_update(engine: pgrt.Engine, db: psycopg.Connection[Any]) -> None:
    """A handler gets the old and the new frame."""
    lq = engine.sub("orders", ORDERS)
    frame = lq.df
    heard: list[Any] = []
    lq.observe(heard.append, "df")
    db.execute("DELETE FROM orders")
    wait_until(lambda: heard)
    assert heard[0]["old"] is frame
    assert heard[0]["new"] is lq.df
    assert (heard[0]["name"], heard[0]["owner"]) == ("df", lq)


def test_an_observer_that_raises_stops_no_other(
    engine: pgrt.Engine, db: psycopg.Connection[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The others are called, and the error is shown."""
    lq = engine.sub("orders", ORDERS)
    heard: list[str] = []

    def bad(change: Any) -> None:
        heard.append("bad")
        raise ZeroDivisionError("mine")

    lq.observe(bad, "df")
    lq.observe(lambda change: heard.append("good"), "df")
    db.execute(GONE_1)
    wait_until(lambda: sorted(heard) == ["bad", "good"])
    db.execute(GONE_2)
    wait_until(lambda: sorted(heard) == ["bad", "bad", "good", "good"])
    assert "ZeroDivisionError" in caplog.text


def test_an_observer_that_blocks_leaves_the_result_current(
    engine: pgrt.Engine, db: psycopg.Connection[Any]
) -> None:
    """`df` moves on while an observer is still busy with an older one, which then gets the newest."""
    lq = engine.sub("orders", ORDERS)
    release, heard = threading.Event(), []

    def slow(change: Any) -> None:
        heard.append(len(change["new"]))
        release.wait(30)

    lq.observe(slow, "df")
    try:
        db.execute(GONE_1)
        wait_until(lambda: heard == [2])
        db.execute(GONE_2)
        lq.wait_for(lambda df: len(df) == 1)
        db.execute("DELETE FROM orders")
        lq.wait_for(lambda df: df.empty)
    finally:
        release.set()
    wait_until(lambda: heard[-1] == 0)
    assert len(heard) <= 3


def test_an_observer_may_be_removed(engine: pgrt.Engine, db: psycopg.Connection[Any]) -> None:
    """`unobserve` takes the handler that `observe` was given."""
    lq = engine.sub("orders", ORDERS)
    first: list[Any] = []
    second: list[Any] = []
    handler = first.append
    lq.observe(handler, "df")
    lq.observe(second.append, "df")
    lq.unobserve(handler, "df")
    db.execute(GONE_1)
    wait_until(lambda: second)
    assert first == []


def test_without_a_kernel_observers_run_on_the_delivery_thread(
    engine: pgrt.Engine, db: psycopg.Connection[Any]
) -> None:
    """Never on the engine's own thread."""
    lq = engine.sub("orders", ORDERS)
    names: list[str] = []
    lq.observe(lambda change: names.append(threading.current_thread().name), "df")
    db.execute(GONE_1)
    wait_until(lambda: names)
    assert names == ["pgrt-delivery"]


def test_an_observer_may_call_the_verbs(engine: pgrt.Engine, db: psycopg.Connection[Any]) -> None:
    """Subscribing and closing from an observer does not lock up."""
    lq = engine.sub("orders", ORDERS)
    found: list[Any] = []

    def react(change: Any) -> None:
        found.append(rows(engine.sub("inner", "SELECT count(*) FROM orders").df))
        lq.close()

    lq.observe(react, "df")
    db.execute(GONE_1)
    wait_until(lambda: lq.status == "closed")
    assert found == [[(2,)]]


def test_status_is_observed(engine: pgrt.Engine) -> None:
    """Every trait can be observed, not only the frame."""
    lq = engine.sub("orders", ORDERS)
    heard: list[str] = []
    lq.observe(lambda change: heard.append(change["new"]), "status")
    lq.pause()
    wait_until(lambda: heard == ["paused"])
    lq.close()
    wait_until(lambda: heard == ["paused", "closed"])


def test_deliver_main_needs_a_kernel(dsn: str) -> None:
    """Asking for the kernel's loop where there is none is an error."""
    with pytest.raises(pgrt.ConfigurationError, match="kernel"):
        pgrt.Engine(dsn, deliver="main").start()


@pytest.mark.parametrize(
    "options", [{"deliver": "x"}, {"dtype_backend": "numpy"}, {"pool_size": 0}]
)
def test_engine_options_that_cannot_be_used_are_refused(options: Any, dsn: str) -> None:
    """A slip in an option of the engine is said at once."""
    with pytest.raises(pgrt.ConfigurationError):
        pgrt.Engine(dsn, **options).start()


# -- errors


def test_the_last_good_frame_stays_and_it_recovers_by_itself(
    engine: pgrt.Engine, db: psycopg.Connection[Any]
) -> None:
    """A query that fails says so, keeps what it had, and is live again when it works again."""
    lq = engine.sub("sum", "SELECT id, 10 / length(note) AS x FROM orders WHERE id = 1")
    good = lq.df
    db.execute("UPDATE orders SET note = '' WHERE id = 1")
    wait_until(lambda: lq.status == "error")
    assert lq.df is good
    assert (lq.error.sqlstate, lq.version) == ("22012", 1)
    db.execute("UPDATE orders SET note = 'ab' WHERE id = 1")
    lq.wait_for(lambda df: rows(df) == [(1, 5)])
    wait_until(lambda: lq.status == "live")
    assert lq.error is None


def test_a_renamed_table_that_comes_back_is_followed_again(
    engine: pgrt.Engine, db: psycopg.Connection[Any]
) -> None:
    """Recovery needs no change of data."""
    lq = engine.sub("orders", ORDERS)
    db.execute("ALTER TABLE orders RENAME TO moved; UPDATE moved SET note = 'x' WHERE id = 1")
    wait_until(lambda: lq.status == "error")
    db.execute("ALTER TABLE moved RENAME TO orders")
    lq.wait_for(shows(ORDERS, db), timeout=15)
    wait_until(lambda: lq.status == "live")
    db.execute("DELETE FROM orders")
    lq.wait_for(lambda df: df.empty)


def test_errors_are_handled_at_both_levels(dsn: str, db: psycopg.Connection[Any]) -> None:
    """A subscription's handler comes before the engine's; each gets the error and the query."""
    general: list[Any] = []
    own: list[Any] = []
    sql = "SELECT 10 / length(note) AS x FROM orders WHERE id = 1"
    with pgrt.Engine(dsn, throttle_ms=0, error_handler=lambda *e: general.append(e)) as engine:
        one = engine.sub("one", sql)
        two = engine.sub("two", sql + " AND true", error_handler=lambda *e: own.append(e))
        db.execute("UPDATE orders SET note = '' WHERE id = 1")
        wait_until(lambda: general and own)
    assert [(type(error), query) for error, query in general] == [(pgrt.QueryFailed, one)]
    assert [(type(error), query) for error, query in own] == [(pgrt.QueryFailed, two)]


def test_the_default_handler_logs(
    engine: pgrt.Engine, db: psycopg.Connection[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Without a handler the error is in the log `pgrt_jupyter`, at ERROR, with no value of a row."""
    engine.sub("mine", "SELECT 10 / length(note) AS x FROM orders WHERE id = 1")
    db.execute("UPDATE orders SET note = '' WHERE id = 1")
    found = wait_until(
        lambda: [
            r for r in caplog.records if r.levelno == logging.ERROR and "mine" in r.getMessage()
        ]
    )
    assert found[0].name == "pgrt_jupyter"
    assert "22012" in found[0].getMessage()


def test_a_handler_that_raises_stops_nothing(
    engine: pgrt.Engine, db: psycopg.Connection[Any]
) -> None:
    """A faulty handler is the user's problem, not the query's."""
    called: list[Any] = []

    def handler(error: Any, query: Any) -> None:
        called.append(error)
        raise ZeroDivisionError

    lq = engine.sub(
        "x", "SELECT 10 / length(note) AS x FROM orders WHERE id = 1", error_handler=handler
    )
    db.execute("UPDATE orders SET note = '' WHERE id = 1")
    wait_until(lambda: called)
    db.execute("UPDATE orders SET note = 'ab' WHERE id = 1")
    lq.wait_for(lambda df: rows(df) == [(5,)])


def test_the_same_error_is_told_once(engine: pgrt.Engine, db: psycopg.Connection[Any]) -> None:
    """Trying again and failing alike is no news."""
    errors: list[Any] = []
    lq = engine.sub(
        "x",
        "SELECT 10 / length(note) AS x FROM orders WHERE id = 1",
        max_age_ms=20,
        error_handler=lambda e, q: errors.append(e),
    )
    db.execute("UPDATE orders SET note = '' WHERE id = 1")
    wait_until(lambda: errors)
    failed = lq.error
    wait_until(lambda: lq.error is not failed)
    assert len(errors) == 1


# -- roles


@pytest.fixture
def tenants(db: psycopg.Connection[Any], make_role: Callable[..., Any]) -> tuple[Any, Any]:
    """Give two roles that may each read their own rows of a table."""
    first, second = make_role("first"), make_role("second")
    db.execute(
        "CREATE TABLE secrets (id int PRIMARY KEY, tenant text, v text);"
        "ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY own ON secrets USING (tenant = current_user);"
        "GRANT SELECT ON secrets TO PUBLIC"
    )
    db.execute("INSERT INTO secrets VALUES (1, %s, 'a'), (2, %s, 'b')", (first.name, second.name))
    return first, second


def test_row_level_security_holds_per_subscription(
    engine: pgrt.Engine, db: psycopg.Connection[Any], dsn: str, tenants: tuple[Any, Any]
) -> None:
    """Each subscription runs as the role it was given, first and in every later run."""
    sql = "SELECT id, v FROM secrets ORDER BY id"
    first, second = (
        engine.sub(role.name, sql, query_conninfo=role.conninfo(dsn)) for role in tenants
    )
    everything = engine.sub("all", sql)
    assert (rows(first.df), rows(second.df)) == ([(1, "a")], [(2, "b")])
    db.execute("UPDATE secrets SET v = v || '!'")
    first.wait_for(lambda df: rows(df) == [(1, "a!")])
    second.wait_for(lambda df: rows(df) == [(2, "b!")])
    everything.wait_for(lambda df: rows(df) == [(1, "a!"), (2, "b!")])


def test_the_engine_may_have_a_role_for_queries(
    db: psycopg.Connection[Any], dsn: str, tenants: tuple[Any, Any]
) -> None:
    """`query_conninfo` of the engine is the role of every query."""
    with pgrt.Engine(dsn, query_conninfo=tenants[0].conninfo(dsn), throttle_ms=0) as engine:
        lq = engine.sub("own", "SELECT id, v FROM secrets")
        assert rows(lq.df) == [(1, "a")]
        db.execute("UPDATE secrets SET v = 'new'")
        lq.wait_for(lambda df: rows(df) == [(1, "new")])


@pytest.mark.parametrize(
    ("sql", "grants"),
    [
        (ORDERS, ["GRANT SELECT ON public.orders TO {};"]),
        (
            'SELECT v FROM s."Far"',
            ["GRANT USAGE ON SCHEMA s TO {};", 'GRANT SELECT ON s."Far" TO {};'],
        ),
        ("SELECT id FROM public.v", ["GRANT SELECT ON public.v TO {};"]),
    ],
)
def test_missing_privileges_are_named_exactly(
    sql: str,
    grants: list[str],
    engine: pgrt.Engine,
    db: psycopg.Connection[Any],
    dsn: str,
    make_role: Callable[..., Any],
) -> None:
    """A role that may not read is told which GRANT helps, and it does."""
    role = make_role("reader")
    db.execute('CREATE SCHEMA s; CREATE TABLE s."Far" (v int)')
    db.execute("CREATE VIEW v AS SELECT id FROM orders")
    with pytest.raises(pgrt.PermissionMissing) as caught:
        engine.sub("orders", sql, query_conninfo=role.conninfo(dsn))
    assert caught.value.sqlstate == "42501"
    expected = [grant.format(role.name) for grant in grants]
    assert caught.value.hint == f"ask for: {' '.join(expected)}"
    for grant in expected:
        db.execute(grant)
    assert engine.sub("orders", sql, query_conninfo=role.conninfo(dsn)).status == "live"


def test_rows_a_role_may_no_longer_read_are_taken_away(
    engine: pgrt.Engine, db: psycopg.Connection[Any], dsn: str, tenants: tuple[Any, Any]
) -> None:
    """After a REVOKE the frame is empty, not what it last was."""
    lq = engine.sub("own", "SELECT id, v FROM secrets", query_conninfo=tenants[0].conninfo(dsn))
    db.execute("REVOKE SELECT ON secrets FROM PUBLIC")
    with pytest.raises(pgrt.PermissionMissing):
        lq.refresh()
    assert (rows(lq.df), list(lq.df.columns), lq.status) == ([], ["id", "v"], "error")


def test_without_the_right_to_install_the_query_polls(
    db: psycopg.Connection[Any], dsn: str, make_role: Callable[..., Any]
) -> None:
    """A role that may only read gets its results, and is told which GRANT would make them live."""
    role = make_role("reader")
    db.execute(f"GRANT SELECT ON orders TO {role.name}")
    with pgrt.Engine(role.conninfo(dsn), throttle_ms=0) as engine:
        lq = engine.sub("orders", ORDERS, max_age_ms=50)
        assert lq.status == "polling"
        assert f"GRANT TRIGGER ON orders TO {role.name};" in lq._shown().message
        db.execute("DELETE FROM orders")
        lq.wait_for(lambda df: df.empty)


# -- engines


def test_identical_queries_share_a_run(engine: pgrt.Engine, db: psycopg.Connection[Any]) -> None:
    """Two subscriptions to the same query are two views of one result."""
    one, two = engine.sub("one", ORDERS), engine.sub("two", ORDERS)
    assert one._view.frame is two._view.frame
    db.execute("DELETE FROM orders")
    one.wait_for(lambda df: df.empty)
    wait_until(lambda: one._view.frame is two._view.frame)


def test_a_shared_query_goes_on_when_one_leaves(
    engine: pgrt.Engine, db: psycopg.Connection[Any]
) -> None:
    """Closing one of two leaves the other live."""
    one, two = engine.sub("one", ORDERS), engine.sub("two", ORDERS)
    one.close()
    db.execute("DELETE FROM orders")
    two.wait_for(lambda df: df.empty)
    assert rows(one.df) == ROWS


def test_queries_that_differ_do_not_share(engine: pgrt.Engine) -> None:
    """Other parameters or options are another query."""
    sql = "SELECT id FROM orders WHERE status = :s"
    frames = [
        engine.sub("a", sql, {"s": "pending"}).df,
        engine.sub("b", sql, {"s": "done"}).df,
        engine.sub("c", sql, {"s": "done"}, max_rows=5).df,
        engine.sub("d", sql, {"s": "done"}, refresh={"orders": {"id": 1}}).df,
    ]
    assert len({id(frame) for frame in frames}) == 4
    assert [rows(frame) for frame in frames] == [[(1,)], [(2,)], [(2,)], [(2,)]]


def test_the_interval_of_one_does_not_hold_up_the_other(
    engine: pgrt.Engine, db: psycopg.Connection[Any]
) -> None:
    """Two subscriptions that began alike keep an interval each."""
    one, two = engine.sub("one", ORDERS), engine.sub("two", ORDERS)
    one.throttle_ms = 3_600_000
    db.execute("DELETE FROM orders")
    two.wait_for(lambda df: df.empty)
    assert (one.throttle_ms, two.throttle_ms) == (3_600_000, 0)


def test_two_engines_live_in_one_process(dsn: str, db: psycopg.Connection[Any]) -> None:
    """Each hears for itself, and shutting one down leaves the other."""
    with pgrt.Engine(dsn, throttle_ms=0) as first, pgrt.Engine(dsn, throttle_ms=0) as second:
        one, two = first.sub("orders", ORDERS), second.sub("orders", ORDERS)
        assert one is not two
        db.execute(GONE_1)
        one.wait_for(lambda df: len(df) == 2)
        two.wait_for(lambda df: len(df) == 2)
        first.shutdown()
        db.execute(GONE_2)
        two.wait_for(lambda df: len(df) == 1)
        assert (len(one.df), one.status) == (2, "closed")


def test_an_engine_is_a_context_manager(dsn: str, db: psycopg.Connection[Any]) -> None:
    """Leaving the block ends every subscription."""
    engine = pgrt.Engine(dsn)
    with engine as entered:
        assert entered is engine
        assert engine.running
        lq = engine.sub("orders", ORDERS)
    assert not engine.running
    assert (lq.status, rows(lq.df)) == ("closed", ROWS)
    with pytest.raises(pgrt.EngineNotRunning):
        engine.sub("orders", ORDERS)


def test_an_engine_may_be_started_again(dsn: str, db: psycopg.Connection[Any]) -> None:
    """Shutdown is not the end of the object."""
    engine = pgrt.Engine(dsn, throttle_ms=0)
    assert engine.shutdown() is False
    engine.start()
    engine.start()
    assert engine.shutdown() is True
    with engine:
        lq = engine.sub("orders", ORDERS)
        db.execute("DELETE FROM orders")
        lq.wait_for(lambda df: df.empty)


def test_shutdown_does_not_wait_for_a_slow_query(dsn: str, db: psycopg.Connection[Any]) -> None:
    """A run that hangs is cancelled on the server."""
    engine = pgrt.Engine(dsn, throttle_ms=0).start()
    engine.sub("slow", "SELECT CASE WHEN count(*) = 0 THEN pg_sleep(600) END FROM orders")
    db.execute("DELETE FROM orders")
    running = (
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%'"
        " AND state = 'active' AND pid <> pg_backend_pid()"
    )
    wait_until(lambda: db.execute(running).fetchone() != (0,))
    engine.shutdown()
    wait_until(lambda: db.execute(running).fetchone() == (0,))


def test_an_unreachable_server_is_said_without_the_password() -> None:
    """The error names host and database and nothing secret."""
    with pytest.raises(pgrt.ServerUnavailable) as caught:
        pgrt.Engine("host=127.0.0.1 port=1 user=u password=geheim dbname=d").start()
    said = str(caught.value)
    assert "host=127.0.0.1 port=1" in said
    error: BaseException | None = caught.value
    while error is not None:
        assert "geheim" not in repr(error)
        error = error.__cause__ or error.__context__


def test_destroy_needs_the_engine_to_be_down(dsn: str, db: psycopg.Connection[Any]) -> None:
    """Triggers are not taken away under a running engine."""
    engine = pgrt.Engine(dsn)
    with engine:
        engine.sub("orders", ORDERS)
        with pytest.raises(pgrt.EngineRunning):
            engine.destroy()
        with pytest.raises(pgrt.EngineRunning):
            pgrt.destroy(dsn)
    assert db.execute("SELECT to_regnamespace('_pgrt') IS NULL").fetchone() == (False,)
    dropped = engine.destroy()
    assert "schema _pgrt" in dropped
    assert any("on orders" in name for name in dropped)
    assert db.execute("SELECT to_regnamespace('_pgrt') IS NULL").fetchone() == (True,)
    assert engine.destroy() == []


def test_an_engine_does_not_show_its_password(dsn: str) -> None:
    """What a notebook prints holds no secret."""
    assert "geheim" not in repr(pgrt.Engine(f"{dsn} password=geheim"))


# -- the module's own verbs


def test_the_module_has_one_default_engine(module: str) -> None:
    """A second start with an engine running returns it."""
    engine = pgrt.start(module, throttle_ms=0)
    assert pgrt.start() is engine
    assert pgrt.start("host=/nowhere") is engine


def test_the_verbs_of_the_module_use_it(module: str, db: psycopg.Connection[Any]) -> None:
    """sub, subscriptions, unsub, shutdown and destroy work without an object."""
    pgrt.start(module, throttle_ms=0)
    lq = pgrt.sub("orders", ORDERS)
    assert (pgrt.sub("orders"), pgrt.subscriptions()) == (lq, {"orders": lq})
    db.execute("DELETE FROM orders")
    lq.wait_for(lambda df: df.empty)
    assert (pgrt.unsub("orders"), pgrt.unsub("orders")) == (True, False)
    assert (pgrt.shutdown(), pgrt.shutdown()) == (True, False)
    assert "schema _pgrt" in pgrt.destroy(module)


def test_without_an_engine_the_verbs_say_what_to_do() -> None:
    """Nothing is started behind the user's back."""
    with pytest.raises(pgrt.EngineNotRunning, match="start"):
        pgrt.sub("orders", ORDERS)
    with pytest.raises(pgrt.SubscriptionNotFound):
        pgrt.sub("orders")
    assert (pgrt.unsub("orders"), pgrt.subscriptions(), pgrt.shutdown()) == (False, {}, False)


def test_the_environment_names_the_server(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a conninfo PGRT_DSN says where to connect."""
    monkeypatch.setenv("PGRT_DSN", module)
    pgrt.start()
    assert rows(pgrt.sub("orders", ORDERS).df) == ROWS
    pgrt.shutdown()
    assert "schema _pgrt" in pgrt.destroy()
