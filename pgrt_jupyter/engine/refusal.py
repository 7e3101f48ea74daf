"""Find out why a server refuses a connection.

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
