"""The simulated shop is written to for as long as its server lives."""

from __future__ import annotations

import random
from collections import Counter

import psycopg
import pytest

from pgrt_jupyter.demo import open_shop, shop, simulator
from pgrt_jupyter.embedded import server as servers
from pgrt_jupyter.embedded import start_server
from pgrt_jupyter.testing import wait_until

OPEN = "SELECT count(*) FROM shop.orders WHERE status IN ('pending', 'paid', 'shipped')"


def value(connection, query):
    """Give the first value of a query."""
    return connection.execute(query).fetchone()[0]


@pytest.mark.every_server
def test_shop_is_filled(dsn, connect):
    """A new shop has a week of orders, each with items, and some of today."""
    shop.create(dsn)
    connection = connect()
    assert value(connection, "SELECT count(*) FROM shop.orders") == 4000
    assert value(connection, "SELECT count(*) FROM shop.order_totals WHERE total > 0") == 4000
    assert value(connection, "SELECT now() - max(placed_at) < interval '1 hour' FROM shop.orders")


@pytest.mark.every_server
def test_simulator_balances(dsn, connect):
    """A long simulation places, delivers and cancels, and leaves a bounded number open."""
    shop.create(dsn)
    connection = connect()
    dice = random.Random(7)
    done = Counter(simulator.step(connection, dice) for _ in range(600))
    assert {simulator.Action.PLACE, simulator.Action.ADVANCE, simulator.Action.CANCEL} <= {*done}
    assert 5 < value(connection, OPEN) < 90


@pytest.mark.parametrize("action", simulator.Action)
def test_every_action_runs(dsn, connect, action, monkeypatch):
    """Each action is valid SQL on a new shop."""
    shop.create(dsn)
    monkeypatch.setattr(simulator, "choose", lambda *_: action)
    assert simulator.step(connect(), random.Random(7)) is action


def test_simulator_ends_with_the_server():
    """The simulator's process ends by itself, without an error, when the server does."""
    server = start_server()
    shop.create(server.conninfo)
    process = shop.start_simulator(server.conninfo, rate=200)
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        wait_until(lambda: value(connection, OPEN) > 3)
    server.stop()
    assert process.wait(10) == 0


def test_given_shop_is_used(dsn, monkeypatch):
    """The server that `PGRT_DSN` names is used when it has a shop."""
    shop.create(dsn)
    monkeypatch.setenv("PGRT_DSN", dsn)
    assert open_shop() == dsn


def test_given_server_is_left_alone(dsn, connect, monkeypatch):
    """Nothing is created on a server that has no shop: a private one is used instead."""
    monkeypatch.setenv("PGRT_DSN", dsn)
    monkeypatch.setattr(servers, "_servers", {})
    said = []
    assert open_shop(say=said.append) != dsn
    assert [step.split()[0] for step in said] == ["Starting", "Filling", "Letting"]
    assert value(connect(), "SELECT to_regnamespace('shop') IS NULL")
    servers._servers[None].stop()
