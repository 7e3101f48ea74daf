"""Run a query that has a plan: what changed of it, or all of it where that is not certain.

All of it is read in one snapshot, whose number is kept: the next run reads what became visible since.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

import pandas as pd
import psycopg

from ..errors import PgrtError
from . import changed, deltas, diff, frames, patches
from .connection import Connection, on_standby
from .deltas import Base
from .merging import Patch, Uncertain
from .model import Column, Snapshot
from .outcomes import Difference, Outcome, Query
from .plans import Plan
from .transactions import consistent
from .translation import is_lost

log = logging.getLogger("pgrt_jupyter")

Rows = Sequence[Sequence[str | None]]

_EXPORT = b"SELECT pg_catalog.pg_export_snapshot()"
_NOW = b"SELECT pg_catalog.pg_current_snapshot()::pg_catalog.text"


class Unfit(Exception):
    """The outputs of a plan are not what they were when it was made."""


def run(
    connection: Connection, query: Query, plan: Plan, previous: Snapshot | None, ran_at: datetime
) -> Outcome:
    """Run a plan; raises the driver's errors and Unfit."""
    if query.base is not None and previous is not None and not on_standby(connection):
        try:
            return _as_far_as_changed(connection, query, plan, previous, ran_at, query.base)
        except Exception as error:  # whatever it is, reading all of it is right
            if isinstance(error, Unfit):
                raise
            if isinstance(error, psycopg.OperationalError) and is_lost(error):
                raise
            # The server may refuse what rows that are gone would come to, or not answer at all.
            expected = isinstance(error, (psycopg.Error, PgrtError))
            level = logging.INFO if expected else logging.ERROR
            log.log(level, "reading what changed failed: %s", type(error).__name__)
    with consistent(connection, _NOW) as (rows, end):
        return _whole(connection, query, plan, previous, ran_at, str(rows[0][0]), end)


def _as_far_as_changed(
    connection: Connection,
    query: Query,
    plan: Plan,
    previous: Snapshot,
    ran_at: datetime,
    base: Base,
) -> Outcome:
    """Read what changed, or all in the same transaction.

    Where the query has a role of its own, which may not read what changed, two sessions share a snapshot.
    """
    first = deltas.wanted(base.at, query.members)

    def read(rows: Rows, end: Callable[[], None]) -> Outcome:
        found = changed.changed(rows)
        try:
            patch = deltas.patch(connection, plan, query.members, base.body, found)
        except Uncertain as reason:
            log.debug("a result is read whole: %s", reason)
            return _whole(connection, query, plan, previous, ran_at, found.snapshot, end)
        end()
        return _patched(query, plan, previous, ran_at, patch, base, found.snapshot)

    if query.lend is None:
        with consistent(connection, first) as (rows, end):
            return read(rows, end)

    def read_as_two(own: Connection) -> Outcome:
        with consistent(own, first) as (rows, end_own):
            ((snapshot,),) = own.execute(_EXPORT).fetchall()
            with consistent(connection, _NOW, str(snapshot)) as (_, end):
                end_own()
                return read(rows, end)

    return query.lend(read_as_two)


def _whole(
    connection: Connection,
    query: Query,
    plan: Plan,
    previous: Snapshot | None,
    ran_at: datetime,
    at: str,
    end: Callable[[], None],
) -> Outcome:
    """Read all of it."""
    columns = frames.describe(connection, plan.select).columns
    if columns != plan.columns:
        raise Unfit
    fetched = frames.fetch(connection, plan.select, progress=query.progress)
    end()
    shown, in_vain = columns[: plan.shown], query.base is not None
    if previous is not None and query.base is not None and previous.is_of(fetched, shown):
        base = replace(query.base, at=at)
        return Outcome(snapshot=None, difference=None, ran_at=ran_at, base=base, in_vain=in_vain)
    known = previous.known if previous is not None and previous.columns == shown else None
    values, known = frames.read(fetched, columns, known=known)
    frame = frames.framed(values, shown, fetched.rows, dtype_backend=query.dtype_backend)
    base = Base(at=at, body=patches.body(values, fetched.rows))
    if previous is not None and previous.columns == shown and diff.is_equal(previous.frame, frame):
        return Outcome(snapshot=None, difference=None, ran_at=ran_at, base=base, in_vain=in_vain)
    snapshot = _snapshot(previous, frame, shown, ran_at, fetched.digest, known)
    before = previous.frame if previous is not None else None
    difference = Difference(before, frame, query.key)
    return Outcome(
        snapshot=snapshot, difference=difference, ran_at=ran_at, base=base, in_vain=in_vain
    )


def _patched(
    query: Query,
    plan: Plan,
    previous: Snapshot,
    ran_at: datetime,
    patch: Patch | None,
    base: Base,
    at: str,
) -> Outcome:
    """Make a snapshot of a patched result."""
    if patch is None:
        after = replace(base, at=at)
        return Outcome(snapshot=None, difference=None, ran_at=ran_at, base=after, kind="delta")
    shown, backend = plan.columns[: plan.shown], query.dtype_backend
    frame = frames.framed(patch.body.values, shown, patch.body.rows, dtype_backend=backend)
    snapshot = _snapshot(previous, frame, shown, ran_at, b"", {})
    if patch.is_all and plan.is_keyed_by(query.key):
        gone, came = (
            frames.framed(values, shown, len(values[0]), dtype_backend=backend)
            for values in (patch.removed, patch.added)
        )
        difference = Difference(gone, came, query.key)
    else:
        difference = Difference(previous.frame, frame, query.key)
    after = Base(at=at, body=patch.body)
    return Outcome(
        snapshot=snapshot, difference=difference, ran_at=ran_at, base=after, kind="delta"
    )


def _snapshot(
    previous: Snapshot | None,
    frame: pd.DataFrame,
    columns: tuple[Column, ...],
    ran_at: datetime,
    digest: bytes,
    known: frames.Known,
) -> Snapshot:
    return Snapshot(
        version=previous.version + 1 if previous is not None else 1,
        frame=frame,
        columns=columns,
        digest=digest,
        refreshed_at=ran_at,
        truncated=False,
        known=known,
    )
