"""A run that does not end is told: what is shown meanwhile is not `live`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import pgrt_jupyter as pgrt
from pgrt_jupyter import api
from pgrt_jupyter.engine.listener import Pulse
from pgrt_jupyter.engine.loop import EngineLoop
from pgrt_jupyter.testing import wait_until

from ..faults.proxy import Proxy, target_of

ORDERS = "SELECT id FROM orders ORDER BY id"


@pytest.fixture
def db(connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a connection to a database with a table, where silence is noticed soon."""
    quick = functools.partial(EngineLoop, pulse=Pulse(interval=0.3, deadline=0.7))
    monkeypatch.setattr(api, "EngineLoop", quick)
    connection = connect()
    connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    return connection


@pytest.fixture
def proxy(dsn: str) -> Iterator[Proxy]:
    with Proxy(target_of(dsn)) as proxy:
        yield proxy


def test_a_result_is_stale_while_the_way_of_queries_is_dead(dsn, db, proxy):
    """The listener's own connection hears every change; that does not make the result current."""
    with pgrt.Engine(dsn, query_conninfo=proxy.conninfo(dsn), throttle_ms=0) as engine:
        query = engine.sub("orders", ORDERS)
        proxy.black_hole()
        db.execute("INSERT INTO orders VALUES (1)")
        wait_until(lambda: query.status == "stale")
        assert "has been running" in query._view.message
        proxy.heal()
        query.wait_for(lambda df: list(df["id"]) == [1])
        wait_until(lambda: query.status == "live")


def test_a_result_is_stale_while_its_query_waits_for_a_lock(dsn, db, connect):
    """Whatever keeps a run from ending, its last result is not current."""
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("orders", ORDERS)
        other = connect()
        with other.transaction():
            other.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
            (oid,) = db.execute("SELECT 'orders'::regclass::oid::bigint").fetchone()
            db.execute("SELECT pg_notify('pgrt_jupyter', %s)", (f"{oid} I *",))
            wait_until(lambda: query.status == "stale")
        wait_until(lambda: query.status == "live")
