"""Connections that break or misbehave, in every way a network has."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from pgrt_jupyter import api
from pgrt_jupyter.engine import refresh
from pgrt_jupyter.engine.listener import Pulse
from pgrt_jupyter.engine.loop import EngineLoop
from pgrt_jupyter.engine.outcomes import Outcome
from pgrt_jupyter.testing import wait_until

from .conftest import SHORT, SLACK, Scene
from .proxy import Way
from .table import PRODUCTION

Stage = Callable[..., Scene]
SILENCE = f"noticed ≤ {PRODUCTION.silence:g} s, back ≤ {PRODUCTION.longest_wait:g} s later"
AT_ONCE = f"noticed at once, back ≤ {PRODUCTION.longest_wait:g} s after the server"
SLOW = "SELECT count(*) AS n, (SELECT 'x' FROM pg_sleep(%s)) AS waited FROM tokens"


def running(scene: Scene) -> list[int]:
    """List the engine's backends that are in the middle of the slow query."""
    return [
        pid
        for (pid,) in scene.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event = 'PgSleep' AND application_name = 'pgrt_jupyter'"
        )
    ]


def test_a_terminated_listener_is_replaced(stage: Stage) -> None:
    scene = stage()
    pid = scene.listener()
    with scene.fault(
        "A01", "listener's backend terminated", "`pg_terminate_backend`", bound=AT_ONCE
    ) as fault:
        with scene.node.connect(dbname=scene.name) as admin, admin.transaction():
            admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
            scene.write()
        fault.noticed("stale", within=SLACK)


def test_a_run_whose_connection_dies_is_repeated_without_a_word(stage: Stage) -> None:
    """Nobody is told, nothing is published twice, and the listener goes on."""
    scene = stage()
    errors: list[object] = []
    slow = scene.engine.sub(
        "slow", SLOW.replace("%s", "1.5"), error_handler=lambda error, query: errors.append(error)
    )
    with scene.fault(
        "A02", "query's backend terminated while it runs", "`pg_terminate_backend`", outages=0
    ) as fault:
        fault.bound = "repeated at once on a fresh connection"
        published = slow.version
        scene.write()
        (pid,) = wait_until(lambda: running(scene))
        scene.execute("SELECT pg_terminate_backend(%s)", pid)
        slow.wait_for(lambda df: df["n"].iloc[0] == len(scene.ledger.tokens))
    assert slow.version >= published + 1
    assert (errors, slow.error, scene.observer.said(fault.began)) == ([], None, ["live"])


def test_many_losses_in_a_row_leave_nothing_behind(stage: Stage) -> None:
    """Sixty times every connection is ended: attempts are spaced, and nothing piles up."""
    scene = stage(through=True)
    threads = threading.active_count()
    with scene.fault(
        "A03",
        "every connection ended, 60 times in 3 s",
        "`pg_terminate_backend` in a loop",
        outages=None,
        bound="attempts spaced by back-off up to 30 s",
    ) as fault:
        before = scene.proxy.accepted
        with scene.node.connect() as admin:
            for number in range(60):
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
                    " AND application_name = 'pgrt_jupyter'",
                    (scene.name,),
                )
                if number % 10 == 0:
                    scene.write()
                time.sleep(0.05)
        fault.healed = time.monotonic()
        fault.noticed("stale", within=8)
        assert scene.proxy.accepted - before < 60
    assert threading.active_count() <= threads + 6


def test_a_reset_is_noticed_at_once(stage: Stage) -> None:
    scene = stage(through=True)
    with scene.fault(
        "A09", "TCP reset, then connections refused", "proxy: RST", bound=AT_ONCE
    ) as fault:
        scene.proxy.sever()
        scene.write()
        fault.noticed("stale", within=SLACK)
        fault.heal(scene.proxy.heal)


@pytest.mark.parametrize("way", [Way.BOTH, Way.DOWN, Way.UP])
def test_a_black_hole_is_noticed_by_the_heartbeat(stage: Stage, way: Way) -> None:
    scene = stage(through=True)
    number = {Way.BOTH: "A10a", Way.DOWN: "A10b", Way.UP: "A10c"}[way]
    words = {Way.BOTH: "both ways", Way.DOWN: "towards the client", Way.UP: "towards the server"}[
        way
    ]
    with scene.fault(
        number, f"black hole {words}, still acknowledged", "proxy swallows", bound=SILENCE
    ) as fault:
        scene.proxy.black_hole(way)
        scene.write()
        fault.noticed("stale")
        fault.heal(scene.proxy.heal)


