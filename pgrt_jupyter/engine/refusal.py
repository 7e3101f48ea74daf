"""Find out why a server refuses a connection, and say it in our words.

While a connection is made the driver passes on the server's words but not their SQLSTATE, and words are
in the server's language. libpq's own trace has the state, so the attempt is repeated once with the trace
on. The trace goes through a pipe and is thrown away: it may hold what a password was turned into.
"""

from __future__ import annotations

import os
import re
import select
import time

import psycopg
from psycopg import pq

from ..config import Conninfo
from ..errors import ServerUnavailable

MINIMUM_VERSION = 140_000  # SQL-standard function bodies tell what a query reads
_HINTS = {  # by SQLSTATE prefix, the last for all others
    "53300": "an engine holds one connection that listens and up to pool_size for queries.",
    "28": "the role may not log in like this; a new password is taken from PGPASSWORD, ~/.pgpass or "
    "a service file at the next attempt, within a minute.",
    "": "check that the server runs and that host, port, database, user and password "
    "(PGRT_DSN, DATABASE_URL or libpq's PG* variables) are right.",
}
_SECONDS = 2.0  # a server that refuses does so at once
_REFUSED = re.compile(rb'ErrorResponse\t S "[^"]*" V "[^"]*" C "([0-9A-Z]{5})"')


def reason(error: psycopg.Error, conninfo: str) -> str | None:
    """Give the SQLSTATE of a failed attempt; None when no server said anything. Blocks up to two seconds."""
    if error.sqlstate is not None or isinstance(error, psycopg.errors.ConnectionTimeout):
        return error.sqlstate
    try:
        found = _REFUSED.findall(_traced(conninfo))
    except (OSError, ValueError, psycopg.Error):
        return None
    return found[-1].decode() if found else None


def _traced(conninfo: str) -> bytes:
    """Give what is said while an attempt is made."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as said:
        try:
            _attempt(conninfo, writing)
        finally:
            os.close(writing)
        return said.read()


def _attempt(conninfo: str, trace: int) -> None:
    """Try to connect, with what is said going to a descriptor."""
    deadline = time.monotonic() + _SECONDS
    attempt = pq.PGconn.connect_start(conninfo.encode())
    try:
        attempt.trace(trace)
        while attempt.status != pq.ConnStatus.BAD and time.monotonic() < deadline:
            state = attempt.connect_poll()
            if state in (pq.PollingStatus.OK, pq.PollingStatus.FAILED):
                break
            waits = [attempt.socket]
            reads = state == pq.PollingStatus.READING
            left = max(0.0, deadline - time.monotonic())
            select.select(waits if reads else [], [] if reads else waits, [], left)
        attempt.untrace()
    finally:
        attempt.finish()


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


def too_old(version: int, conninfo: Conninfo) -> ServerUnavailable | None:
    """Give what to raise for a server of that version, a number as libpq gives it; None: it will do."""
    if version >= MINIMUM_VERSION:
        return None
    return ServerUnavailable(
        f"The server ({conninfo}) is PostgreSQL {version // 10_000}; live queries need PostgreSQL "
        f"{MINIMUM_VERSION // 10_000} or newer.",
        hint="upgrade the server, or query a newer one that logical replication feeds from it.",
    )
