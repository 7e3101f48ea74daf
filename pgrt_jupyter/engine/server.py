"""Reach the database from the engine's loop: worker threads, each with a lent connection."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar

from ..config import Conninfo
from ..errors import EngineNotRunning, ServerUnavailable
from .connection import server_of
from .sessions import Sessions
from .workers import Workers, start

T = TypeVar("T")

_DIALS = 6  # of an address that leads to an old primary as well


class _Old(Exception):
    """The session is on a primary that another one has taken the place of."""


class Server:
    """Own the worker threads and the connections of one engine."""

    def __init__(self, conninfo: Conninfo, pool_size: int) -> None:
        self.conninfo = conninfo  # of the installing role
        self.timeline = 0  # of the newest primary that was heard; each promotion makes it greater
        self._sessions = Sessions()
        self._workers = Workers(pool_size, "pgrt-worker")

    async def run(self, work: Callable[[Any], T], conninfo: Conninfo | None = None) -> T:
        """Await `work(connection)`, done on a worker thread, for the installing role or another.

        Who stops waiting stops the work: what runs on the server is cancelled there.
        """
        errand = _Errand(work)
        try:
            return await self._workers.run(lambda: self.lend(errand, conninfo))
        except asyncio.CancelledError:
            connection = errand.give_up(self._sessions.give_up)
            if connection is not None:
                with suppress(RuntimeError):  # the interpreter ends, and starts no thread any more
                    start("pgrt-cancel", lambda: self._sessions.stop(connection))
            raise

    async def compute(self, work: Callable[[], T]) -> T:
        """Await `work()`, done on a worker thread."""
        return await self._workers.run(work)

    def lend(self, work: Callable[[Any], T], conninfo: Conninfo | None = None) -> T:
        """Do `work(connection)` on the calling thread, which may wait; on no old primary that came back."""
        for _ in range(_DIALS):
            with suppress(_Old):
                return self._sessions.run(conninfo or self.conninfo, partial(self._on_newest, work))
        raise ServerUnavailable(f"Only an old primary is to be had ({conninfo or self.conninfo}).")

    def _on_newest(self, work: Callable[[Any], T], connection: Any) -> T:
        if 0 < server_of(connection).timeline < self.timeline:
            connection.close()
            raise _Old
        return work(connection)

    def doubt(self, *, silent: bool) -> None:
        """Use no idle connection again; where the server has fallen silent, wait on none either."""
        self._sessions.doubt(silent=silent)

    def tidy(self, seconds: float) -> None:
        """Close all but one of the connections that nobody has needed for so long."""
        self._sessions.tidy(seconds)

    def stop(self, timeout: float) -> None:
        """Cancel what still runs on the server and end the threads; blocks, so not on the loop."""
        end = time.monotonic() + timeout
        self._sessions.cancel(timeout / 2)
        self._workers.stop(max(0.1, (end - time.monotonic()) / 2))
        self._sessions.close()


class _Errand(Generic[T]):
    """Do some work with a connection, unless or until it is given up."""

    def __init__(self, work: Callable[[Any], T]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._connection: Any = None
        self._given_up = False

    def __call__(self, connection: Any) -> T:
        """Do the work; on a worker thread."""
        with self._lock:
            if self._given_up:
                raise EngineNotRunning("Nobody waits for it any more.")
            self._connection = connection
        try:
            return self._work(connection)
        finally:
            with self._lock:
                self._connection = None

    def give_up(self, take_back: Callable[[Any], None]) -> Any:
        """Let it not begin; else have its connection taken back while it is its own, and give it."""
        with self._lock:
            self._given_up = True
            if self._connection is not None:
                take_back(self._connection)
            return self._connection