def test_connections_forgotten_by_a_middlebox_are_replaced(stage: Stage) -> None:
    """New connections work and the old ones swallow all for good, a running query among them."""
    scene = stage(through=True)
    slow = scene.engine.sub("slow", SLOW.replace("%s", "0.3"))
    with scene.fault(
        "A10d", "old connections forgotten, a query among them", "proxy strands them", bound=SILENCE
    ) as fault:
        scene.write()
        wait_until(lambda: running(scene))
        scene.proxy.strand()
        scene.write()
        fault.noticed("stale")
        slow.wait_for(lambda df: df["n"].iloc[0] == len(scene.ledger.tokens), timeout=20)
        wait_until(lambda: scene.query.status == "live")
        scene.proxy.drop_stranded()


def test_packets_lost_and_the_session_with_them(stage: Stage) -> None:
    """What was sent into the hole never arrives; the old session is reset when the line is back."""
    scene = stage(through=True)
    with scene.fault(
        "A11", "line dead, its sessions lost", "proxy swallows, then RST", bound=SILENCE
    ) as fault:
        scene.proxy.black_hole()
        scene.write()
        fault.noticed("stale")
        scene.proxy.drop_held()
        scene.write()
        fault.heal(scene.proxy.heal)


@pytest.mark.parametrize(
    ("number", "what", "seconds", "jitter", "rate"),
    [
        ("A12a", "200 ms there and back, ± 50 ms", 0.1, 0.025, None),
        ("A12b", "4,000 bytes a second", 0.0, 0.0, 4000.0),
    ],
)
def test_a_slow_line_is_no_lost_line(
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    number: str,
    what: str,
    seconds: float,
    jitter: float,
    rate: float | None,
) -> None:
    # A deadline below the latency would prove nothing.
    patient = Pulse(interval=SHORT.interval, deadline=8.0)
    monkeypatch.setattr(api, "EngineLoop", functools.partial(EngineLoop, pulse=patient))
    scene = stage(through=True)
    scene.bound += 3
    with scene.fault(number, what, "proxy delays", outages=0, bound="no reconnecting") as fault:
        if rate is None:
            scene.proxy.delay(seconds, jitter)
        else:
            scene.proxy.trickle(rate)
        before = scene.proxy.accepted
        for _ in range(4):
            scene.write()
            wait_until(lambda: not scene.lost(), 10)
        wait_until(lambda: time.monotonic() - fault.began > 2 * SHORT.silence)
        assert scene.observer.said(fault.began) == ["live"]
        assert scene.proxy.accepted - before <= 1
        fault.heal(scene.proxy.heal)


@pytest.mark.parametrize("count", [0, 9, 300, 700])
def test_connections_cut_in_the_middle_of_a_message(stage: Stage, count: int) -> None:
    """Each attempt is cut somewhere while the session is made; none leaves anything behind."""
    scene = stage(through=True)
    with scene.fault(
        f"A12{'cdef'[[0, 9, 300, 700].index(count)]}",
        f"every connection cut after {count} bytes",
        "proxy: RST",
        outages=None,
        bound=AT_ONCE,
    ) as fault:
        before = scene.proxy.accepted
        scene.proxy.cut_after(count)
        scene.proxy.reset()
        scene.write()
        fault.noticed("stale", within=SLACK)
        wait_until(lambda: scene.proxy.accepted - before >= 4, 20)
        scene.write()
        fault.heal(scene.proxy.heal)


def test_a_query_over_a_slow_line_is_no_slow_query(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way there and back is not counted: to follow what changed would take as many trips."""
    ran: list[Outcome] = []
    real = refresh.run

    def run(*arguments: Any, **options: Any) -> Outcome:
        ran.append(real(*arguments, **options))
        return ran[-1]

    monkeypatch.setattr(refresh, "run", run)
    scene = stage(through=True, begin=False)
    scene.proxy.delay(0.05, 0.0)
    scene.begin()
    assert ran[0].seconds < 0.15  # of three trips at least, which take 0.3 s


def test_attempts_follow_the_back_off(stage: Stage) -> None:
    """A door slammed at once is not knocked at more often for that."""
    scene = stage(through=True)
    with scene.fault(
        "A12g", "every connection reset as soon as it is made", "proxy: RST", bound=AT_ONCE
    ) as fault:
        before = scene.proxy.accepted
        scene.proxy.slam()
        scene.proxy.reset()
        scene.write()
        fault.noticed("stale", within=SLACK)
        wait_until(lambda: time.monotonic() - fault.began > 3)
        # The listener's and the query's attempts, each asking once more for the reason.
        assert 3 <= scene.proxy.accepted - before <= 60
        fault.heal(scene.proxy.heal)


def test_a_server_that_accepts_and_never_answers(stage: Stage) -> None:
    """Attempts end by their time-out, and the user's thread never waits."""
    scene = stage(through=True)
    with scene.fault(
        "A08b", "connections accepted, never answered", "proxy deaf, then RST", bound=AT_ONCE
    ) as fault:
        scene.proxy.deaf()
        scene.proxy.reset()
        scene.write()
        fault.noticed("stale", within=SLACK)
        wait_until(lambda: "timeout" in scene.query._shown().message, 3 * SHORT.connect + SLACK)
        fault.heal(scene.proxy.heal)
