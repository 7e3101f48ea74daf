"""A query's parameters follow traits: the newest values, one query object, and never an unsaid mismatch."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import traitlets

import pgrt_jupyter as pgrt
from pgrt_jupyter import following
from pgrt_jupyter.testing import wait_until

from ..variants.broken import against, break_engine, noticed, patience

Connection = psycopg.Connection[Any]
ORDERS = "SELECT id, status FROM orders WHERE status = :status ORDER BY id"
RANGE = "SELECT id FROM orders WHERE id BETWEEN :low AND :high ORDER BY id"
POLLS = ("polling",)  # what sleeps cannot be watched
ECHO = "SELECT :n::int AS n FROM orders LIMIT 1"
SLOW = "SELECT :n::int AS n FROM orders, pg_sleep(:n::int) LIMIT 1"


class Control(traitlets.HasTraits):
    """Stand for a widget: something with a value."""

    value = traitlets.Any()
    low = traitlets.Int(1)
    high = traitlets.Int(2)


@pytest.fixture
def db(dsn: str, connect: Callable[..., Any]) -> Connection:
    """Give a connection to a database with six orders, two of each status."""
    connection: Connection = connect(dsn)
    connection.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, status text);"
        "INSERT INTO orders SELECT i, (ARRAY['new', 'paid', 'sent'])[1 + i % 3]"
        " FROM generate_series(1, 6) AS i"
    )
    return connection


@pytest.fixture
def engine(dsn: str, db: Connection) -> Iterator[pgrt.Engine]:
    """Give a running engine that does not wait between runs."""
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        yield engine


@pytest.fixture
def orders(engine: pgrt.Engine) -> pgrt.LiveQuery:
    """Give a query for new orders."""
    return engine.sub("orders", ORDERS, {"status": "new"})


def groups(engine: pgrt.Engine) -> int:
    """Count the queries an engine keeps current."""
    assert engine._loop is not None
    return len(engine._loop.runtime.groups)


def shows(query: pgrt.LiveQuery, settled: Any = ("live",), **params: Any) -> Any:
    """Wait until a query shows the result for some values, and says so."""
    wait_until(
        lambda: query.status in settled and query.params == params,
        message=lambda: f"{query.status} {query.params} {query.error}",
    )
    return query.df


def test_a_parameter_follows_a_trait(orders, db, engine):
    """The object, its observers and its tables stay, and the new result is as live as the old one."""
    control, heard, table = Control(value="new"), [], orders.table()
    orders.observe(lambda change: heard.append(change["new"]), "df")
    orders.bind(status=control)
    control.value = "paid"
    assert list(shows(orders, status="paid")["id"]) == [1, 4]
    assert engine.subscriptions() == {"orders": orders}
    wait_until(lambda: len(heard) == 1 and heard[0] is orders.df)
    wait_until(lambda: list(table._content.shown.frame["id"]) == [1, 4])
    db.execute("INSERT INTO orders VALUES (7, 'paid')")
    orders.wait_for(lambda df: list(df["id"]) == [1, 4, 7])
    assert groups(engine) == 1


def test_the_value_at_the_time_of_binding_counts(orders):
    """It need not change first."""
    orders.bind(status=Control(value="sent"))
    assert list(shows(orders, status="sent")["id"]) == [2, 5]


def test_a_value_that_is_shown_already_changes_nothing(orders, engine):
    """Binding to what is there runs nothing."""
    runs = orders.refresh_count
    orders.bind(status=Control(value="new"))
    assert orders.status == "live"
    orders.refresh()
    assert orders.refresh_count == runs + 1


@against("old values called live")
def test_until_the_result_is_there_the_status_says_so(engine, monkeypatch, broken):
    """The moment a value is set, what is shown is not live any more; what is shown belongs together."""
    break_engine(monkeypatch, broken)
    query, control, seen = engine.sub("slow", SLOW, {"n": 0}), Control(value=0), []
    query.bind(n=control)
    query.observe(lambda change: seen.append(change["new"]), "status")
    with noticed(broken):
        control.value = 1
        assert (query.status, query.params, query.df["n"][0]) == ("stale", {"n": 0}, 0)
        assert shows(query, POLLS, n=1)["n"][0] == 1
        wait_until(lambda: seen == ["stale", "polling"])


def test_a_result_and_its_values_change_together(engine):
    """Nobody sees a frame with other parameters, nor `live` with values that are not wanted."""
    query, control, wrong, end = engine.sub("q", ECHO, {"n": 0}), Control(value=0), [], []
    query.bind(n=control)

    def look() -> None:
        while not end:
            view = query._view
            if view.df["n"][0] != view.params["n"]:
                wrong.append(view)

    looking = threading.Thread(target=look)
    looking.start()
    for n in range(1, 60):
        control.value = n
        assert query.status != "live" or query.params["n"] == n
    shows(query, n=59)
    end.append(True)
    looking.join()
    assert wrong == []


def test_a_pair_names_a_trait_of_any_object(engine):
    """As traitlets.link takes it; several parameters may follow one object."""
    query, control = engine.sub("range", RANGE, {"low": 1, "high": 1}), Control()
    query.bind(low=(control, "low"), high=(control, "high"))
    assert len(shows(query, low=1, high=2)) == 2
    control.high = 5
    assert len(shows(query, low=1, high=5)) == 5


@against("each value on its own")
def test_values_that_change_together_run_once(engine, monkeypatch, broken):
    """Two traits set one after the other are one change: nothing runs for one without the other."""
    break_engine(monkeypatch, broken)
    query, control = engine.sub("range", RANGE, {"low": 1, "high": 2}), Control()
    query.bind(low=(control, "low"), high=(control, "high"))
    seen: list[Any] = []
    query.observe(lambda change: seen.append(change["new"]), "params")
    monkeypatch.setattr(following, "_TOGETHER_SECONDS", 0.5)
    control.low = 3
    assert engine.server  # so that the engine's loop has heard of it
    control.high = 4
    assert list(shows(query, low=3, high=4)["id"]) == [3, 4]
    wait_until(lambda: seen)
    with noticed(broken):
        assert seen == [{"low": 3, "high": 4}]


def test_a_plain_value_is_set_once(engine):
    """Beside what follows, a parameter may just take a value; the others stay as they are."""
    query, control = engine.sub("range", RANGE, {"low": 1, "high": 2}), Control(value=4)
    query.bind(low=2, high=control)
    assert list(shows(query, low=2, high=4)["id"]) == [2, 3, 4]
    query.bind(low=3)
    shows(query, low=3, high=4)
    control.value = 3
    assert list(shows(query, low=3, high=3)["id"]) == [3]


def test_several_values_are_an_array(engine):
    """What a multiple selection gives, a tuple, goes where an array is wanted."""
    sql = "SELECT id FROM orders WHERE status = ANY(:chosen) ORDER BY id"
    query, control = engine.sub("any", sql, {"chosen": ["new"]}), Control(value=("new", "paid"))
    query.bind(chosen=control)
    assert len(shows(query, chosen=("new", "paid"))) == 4
    control.value = ()
    assert len(shows(query, chosen=())) == 0


def test_a_list_is_taken_as_it_is_at_the_time(engine):
    """Changed in place it is no other value, and what is shown stays what was asked."""
    sql = "SELECT id FROM orders WHERE status = ANY(:chosen) ORDER BY id"
    chosen = ["new"]
    query, control = engine.sub("any", sql, {"chosen": []}), Control(value=chosen)
    query.bind(chosen=control)
    shows(query, chosen=["new"])
    chosen.append("paid")
    assert query.params == {"chosen": ["new"]}


# -- many changes


def test_of_many_quick_changes_the_last_arrives(engine, db, dsn, connect):
    """From several threads, some of them bad; nothing is left of those that were skipped."""
    query = engine.sub("q", ECHO, {"n": 0}, error_handler=lambda error, lq: None)
    controls = [Control(value=0), Control(value=0)]
    query.bind(n=controls[0])

    def drag(seed: int) -> None:
        chance = random.Random(seed)
        for n in range(150):
            controls[0].value = "bad" if chance.random() < 0.1 else n
            if chance.random() < 0.05:
                query.bind(n=controls[chance.randrange(2)])
            if chance.random() < 0.1:
                threading.Event().wait(0.03)

    dragging = [threading.Thread(target=drag, args=[seed]) for seed in range(3)]
    for thread in dragging:
        thread.start()
    for thread in dragging:
        thread.join()
    query.bind(n=controls[0])
    controls[0].value = 1234
    assert shows(query, n=1234)["n"][0] == 1234
    wait_until(lambda: groups(engine) == 1)
    assert query.error is None
    db.execute("UPDATE orders SET status = status")
    connections = connect(dsn).execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'pgrt_jupyter'"
    )
    assert connections.fetchone()[0] <= 1 + engine._pool_size


def test_at_most_one_subscription_an_interval(engine):
    """The first change at once; of those that follow within the interval the last, at its end."""
    query, control = engine.sub("q", ECHO, {"n": 0}, throttle_ms=600), Control(value=0)
    query.bind(n=control)
    seen: list[int] = []
    query.observe(lambda change: seen.append(change["new"]["n"]), "params")
    control.value = 1
    shows(query, n=1)
    for n in range(2, 40):
        control.value = n
    shows(query, n=39)
    wait_until(lambda: seen == [1, 39])


def test_a_slow_result_that_nobody_wants_any_more_is_not_waited_for(engine, db):
    """Its query is cancelled on the server as well."""
    query, control = engine.sub("slow", SLOW, {"n": 0}), Control(value=0)
    query.bind(n=control)
    control.value = 600
    running = (
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(%600%'"
        " AND state = 'active' AND pid <> pg_backend_pid()"
    )
    wait_until(lambda: db.execute(running).fetchone()[0])
    assert query.status == "stale"
    control.value = 0
    shows(query, POLLS, n=0)
    wait_until(lambda: not db.execute(running).fetchone()[0])
    wait_until(lambda: groups(engine) == 1)


@against("changes on the way forgotten")
def test_what_changes_while_another_result_is_on_its_way_follows(engine, monkeypatch, broken):
    """Both results are shown, one after the other."""
    break_engine(monkeypatch, broken)
    monkeypatch.setattr(following, "_PATIENCE_SECONDS", 30)
    query, control = engine.sub("slow", SLOW, {"n": 0}), Control(value=0)
    seen: list[int] = []
    query.observe(lambda change: seen.append(change["new"]["n"]), "params")
    query.bind(n=control)
    control.value = 1
    wait_until(lambda: groups(engine) == 2)
    control.value = 0
    wait_until(lambda: seen)
    with noticed(broken):
        wait_until(lambda: seen == [1, 0], patience(broken))
        shows(query, POLLS, n=0)


# -- values that do not work


def test_a_bad_value_is_an_error_until_a_good_one_comes(orders, engine, db):
    """The last good result stays, with the values it is for, and is no longer called live."""
    told: list[Any] = []
    query = engine.sub(
        "q", ECHO, {"n": 1}, error_handler=lambda error, lq: told.append((error, lq))
    )
    control, table = Control(value=1), query.table()
    query.bind(n=control)
    for bad in ("1x", "1xy"):
        control.value = bad
        wait_until(lambda: query.error is not None and repr(bad)[1:-1] in query.error.message)  # noqa: B023
        assert query.status == "error"
        assert isinstance(query.error, pgrt.QueryFailed)
        assert query.error.sqlstate == "22P02"
        assert (query.params, list(query.df["n"])) == ({"n": 1}, [1])
    wait_until(
        lambda: (
            table._content.shown.status == "error"
            and "1xy" in table._content.shown.error["message"]
        )
    )
    db.execute(
        "UPDATE orders SET status = status || '!'"
    )  # the old query's own news change nothing
    assert query.status == "error"
    control.value = "2"
    shows(query, n="2")
    assert query.error is None
    wait_until(lambda: told)
    assert [lq for _, lq in told] == [query]  # once for all that was typed
    wait_until(lambda: groups(engine) == 2)


def test_back_at_the_shown_value_the_error_is_gone(engine):
    """Nothing has to run for it."""
    query = engine.sub("q", ECHO, {"n": 1}, error_handler=lambda error, lq: None)
    control = Control(value=1)
    query.bind(n=control)
    control.value = "bad"
    wait_until(lambda: query.status == "error")
    control.value = 1
    shows(query, n=1)
    assert query.error is None


@pytest.mark.parametrize("value", [object(), "a\x00b", float("nan"), 2**70, "x" * 100_000])
def test_whatever_a_trait_holds(engine, value):
    """What cannot be a parameter's value is an error of the query, like one that the server refuses."""
    query = engine.sub("q", ECHO, {"n": 1}, error_handler=lambda error, lq: None)
    control = Control(value=1)
    query.bind(n=control)
    control.value = value
    wait_until(lambda: query.status == "error")
    assert isinstance(query.error, pgrt.QueryFailed)
    control.value = 5
    shows(query, n=5)


