"""Servers that stop, crash, freeze, refuse and are replaced."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgrt_jupyter.testing import wait_until

from .conftest import PULSE, SHORT, SLACK, Scene
from .servers import Node
from .test_connections import AT_ONCE, SILENCE

Stage = Callable[..., Scene]


def test_a_killed_backend_and_the_recovery_after_it(stage: Stage) -> None:
    scene = stage()
    victim = scene.node.connect(dbname=scene.name)
    with scene.fault(
        "A04", "one backend killed, crash recovery", "`SIGKILL`", bound=AT_ONCE
    ) as fault:
        scene.node.kill_backend(victim.info.backend_pid)
        fault.noticed("stale", within=SLACK)
        wait_until(lambda: _accepts(scene.node), 30)
        scene.write()
        fault.healed = time.monotonic()
    victim.close()


@pytest.mark.parametrize(
    ("number", "how", "pause"),
    [("A05a", "fast", 0.0), ("A05b", "immediate", 0.0), ("A05c", "fast", 3.0)],
)
def test_a_server_stopped_and_started_again(
    stage: Stage, number: str, how: Any, pause: float
) -> None:
    scene = stage()
    later = f", started after {pause:g} s" if pause else ", started again"
    with scene.fault(
        number, f"server stopped {how}{later}", f"`pg_ctl stop -m {how}`", bound=AT_ONCE
    ) as fault:
        scene.write()
        scene.node.stop(how)
        fault.noticed("stale", within=SLACK)
        wait_until(lambda: time.monotonic() - fault.began > pause)
        scene.node.start()
        scene.write()
        fault.healed = time.monotonic()


def test_a_killed_postmaster(stage: Stage) -> None:
    scene = stage()
    with scene.fault("A06", "postmaster killed", "`SIGKILL`, restarted", bound=AT_ONCE) as fault:
        scene.write()
        scene.node.kill()
        fault.noticed("stale", within=SLACK)
        scene.node.start()
        scene.write()
        fault.healed = time.monotonic()


@pytest.mark.parametrize("back", [True, False])
def test_a_frozen_listener_is_replaced(stage: Stage, back: bool) -> None:
    """No error comes from such a backend; when it goes on, what it says is heard no more."""
    scene = stage()
    pid = scene.listener()
    number, end = ("A07a", "then goes on") if back else ("A07b", "for good")
    with scene.fault(
        number, f"listener's backend frozen, {end}", "`SIGSTOP`", bound=SILENCE
    ) as fault:
        scene.node.freeze(pid)
        try:
            scene.write()
            fault.noticed("stale")
            wait_until(lambda: scene.query.status == "live" and not scene.lost(), 20)
        finally:
            scene.node.thaw(pid)
    wait_until(lambda: pid not in scene.backends(), 10)


def test_a_frozen_server(stage: Stage) -> None:
    """Nothing answers, connecting least of all, and the user's thread never waits."""
    scene = stage()
    delays: list[float] = []
    with scene.fault(
        "A08a", "whole server frozen", "`SIGSTOP` to all processes", bound=SILENCE
    ) as fault:
        scene.write()
        scene.node.freeze()
        try:
            fault.noticed("stale")
            while time.monotonic() - fault.began < SHORT.silence + SHORT.connect + 1:
                began = time.monotonic()
                assert (
                    len(scene.query.df) and scene.query.status and scene.query.error is None
                ) or True
                delays.append(time.monotonic() - began)
        finally:
            scene.node.thaw()
        fault.healed = time.monotonic()
        scene.write()
    assert max(delays) < 1


