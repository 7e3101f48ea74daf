"""Sessions that are there and do not what they should, and a process short of something."""

from __future__ import annotations

import os
import resource
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

import pgrt_jupyter as pgrt
from pgrt_jupyter.engine import listener as listening
from pgrt_jupyter.engine import proof, refresh
from pgrt_jupyter.engine.listener import Listener
from pgrt_jupyter.testing import wait_until

from .conftest import QUERY, SHORT, SLACK, Scene
from .test_connections import AT_ONCE, SILENCE

Stage = Callable[..., Scene]


def on_listener(engine: pgrt.Engine, statement: str, **options: Any) -> None:
    """Run a statement on the connection that listens."""
    loop = engine._loop
    assert loop is not None
    current = loop.runtime._attention._listener
    assert current is not None
    loop.call(lambda: current._execute(statement, **options))


@pytest.mark.parametrize("statement", ["UNLISTEN *", "DISCARD ALL"])
def test_a_session_that_was_made_to_stop_listening(stage: Stage, statement: str) -> None:
    """The connection answers everything; only the proof that notifications arrive does not come back."""
    scene = stage()
    number = "B14a" if statement == "UNLISTEN *" else "B14b"
    with scene.fault(
        number, f"`{statement}` on our session", "executed there", bound=SILENCE
    ) as fault:
        on_listener(scene.engine, statement)
        scene.write()
        fault.noticed("stale")


def test_a_statement_of_the_listener_that_fails_begins_anew(stage: Stage) -> None:
    """It is not known then what is held: the connection is given up although it is open."""
    scene = stage()
    pid = scene.listener()
    with scene.fault(
        "B15", "a statement on the listening session fails", "division by zero", bound=AT_ONCE
    ) as fault:
        with pytest.raises(psycopg.errors.DivisionByZero):
            on_listener(scene.engine, "SELECT 1 / 0")
        scene.write()
        fault.noticed("stale", within=SLACK)
        wait_until(lambda: pid not in scene.backends())


def test_two_engines_do_not_hear_each_others_heartbeats(stage: Stage) -> None:
    """One that has stopped listening is found out although the other is proving itself all the time."""
    scene = stage()
    with pgrt.Engine(scene.dsn, throttle_ms=50) as other:
        second = other.sub("tokens", QUERY)
        with scene.fault(
            "B12", "one of two engines stops hearing", "`UNLISTEN *`", bound=SILENCE
        ) as fault:
            on_listener(scene.engine, "UNLISTEN *")
            scene.write()
            fault.noticed("stale")
            second.wait_for(lambda df: len(df) == len(scene.ledger.tokens))
            assert second.status == "live"


def test_a_machine_that_was_suspended_asks_at_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop's clock stops in suspend; the next proof does not wait for the rest of its interval."""
    asleep = 0.0
    monkeypatch.setattr(proof, "_time_asleep", lambda: asleep)
    monkeypatch.setattr(proof, "_LOOK_SECONDS", 0.05)
    proofs: list[float] = []
    prove = Listener._prove

    async def counted(self: Listener) -> bool:
        proofs.append(time.monotonic())
        return await prove(self)

    monkeypatch.setattr(Listener, "_prove", counted)
    patient = listening.Pulse(interval=60, deadline=SHORT.deadline)
    monkeypatch.setattr("pgrt_jupyter.engine.loop.PULSE", patient)
    monkeypatch.setattr("pgrt_jupyter.api.EngineLoop", pgrt.api.EngineLoop.func)
    stage()
    assert len(proofs) == 1
    asleep = 3600.0
    wait_until(lambda: len(proofs) == 2)


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_is_set_does_no_harm(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Nothing but the time that is shown depends on the wall clock."""
    scene = stage()
    real = time.time
    with scene.fault(
        "A24a" if hours > 0 else "A24b",
        f"client's clock set {'on' if hours > 0 else 'back'} by an hour",
        "`time.time`, `datetime.now`",
        outages=0,
        bound="not noticed",
    ) as fault:
        monkeypatch.setattr(time, "time", lambda: real() + 3600 * hours)

        class Clock(refresh.datetime):  # type: ignore[misc, name-defined]
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return refresh.datetime.fromtimestamp(time.time(), tz)

        monkeypatch.setattr(refresh, "datetime", Clock)
        for _ in range(3):
            scene.write()
            wait_until(lambda: not scene.lost())
        wait_until(lambda: time.monotonic() - fault.began > SHORT.silence)
        assert scene.observer.said(fault.began) == ["live"]
        monkeypatch.undo()


@pytest.fixture
def few_descriptors() -> Iterator[list[socket.socket]]:
    """Leave this process no file descriptor until the test closes the sockets it is given."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    used: list[socket.socket] = []
    yield used
    for one in used:
        one.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def lower_limit() -> None:
    """Allow few more descriptors than there are."""
    highest = max(map(int, os.listdir("/proc/self/fd")))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 20, hard))


def exhaust(used: list[socket.socket]) -> None:
    """Take every descriptor there is."""
    try:
        while True:
            used.append(socket.socket())
    except OSError:
        return


def test_a_process_without_file_descriptors(
    stage: Stage, few_descriptors: list[socket.socket]
) -> None:
    """Connecting fails until there are some again; the engine waits for that."""
    scene = stage()
    scene.write()
    with (
        scene.node.connect() as admin,
        scene.fault(
            "E18a", "no file descriptors left, connections lost", "`RLIMIT_NOFILE`", bound=AT_ONCE
        ) as fault,
    ):
        lower_limit()
        exhaust(few_descriptors)
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = %s AND application_name = 'pgrt_jupyter'",
            (scene.name,),
        )
        scene.write()
        # The connections that were lost have left a few descriptors: take those as well.
        exhaust(few_descriptors)
        fault.noticed("stale", within=SLACK)
        wait_until(lambda: time.monotonic() - fault.began > 1.5)
        for one in few_descriptors:
            one.close()
        few_descriptors.clear()
        fault.healed = time.monotonic()


def test_a_result_there_is_no_memory_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run fails and says so; the engine lives, and the next run succeeds."""
    scene = stage()
    real = refresh.frames.parse

    def too_much(*arguments: Any, **options: Any) -> Any:
        raise MemoryError

    with scene.fault("E18b", "no memory for a result", "`MemoryError`", outages=None) as fault:
        fault.bound = "tried again after 1 to 30 s"
        monkeypatch.setattr(refresh.frames, "parse", too_much)
        scene.write()
        wait_until(lambda: scene.query.status == "error", message=scene.story)
        fault.detected = time.monotonic() - fault.began
        assert "memory" in scene.query._shown().message.lower()
        monkeypatch.setattr(refresh.frames, "parse", real)
        fault.healed = time.monotonic()
        wait_until(lambda: scene.query.status == "live", 20)
        assert scene.query.error is None
        scene.errors.clear()