def test_values_that_fail_because_of_the_data_are_tried_again(engine, db, monkeypatch):
    """When the data let them, their result is shown."""
    monkeypatch.setattr(following, "_RETRY_SECONDS", (0.1, 0.1))
    sql = "SELECT 10 / (id - :n) AS x FROM orders ORDER BY id"
    query = engine.sub("q", sql, {"n": 100}, error_handler=lambda error, lq: None)
    query.bind(n=Control(value=3))
    wait_until(lambda: query.status == "error")
    assert query.error.sqlstate == "22012"
    db.execute("DELETE FROM orders WHERE id = 3")
    assert len(shows(query, n=3)) == 5


# -- pausing, refreshing, replacing, ending


def test_what_is_paused_takes_new_values_when_it_goes_on(orders):
    """Until then nothing runs, and the result stays."""
    control = Control(value="new")
    orders.bind(status=control)
    orders.pause()
    control.value = "paid"
    control.value = "sent"
    assert (orders.status, orders.params) == ("paused", {"status": "new"})
    orders.resume()
    assert orders.status == "stale"
    assert list(shows(orders, status="sent")["id"]) == [2, 5]


def test_pausing_stops_what_is_on_its_way(engine):
    """It arrives after `resume`."""
    query, control = engine.sub("slow", SLOW, {"n": 0}), Control(value=0)
    query.bind(n=control)
    control.value = 1
    wait_until(lambda: groups(engine) == 2)
    query.pause()
    wait_until(lambda: groups(engine) == 1)
    assert (query.status, query.params) == ("paused", {"n": 0})
    query.resume()
    shows(query, POLLS, n=1)


