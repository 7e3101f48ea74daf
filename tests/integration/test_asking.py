"""A change that a filter cannot be asked about refreshes the query."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest

import pgrt_jupyter as pgrt
from pgrt_jupyter.engine.sessions import Sessions
from pgrt_jupyter.testing import wait_until


@pytest.mark.parametrize(
    "failure",
    [psycopg.errors.AdminShutdown("terminating connection"), KeyError(1)],
    ids=["connection lost twice", "anything else"],
)
def test_a_filter_that_cannot_be_asked_refreshes(failure, dsn, connect, monkeypatch):
    """Its connection may break while it is being made, again and again; the change is not forgotten."""
    db = connect()
    db.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    told: list[Any] = []
    whole = Sessions.run

    def run(self: Sessions, conninfo: Any, work: Any) -> Any:
        if threading.current_thread().name.startswith("pgrt-filter"):
            raise failure
        return whole(self, conninfo, work)

    monkeypatch.setattr(Sessions, "run", run)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub(
            "orders",
            "SELECT id FROM orders ORDER BY id",
            refresh=lambda connection, df, change: False,
            error_handler=lambda error, query: told.append(error),
        )
        db.execute("INSERT INTO orders VALUES (1)")
        query.wait_for(lambda df: list(df["id"]) == [1])
        wait_until(lambda: [type(error).__name__ for error in told] == ["FilterFailed"])


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("float8", "0", "-0"),
        ("json", '{"a": 1}', '{"a":1}'),
        ("int[]", "{1,2}", "[0:1]={1,2}"),
    ],
)
def test_a_change_that_an_image_does_not_show_is_asked_about(dsn, connect, kind, before, after):
    """JSON knows no -0, no blanks and no bounds; the query's text does."""
    db = connect(dsn)
    db.execute(f"CREATE TABLE notes (id int PRIMARY KEY, status text, value {kind}, other int)")
    db.execute("INSERT INTO notes VALUES (1, 'new', %s, 0)", (before,))
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        sql = "SELECT id, value::text AS value FROM notes"
        query = engine.sub("notes", sql, refresh={"notes": {"status": "new"}})
        db.execute(f"UPDATE notes SET value = %s::{kind}, other = other + 1", (after,))
        query.wait_for(lambda df: df["value"][0] == after)
