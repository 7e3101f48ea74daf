"""Use the public names as their users do, for two type checkers: `make check` runs mypy and pyright on it.

It is never run. `assert_type` says what a checker must find, and each `type: ignore` an error that it must
see: one that is not needed is an error itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, assert_type

import pandas as pd
import psycopg

import pgrt_jupyter as pgrt
from pgrt_jupyter.engine.model import RowChange
from pgrt_jupyter.testing import FakeClock, wait_until


def start() -> pgrt.Engine:
    """Start engines."""
    engine = pgrt.start("postgresql://localhost/shop", throttle_ms=250, dtype_backend="pyarrow")
    assert_type(engine, pgrt.Engine)
    pgrt.start(deliver="elsewhere")  # type: ignore[arg-type]
    with pgrt.Engine(query_conninfo="service=reader") as other:
        assert_type(other, pgrt.Engine)
        assert_type(other.subscriptions(), dict[str, pgrt.LiveQuery])
        assert_type(other.notes, tuple[str, ...])
    assert_type(pgrt.embedded_postgres(), str)
    assert_type(pgrt.destroy(), list[str])
    assert_type(pgrt.shutdown(), bool)
    return engine


def subscribe(engine: pgrt.Engine) -> pgrt.LiveQuery:
    """Subscribe with parameters and options."""
    assert_type(pgrt.sub("pending"), pgrt.LiveQuery)
    pgrt.sub("first", "SELECT $1::int", [1])
    pgrt.sub("second", "SELECT :n::int", {"n": 1}, key="n", max_rows=10, max_age_ms=1000)
    pgrt.sub("third", "SELECT 1", key=("a", "b"), error_handler=report)
    pgrt.sub(3)  # type: ignore[arg-type]
    engine.unsub("first")
    return engine.sub("pending", "SELECT id, amount FROM orders", throttle_ms=0)


def report(error: pgrt.PgrtError, query: pgrt.LiveQuery | None) -> None:
    """Handle an error."""
    assert_type(error.sqlstate, str | None)
    if isinstance(error, pgrt.QueryFailed):
        assert_type(error.position, int | None)


def filter_rows() -> None:
    """Give filters of every kind."""

    def is_large(value: Any) -> bool:
        return value is not None and value > 100

    def decide(connection: psycopg.Connection[Any], df: pd.DataFrame, change: RowChange) -> Any:
        assert_type(change.row, Mapping[str, Any] | None)
        assert_type(change.hashed, frozenset[str])
        return pgrt.TRACKED_COLUMNS if change.operation == "insert" else len(df) < 10

    sql = "SELECT id, amount FROM orders"
    pgrt.sub("a", sql, refresh={"orders": {"status": "pending", "customer": None}})
    pgrt.sub("b", sql, refresh={"orders": {"status": {"pending", "paid"}, "amount": is_large}})
    pgrt.sub("c", sql, refresh={"orders": {"id": pgrt.result("id")}})
    pgrt.sub("d", sql, refresh=[{"orders": {"status": "pending"}}, {"orders": {"id": 7}}])
    pgrt.sub("e", sql, refresh=decide)
    pgrt.sub("f", sql, refresh="orders")  # type: ignore[arg-type]


def read(lq: pgrt.LiveQuery) -> None:
    """Read a query's traits, which nobody sets but one."""
    assert_type(lq.df, pd.DataFrame)
    assert_type(lq.error, pgrt.PgrtError | None)
    assert_type(lq.version, int)
    assert_type(lq.key, tuple[str, ...])
    assert_type(lq.tables, Mapping[str, frozenset[str]])
    assert_type(lq.unwatched, tuple[str, ...])
    assert_type(lq.name, str)
    if (delta := lq.delta) is not None:
        assert_type(delta, pgrt.Delta)
        assert_type(delta.inserted, pd.DataFrame)
    state: Literal["starting", "live", "stale", "polling", "paused", "error", "closed"] = lq.status
    assert lq.status != state
    lq.throttle_ms = 100
    lq.version = 3  # type: ignore[assignment]


def react(lq: pgrt.LiveQuery, handler: Callable[[Any], None]) -> None:
    """Observe, wait, and show tables."""
    lq.observe(handler, "df")
    assert_type(lq.wait_for(lambda df: len(df) > 3, timeout=5), pd.DataFrame)
    assert_type(lq.refresh(), pd.DataFrame)
    table = lq.table(height=400, sort=[("amount", "desc")])
    assert_type(table, pgrt.LiveTable)
    table.filters = [("customer", "contains", "smith"), ("amount", ">", 100)]
    assert_type(table.search, str)
    table.search = "berlin"
    assert_type(table.selected, pd.DataFrame)
    assert_type(table.to_csv(), str | None)
    lq.pause()
    lq.resume()
    lq.close()


async def follow(lq: pgrt.LiveQuery) -> None:
    """Iterate over updates."""
    async for update in lq.updates():
        assert_type(update, pgrt.Delta | pd.DataFrame)


def test(clock: FakeClock) -> None:
    """Use what is there for tests."""
    assert_type(wait_until(lambda: [clock.advance(1.0)]), list[float])
