"""Run a query once and say what came of it.

A run is one READ ONLY transaction on a worker thread: describe, fetch, compare with the previous
result, and only if it differs build the frame and the delta.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from psycopg import IsolationLevel

from . import diff, frames
from .model import Column, Delta, Snapshot
from .sessions import Connection, translated
from .statement import Statement

Backend = Literal["pyarrow", "numpy_nullable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Hold what a run needs."""

    statement: Statement
    select: str  # with literals in the parameters' places
    parameter_types: tuple[int, ...]
    key: tuple[str, ...]
    max_rows: int | None
    dtype_backend: Backend


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Say what a run found."""

    snapshot: Snapshot | None  # None: the result is what it was
    delta: Delta | None
    ran_at: datetime


def run(connection: Connection, query: Query, previous: Snapshot | None) -> Outcome:
    """Run the query; raises QueryFailed, PermissionMissing or ServerUnavailable."""
    ran_at = datetime.now(UTC)
    connection.read_only = True
    connection.isolation_level = IsolationLevel.READ_COMMITTED
    with translated(query.statement), connection.transaction():
        described = frames.describe(connection, query.statement.text, query.parameter_types)
        fetched = frames.fetch(connection, query.select, max_rows=query.max_rows)
    if previous is not None and _is_same(previous, fetched, described.columns):
        return Outcome(snapshot=None, delta=None, ran_at=ran_at)
    frame = frames.parse(fetched, described.columns, dtype_backend=query.dtype_backend)
    snapshot = Snapshot(
        version=previous.version + 1 if previous is not None else 1,
        frame=frame,
        columns=described.columns,
        digest=fetched.digest,
        refreshed_at=ran_at,
        truncated=fetched.truncated,
    )
    before = previous.frame if previous is not None else None
    return Outcome(snapshot=snapshot, delta=diff.delta(before, frame, query.key), ran_at=ran_at)


def _is_same(
    previous: Snapshot, fetched: frames.Fetched, columns: tuple[Column, ...]
) -> bool:
    """Compare by the digest of the server's own text, which tells 1.0 from 1.00."""
    return (
        previous.digest == fetched.digest
        and previous.columns == columns
        and previous.truncated == fetched.truncated
    )
