"""The simulated worlds are written to for as long as their server lives, and stay small."""

from __future__ import annotations

import random
from collections import Counter

import psycopg
import pytest

from pgrt_jupyter.demo import WORLDS, open_shop, operations, sensors, shop
from pgrt_jupyter.demo.world import create, start_simulator
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
    create(shop.SHOP, dsn)
    connection = connect()
    assert value(connection, "SELECT count(*) FROM shop.orders") == 4000
    assert value(connection, "SELECT count(*) FROM shop.order_totals WHERE total > 0") == 4000
    assert value(connection, "SELECT now() - max(placed_at) < interval '1 hour' FROM shop.orders")


@pytest.mark.every_server
def test_simulator_balances(dsn, connect):
    """A long simulation places, delivers and cancels, and leaves a bounded number open."""
    create(shop.SHOP, dsn)
    connection = connect()
    dice = random.Random(7)
    done = Counter(shop.step(connection, dice) for _ in range(600))
    assert {shop.Action.PLACE, shop.Action.ADVANCE, shop.Action.CANCEL} <= {*done}
    assert 5 < value(connection, OPEN) < 90


@pytest.mark.parametrize(
    ("world", "action"),
    [(world, action) for world in (shop, operations) for action in world.Action],
)
def test_every_action_runs(dsn, connect, world, action, monkeypatch):
    """Each action is valid SQL on a new world."""
    create(WORLDS[world.__name__.rpartition(".")[2]], dsn)
    monkeypatch.setattr(world, "choose", lambda *_: action)
    assert world.step(connect(), random.Random(7)) is action


def test_stock_runs_low_and_is_filled_up(dsn, connect):
    """What is ordered leaves the stock, never below nothing; what has run low is ordered anew."""
    create(shop.SHOP, dsn)
    connection = connect()
    connection.execute("UPDATE shop.products SET stock = 2")
    for _ in range(30):
        connection.execute(shop.PLACE, {"lines": 4})
    low = "SELECT count(*) FROM shop.products WHERE stock < reorder_below"
    assert value(connection, "SELECT min(stock) FROM shop.products") == 0
    assert value(connection, low) == 36
    connection.execute(shop.RESTOCK)
    assert value(connection, low) == 35


@pytest.mark.every_server
def test_queue_balances(dsn, connect):
    """Rushes fill the queue, work empties it, some jobs fail for good, and what is old is forgotten."""
    create(operations.OPERATIONS, dsn)
    connection = connect()
    dice = random.Random(7)
    waiting = 0
    for rush in (1.0, 0.0):
        before = waiting
        for _ in range(700):
            connection.execute(*_drawn(connection, rush, dice))
        waiting, running = connection.execute(operations.COUNT).fetchone()
        assert (waiting > before + 20) if rush else (waiting < before)
        assert running <= operations.WORKERS
    assert value(connection, "SELECT count(*) FROM operations.jobs WHERE attempts = 2") > 0
    old = "UPDATE operations.jobs SET ended_at = ended_at - interval '1 hour'"
    connection.execute(old)
    connection.execute(operations.FORGET)
    assert value(connection, "SELECT count(*) FROM operations.jobs WHERE ended_at < now()") == 0
    assert connection.execute(operations.COUNT).fetchone() == (waiting, running)


def _drawn(connection, rush, dice):
    action = operations.choose(*connection.execute(operations.COUNT).fetchone(), rush, dice)
    return action.value, {"queue": "mail", "error": "out of memory", "attempts": 2}


@pytest.mark.every_server
def test_sensors_stay_few(dsn, connect):
    """Each step reads a hundred sensors once, and forgets what is older than a minute and a half."""
    create(sensors.SENSORS, dsn)
    connection = connect()
    rows = "SELECT count(*) FROM sensors.readings"
    filled = value(connection, rows)
    assert filled == 60_100
    sensors.step(connection, random.Random(7))
    assert value(connection, rows) == filled + 100
    assert value(connection, "SELECT count(DISTINCT sensor) FROM sensors.readings") == 100
    connection.execute("UPDATE sensors.readings SET at = at - interval '80 s'")
    sensors.step(connection, random.Random(7))
    assert 0 < value(connection, rows) < 15_000


@pytest.mark.parametrize(
    ("world", "changed"),
    [
        ("shop", OPEN + " HAVING count(*) > 3"),
        ("operations", "SELECT 1 FROM operations.jobs WHERE state = 'running'"),
        ("sensors", "SELECT 1 FROM sensors.readings HAVING count(*) > 61000"),
    ],
)
def test_simulator_ends_with_the_server(world, changed):
    """The simulator's process ends by itself, without an error, when the server does."""
    server = start_server()
    create(WORLDS[world], server.conninfo)
    process = start_simulator(WORLDS[world], server.conninfo, rate=200)
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        wait_until(lambda: connection.execute(changed).fetchone() is not None)
    server.stop()
    assert process.wait(10) == 0


def test_given_shop_is_used(dsn, monkeypatch):
    """The server that `PGRT_DSN` names is used when it has a shop."""
    create(shop.SHOP, dsn)
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
