"""Turn the driver's errors into ours, with the class that says what can be done about them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from ..errors import PermissionMissing, PgrtError, QueryFailed, ServerUnavailable
from .statement import Statement

_DENIED = "42501"
_UNREACHABLE = ("08", "57P", "53300")  # SQLSTATE prefixes of a lost or refused connection


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
