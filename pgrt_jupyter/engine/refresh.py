"""Run a query once and say what came of it.

A run is one READ ONLY transaction on a worker thread: describe, fetch, compare with the previous
result, and only if it differs build the frame. What changed is worked out when somebody asks.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import pandas as pd

from . import diff, frames, small
from .model import Column, Delta, Snapshot
from .pieces import Fetched
from .progress import Progress
from .sessions import Connection, read_small, reading, translated
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
    progress: Progress | None = None  # of who waits for the first result


class Difference:
    """Compare two results when somebody asks, once; from any thread.

    Comparing takes longer than a small query, and most updates are only looked at.
    """

    def __init__(self, previous: Snapshot | None, current: Snapshot, key: tuple[str, ...]) -> None:
        self._lock = threading.Lock()
        self._inputs: tuple[pd.DataFrame | None, pd.DataFrame, tuple[str, ...]] | None = (
            previous.frame if previous is not None else None,
            current.frame,
            key,
        )
        self._delta: Delta | None = None

    def delta(self) -> Delta | None:
        """Give the rows that changed; None without a key that identifies them."""
        with self._lock:
            if self._inputs is not None:
                self._delta = diff.delta(*self._inputs)
                self._inputs = None
            return self._delta


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Say what a run found."""

    snapshot: Snapshot | None  # None: the result is what it was
    difference: Difference | None
    ran_at: datetime


def run(connection: Connection, query: Query, previous: Snapshot | None) -> Outcome:
    """Run the query; raises QueryFailed, PermissionMissing or ServerUnavailable."""
    ran_at = datetime.now(UTC)
    with translated(query.statement):
        if previous is not None and small.is_small(previous, query.max_rows):
            fetched = read_small(connection, query.select, previous.columns)
            if fetched is not None:
                return _outcome(query, previous, ran_at, fetched, previous.columns)
        text, types = query.statement.text, query.parameter_types
        with reading(connection, text, types) as (described, end):
            fetched = frames.fetch(
                connection, query.select, max_rows=query.max_rows, progress=query.progress
            )
            end()
            return _outcome(query, previous, ran_at, fetched, described.columns)


def _outcome(
    query: Query,
    previous: Snapshot | None,
    ran_at: datetime,
    fetched: Fetched,
    columns: tuple[Column, ...],
) -> Outcome:
    """Make a snapshot of what was read, unless it is what is known already."""
    if previous is not None and _is_same(previous, fetched, columns):
        return Outcome(snapshot=None, difference=None, ran_at=ran_at)
    parsed = frames.parse(
        fetched,
        columns,
        dtype_backend=query.dtype_backend,
        known=_known(previous, columns),
    )
    snapshot = Snapshot(
        version=previous.version + 1 if previous is not None else 1,
        frame=parsed.frame,
        columns=columns,
        digest=fetched.digest,
        refreshed_at=ran_at,
        truncated=fetched.truncated,
        known=parsed.known,
    )
    difference = Difference(previous, snapshot, query.key)
    return Outcome(snapshot=snapshot, difference=difference, ran_at=ran_at)


def _known(previous: Snapshot | None, columns: tuple[Column, ...]) -> frames.Known | None:
    """Give what need not be read again."""
    return previous.known if previous is not None and previous.columns == columns else None


def _is_same(previous: Snapshot, fetched: Fetched, columns: tuple[Column, ...]) -> bool:
    """Compare by the digest of the server's own text, which tells 1.0 from 1.00."""
    return (
        previous.digest == fetched.digest
        and previous.columns == columns
        and previous.truncated == fetched.truncated
    )
