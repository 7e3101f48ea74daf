"""Read in transactions that leave nothing behind: the connection is lent to others afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import generators, pq, sql
from psycopg.errors import error_from_result

from . import frames, small
from .connection import Connection, set_config
from .model import Column
from .pieces import Fetched

# Once more for each run: behind a pooler each may meet another session, as others left it.
_BEGIN = (
    b"BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY",
    set_config(frames.SETTINGS, local=True),
)
_BEGIN_CONSISTENT = (b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", _BEGIN[1])
# Undoes what a query set, and does not send what it notified; only locks outlive a transaction.
_END = (b"ROLLBACK", b"SELECT pg_catalog.pg_advisory_unlock_all()")


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
