"""Break what is between an engine and its server, and measure what comes of it.

    def test_fault(stage):
        scene = stage(through=True)              an engine with short times, on a database of its own
        with scene.fault("A09", "TCP reset", "the proxy sends RST") as fault:
            scene.proxy.sever()                  the fault
            scene.write()                        committed while nobody listens
            fault.noticed("stale")
            fault.heal(scene.proxy.heal)         ends it; no further write: the row must come by itself

Leaving the block waits until every row is shown and the state is `live`, and then asserts the promises: no
update lost, no `live` beyond the bound, no frame that goes back, one warning per outage, one connection
that listens, and a change afterwards is heard.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

import pgrt_jupyter as pgrt
from pgrt_jupyter import api
from pgrt_jupyter.engine.listener import Pulse
from pgrt_jupyter.engine.loop import EngineLoop
from pgrt_jupyter.testing import wait_until

from . import table
from .observer import Ledger, Observer
from .proxy import Proxy
from .servers import Node
from .table import SHORT

SLACK = 2.5  # seconds a busy machine may take for what usually takes some milliseconds
QUERY = "SELECT token FROM tokens ORDER BY token"
OURS = (
    "SELECT pid FROM pg_stat_activity WHERE datname = %s AND application_name = 'pgrt_jupyter'"
    " AND backend_type = 'client backend'"
)
PULSE = Pulse(
    interval=SHORT.interval,
    deadline=SHORT.deadline,
    longest_wait=SHORT.longest_wait,
    healthy_after=1.0,
    hopeless_wait=1.5,
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a whole run write the table."""
    parser.addoption("--write-table", action="store_true", help="write tests/faults/README.md")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the table when all faults were survived."""
    if session.config.getoption("--write-table", False) and exitstatus == 0:
        table.write()


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """Give the server that the fault tests share; each leaves it running."""
    with Node(options={"listen_addresses": "127.0.0.1,127.0.0.2"}) as node:
        node.execute("CREATE ROLE with_password")
        rules = node.data / "pg_hba.conf"
        asked = "host all +with_password all scram-sha-256\n"
        rules.write_text(asked + rules.read_text("utf-8"), "utf-8")
        node.execute("SELECT pg_reload_conf()")
        yield node


@pytest.fixture
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have engines look after themselves several times a second."""
    monkeypatch.setattr(api, "EngineLoop", functools.partial(EngineLoop, pulse=PULSE))


class Fault:
    """Hold the course of one fault."""

    def __init__(self, scene: Scene, number: str, what: str, how: str) -> None:
        self.scene, self.number, self.what, self.how = scene, number, what, how
        self.began = time.monotonic()
        self.healed: float | None = None
        self.detected: float | None = None
        self.outages: int | None = 1
        self.bound = ""
        self.goes_back = False
        self.recovers_within = SHORT.longest_wait + SHORT.connect + SHORT.silence + 4 * SLACK
        self.ends_in = "live"

    def noticed(self, *states: str, within: float = SHORT.silence + SLACK) -> None:
        """Wait until the state says so."""
        wanted = states or ("stale",)
        seen = wait_until(
            lambda: self.scene.observer.first(lambda one: one.status in wanted, self.began),
            within + SLACK,
            message=lambda: f"not noticed: {self.scene.story()}",
        )
        self.detected = seen.at - self.began
        assert self.detected <= within

    def heal(self, mend: Callable[[], object]) -> None:
        """End the fault."""
        mend()
        self.healed = time.monotonic()

    def finish(self) -> None:
        """Wait for the recovery and hold the engine to its promises."""
        scene, since = self.scene, self.healed or self.began
        scene.wait_for_all(self.ends_in, self.recovers_within)
        ends = lambda one: one.status == self.ends_in and not one.age  # noqa: E731
        start = max(since, self.began + (self.detected or 0.0))
        after = wait_until(lambda: scene.observer.first(ends, start), message=scene.story)
        recovered = max(0.0, after.at - since)
        told = scene.observer.said(self.began)
        told = told if told[:1] == ["live"] else ["live", *told]
        scene.check(self.goes_back)
        if self.outages is not None:
            assert len(scene.outages) == self.outages, scene.outages
        scene.check_connections()
        scene.hears()
        table.record(
            table.Row(
                fault=self.number,
                what=self.what,
                how=self.how,
                detected=self.detected,
                recovered=recovered,
                lost=len(scene.lost()),
                said=" → ".join(told[:5] + (["…", told[-1]] if len(told) > 5 else [])),
                bound=self.bound,
            )
        )


