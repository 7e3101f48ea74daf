"""Give the tests of broken engines a small shop, and the means to stand between two steps."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pgrt_jupyter import api
from pgrt_jupyter.engine import refresh, vigilance
from pgrt_jupyter.engine.group import Group
from pgrt_jupyter.engine.listener import Pulse
from pgrt_jupyter.engine.loop import EngineLoop
from pgrt_jupyter.testing import wait_until

from .broken import break_engine

Connection = psycopg.Connection[Any]
Act = Callable[[], Any]


@pytest.fixture
def db(dsn: str, connect: Callable[..., Any]) -> Connection:
    """Give a connection to a database with some orders."""
    connection: Connection = connect(dsn)
    connection.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, status text);"
        "INSERT INTO orders SELECT i, 'new' FROM generate_series(1, 3) AS i"
    )
    return connection


@pytest.fixture
def leave_out(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Give a function that breaks the engine in a named way."""
    return functools.partial(break_engine, monkeypatch)


@pytest.fixture
def look_at_rows(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have queries look at changed rows from their first run on; give what waits until one does."""
    monkeypatch.setattr(vigilance, "RUNS", 0)
    monkeypatch.setattr(vigilance, "VAIN", 0)
    met: list[Group] = []
    attend = Group.attend

    def noted(self: Group, found: Any) -> None:
        attend(self, found)
        met.append(self)

    monkeypatch.setattr(Group, "attend", noted)
    return lambda: wait_until(lambda: met and not met[0].throttle.running and met[0].covered)


@pytest.fixture
def look_often(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give a function that makes engines prove their connection and audit several times a second."""

    def set_times(*, interval: float = 10, deadline: float = 5, audit: float = 30) -> None:
        pulse = Pulse(interval=interval, deadline=deadline)
        loop = functools.partial(EngineLoop, pulse=pulse, audit_seconds=audit)
        monkeypatch.setattr(api, "EngineLoop", loop)

    return set_times


@pytest.fixture
def at_run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., threading.Event]:
    """Give a function that acts once, on the worker's thread, before or after the next run."""

    def plan(act: Act, *, before: bool = False) -> threading.Event:
        run, done = refresh.run, threading.Event()

        def stepped(*arguments: Any, **named: Any) -> Any:
            if before and not done.is_set():
                done.set()
                act()
            outcome = run(*arguments, **named)
            if not before and not done.is_set():
                done.set()
                act()
            return outcome

        monkeypatch.setattr(refresh, "run", stepped)
        return done

    return plan
