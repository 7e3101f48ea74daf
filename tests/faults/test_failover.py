"""Standbys that are promoted, servers that are exchanged, and addresses that change."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

import pgrt_jupyter as pgrt
from pgrt_jupyter.testing import wait_until

from .conftest import QUERY, SLACK, Scene
from .proxy import Proxy
from .servers import Node
from .test_connections import AT_ONCE

Stage = Callable[..., Scene]
TRIGGERS = (
    "SELECT count(*) FROM pg_trigger WHERE tgname LIKE '\\_pgrt%' AND tgrelid = 'tokens'::regclass"
)


@pytest.fixture
def pair(stage: Stage) -> Iterator[tuple[Scene, Node]]:
    """Give a scene on a primary, and its standby; nothing has begun."""
    with Node() as primary, primary.standby() as standby:
        scene = stage(on=primary, begin=False)
        yield scene, standby
        if not primary.running:
            primary.start()
        scene.end()


def both(scene: Scene, standby: Node, **options: Any) -> str:
    """Name the two servers, the primary first."""
    ports = f"{scene.node.port},{standby.port}"
    where = {"host": "127.0.0.1,127.0.0.1", "port": ports, "connect_timeout": 2}
    return make_conninfo(scene.dsn, **where, **options)


def test_a_promoted_standby_is_followed(pair: tuple[Scene, Node]) -> None:
    """Listener, queries and triggers all end on the new primary, and stay there when the old one is back."""
    scene, standby = pair
    scene.begin(conninfo=both(scene, standby))
    old = scene.node
    with scene.fault(
        "A13a", "primary lost, standby promoted", "`stop -m immediate`, `pg_promote`", bound=AT_ONCE
    ) as fault:
        scene.write()
        standby.catch_up(old)
        old.stop("immediate")
        fault.noticed("stale", within=SLACK)
        scene.node = standby
        standby.promote()
        scene.write()
        fault.healed = time.monotonic()
    assert standby.execute(TRIGGERS, dbname=scene.name) == [(4,)]
    old.start()
    scene.write()
    wait_until(lambda: not scene.lost() and scene.query.status == "live")
    scene.node = old
    assert not scene.backends()
    scene.node = standby
    with scene.fault(
        "A13b", "old primary back, connections lost", "started, `pg_terminate_backend`"
    ) as fault:
        fault.bound = "noticed at once, passed over for the new one"
        for pid in scene.backends():
            standby.execute("SELECT pg_terminate_backend(%s)", pid)
        old.execute("INSERT INTO tokens VALUES (1000)", dbname=scene.name)
        scene.write()
        fault.noticed("stale", within=SLACK)
        scene.engine.sub("again", QUERY)  # on a connection of its own
    assert scene.engine.sub("again").df["token"].max() < 1000
    scene.engine.shutdown()
    wait_until(lambda: not scene.backends())
    scene.node = old


def test_several_hosts_mean_the_primary_whatever_their_order(pair: tuple[Scene, Node]) -> None:
    """Nobody says which is meant, and the standby is named first."""
    scene, standby = pair
    swapped = make_conninfo(
        scene.dsn, host="127.0.0.1,127.0.0.1", port=f"{standby.port},{scene.node.port}"
    )
    scene.begin(conninfo=swapped)
    scene.write()
    wait_until(lambda: not scene.lost() and scene.query.status == "live")


def test_connected_to_a_standby_by_mistake(
    pair: tuple[Scene, Node], caplog: pytest.LogCaptureFixture
) -> None:
    """It says so once and polls; after a promotion it is live by itself."""
    scene, standby = pair
    scene.execute("CREATE TABLE tokens (token int PRIMARY KEY)")
    standby.catch_up(scene.node)
    here = make_conninfo(scene.dsn, port=standby.port)
    with pgrt.Engine(here, throttle_ms=50) as engine:
        query = engine.sub("tokens", QUERY, max_age_ms=200)
        assert (query.status, len(query.df)) == ("polling", 0)
        assert "standby" in query._shown().message
        scene.write()
        query.wait_for(lambda df: len(df) == 1)
        assert query.status == "polling"
        said = [one for one in caplog.messages if "standby" in one]
        assert len(said) <= 2
        standby.promote()
        query.wait_for(lambda df: query.status == "live", timeout=30)
        standby.execute("INSERT INTO tokens VALUES (77)", dbname=scene.name)
        query.wait_for(lambda df: 77 in set(df["token"]))


def test_another_server_at_the_same_address(stage: Stage) -> None:
    """Other oids, another schema and no triggers: analysed anew, watched anew, and exact."""
    scene = stage(through=True)
    with Node(fresh=True) as other:
        for number in range(5):  # so that no oid is what it was
            other.execute(f"CREATE TABLE filler_{number} ()")
        other.execute(f"CREATE DATABASE {scene.name}")
        other.execute(
            "CREATE TABLE before (); CREATE TABLE tokens (token bigint PRIMARY KEY)",
            dbname=scene.name,
        )
        old = scene.node
        with scene.fault(
            "A23", "another server behind the same address", "proxy leads elsewhere", bound=AT_ONCE
        ) as fault:
            fault.goes_back = True
            scene.proxy.sever()
            fault.noticed("stale", within=SLACK)
            scene.move_to(other)
            scene.proxy.point_at(other.target)
            scene.write()
            fault.heal(scene.proxy.heal)
        assert other.execute(TRIGGERS, dbname=scene.name) == [(4,)]
        assert str(scene.query.df["token"].dtype).startswith("int64")
        scene.end()
        scene.node = old


def test_a_name_that_leads_elsewhere(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are looked up for each attempt; a look-up that fails is tried again."""
    scene = stage(begin=False)
    addresses = ["127.0.0.1"]
    real = socket.getaddrinfo

    def look_up(host: Any, *arguments: Any, **options: Any) -> Any:
        if host != "db.example":
            return real(host, *arguments, **options)
        if not addresses:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real(addresses[0], *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    scene.begin(conninfo=make_conninfo(scene.dsn, host="db.example"))
    with scene.fault(
        "A20", "name fails, then leads to another address", "`getaddrinfo`", bound=AT_ONCE
    ) as fault:
        addresses.clear()
        scene.execute("SELECT pg_terminate_backend(%s)", scene.listener())
        scene.write()
        fault.noticed("stale", within=SLACK)
        wait_until(lambda: "db.example" in scene.query._shown().message)
        addresses.append("127.0.0.2")
        fault.healed = time.monotonic()
    found = scene.execute(
        "SELECT DISTINCT host(inet_server_addr()) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'pgrt_jupyter'"
    )
    assert found


def test_a_read_only_database_is_polled(stage: Stage) -> None:
    """Nothing can be installed there: the reason is told, and results come all the same."""
    scene = stage(begin=False)
    scene.execute("CREATE TABLE tokens (token int PRIMARY KEY)")
    scene.execute(f"ALTER DATABASE {scene.name} SET default_transaction_read_only = on")
    with pgrt.Engine(scene.route, throttle_ms=50) as engine:
        query = engine.sub("tokens", QUERY, max_age_ms=200)
        assert query.status == "polling"
        assert "read-only" in query._shown().message
        with psycopg.connect(scene.dsn, options="-c default_transaction_read_only=off") as writer:
            writer.execute("INSERT INTO tokens VALUES (5)")
        query.wait_for(lambda df: list(df["token"]) == [5])


def test_a_proxy_is_no_server(stage: Stage) -> None:
    """Whatever answers on the port, starting is a clear error."""
    with Proxy(("127.0.0.1", 9)) as nowhere, pytest.raises(pgrt.ServerUnavailable):
        pgrt.Engine(nowhere.conninfo("dbname=x user=y connect_timeout=2")).start()
