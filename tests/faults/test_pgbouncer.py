"""PgBouncer between engine and server: recognised where it hears nothing, survived where it hears."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import psycopg
import pytest

import pgrt_jupyter as pgrt
from pgrt_jupyter.testing import wait_until

from . import pgbouncer
from .conftest import QUERY, SLACK, Scene
from .pgbouncer import PgBouncer
from .test_connections import AT_ONCE, SILENCE

Stage = Callable[..., Scene]
pytestmark = pytest.mark.skipif(
    not pgbouncer.is_installed(),
    reason="PgBouncer is not installed (Debian: apt install pgbouncer)",
)
EXACT = "SELECT date '2020-02-01' AS d, interval '1 day' AS i, 0.1::float8 + 0.2 AS f, '\\x01'::bytea AS b"


def test_transaction_pooling_is_recognised_and_polled(stage: Stage) -> None:
    """LISTEN is accepted there and nothing ever arrives."""
    scene = stage(begin=False)
    scene.execute("CREATE TABLE tokens (token int PRIMARY KEY)")
    with (
        PgBouncer(scene.node.port, "transaction") as pooler,
        pgrt.Engine(pooler.conninfo(scene.dsn), throttle_ms=0) as engine,
    ):
        query = engine.sub("tokens", QUERY, max_age_ms=100)
        assert query.status == "polling"
        assert "pooler" in query._shown().message
        with psycopg.connect(pooler.conninfo(scene.dsn), autocommit=True) as stranger:
            path = stranger.execute("SHOW search_path").fetchall()
            assert path == [('"$user", public',)]  # nothing of ours is left to others
        for _ in range(10):  # more often than a driver would prepare its statements
            token = scene.write()
            query.wait_for(lambda df, token=token: token in set(df["token"]))
        assert query.error is None


def test_queries_go_through_a_pooler_while_the_listener_does_not(stage: Stage) -> None:
    """What the message advises works: live, and exact whichever server session a run gets."""
    scene = stage(begin=False)
    with PgBouncer(scene.node.port, "transaction") as pooler:
        through = pooler.conninfo(scene.dsn)
        scene.begin(query_conninfo=through)
        direct = scene.engine.sub("direct", EXACT, query_conninfo=scene.dsn)
        with scene.fault(
            "A21", "queries through transaction pooling", "PgBouncer", outages=0, bound="live"
        ) as fault:
            for _ in range(8):
                scene.write()
                wait_until(lambda: not scene.lost())
            pooled = scene.engine.sub("pooled", EXACT)
            _disturb(through)
            for _ in range(4):
                assert pooled.refresh().to_dict() == direct.df.to_dict()
            assert scene.observer.said(fault.began) == ["live"]
        scene.end()


def test_session_pooling_works_and_a_restart_is_survived(stage: Stage) -> None:
    scene = stage(begin=False)
    with PgBouncer(scene.node.port, "session") as pooler:
        scene.begin(conninfo=pooler.conninfo(scene.route))
        with scene.fault(
            "A22a", "PgBouncer (session pooling) killed, restarted", "`SIGKILL`", bound=AT_ONCE
        ) as fault:
            pooler.stop()
            scene.write()
            fault.noticed("stale", within=SLACK)
            pooler.start()
            fault.healed = time.monotonic()
        scene.end()


def test_a_paused_pooler_is_waited_for(stage: Stage) -> None:
    """PAUSE lets nobody in; what was committed meanwhile is there after RESUME."""
    scene = stage(begin=False)
    with PgBouncer(scene.node.port, "session") as pooler:
        scene.begin(conninfo=pooler.conninfo(scene.route))
        with scene.fault(
            "A22b", "PgBouncer (session pooling) paused", "`PAUSE`, `RESUME`", bound=SILENCE
        ) as fault:
            pausing = threading.Thread(target=_pause, args=(pooler,))
            pausing.start()
            scene.execute("SELECT pg_terminate_backend(%s)", scene.listener())
            scene.write()
            fault.noticed("stale")
            wait_until(lambda: "attempt" in scene.query._shown().message, 10 + SLACK)
            pooler.admin("RESUME")
            pausing.join(10)
            fault.healed = time.monotonic()
        scene.end()


def _disturb(through: str) -> None:
    """Leave the server's sessions as another client of the pooler might."""
    with psycopg.connect(through, autocommit=True, prepare_threshold=None) as stranger:
        for setting in ("IntervalStyle = 'iso_8601'", "bytea_output = 'escape'"):
            stranger.execute(f"SET {setting}")
        stranger.execute("SET extra_float_digits = -10; SET DateStyle = 'German'")


def _pause(pooler: PgBouncer) -> None:
    """Returns when everybody has left, or by RESUME."""
    try:
        pooler.admin("PAUSE")
    except psycopg.Error:
        pass
