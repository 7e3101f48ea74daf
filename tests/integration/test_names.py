"""Follow a name to whatever table the search path finds by it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

import pgrt_jupyter as pgrt
from pgrt_jupyter import api
from pgrt_jupyter.engine.loop import EngineLoop
from pgrt_jupyter.testing import wait_until


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Audit often."""
    monkeypatch.setattr(api, "EngineLoop", functools.partial(EngineLoop, audit_seconds=0.2))


@pytest.mark.every_server
def test_a_table_that_comes_to_hide_another_is_followed(
    dsn: str, connect: Callable[..., Any]
) -> None:
    """Without a change of the first table, and although its oid and definition stay the same."""
    writer = connect()
    writer.execute("CREATE SCHEMA app; CREATE TABLE orders (id int PRIMARY KEY)")
    with pgrt.Engine(make_conninfo(dsn, options="-c search_path=app,public")) as engine:
        orders = engine.sub("orders", "SELECT id FROM orders", throttle_ms=0)
        assert list(orders.tables) == ["public.orders"]
        writer.execute(
            "CREATE TABLE app.orders (id int PRIMARY KEY); INSERT INTO app.orders VALUES (1)"
        )
        orders.wait_for(lambda df: df["id"].tolist() == [1])
        wait_until(lambda: list(orders.tables) == ["app.orders"])
        writer.execute("INSERT INTO app.orders VALUES (2)")
        orders.wait_for(lambda df: df["id"].tolist() == [1, 2], timeout=2)
        writer.execute("DROP TABLE app.orders")
        orders.wait_for(lambda df: df.empty)
        # A run of its own accord may have met the change before the audit did.
        wait_until(lambda: list(orders.tables) == ["public.orders"])
