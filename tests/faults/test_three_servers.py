"""Queries on two standbys: one is lost, all are, the primary is, and servers that went another way.

The set-up is that of `docs/replicas.md`: `conninfo` names all three servers, `query_conninfo` names the
standbys, and each standby follows whichever server is the primary.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

import pgrt_jupyter as pgrt
from pgrt_jupyter.engine import replicas
from pgrt_jupyter.testing import wait_until

from .conftest import SLACK, Scene
from .servers import Node, free_port
from .test_connections import AT_ONCE, SLOW

Stage = Callable[..., Scene]
HERE = "SELECT count(*) AS n, current_setting('port')::int AS port FROM tokens"
SESSIONS = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'pgrt_jupyter'"
)
SLEEPING = SESSIONS + " AND wait_event = 'PgSleep'"
PAGE = Path(__file__).parents[2] / "docs" / "replicas.md"
OPTIONS = {
    "wal_retrieve_retry_interval": "200ms",  # to follow; five seconds by default
    "wal_keep_size": "1GB",  # whoever was away finds what it missed
}
SURPLUS = "SELECT pg_logical_emit_message(false, 'pgrt', repeat('x', 20000000))"


def told(option: str, ports: Sequence[int], **parameters: Any) -> str:
    """Give a connection string of the page, with these servers for those it names."""
    (text,) = re.findall(rf'^ *{option}[= ]"(host=[^"]+)"', PAGE.read_text("utf-8"), re.MULTILINE)
    hosts = ",".join(["127.0.0.1"] * len(ports))
    return make_conninfo(text, **{"host": hosts, "port": ",".join(map(str, ports)), **parameters})


class Cluster:
    """Hold a primary and two standbys, a scene on them, and how an engine is told of them."""

    def __init__(self, scene: Scene, nodes: list[Node]) -> None:
        self.scene = scene
        self.nodes = nodes
        self.primary, self.one, self.other = nodes

    def begin(self, *queried: Node, attributes: str = "prefer-standby") -> None:
        """Start an engine that hears the primary and queries standbys, as the page says."""
        where = {"user": "postgres", "dbname": self.scene.name}
        heard = told("conninfo", [node.port for node in self.nodes], **where)
        ports = [node.port for node in queried or self.nodes]
        asked = told("query_conninfo", ports, **where, target_session_attrs=attributes)
        self.scene.begin(conninfo=heard, query_conninfo=asked)

    def settled(self) -> None:
        """Wait until both standbys have what the primary has."""
        for node in (self.one, self.other):
            node.catch_up(self.primary)

    def where(self, statement: str = SESSIONS) -> list[Node]:
        """List the standbys that are up and have backends of the engine's."""
        up = [node for node in (self.one, self.other) if node.running]
        return [node for node in up if node.execute(statement, dbname=self.scene.name)]

    def connect_to(self, node: Node) -> None:
        """Have the engine keep a session there for its queries."""
        loop, _ = self.scene.engine._parts()
        there = lambda session: session.info.port == node.port or session.close()  # noqa: E731
        lend = loop.runtime._server.lend
        wait_until(lambda: lend(there, self.scene.engine._query_conninfo))

    def of(self, lq: pgrt.LiveQuery) -> Node:
        """Give the server that a result came from."""
        return next(node for node in self.nodes if node.port == lq.df["port"].iloc[0])


@pytest.fixture(scope="module")
def servers() -> Iterator[Callable[[], list[Node]]]:
    """Give a function that gives a primary and two standbys; what tests broke is mended then."""
    made: list[Node] = []
    ports = [free_port() for _ in range(3)]
    with ExitStack() as stack:

        def give() -> list[Node]:
            source = told("--dbname", ports, user="postgres")
            if not made:
                primary = stack.enter_context(Node(port=ports[0], options=OPTIONS))
                made.append(primary)
                for port in ports[1:]:
                    made.append(stack.enter_context(primary.standby(port=port, source=source)))
            for node in made[1:]:
                if not (node.data / "standby.signal").exists():
                    node.remake(made[0], source)
                elif not node.running:
                    node.start()
                else:
                    node.execute("SELECT pg_wal_replay_resume()")
            return made

        yield give


