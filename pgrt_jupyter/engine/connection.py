"""Open a connection with the settings that results rely on, say whose it is, and cut it off."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import psycopg
from psycopg import sql

from ..config import Conninfo
from ..errors import ServerUnavailable
from . import forks, frames
from .refusal import reason, too_old, unavailable
from .sql import load

Connection = psycopg.Connection[tuple[object, ...]]


class Origin(NamedTuple):
    """Say what a session's server was when the session was opened."""

    started: float = 0  # seconds of the epoch; 0 where it shows none
    timeline: int = 0  # of its log; 0 on a standby, and where it shows none
    is_standby: bool = False
    trip: float = 0  # seconds there and back


_servers: WeakKeyDictionary[Connection, Origin] = WeakKeyDictionary()


def set_config(settings: Sequence[tuple[str, str]], *, local: bool) -> bytes:
    """Write the statement that makes settings, for a transaction or for a session."""
    each = (sql.SQL("pg_catalog.set_config({}, {}, {})").format(*s, local) for s in settings)
    return sql.SQL("SELECT {}").format(sql.SQL(", ").join(each)).as_bytes()


# A server does not look at its client while a query runs: that of a killed kernel would go on for hours.
_NOTICE_OUR_DEATH = b"SET client_connection_check_interval = '5s'"
# One statement: of a pipeline that breaks, the driver logs what nobody needs to read.
_SETTLE = set_config(frames.SETTINGS, local=False)


def connect(conninfo: Conninfo) -> Connection:
    """Open a connection in autocommit mode with the settings results rely on."""
    return prepared(dial(conninfo))


def dial(conninfo: Conninfo) -> Connection:
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


def prepared(connection: Connection) -> Connection:
    """Make the settings of a session, unless a pooler lends it to others as well."""
    began = time.monotonic()
    row = connection.execute(load("session_opened")).fetchone()
    if row is None:
        return connection
    answered = time.monotonic()
    timeline = _timeline(connection)
    trip = min(answered - began, time.monotonic() - answered)
    pid, started = row
    _servers[connection] = Origin(float(str(started)), timeline, on_standby(connection), trip)
    if pid != connection.info.backend_pid:
        return connection
    connection.execute(_SETTLE)
    with suppress(psycopg.DatabaseError):  # servers on some systems have it not
        connection.execute(_NOTICE_OUR_DEATH)
    return connection


def _timeline(connection: Connection) -> int:
    """Ask for a primary's timeline; 0 on a standby, and where a service shows nothing of its log."""
    with suppress(psycopg.DatabaseError):
        row = connection.execute(load("session_timeline")).fetchone()
        return int(str(row[0])) if row is not None else 0
    return 0


def server_of(connection: Connection) -> Origin:
    """Tell what the server of a session was when the session was opened."""
    return _servers.get(connection, Origin())


def on_standby(connection: Connection) -> bool:
    """Say whether the session's server was a standby when it last answered."""
    return connection.info.parameter_status("in_hot_standby") == "on"


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
