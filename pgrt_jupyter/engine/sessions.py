"""Lend connections to worker threads, and turn the driver's errors into ours.

Idle connections are kept per connection string. A connection that breaks is thrown away, and its work
is tried once more on a fresh one. A pool library would hide why a connection cannot be had behind its
own time-out and bring threads of its own.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import psycopg
from psycopg import generators, pq, sql
from psycopg.errors import error_from_result

from ..config import Conninfo
from ..errors import PermissionMissing, PgrtError, QueryFailed, ServerUnavailable
from . import forks, frames, small
from .model import Column
from .pieces import Fetched
from .refusal import reason
from .statement import Statement

T = TypeVar("T")
Connection = psycopg.Connection[tuple[object, ...]]


def _set(settings: Sequence[tuple[str, str]], *, local: bool) -> bytes:
    """Write the statement that makes settings, for a transaction or for a session."""
    each = (sql.SQL("pg_catalog.set_config({}, {}, {})").format(*s, local) for s in settings)
    return sql.SQL("SELECT {}").format(sql.SQL(", ").join(each)).as_bytes()


# A server does not look at its client while a query runs: that of a killed kernel would go on for hours.
_NOTICE_OUR_DEATH = b"SET client_connection_check_interval = '5s'"
# Once more for each run: behind a pooler each may meet another session, as others left it.
_BEGIN = (
    b"BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY",
    _set(frames.SETTINGS, local=True),
)
_BEGIN_CONSISTENT = (b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", _BEGIN[1])
# One statement: of a pipeline that breaks, the driver logs what nobody needs to read.
_SETTLE = _set(frames.SETTINGS, local=False)
# Undoes what a query set, and does not send what it notified; only locks outlive a transaction.
_END = (b"ROLLBACK", b"SELECT pg_catalog.pg_advisory_unlock_all()")
MINIMUM_VERSION = 140_000  # SQL-standard function bodies tell what a query reads
_DENIED = "42501"
_UNREACHABLE = ("08", "57P", "53300")  # SQLSTATE prefixes of a lost or refused connection
_HINTS = {  # by SQLSTATE prefix, the last for all others
    "53300": "an engine holds one connection that listens and up to pool_size for queries.",
    "28": "the role may not log in like this; a new password is taken from PGPASSWORD, ~/.pgpass or "
    "a service file at the next attempt, within a minute.",
    "": "check that the server runs and that host, port, database, user and password "
    "(PGRT_DSN, DATABASE_URL or libpq's PG* variables) are right.",
}


class Sessions:
    """Keep idle connections; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[str, list[Connection]] = {}  # the one used last is taken first
        self._used: dict[Connection, float] = {}  # of those: when
        self._busy: set[Connection] = set()
        self._given_up: set[Connection] = set()  # a late cancel must not hit their next query
        self._closed = False

    def run(self, conninfo: Conninfo, work: Callable[[Connection], T]) -> T:
        """Do `work` with a connection in autocommit mode; raises PgrtError or what it raises.

        When the connection dies meanwhile, the work is done once more on a fresh one.
        """
        anew = lambda made: work(_prepared(made))  # noqa: E731
        kept = self._take(conninfo)
        connection = kept or _dial(conninfo)
        try:
            return self._use(conninfo, connection, work if kept else anew)
        except (psycopg.OperationalError, ServerUnavailable):
            if not connection.closed or self._closed:
                raise
            self._drop_idle(conninfo)
        return self._use(conninfo, _dial(conninfo), anew)

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

    def tidy(self, seconds: float) -> None:
        """Close connections that have been idle for so long, but for the last of each connection string."""
        before = time.monotonic() - seconds
        with self._lock:
            old = [c for kept in self._idle.values() for c in kept[:-1] if self._used[c] < before]
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


def connect(conninfo: Conninfo) -> Connection:
    """Open a connection in autocommit mode with the settings results rely on."""
    return _prepared(_dial(conninfo))


def _dial(conninfo: Conninfo) -> Connection:
    """Open a connection in autocommit mode; raises ServerUnavailable."""
    failure: ServerUnavailable | None = None
    filled = conninfo.filled()
    try:
        # A pooler's next transaction may find another server session, without what was prepared.
        connection = psycopg.connect(filled, autocommit=True, prepare_threshold=None)
    except psycopg.Error as error:
        failure = unavailable(error, conninfo, reason(error, filled))
    except OSError as error:  # no file descriptor to be had
        failure = unavailable(error, conninfo)
    if failure is not None:
        raise failure from None  # the driver's frames hold the password
    forks.remember(connection)
    if (old := too_old(connection.info.server_version, conninfo)) is not None:
        connection.close()
        raise old
    return connection


def _prepared(connection: Connection) -> Connection:
    """Make the settings of a session, unless a pooler lends it to others as well."""
    row = connection.execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
    if row is None or row[0] != connection.info.backend_pid:
        return connection
    connection.execute(_SETTLE)
    with suppress(psycopg.DatabaseError):  # servers on some systems have it not
        connection.execute(_NOTICE_OUR_DEATH)
    return connection


def peer(connection: Connection) -> str:
    """Say which server, database and role a connection has, without any secret."""
    info = connection.info
    number = info.server_version
    secured = "TLS" if connection.pgconn.ssl_in_use else "no TLS"
    local = info.host.startswith("/")
    return (
        f"host={info.host} port={info.port} dbname={info.dbname} user={info.user} "
        f"(PostgreSQL {number // 10_000}.{number % 10_000}{'' if local else ', ' + secured})"
    )


