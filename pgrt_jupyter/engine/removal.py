"""Take everything of ours out of a database.

A table per transaction, so that no writer ever queues behind us for long. Runs on any thread that may wait,
under the installing role.
"""

from __future__ import annotations

import time
from typing import Any

import psycopg
from psycopg import sql

from ..errors import CaptureFailed
from .backoff import Backoff
from .capture import exclusively
from .connection import Connection
from .pinning import pinned
from .sql import load


def uninstall(connection: Connection, *, patience: float = 10.0) -> list[str]:
    """Drop everything of ours in this database, a table per transaction; say what was dropped.

    DROP needs a table to itself: it waits LOCK_TIMEOUT_MS at a time and lets others go on in
    between, for `patience` seconds in all. Raises CaptureFailed, saying what is left.
    """
    dropped: list[str] = []
    deadline = time.monotonic() + patience
    pauses = Backoff(0.05, 1.0)
    while True:
        left = [name for (name,) in _functions(connection) if not _drop(connection, name, dropped)]
        if not left and _drop_schema(connection, dropped):
            return dropped
        if time.monotonic() >= deadline:
            using = ", ".join(left) or "the schema"
            raise CaptureFailed(
                f"Others are using what is to be dropped: _pgrt still holds {using}",
                sqlstate="55P03",
                hint="nothing else of ours is left; try again when long transactions have ended.",
            )
        time.sleep(pauses.next())


def _functions(connection: Connection) -> list[Any]:
    with pinned(connection):
        return connection.execute(load("capture_installed")).fetchall()


def _drop(connection: Connection, name: str, dropped: list[str]) -> bool:
    """Drop one function with its triggers; False: its table is in use."""
    try:
        with exclusively(connection):
            found: Any = connection.execute(load("capture_uses"), {"name": name}).fetchone()
            if found is not None:  # else another process was quicker
                drop = sql.SQL("DROP FUNCTION {}() CASCADE")
                connection.execute(drop.format(sql.Identifier("_pgrt", name)))
    except psycopg.Error as error:
        return _not_if_busy(error)
    if found is not None:
        dropped += [f"trigger {trigger}" for trigger in found[0]]
        dropped.append(f"function _pgrt.{name}()")
    return True


def _drop_schema(connection: Connection, dropped: list[str]) -> bool:
    """Drop the schema; False: something in it is in use."""
    try:
        with exclusively(connection):
            exists = "SELECT FROM pg_catalog.pg_namespace WHERE nspname = '_pgrt'"
            found = connection.execute(exists).fetchone()
            if found is not None:
                connection.execute("DROP SCHEMA _pgrt CASCADE")
    except psycopg.Error as error:
        return _not_if_busy(error)
    dropped += ["schema _pgrt"] if found is not None else []
    return True


def _not_if_busy(error: psycopg.Error) -> bool:
    """Give False where trying again helps; raise anything else."""
    if not CaptureFailed(sqlstate=error.sqlstate).is_busy:
        raise error
    return False
