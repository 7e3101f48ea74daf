"""Reach the database from the engine's loop: worker threads, each with a lent connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..config import Conninfo
from .sessions import Sessions
from .workers import Workers

T = TypeVar("T")


class Server:
    """Own the worker threads and the connections of one engine."""

    def __init__(self, conninfo: Conninfo, pool_size: int) -> None:
        self.conninfo = conninfo  # of the installing role
        self._sessions = Sessions()
        self._workers = Workers(pool_size, "pgrt-worker")

    async def run(self, work: Callable[[Any], T], conninfo: Conninfo | None = None) -> T:
        """Await `work(connection)`, done on a worker thread, for the installing role or another."""
        return await self._workers.run(lambda: self.lend(work, conninfo))

    async def compute(self, work: Callable[[], T]) -> T:
        """Await `work()`, done on a worker thread."""
        return await self._workers.run(work)

    def lend(self, work: Callable[[Any], T], conninfo: Conninfo | None = None) -> T:
        """Do `work(connection)` on the calling thread, which may wait."""
        return self._sessions.run(conninfo or self.conninfo, work)

    def stop(self, timeout: float) -> None:
        """Cancel what still runs on the server and end the threads; blocks, so not on the loop."""
        self._sessions.cancel()
        self._workers.stop(timeout)
        self._sessions.close()