def cut(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
    """Shut a connection's socket down, so that whatever waits on it fails now; from any thread."""
    with suppress(OSError, psycopg.Error):
        wire = socket.socket(fileno=connection.pgconn.socket)
        try:
            wire.shutdown(socket.SHUT_RDWR)
        finally:
            wire.detach()


@contextmanager
def reading(
    connection: Connection, query: str, parameter_types: Sequence[int]
) -> Iterator[tuple[frames.Described, Callable[[], None]]]:
    """Run the block in one READ ONLY transaction; the connection is lent to others afterwards.

    Gives what the query gives, and what the block may call when it has read everything: the server
    ends the transaction while the block goes on.
    """
    end = _End(connection)
    try:
        yield frames.describe(connection, query, parameter_types, after=_BEGIN), end.send
    except BaseException:
        with suppress(psycopg.Error):
            end.wait()
        raise
    end.wait()


@contextmanager
def consistent(
    connection: Connection, first: bytes, snapshot: str = ""
) -> Iterator[tuple[list[tuple[str | None, ...]], Callable[[], None]]]:
    """Run the block in a READ ONLY transaction in which every statement sees what the first one sees.

    Gives the rows of that first one, as text, and what `reading` gives to end the transaction early.
    `snapshot`: see what the transaction sees that exported it.
    """
    end = _End(connection)
    begin, settings = _BEGIN_CONSISTENT
    share = sql.SQL("SET TRANSACTION SNAPSHOT {}").format(snapshot).as_bytes()
    try:
        before = [begin, share, settings] if snapshot else [begin, settings]
        answers = frames.answers(connection, [*before, first])
        for answer in answers:
            if answer.status == pq.ExecStatus.FATAL_ERROR:
                raise error_from_result(answer, encoding=connection.info.encoding)
        columns = frames.texts(answers[-1])
        decoded = [[None if v is None else v.decode() for v in column] for column in columns]
        yield list(zip(*decoded, strict=True)), end.send
    except BaseException:
        with suppress(psycopg.Error):
            end.wait()
        raise
    end.wait()


def read_small(connection: Connection, query: str, columns: Sequence[Column]) -> Fetched | None:
    """Run a query whose result was small in such a transaction, in one trip; None: do it as usual."""
    fetched = None
    try:
        fetched = small.fetch(connection, query, columns, before=_BEGIN, after=_END)
    finally:
        if fetched is None:  # it was not ended
            with suppress(psycopg.Error):
                _End(connection).wait()
    return fetched


class _End:
    """End a transaction that read: send that, and wait for the answer later."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sent = False

    def send(self) -> None:
        """Have the server begin with it."""
        if not self._sent:
            self._sent = True
            self._connection.pgconn.send_query(b"; ".join(_END))

    def wait(self) -> None:
        """Have it done; raises psycopg's errors."""
        self.send()
        for answer in self._connection.wait(generators.execute(self._connection.pgconn)):
            if answer.status == pq.ExecStatus.FATAL_ERROR:
                raise error_from_result(answer, encoding=self._connection.info.encoding)


def read_at_once(
    connection: Connection, statements: Sequence[sql.Composable]
) -> list[list[tuple[Any, ...]]]:
    """Read in one READ ONLY transaction and one round trip; the statements must leave nothing behind.

    They are composed to the end: only text without parameters may hold several.
    """
    begin = [sql.SQL(statement.decode()) for statement in _BEGIN]
    whole = sql.SQL("; ").join([*begin, *statements, sql.SQL("ROLLBACK")])
    try:
        cursor = connection.execute(whole)
    except BaseException:
        with suppress(psycopg.Error):
            connection.execute(b"ROLLBACK")
        raise
    found: list[list[tuple[Any, ...]]] = []
    more: bool | None = True
    while more:
        if cursor.description is not None:
            found.append(cursor.fetchall())
        more = cursor.nextset()
    return found[1:]  # the first is of the settings


def too_old(version: int, conninfo: Conninfo) -> ServerUnavailable | None:
    """Give what to raise for a server of that version, a number as libpq gives it; None: it will do."""
    if version >= MINIMUM_VERSION:
        return None
    return ServerUnavailable(
        f"The server ({conninfo}) is PostgreSQL {version // 10_000}; live queries need PostgreSQL "
        f"{MINIMUM_VERSION // 10_000} or newer.",
        hint="upgrade the server, or query a newer one that logical replication feeds from it.",
    )


def unavailable(
    error: Exception, conninfo: Conninfo, sqlstate: str | None = None
) -> ServerUnavailable:
    """Say why no connection could be had, without the connection string."""
    words = str(error).strip().splitlines()
    attempt = getattr(error, "pgconn", None)
    state = sqlstate or getattr(error, "sqlstate", None)
    hints = [hint for prefix, hint in _HINTS.items() if (state or "").startswith(prefix)]
    return ServerUnavailable(
        f"No connection to PostgreSQL ({conninfo}): {words[0] if words else 'unknown reason'}",
        sqlstate=state,
        hint=hints[0],
        needs_password=bool(getattr(attempt, "needs_password", False)),
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