@pytest.fixture
def cluster(
    stage: Stage, servers: Callable[[], list[Node]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cluster]:
    """Give three servers; nothing has begun."""
    monkeypatch.setattr(replicas, "PATIENCE", 0.5)
    nodes = servers()
    scene = stage(on=nodes[0], begin=False)
    scene.execute("CREATE TABLE tokens (token int PRIMARY KEY)")
    made = Cluster(scene, list(nodes))
    made.settled()
    yield made
    scene.end()
    nodes.sort(key=lambda node: node is not scene.node)  # the primary at the end is the next one's


def test_a_standby_is_lost(cluster: Cluster) -> None:
    """While a query runs there, and while nobody does; each time another server answers."""
    cluster.begin()
    scene = cluster.scene
    slow = scene.engine.sub("slow", SLOW.replace("%s", "1.5"))
    caught_up = lambda df: df["n"].iloc[0] == len(scene.ledger.tokens)  # noqa: E731
    with scene.fault(
        "A25a", "one of two standbys lost, a query running there", "`stop -m immediate`", outages=0
    ) as fault:
        fault.bound = "repeated at once on the other"
        scene.write()
        (lost,) = wait_until(lambda: cluster.where(SLEEPING))
        lost.stop("immediate")
        slow.wait_for(caught_up)
    lost.start()
    (left,) = cluster.where()
    slow.wait_for(caught_up)
    with scene.fault(
        "A25b", "the other one lost, idle; the first is back", "`stop -m immediate`", outages=0
    ) as fault:
        fault.bound = "repeated at once on the other"
        left.stop("immediate")
        scene.write()
    slow.wait_for(caught_up)
    assert cluster.where() == [lost]
    with scene.fault(
        "A25c", "all standbys lost, `prefer-standby`", "`stop -m immediate`", outages=0
    ) as fault:
        fault.bound = "repeated at once on the primary"
        lost.stop("immediate")
        scene.write()
    slow.wait_for(caught_up)
    assert (slow.error, scene.observer.said(0)) == (None, ["live"])


def test_all_standbys_are_lost_and_no_other_server_will_do(cluster: Cluster) -> None:
    """It says so, and is live again when one of them is back."""
    cluster.begin(attributes="standby")
    scene = cluster.scene
    with scene.fault(
        "A25d", "all standbys lost, `standby`", "`stop -m immediate`, one is started", outages=1
    ) as fault:
        fault.bound = "noticed by the next run, tried again after 1 to 30 s"
        for node in (cluster.one, cluster.other):
            node.stop("immediate")
        scene.write()
        fault.noticed("stale")
        assert "No connection to PostgreSQL" in scene.query._shown().message
        cluster.one.start()
        fault.healed = time.monotonic()


def test_a_standby_stops_replaying(cluster: Cluster) -> None:
    """Its queries go over to the one that has caught up."""
    cluster.begin(cluster.one, cluster.other, attributes="standby")
    scene = cluster.scene
    here = scene.engine.sub("here", HERE)
    with scene.fault(
        "A25e", "one of two standbys stops replaying", "`pg_wal_replay_pause`", outages=0
    ) as fault:
        fault.bound = "`stale` after 5 s, then on the other one"
        fault.recovers_within = 20
        stuck = cluster.of(here)
        stuck.execute("SELECT pg_wal_replay_pause()")
        scene.write()
        here.wait_for(lambda df: df["n"].iloc[0] == len(scene.ledger.tokens), timeout=20)
        assert cluster.of(here) is not stuck
    stuck.execute("SELECT pg_wal_replay_resume()")


def test_a_standby_is_promoted_while_the_primary_goes_on(cluster: Cluster) -> None:
    """Nothing is heard of what happens there: its sessions are left for those of the other standby."""
    cluster.begin()
    scene = cluster.scene
    here = scene.engine.sub("here", HERE)
    with scene.fault(
        "A26", "a standby promoted, the primary goes on", "`pg_promote`", outages=0
    ) as fault:
        fault.bound = "`stale` after 5 s where no other server is to be had"
        forked = cluster.of(here)
        forked.promote()
        forked.execute("INSERT INTO tokens VALUES (1000)", dbname=scene.name)
        scene.write()
        here.wait_for(lambda df: df["n"].iloc[0] == len(scene.ledger.tokens))
        assert cluster.of(here) is not forked


def test_the_primary_is_lost(cluster: Cluster) -> None:
    """One standby takes its place, the other follows it by itself and goes on answering."""
    cluster.begin()
    scene = cluster.scene
    here = scene.engine.sub("here", HERE)
    with scene.fault(
        "A27",
        "primary lost, a standby promoted, which the other follows",
        "`stop -m immediate`, `pg_promote`",
        bound=AT_ONCE,
    ) as fault:
        scene.write()
        cluster.settled()
        cluster.primary.stop("immediate")
        fault.noticed("stale", within=SLACK)
        promoted = cluster.of(here)
        cluster.connect_to(promoted)
        (left,) = {cluster.one, cluster.other} - {promoted}
        scene.node = promoted
        promoted.promote()
        scene.write()
        fault.healed = time.monotonic()
    here.wait_for(lambda df: df["n"].iloc[0] == len(scene.ledger.tokens))
    assert cluster.of(here) is left


def test_a_standby_that_received_more_than_the_one_that_was_promoted(cluster: Cluster) -> None:
    """It has log enough and cannot follow, and what it has is gone: it answers nothing."""
    cluster.begin(cluster.other, attributes="standby")
    scene = cluster.scene
    with scene.fault(
        "A28",
        "primary lost, a standby promoted that lacked log which the other has",
        "`stop -m immediate`, `pg_promote`",
        bound="`stale` until the other is made anew",
    ) as fault:
        cluster.one.stop("fast")
        scene.execute(SURPLUS)
        cluster.other.catch_up(cluster.primary)
        cluster.primary.stop("immediate")
        fault.noticed("stale", within=SLACK)
        cluster.one.start()
        scene.node = cluster.one
        cluster.one.promote()
        scene.write()
        wait_until(
            lambda: "and the primary on" in scene.query._shown().message,
            message=scene.story,
        )
        cluster.other.remake(cluster.one)
        fault.healed = time.monotonic()
