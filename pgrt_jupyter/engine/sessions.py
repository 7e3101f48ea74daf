"""Lend connections to worker threads, and turn the driver's errors into ours.

Idle connections are kept per connection string. A connection that breaks is thrown away, and work on
one that had been idle, which may have died unnoticed, is tried once more on a fresh one. A pool
library would hide why a connection cannot be had behind its own time-out and bring threads of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

import psycopg
from psycopg import sql

from ..config import Conninfo
from ..errors import PermissionMissing, PgrtError, QueryFailed, ServerUnavailable
from .frames import SETTINGS
from .statement import Statement

T = TypeVar("T")
Connection = psycopg.Connection[tuple[object, ...]]

_DENIED = "42501"
_UNREACHABLE = ("08", "57P", "53300")  # SQLSTATE prefixes of a lost or refused connection


class Sessions:
    """Keep idle connections; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[str, list[Connection]] = {}
        self._busy: set[Connection] = set()
        self._closed = False

    def run(self, conninfo: Conninfo, work: Callable[[Connection], T]) -> T:
        """Do `work` with a connection in autocommit mode; raises PgrtError or what it raises."""
        connection = self._take(conninfo)
        if connection is not None:
            try:
                return self._use(conninfo, connection, work)
            except (psycopg.OperationalError, ServerUnavailable):
                if not connection.closed:
                    raise
                self._drop_idle(conninfo)
        return self._use(conninfo, connect(conninfo), work)

    def cancel(self) -> None:
        """Ask the server to stop whatever runs on these connections."""
        with self._lock:
            busy = list(self._busy)
        for connection in busy:
            try:
                connection.cancel_safe(timeout=1)
            except psycopg.Error:
                connection.close()

    def close(self) -> None:
        """Close idle connections now and lent ones when they come back."""
        with self._lock:
            self._closed = True
            idle = [connection for kept in self._idle.values() for connection in kept]
            self._idle.clear()
        for connection in idle:
            connection.close()

    def _take(self, conninfo: Conninfo) -> Connection | None:
        with self._lock:
            kept = self._idle.get(conninfo.value)
            return kept.pop() if kept else None

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
            usable = not connection.closed and connection.info.transaction_status == idle
            if usable and not self._closed:
                self._idle.setdefault(conninfo.value, []).append(connection)
                return
        connection.close()

    def _drop_idle(self, conninfo: Conninfo) -> None:
        with self._lock:
            idle = self._idle.pop(conninfo.value, [])
        for connection in idle:
            connection.close()


def connect(conninfo: Conninfo) -> Connection:
    """Open a connection in autocommit mode with the settings results rely on."""
    failure: ServerUnavailable | None = None
    try:
        connection = psycopg.connect(conninfo.value, autocommit=True)
    except psycopg.Error as error:
        failure = unavailable(error, conninfo)
    if failure is not None:
        raise failure from None  # the driver's frames hold the password
    with connection.pipeline():
        for name, value in SETTINGS:
            connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", (name, value))
    return connection


@contextmanager
def reading(connection: Connection) -> Iterator[None]:
    """Run the block in one READ ONLY transaction; the connection is lent to others afterwards."""
    begin = b"BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"
    connection.execute(begin)
    try:
        yield
    except BaseException:
        with suppress(psycopg.Error):
            connection.execute(b"ROLLBACK")
        raise
    connection.execute(b"COMMIT")


def unavailable(error: psycopg.Error, conninfo: Conninfo) -> ServerUnavailable:
    """Say why no connection could be had, without the connection string."""
    reason = str(error).strip().splitlines()
    return ServerUnavailable(
        f"No connection to PostgreSQL ({conninfo}): {reason[0] if reason else 'unknown reason'}",
        sqlstate=error.sqlstate,
        hint="check that the server runs and that host, port, database, user and password "
        "(PGRT_DSN, DATABASE_URL or libpq's PG* variables) are right.",
    )


@contextmanager
def translated(statement: Statement | None = None) -> Iterator[None]:
    """Turn the driver's errors into ours; positions are translated to the user's text."""
    try:
        yield
    except psycopg.Error as error:
        raise translate(error, statement) from error


def translate(error: psycopg.Error, statement: Statement | None = None) -> PgrtError:
    """Choose our error for the driver's."""
    state = error.sqlstate
    if isinstance(error, psycopg.OperationalError) and is_lost(error):
        return ServerUnavailable(f"The connection was lost: {_primary(error)}", sqlstate=state)
    kind = PermissionMissing if state == _DENIED else QueryFailed
    diagnosis = error.diag
    position = int(diagnosis.statement_position or 0) or None
    if position and statement is not None:
        position = statement.original_position(position)
    return kind(
        _primary(error),
        sqlstate=state,
        hint=diagnosis.message_hint or "",
        detail=diagnosis.message_detail or "",
        position=position,
        text=statement.original if statement is not None else "",
    )


def is_lost(error: psycopg.Error) -> bool:
    """Say whether an error means that the server is gone rather than that the query is wrong."""
    return error.sqlstate is None or error.sqlstate.startswith(_UNREACHABLE)


def _primary(error: psycopg.Error) -> str:
    """Give the first line of the server's or the driver's message."""
    lines = str(error.diag.message_primary or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def literal(value: object, connection: Connection) -> str:
    """Write a Python value as an SQL literal."""
    return sql.Literal(value).as_string(connection)