def test_idle_attempt_that_the_server_ends(stage: Stage) -> None:
    """The listener is exempt, query connections are replaced when they are needed; nobody is told."""
    scene = stage(begin=False)
    scene.execute(f"ALTER DATABASE {scene.name} SET idle_session_timeout = '300ms'")
    scene.begin()
    with scene.fault(
        "A16", "idle sessions ended after 0.3 s", "`idle_session_timeout`", outages=0
    ) as fault:
        fault.bound = "not noticed: the listener is exempt"
        for _ in range(3):
            wait_until(lambda: len(scene.backends()) == 1)
            scene.write()
            wait_until(lambda: not scene.lost())
        assert scene.observer.said(fault.began) == ["live"]
        scene.execute(f"ALTER DATABASE {scene.name} RESET idle_session_timeout")


def _accepts(node: Node) -> bool:
    """Say whether the server accepts connections."""
    try:
        return bool(node.execute("SELECT 1"))
    except psycopg.Error:
        return False


@pytest.fixture
def owner(stage: Stage, node: Node) -> Iterator[Scene]:
    """Give a scene whose engine logs in with a password as the owner of the table, and no more."""
    role = f"faults_owner_{int(time.monotonic() * 1000)}"
    node.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'first' IN ROLE with_password")
    scene = stage(begin=False)
    scene.owner = role
    scene.execute(
        f"GRANT CREATE ON DATABASE {scene.name} TO {role}; GRANT ALL ON SCHEMA public TO {role}"
    )
    scene.begin(conninfo=make_conninfo(scene.route, user=role, password="first"), as_owner=role)
    yield scene
    scene.end()
    wait_until(lambda: not scene.backends())
    scene.execute(f"DROP OWNED BY {role}")
    node.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_too_many_connections(owner: Scene) -> None:
    scene = owner
    with scene.fault(
        "A17", "too many connections", "`ALTER ROLE … CONNECTION LIMIT`", bound=AT_ONCE
    ) as fault:
        scene.execute(f"ALTER ROLE {scene.owner} CONNECTION LIMIT 0")
        scene.execute("SELECT pg_terminate_backend(%s)", scene.listener())
        scene.write()
        fault.noticed("stale", within=SLACK)
        wait_until(lambda: "SQLSTATE 53300" in scene.query._shown().message, 10)
        assert "pool_size" in scene.query._shown().message
        scene.execute(f"ALTER ROLE {scene.owner} CONNECTION LIMIT -1")
        fault.healed = time.monotonic()


@pytest.mark.parametrize(
    ("number", "what", "change", "mend"),
    [
        ("A18a", "password rotated", "PASSWORD 'second'", "PASSWORD 'first'"),
        ("A18b", "role may not log in", "NOLOGIN", "LOGIN"),
    ],
)
def test_a_role_that_may_not_log_in(
    owner: Scene, number: str, what: str, change: str, mend: str
) -> None:
    """The existing session lives on; once it is lost, attempts are few and the reason is told."""
    scene = owner
    with scene.fault(number, what, "`ALTER ROLE`", bound="attempts every 60 s") as fault:
        scene.execute(f"ALTER ROLE {scene.owner} {change}")
        scene.write()
        wait_until(lambda: not scene.lost())
        assert scene.observer.said(fault.began) == ["live"]
        fault.began = time.monotonic()
        scene.execute("SELECT pg_terminate_backend(%s)", scene.listener())
        scene.write()
        fault.noticed("stale", within=SLACK)
        told = lambda: scene.query._shown().message  # noqa: E731
        wait_until(lambda: "[SQLSTATE 28" in told(), 10, message=scene.story)
        assert f"next in {PULSE.hopeless_wait:.2g} s" in told()
        assert "first" not in told()
        # From now on nobody tries before that, by the number it tells.
        before, began = _attempt(scene), time.monotonic()
        wait_until(lambda: time.monotonic() - began > 1)
        assert _attempt(scene) - before <= 2
        scene.execute(f"ALTER ROLE {scene.owner} {mend}")
        fault.healed = time.monotonic()


def _attempt(scene: Scene) -> int:
    """Give the attempt's number that the engine tells."""
    return int(scene.query._shown().message.partition("attempt ")[2].partition(",")[0])
