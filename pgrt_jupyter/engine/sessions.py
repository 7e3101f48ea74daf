"""Lend connections to worker threads.

Idle connections are kept per connection string. A connection that breaks is thrown away, and its work
is tried once more on a fresh one. A pool library would hide why a connection cannot be had behind its
own time-out and bring threads of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

import psycopg

from ..config import Conninfo
from ..errors import ServerUnavailable
from .connection import Connection, cut, dial, prepared

T = TypeVar("T")

_LIFETIME = 300.0  # seconds; a server that came back is used again by those that went to another


class Sessions:
    """Keep idle connections; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[str, list[Connection]] = {}  # the one used last is taken first
        self._used: dict[Connection, float] = {}  # of those: when
        self._busy: set[Connection] = set()
        self._chosen: WeakKeyDictionary[Connection, float] = WeakKeyDictionary()  # of several: when
        self._given_up: set[Connection] = set()  # a late cancel must not hit their next query
        self._closed = False

    def run(self, conninfo: Conninfo, work: Callable[[Connection], T]) -> T:
        """Do `work` with a connection in autocommit mode; raises PgrtError or what it raises.

        When the connection dies meanwhile, the work is done once more on a fresh one.
        """
        anew = lambda made: work(prepared(made))  # noqa: E731
        kept = self._take(conninfo)
        connection = kept or self._dial(conninfo)
        try:
            return self._use(conninfo, connection, work if kept else anew)
        except (psycopg.OperationalError, ServerUnavailable):
            if not connection.closed or self._closed:
                raise
            self._drop_idle(conninfo)
        return self._use(conninfo, self._dial(conninfo), anew)

    def _dial(self, conninfo: Conninfo) -> Connection:
        connection = dial(conninfo)
        if conninfo.names_several:
            self._chosen[connection] = time.monotonic()
        return connection

    def doubt(self, *, silent: bool) -> None:
        """Use no idle connection again; cut lent ones, too, where the server has fallen silent.

        Whoever waits on one of those would wait for as long as something in between acknowledges.
        """
        with self._lock:
            idle = self._forget_idle()
            for connection in self._busy if silent else ():
                cut(connection)
        for connection in idle:
            cut(connection)
            connection.close()

    def tidy(self, seconds: float, lifetime: float = _LIFETIME) -> None:
        """Close connections that have been idle for so long, but for the last of each connection string.

        Where that names several servers, also those that are so old: another may be the better choice now.
        """
        now = time.monotonic()
        with self._lock:
            old = [
                connection
                for kept in self._idle.values()
                for connection in kept
                if (connection is not kept[-1] and self._used[connection] < now - seconds)
                or self._chosen.get(connection, now) < now - lifetime
            ]
            for kept in self._idle.values():
                kept[:] = [connection for connection in kept if connection not in old]
            for connection in old:
                del self._used[connection]
        for connection in old:
            connection.close()

    def cancel(self, timeout: float = 1.0) -> None:
        """Ask the server to stop whatever runs on these connections; takes `timeout` seconds in all."""
        with self._lock:
            busy = list(self._busy)
        end = time.monotonic() + timeout
        for connection in busy:
            self._cancel(connection, max(0.05, end - time.monotonic()))

    def give_up(self, connection: Connection) -> None:
        """Have a connection, lent at this moment, be lent to nobody else."""
        with self._lock:
            self._given_up.add(connection)

    def stop(self, connection: Connection) -> None:
        """Ask the server to stop what runs on a connection that was given up."""
        self._cancel(connection, 1.0)

    def _cancel(self, connection: Connection, timeout: float) -> None:
        try:
            connection.cancel_safe(timeout=timeout)
        except psycopg.Error:
            connection.close()

    def close(self) -> None:
        """Close idle connections, and cut lent ones: whoever sleeps on one cannot be waited for."""
        with self._lock:
            self._closed = True
            idle = self._forget_idle()
            for connection in self._busy:
                cut(connection)
        for connection in idle:
            connection.close()

    def _forget_idle(self) -> list[Connection]:
        """Give the idle connections, which are kept no more; with the lock held."""
        idle = [connection for kept in self._idle.values() for connection in kept]
        self._idle.clear()
        self._used.clear()
        return idle

    def _take(self, conninfo: Conninfo) -> Connection | None:
        with self._lock:
            kept = self._idle.get(conninfo.value)
            connection = kept.pop() if kept else None
            if connection is not None:
                del self._used[connection]
            return connection

    def _use(
        self, conninfo: Conninfo, connection: Connection, work: Callable[[Connection], T]
    ) -> T:
        with self._lock:
            self._busy.add(connection)
        try:
            return work(connection)
        finally:
            self._give_back(conninfo, connection)

    def _give_back(self, conninfo: Conninfo, connection: Connection) -> None:
        idle = psycopg.pq.TransactionStatus.IDLE
        with self._lock:
            self._busy.discard(connection)
            wanted = connection not in self._given_up
            self._given_up.discard(connection)
            usable = not connection.closed and connection.info.transaction_status == idle and wanted
            if usable and not self._closed:
                self._idle.setdefault(conninfo.value, []).append(connection)
                self._used[connection] = time.monotonic()
                return
        connection.close()

    def _drop_idle(self, conninfo: Conninfo) -> None:
        with self._lock:
            idle = self._idle.pop(conninfo.value, [])
            for connection in idle:
                del self._used[connection]
        for connection in idle:
            connection.close()