def test_a_binding_that_is_closed_leaves_the_query_with_its_values(orders):
    """What was on its way does not arrive; the query stays live."""
    control = Control(value="new")
    bound = orders.bind(status=control)
    assert repr(bound) == "Binding(status)"
    control.value = "paid"
    shows(orders, status="paid")
    bound.close()
    bound.close()
    assert repr(bound) == "Binding(closed)"
    control.value = "sent"
    assert (orders.status, orders.params) == ("live", {"status": "paid"})
    assert control.trait_events("value") == {}
    assert not control._trait_notifiers.get("value", {}).get("change")


def test_closing_takes_an_error_back(engine):
    """The values that failed are not wanted any more."""
    query = engine.sub("q", ECHO, {"n": 1}, error_handler=lambda error, lq: None)
    control = Control(value=1)
    bound = query.bind(n=control)
    control.value = "bad"
    wait_until(lambda: query.status == "error")
    bound.close()
    assert (query.status, query.error, query.params) == ("live", None, {"n": 1})


def test_binding_again_replaces_a_parameter_only(engine):
    """The other one goes on to follow what it did."""
    query = engine.sub("range", RANGE, {"low": 1, "high": 6})
    low, high, other = Control(value=1), Control(value=6), Control(value=2)
    first = query.bind(low=low, high=high)
    second = query.bind(low=other)
    assert (first.names, second.names) == (("high",), ("low",))
    assert query.followed == {"high": (high, "value"), "low": (other, "value")}
    shows(query, low=2, high=6)
    low.value = 5
    high.value = 4
    shows(query, low=2, high=4)
    first.close()
    other.value = 3
    shows(query, low=3, high=4)


