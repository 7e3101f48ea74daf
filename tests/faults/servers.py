"""Run servers that a test may stop, kill, freeze and replace, and standbys of them.

    with Node() as node:                       data of its own in a folder of its own, on a fixed port
        node.conninfo(dbname="shop")           stays the same over restarts
        node.stop("immediate"); node.start()   "fast", "immediate" or "smart"
        node.kill()                            SIGKILL to the postmaster; start() retries while orphans exit
        node.kill_backend(pid)                 SIGKILL to one backend: crash recovery
        node.freeze(); node.thaw()             SIGSTOP and SIGCONT to postmaster and children, or to one pid
        with node.standby() as standby:        streaming, made by pg_basebackup
            standby.catch_up(node)
            standby.promote(); node.remake(standby)

The server listens on TCP only as far as tests are concerned: `node.target` is for a proxy.
"""

from __future__ import annotations

import atexit
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import psutil
import psycopg
from psycopg.conninfo import make_conninfo

from pgrt_jupyter.embedded import Server, find_binaries, start_server
from pgrt_jupyter.errors import ServerUnavailable
from pgrt_jupyter.testing import wait_until

APPLICATION = "pgrt-test"
STARTING = 60.0  # seconds; after SIGKILL the first attempts fail while orphans exit
_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_OPTIONS = {"fsync": "off", "max_wal_size": "256MB", "listen_addresses": "127.0.0.1"}


_templates: dict[Path, Node] = {}  # by folder of binaries: stopped, for others to copy


