"""Own what the soak plays with: the server, the bad networks, the writers' and the kernel's process."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from pgrt_jupyter.embedded import start_server
from pgrt_jupyter.errors import ServerUnavailable
from pgrt_jupyter.testing import wait_until

from ..faults.proxy import Proxy
from . import schema, writers
from .settings import Settings

_SETTINGS = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "256MB"}
_ANSWER = 120.0  # seconds after which a process of ours counts as stuck
Certain = bool  # of a fault: an outage must be noticed
_spawn = multiprocessing.get_context("spawn")


class Remote:
    """Talk to a process of ours."""

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        self._pipe, theirs = _spawn.Pipe()
        self._asked = 0
        self.process = _spawn.Process(target=target, args=(theirs, *arguments), daemon=True)
        self.process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def ask(self, *request: Any) -> Any:
        """Send a request and give the answer; raises TimeoutError, or EOFError when it died."""
        self._asked += 1
        self._pipe.send((self._asked, *request))
        return self.answer(self._asked)

    def answer(self, number: int) -> Any:
        """Wait for the answer to a request; 0 is for what comes unasked."""
        while self._pipe.poll(_ANSWER):
            answered, value = self._pipe.recv()
            if answered == number:  # an interrupt may have left an answer lying
                return value
        raise TimeoutError(f"process {self.pid} does not answer")

    def end(self) -> None:
        """Let the process end, or make it."""
        self._pipe.close()
        self.process.join(10)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


class Stage:
    """Start everything; the order of the calls is that of the parts' dependence on each other."""

    def __init__(
        self,
        seed: str,
        *,
        scale: float,
        rate: float,
        rows: int,
        log: Path | None = None,
        trace: bool = False,
    ) -> None:
        self.seed, self.scale = (
            seed,
            scale,
        )  # scale: 1 in production, less where timings are shortened
        self._interval, self._deadline = 10.0 * scale, max(5.0 * scale, 1.5)
        self.noticed = self._interval + self._deadline  # when silence must have been noticed
        self._folder = Path(tempfile.mkdtemp(prefix="pgrt-soak-"))
        self.log = log or self._folder / "kernel.log"
        self.port = _free_port()
        self._undo: list[Callable[[], object]] = []
        try:
            self._open(rate, rows, trace)
        except BaseException:
            self.close()
            raise

    def _open(self, rate: float, rows: int, trace: bool) -> None:
        self.start()
        self._undo.append(lambda: self.server.stop())
        self._make_tables(rows)
        self.network = Proxy(("127.0.0.1", self.port))  # to what listens and installs
        self._undo.append(self.network.close)
        self.query_network = Proxy(("127.0.0.1", self.port))  # to what runs queries
        self._undo.append(self.query_network.close)
        ledger = self._folder / "ledger"
        conninfo = self.conninfo(schema.OWNER)
        self.writers = Remote(writers.main, conninfo, ledger, self.seed, rate, 6)
        self._undo.append(self.writers.end)
        self.kernel = Remote(_kernel, self._settings(ledger, trace))
        self._undo.append(self.kernel.end)
        self.kernel.answer(0)

    def _settings(self, ledger: Path, trace: bool) -> Settings:
        through = self.query_network.conninfo
        return Settings(
            conninfo=self.network.conninfo(self.conninfo(schema.OWNER, app=None)),
            query_conninfos={
                role: through(self.conninfo(role, app=None))
                for role in (schema.OWNER, schema.ALPHA, schema.BETA)
            },
            ledger=ledger,
            log=self.log,
            seed=self.seed,
            interval=self._interval,
            deadline=self._deadline,
            audit=30.0 * self.scale,
            churn=15.0 * self.scale,
            trace=trace,
        )

    def close(self) -> None:
        """Stop everything, the last first."""
        while self._undo:
            with suppress(Exception):
                self._undo.pop()()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    # -- the server

    def start(self) -> None:
        """Start the server on its folder, again and again while an old one is still ending."""
        options = {
            **_SETTINGS,
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "max_connections": "60",
        }
        for attempt in range(20):
            try:
                self.server = start_server(self._folder / "data", options=options)
                return
            except ServerUnavailable:
                if attempt == 19:
                    raise
                time.sleep(0.5)

    def signal_server(self, number: signal.Signals) -> None:
        """Send the postmaster a signal and wait until it has gone."""
        pid = self.server.pid
        assert pid is not None
        os.kill(pid, number)
        wait_until(lambda: not self.server.alive(), 60)
        self.server.stop()

    def conninfo(self, user: str = "postgres", app: str | None = "soak-observer") -> str:
        """Give a conninfo that avoids the bad networks."""
        found = {"host": "127.0.0.1", "port": self.port, "user": user, "dbname": "soak"}
        if app is not None:
            found["application_name"] = app
        return make_conninfo(**found)

    def connect(self, user: str = "postgres") -> psycopg.Connection[Any]:
        """Open a connection, waiting for the server if need be."""
        deadline = time.monotonic() + 60
        while True:
            try:
                return psycopg.connect(self.conninfo(user), autocommit=True, connect_timeout=5)
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def execute(self, statement: str, *parameters: Any, user: str = "postgres") -> list[Any]:
        """Run a statement of our own and give its rows."""
        with self.connect(user) as connection:
            cursor = connection.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def _make_tables(self, rows: int) -> None:
        with psycopg.connect(self.server.conninfo, autocommit=True) as connection:
            connection.execute("CREATE DATABASE soak")
        with self.connect() as connection:
            connection.execute(schema.ROLES)
        with self.connect(schema.OWNER) as connection:
            connection.execute(schema.TABLES.replace("BIG_ROWS", str(rows)))
            for statement in schema.partitions():
                connection.execute(statement)

    # -- chance

    def span(self, chance: Random, low: float, high: float) -> float:
        """Choose a duration in seconds."""
        return chance.uniform(low, high) * self.scale


def _kernel(pipe: Any, settings: Settings) -> None:
    from . import kernel  # pandas, widgets and the engine: for that process alone

    kernel.main(pipe, settings)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