def test_a_closed_query_follows_no_more(orders, engine, db):
    """Nothing is left of it, neither at the trait nor in the engine, nor on the server."""
    control = Control(value="new")
    bound = orders.bind(status=control)
    control.value = "paid"
    orders.close()
    control.value = "sent"
    assert (orders.status, bound.names) == ("closed", ())
    wait_until(lambda: groups(engine) == 0)
    assert not control._trait_notifiers.get("value", {}).get("change")
    with pytest.raises(pgrt.EngineNotRunning):
        orders.bind(status=control)


def test_an_engine_that_is_shut_down_lets_go_of_traits(dsn, db):
    """Also of what is on its way."""
    control = Control(value=0)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("slow", SLOW, {"n": 0})
        query.bind(n=control)
        control.value = 600
        wait_until(lambda: groups(engine) == 2)
    control.value = 2
    assert query.status == "closed"
    assert not control._trait_notifiers.get("value", {}).get("change")


def test_subscribing_again_replaces_what_was_followed(orders, engine):
    """The values that were passed are the ones that count, whatever was on its way."""
    control = Control(value="new")
    bound = orders.bind(status=control)
    control.value = "paid"
    assert engine.sub("orders", ORDERS, {"status": "sent"}) is orders
    assert (orders.status, orders.params) == ("live", {"status": "sent"})
    control.value = "new"
    assert (orders.status, bound.names) == ("live", ())
    orders.refresh()
    assert list(orders.df["id"]) == [2, 5]
    wait_until(lambda: groups(engine) == 1)