class Scene:
    """Hold an engine, its database, and who watches."""

    def __init__(self, node: Node, name: str, proxy: Proxy | None) -> None:
        self.node, self.name, self.proxy_or_none = node, name, proxy
        self.dsn = node.conninfo(dbname=name)
        self.errors: list[tuple[pgrt.PgrtError, Any]] = []
        self.ledger = Ledger(self._insert)
        self._writer: psycopg.Connection[Any] | None = None
        self.owner = "postgres"
        self.bound = SHORT.silence + SLACK
        self.engine: pgrt.Engine
        self.query: pgrt.LiveQuery
        self.observer: Observer

    @property
    def proxy(self) -> Proxy:
        """Give the proxy between the engine and the server."""
        assert self.proxy_or_none is not None
        return self.proxy_or_none

    @property
    def route(self) -> str:
        """Give the conninfo the engine uses."""
        here = self.proxy.conninfo(self.dsn) if self.proxy_or_none else self.dsn
        return make_conninfo(here, connect_timeout=int(SHORT.connect))

    @property
    def outages(self) -> list[str]:
        """List what the engine's error handler was told."""
        return [str(error) for error, _ in self.errors]

    def begin(self, *, as_owner: str = "", **options: Any) -> None:
        """Start the engine, a query and its observer."""
        self.execute("CREATE TABLE IF NOT EXISTS tokens (token int PRIMARY KEY)")
        if as_owner:
            self.execute(f"ALTER TABLE tokens OWNER TO {as_owner}")
        self.write()
        told = lambda error, query: self.errors.append((error, query))  # noqa: E731
        options = {"conninfo": self.route, "throttle_ms": 50, "error_handler": told, **options}
        self.engine = pgrt.Engine(**options).start()
        self.query = self.engine.sub("tokens", QUERY)
        self.observer = Observer(self.query, self.ledger)

    def end(self) -> None:
        """Stop everything that `begin` started."""
        if hasattr(self, "observer"):
            self.observer.stop()
        if hasattr(self, "engine"):
            self.engine.shutdown()
        if self._writer is not None:
            self._writer.close()

    # -- the database, on a route of its own

    def execute(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run a statement as the superuser, whatever the engine's route is like."""
        return self.node.execute(statement, *parameters, dbname=self.name)

    def write(self) -> int:
        """Commit one more token."""
        return self.ledger.write()

    def move_to(self, other: Node) -> None:
        """Write to another server from now on, which has none of the tokens."""
        if self._writer is not None:
            self._writer.close()
        self.node = other
        self.ledger.forget(self.ledger.tokens)

    def _insert(self, token: int) -> None:
        statement = b"INSERT INTO tokens VALUES (%s)"
        if self._writer is not None and not self._writer.closed:
            try:
                self._writer.execute(statement, (token,))
                return
            except psycopg.OperationalError:
                self._writer.close()
        self._writer = self.node.connect(dbname=self.name)
        self._writer.execute(statement + b" ON CONFLICT DO NOTHING", (token,))

    def backends(self) -> set[int]:
        """List the server's processes that serve the engine."""
        return {pid for (pid,) in self.node.execute(OURS, self.name)}

    def listener(self) -> int:
        """Give the backend that listens."""
        found = self.execute(
            "SELECT DISTINCT pid FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock'"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        ((pid,),) = found
        return int(pid)

    # -- the course of a fault

    @contextmanager
    def fault(self, number: str, what: str, how: str, **expected: Any) -> Iterator[Fault]:
        """Begin a fault in good order; the end of the block waits for the recovery."""
        self.wait_for_all("live", 20)
        self.errors.clear()
        fault = Fault(self, number, what, how)
        for name, value in expected.items():
            setattr(fault, name, value)
        yield fault
        fault.finish()

    def wait_for_all(self, state: str, timeout: float) -> None:
        """Wait until every token is shown in a state."""
        wait_until(
            lambda: self.query.status == state and not self.lost(),
            timeout,
            message=lambda: f"{sorted(self.lost())} not shown: {self.story()}",
        )

    def lost(self) -> set[int]:
        """Give the tokens that are not shown, or shown and not committed."""
        return self.ledger.tokens ^ set(map(int, self.query.df["token"]))

    def check(self, goes_back: bool = False) -> None:
        """Hold the engine to its promises about what it showed."""
        assert not self.lost()
        assert not self.observer.dishonest(self.bound), self.observer.dishonest(self.bound)[:3]
        if not goes_back:
            assert not self.observer.went_back()
        kinds = {type(error) for error, _ in self.errors}
        assert kinds <= {pgrt.ServerUnavailable}, self.errors

    def check_connections(self, most: int = 6) -> None:
        """One connection listens, and there are no more than before."""
        wait_until(
            lambda: 1 <= len(self.backends()) <= most, 20, message=lambda: str(self.backends())
        )

    def hears(self) -> None:
        """A change is heard again, not only found."""
        wait_until(lambda: self.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"), 10)
        self.write()
        wait_until(lambda: not self.lost(), 10, message=self.story)

    def story(self) -> str:
        """Tell what the observer saw last."""
        seen = self.observer.samples[-1:] if hasattr(self, "observer") else []
        return f"{seen}, states {self.observer.said(0)[-8:]}, errors {self.outages}"


@pytest.fixture
def stage(node: Node, short_times: None) -> Iterator[Callable[..., Scene]]:
    """Give a function that sets a scene, on the shared server unless another is given."""
    scenes: list[Scene] = []
    with ExitStack() as stack:

        def set_scene(
            *, through: bool = False, on: Node | None = None, begin: bool = True, **options: Any
        ) -> Scene:
            server = on or node
            name = f"faults_{len(scenes)}_{int(time.monotonic() * 1000)}"
            server.execute(f"CREATE DATABASE {name}")
            proxy = stack.enter_context(Proxy(server.target)) if through else None
            scene = Scene(server, name, proxy)
            scenes.append(scene)
            stack.callback(_strike, scene)
            if begin:
                scene.begin(**options)
            return scene

        yield set_scene
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("faults-")]


def _strike(scene: Scene) -> None:
    """End a scene and see that the engine left no connection."""
    scene.end()
    if scene.proxy_or_none is not None:
        scene.proxy.close()
    if not scene.node.folder.exists():
        return  # it was the scene's own
    if not scene.node.running:
        scene.node.start()
    wait_until(lambda: not scene.backends(), 20, message=lambda: f"left: {scene.backends()}")
    scene.node.execute(f"DROP DATABASE {scene.name} WITH (FORCE)")
