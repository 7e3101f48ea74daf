"""A password that changes is asked for again, by a function that may be slow or fail."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgrt_jupyter.testing import wait_until

from .conftest import Scene
from .servers import Node

Stage = Callable[..., Scene]
FIRST, SECOND = "cAnArYfirst", "cAnArYsecond"


class Vault:
    """Stand for what hands out tokens: the one of the moment, on request."""

    def __init__(self) -> None:
        self.token = FIRST
        self.broken = False
        self.calls: list[str] = []  # by thread

    def __call__(self) -> str:
        self.calls.append(threading.current_thread().name)
        if self.broken:
            raise RuntimeError(f"the vault is sealed, and {self.token} stays in it")
        return self.token


@pytest.fixture
def vault() -> Vault:
    """Give what hands out tokens."""
    return Vault()


@pytest.fixture
def scene(stage: Stage, node: Node, vault: Vault) -> Iterator[Scene]:
    """Give a scene whose engine logs in with the token of the moment."""
    role = f"faults_token_{int(time.monotonic() * 1000)}"
    node.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{FIRST}' IN ROLE with_password")
    scene = stage(begin=False)
    scene.owner = role
    scene.execute(
        f"GRANT CREATE ON DATABASE {scene.name} TO {role}; GRANT ALL ON SCHEMA public TO {role}"
    )
    scene.begin(conninfo=make_conninfo(scene.route, user=role), password=vault, as_owner=role)
    yield scene
    scene.end()
    wait_until(lambda: not scene.backends())
    scene.execute(f"DROP OWNED BY {role}")
    node.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def lose_everything(scene: Scene) -> None:
    """End every connection of the engine."""
    for pid in scene.backends():
        scene.execute("SELECT pg_terminate_backend(%s)", pid)


def shows_all(scene: Scene) -> None:
    """Wait until every token is shown, and require that changes are heard."""
    wait_until(lambda: scene.query.status == "live" and not scene.lost(), 20, message=scene.story)
    scene.hears()


def test_each_new_connection_gets_the_token_of_the_moment(
    scene: Scene, vault: Vault, caplog: pytest.LogCaptureFixture
) -> None:
    """Those that are open stay; after a rotation every new one uses the new token, and nobody tells it."""
    caplog.set_level(logging.DEBUG)
    shows_all(scene)
    before = len(vault.calls)
    scene.write()
    shows_all(scene)
    assert len(vault.calls) - before <= 2  # of connections that are kept nobody is asked again
    scene.execute(f"ALTER ROLE {scene.owner} PASSWORD '{SECOND}'")
    vault.token = SECOND
    lose_everything(scene)
    scene.write()
    shows_all(scene)
    assert len(vault.calls) >= before + 2
    assert threading.current_thread().name not in vault.calls
    assert "pgrt-engine" not in vault.calls  # which must not wait
    said = f"{caplog.text} {scene.outages} {vars(scene.engine)} {scene.query.error}"
    assert "cAnArY" not in said


def test_a_function_that_fails_is_told_and_asked_again(
    scene: Scene, vault: Vault, caplog: pytest.LogCaptureFixture
) -> None:
    """`stale`, with the kind of what it raised and not its words; it mends itself."""
    caplog.set_level(logging.DEBUG)
    shows_all(scene)
    vault.broken = True
    lose_everything(scene)
    scene.write()
    wait_until(lambda: "RuntimeError" in scene.query._shown().message, 20, message=scene.story)
    assert scene.query.status == "stale"
    assert "cAnArY" not in scene.query._shown().message
    vault.broken = False
    shows_all(scene)
    assert "cAnArY" not in f"{caplog.text} {scene.outages}"


def test_a_slow_function_holds_up_nobody(
    scene: Scene, vault: Vault, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's loop goes on while it is waited for."""
    shows_all(scene)
    entered, release = threading.Event(), threading.Event()
    ask = Vault.__call__

    def slow(self: Vault) -> str:
        entered.set()
        release.wait(30)
        return ask(self)

    monkeypatch.setattr(Vault, "__call__", slow)
    lose_everything(scene)
    assert entered.wait(10)
    loop: Any = scene.engine._loop
    assert loop.call(_answer, timeout=5) == "here"
    wait_until(lambda: scene.query.status == "stale", 10)
    scene.write()
    release.set()
    shows_all(scene)


async def _answer() -> str:
    return "here"


def test_what_the_server_refuses_is_an_authentication_failure(node: Node) -> None:
    """So that what follows is about the password."""
    node.execute("CREATE ROLE faults_refused LOGIN PASSWORD 'x' IN ROLE with_password")
    try:
        with pytest.raises(psycopg.OperationalError, match="password"):
            node.execute("SELECT 1", user="faults_refused", password=FIRST)
    finally:
        node.execute("DROP ROLE faults_refused")