@against("late results shown")
def test_what_is_on_its_way_does_not_replace_a_newer_query(engine, monkeypatch, broken):
    """Subscribed again meanwhile, the object shows that query for good."""
    break_engine(monkeypatch, broken)
    query, control = engine.sub("q", SLOW, {"n": 0}), Control(value=0)
    query.bind(n=control)
    control.value = 1
    wait_until(lambda: groups(engine) == 2)
    engine.sub("q", ORDERS, {"status": "paid"})
    wait_until(lambda: groups(engine) == 1)
    with noticed(broken):
        assert (query.status, query.sql, query.params) == ("live", ORDERS, {"status": "paid"})


def test_a_widget_may_be_passed_as_a_value(engine):
    """Then the query follows it from the first result on."""
    control = Control(value="paid")
    query = engine.sub("orders", ORDERS, {"status": control, "unused": Control()})
    assert (query.status, query.params["status"]) == ("live", "paid")
    control.value = "sent"
    query.wait_for(lambda df: list(df["id"]) == [2, 5])
    assert query.followed == {"status": (control, "value")}


def test_a_delta_tells_what_changed_in_what_was_shown(engine):
    """Rows that both results have are neither new nor gone."""
    query = engine.sub("range", RANGE, {"low": 1, "high": 4})
    control = Control(value=4)
    query.bind(high=control)
    control.value = 5
    shows(query, low=1, high=5)
    assert list(query.delta.inserted["id"]) == [5]
    assert len(query.delta.deleted) == 0
    control.value = 2
    shows(query, low=1, high=2)
    assert list(query.delta.deleted["id"]) == [3, 4, 5]
    assert len(query.delta.inserted) == 0


def test_the_interval_that_was_set_meanwhile_stays(orders, engine):
    """What `throttle_ms` is set to holds for the query with other values, too."""
    control = Control(value="new")
    orders.bind(status=control)
    orders.throttle_ms = 300
    control.value = "paid"
    shows(orders, status="paid")
    runtime = engine._loop.runtime  # which lets go of the query before when the new one is shown
    wait_until(lambda: [group.throttle.interval for group in runtime.groups.copy()] == [0.3])


def test_queries_that_share_a_run_part_and_meet(engine):
    """Two queries with the same values are one for the server; with others they are two."""
    one = engine.sub("one", ORDERS, {"status": "new"})
    other = engine.sub("other", ORDERS, {"status": "new"})
    assert groups(engine) == 1
    control = Control(value="new")
    one.bind(status=control)
    control.value = "paid"
    shows(one, status="paid")
    assert groups(engine) == 2
    control.value = "new"
    shows(one, status="new")
    wait_until(lambda: groups(engine) == 1)
    assert other.status == "live"


# -- what cannot be bound


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"nope": 1}, "no parameter :nope"),
        ({"status": traitlets.HasTraits()}, "no trait 'value'"),
        ({"status": (Control(), "nope")}, "no trait 'nope'"),
        ({"status": (Control(), 3)}, "no trait 3"),
        ({"status": lambda: "new"}, "cannot follow a function"),
    ],
)
def test_what_cannot_be_bound_is_refused(orders, given, words):
    """And then everything is as it was."""
    control = Control(value="new")
    orders.bind(status=control)
    with pytest.raises(pgrt.ConfigurationError, match=words):
        orders.bind(**{"status": Control(value="sent"), **given})
    assert orders.followed == {"status": (control, "value")}
    assert (orders.status, orders.params) == ("live", {"status": "new"})


def test_numbered_parameters_cannot_be_bound(engine):
    """The error says what to write."""
    query = engine.sub("orders", "SELECT id FROM orders WHERE status = $1", ["new"])
    with pytest.raises(pgrt.ConfigurationError, match=r"write :name"):
        query.bind(status=Control(value="new"))
    with pytest.raises(pgrt.ConfigurationError, match=r"write :name"):
        engine.sub("orders", "SELECT id FROM orders WHERE status = $1", [Control(value="new")])
