"""Own servers: a temporary one and one for each folder, started on first use."""

from __future__ import annotations

import atexit
import fcntl
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from ..errors import ServerUnavailable
from . import postmaster
from .binaries import find_binaries
from .launch import START_TIMEOUT, Launched, await_end, launch


class Server:
    """Hold a running server, ours or one that another process owns."""

    def __init__(
        self, conninfo: str, data: Path, launched: Launched | None = None, claim: int | None = None
    ) -> None:
        self.conninfo = conninfo
        self.data = data
        self._launched = launched
        self._descriptors = [
            held for held in (launched.pipe if launched else None, claim) if held is not None
        ]

    @property
    def owned(self) -> bool:
        """Say whether this process started the server, rather than found it running."""
        return self._launched is not None

    @property
    def pid(self) -> int | None:
        """Give the process id of the postmaster; None without one."""
        said = postmaster.read(self.data)
        return said.pid if said else None

    def alive(self) -> bool:
        """Say whether the server still runs."""
        if self._launched is not None:
            return self._launched.process.poll() is None
        said = postmaster.read(self.data)
        return said is not None and said.conninfo == self.conninfo and said.answers()

    def stop(self) -> None:
        """Stop the server if it is ours, and wait until its process and files have gone."""
        self._let_go()
        if self._launched is not None:
            await_end(self._launched.process, self._launched.runtime)

    def disown(self) -> None:
        """Forget the server in a forked child, whose copy of the pipe would keep it running."""
        self._let_go()
        self._launched = None

    def _let_go(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())


_lock = threading.RLock()
_servers: dict[Path | None, Server] = {}  # by folder; None is the temporary one
_started: list[Server] = []


def embedded_postgres(path: str | os.PathLike[str] | None = None) -> str:
    """Give the conninfo of a private local server, started on first use.

    Without `path` its data vanish with this process; with it they are kept in that folder, and
    a second process that names the same folder shares the server of the first for as long as
    that one lives. Raises `ConfigurationError` where no PostgreSQL is found and
    `ServerUnavailable` where it does not start.
    """
    folder = None if path is None else Path(path).expanduser().resolve()
    with _lock:
        server = _servers.get(folder)
        if server is None or not server.alive():
            if server is not None:
                server.stop()
            server = _servers[folder] = start_server(folder)
        return server.conninfo


def start_server(
    path: Path | None = None,
    *,
    options: Mapping[str, str] | None = None,
    bin_dir: Path | None = None,
) -> Server:
    """Start a server for the caller alone; `options` are settings, as in `{"fsync": "on"}`."""
    binaries = bin_dir or find_binaries()
    claim = None
    if path is not None:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = _claim(path)
        if isinstance(found, postmaster.Postmaster):
            return Server(found.conninfo, path)
        claim = found
    try:
        launched = launch(path, binaries, options or {})
    except BaseException:
        if claim is not None:
            os.close(claim)
        raise
    server = Server(launched.conninfo, launched.data, launched, claim)
    _started.append(server)
    return server


def _claim(path: Path) -> int | postmaster.Postmaster:
    """Lock the folder as ours, or give the server that another live process runs on it.

    The lock ends with its holder; a server whose owner has just been killed is waited for.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        ours = _lock_folder(descriptor)
        said = postmaster.read(path)
        running = said is not None and said.answers()
        if ours and not running:
            return descriptor
        if not ours and running and said is not None and said.status == "ready":
            os.close(descriptor)
            return said
        if ours:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        time.sleep(0.05)
    os.close(descriptor)
    raise ServerUnavailable(
        f"The server on {path} neither starts nor ends.",
        hint="another program may be using the folder: stop it, or name another folder",
    )


def _lock_folder(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@atexit.register
def _stop_all() -> None:
    # The pipe would do it too; waiting leaves a kept folder free for the next process.
    for server in _started:
        server.stop()


def _disown_all() -> None:
    global _lock
    _lock = threading.RLock()
    for server in _started:
        server.disown()
    _servers.clear()


os.register_at_fork(after_in_child=_disown_all)