class Node:
    """Own one server: its data, its port, its processes."""

    def __init__(
        self,
        *,
        options: Mapping[str, str] | None = None,
        bin_dir: Path | None = None,
        port: int | None = None,
        start: bool = True,
        fresh: bool = False,
    ) -> None:
        self.bin_dir = bin_dir or find_binaries()
        self.port = port or free_port()
        self.options = {**_OPTIONS, **(options or {}), "port": str(self.port)}
        self.folder = Path(tempfile.mkdtemp(prefix="pgrt-faults-"))
        self.folder.chmod(0o711)  # the server may run as somebody else
        self.data = self.folder / "data"
        self._server: Server | None = None
        if start:
            if not fresh:
                self._copy_template()
            self.start()

    # -- where

    def conninfo(self, **parameters: Any) -> str:
        """Give the superuser's conninfo over TCP."""
        given = {"host": "127.0.0.1", "port": self.port, "user": "postgres", "dbname": "postgres"}
        return make_conninfo(**{**given, **parameters})

    @property
    def target(self) -> tuple[str, int]:
        """Give the address, for a proxy."""
        return "127.0.0.1", self.port

    def connect(self, **parameters: Any) -> psycopg.Connection[Any]:
        """Open an autocommit connection of the test's own; the caller closes it."""
        parameters = {"application_name": APPLICATION, "connect_timeout": 10, **parameters}
        return psycopg.connect(self.conninfo(**parameters), autocommit=True)

    def execute(self, statement: str, *parameters: Any, **where: Any) -> list[tuple[Any, ...]]:
        """Run one statement on a connection made for it."""
        with self.connect(**where) as connection:
            cursor = connection.execute(statement.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    # -- life and death

    @property
    def pid(self) -> int:
        """Give the postmaster's process id."""
        assert self._server is not None and self._server.pid is not None
        return self._server.pid

    @property
    def running(self) -> bool:
        """Say whether there is a postmaster."""
        return self._server is not None and self._server.alive()

    def start(self) -> None:
        """Start, and wait until connections are accepted; tries again while a predecessor's orphans exit."""
        deadline = time.monotonic() + STARTING
        while True:
            try:
                self._server = start_server(self.data, options=self.options, bin_dir=self.bin_dir)
                return
            except ServerUnavailable as error:
                if time.monotonic() >= deadline or "still in use" not in str(error):
                    raise

    def stop(self, how: Literal["fast", "immediate", "smart"] = "fast") -> None:
        """Stop, and wait until it has gone."""
        self._signal_postmaster(_SIGNALS[how])

    def kill(self) -> None:
        """Kill the postmaster; its children notice and exit."""
        self._signal_postmaster(signal.SIGKILL)

    def restart(self, how: Literal["fast", "immediate", "smart"] = "fast") -> None:
        """Stop and start."""
        self.stop(how)
        self.start()

    def close(self) -> None:
        """Stop whatever runs and remove its folder."""
        if self.running:
            self.thaw()
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def last_words(self) -> str:
        """Give the end of the server's log."""
        assert self._server is not None
        folder = dict(item.split("=", 1) for item in self._server.conninfo.split())["host"]
        return Path(folder, "log").read_text("utf-8", "replace")[-2000:]

    def _signal_postmaster(self, number: signal.Signals) -> None:
        assert self._server is not None
        server, pid = self._server, self.pid
        os.kill(pid, number)
        wait_until(lambda: not server.alive(), 60)
        server.stop()

    # -- single processes

    def kill_backend(self, pid: int) -> None:
        """Kill one backend; the server then recovers and ends every other."""
        self._require_child(pid)
        os.kill(pid, signal.SIGKILL)

    def freeze(self, pid: int | None = None) -> None:
        """Stop one backend, or all processes of the server, where they are."""
        self._signal(pid, signal.SIGSTOP)

    def thaw(self, pid: int | None = None) -> None:
        """Let frozen processes go on."""
        self._signal(pid, signal.SIGCONT)

    def _signal(self, pid: int | None, number: signal.Signals) -> None:
        if pid is not None:
            self._require_child(pid)
            os.kill(pid, number)
            return
        # The postmaster first: it must start nobody new meanwhile.
        os.kill(self.pid, number)
        for child in psutil.Process(self.pid).children():
            try:
                os.kill(child.pid, number)
            except ProcessLookupError:
                pass

    def _require_child(self, pid: int) -> None:
        """Refuse to touch a process that is not this server's."""
        if pid not in {child.pid for child in psutil.Process(self.pid).children()}:
            raise LookupError(f"{pid} is no process of this server")

    # -- standbys

    def standby(
        self,
        *,
        options: Mapping[str, str] | None = None,
        port: int | None = None,
        source: str = "",
    ) -> Node:
        """Make and start a streaming standby, which follows what `source` leads to."""
        options = {**self.options, **(options or {})}
        made = Node(options=options, bin_dir=self.bin_dir, port=port, start=False)
        try:
            self._copy_to(made, source)
            made.start()
        except BaseException:
            made.close()
            raise
        return made

    def remake(self, primary: Node, source: str = "") -> None:
        """Begin anew as a standby, whatever it was."""
        if self.running:
            self.stop("immediate")
        shutil.rmtree(self.data)
        primary._copy_to(self, source)
        self.start()

    def _copy_template(self) -> None:
        """Begin with a copy of new data, which takes less than initdb; the system identifier is the same."""
        if self.bin_dir not in _templates:
            first = Node(bin_dir=self.bin_dir, fresh=True)
            first.stop()
            _templates[self.bin_dir] = first
            atexit.register(first.close)
        shutil.copytree(_templates[self.bin_dir].data, self.data)
        self._own(self.data, _templates[self.bin_dir].data)

    def _own(self, data: Path, like: Path) -> None:
        """Let copied data belong to whom the server runs as."""
        if os.geteuid() == 0:
            owner = like.stat()
            for folder, _, files in os.walk(data):
                for name in (".", *files):
                    os.chown(Path(folder, name), owner.st_uid, owner.st_gid, follow_symlinks=False)

    def _copy_to(self, standby: Node, source: str = "") -> None:
        """Copy the data with pg_basebackup, which also writes how to follow."""
        source = source or self.conninfo(application_name="pgrt-test-standby")
        subprocess.run(
            [
                str(self.bin_dir / "pg_basebackup"),
                *("--pgdata", str(standby.data), "--checkpoint", "fast", "--wal-method", "stream"),
                *("--write-recovery-conf", "--dbname", source, "--no-sync"),
            ],
            check=True,
            capture_output=True,
            timeout=STARTING,
        )
        self._own(standby.data, self.data)

    def catch_up(self, primary: Node, timeout: float = 30) -> None:
        """Wait until everything the primary has written is replayed here."""
        ((position,),) = primary.execute("SELECT pg_current_wal_lsn()::text")
        caught = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
        wait_until(
            lambda: self.execute(caught, position) == [(True,)], timeout, message=self.last_words
        )

    def promote(self) -> None:
        """Make the standby a primary, and wait until it is."""
        assert self.execute("SELECT pg_promote(true, 60)") == [(True,)]


def free_port() -> int:
    """Find a free port outside the range outgoing connections take theirs from."""
    while True:
        port = random.randrange(15000, 30000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
