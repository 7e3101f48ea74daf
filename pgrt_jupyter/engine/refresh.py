"""Run a query once and say what came of it.

A run is one READ ONLY transaction on a worker thread: describe, fetch, compare with the previous
result, and only if it differs build the frame. What changed is worked out when somebody asks. A query
that has a plan is read as far as it changed (`planned`).
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from datetime import UTC, datetime

import pandas as pd
import psycopg

from . import diff, frames, planned, small
from .connection import Connection, server_of
from .model import Column, Snapshot
from .outcomes import Difference, Outcome, Query
from .pieces import Fetched
from .transactions import read_small, reading
from .translation import is_lost, translated

log = logging.getLogger("pgrt_jupyter")

_TRIPS = 4  # to the server and back, of a run that reads all


def run(connection: Connection, query: Query, previous: Snapshot | None) -> Outcome:
    """Run the query; raises QueryFailed, PermissionMissing or ServerUnavailable."""
    began = time.monotonic()
    outcome = _run(connection, query, previous)
    seconds = time.monotonic() - began - _TRIPS * server_of(connection).trip
    return replace(outcome, seconds=seconds)


def _run(connection: Connection, query: Query, previous: Snapshot | None) -> Outcome:
    """Run it by its plan, or as it is."""
    ran_at = datetime.now(UTC)
    replan = False
    if query.plan is not None:
        try:
            return planned.run(connection, query, query.plan, previous, ran_at)
        except (psycopg.Error, planned.Unfit) as error:
            if isinstance(error, psycopg.OperationalError) and is_lost(error):
                with translated(query.statement):
                    raise
            log.info("a query is run as it is, without its plan: %s", type(error).__name__)
            replan = True  # and the user's own text tells what is wrong, where something is
    return replace(_plain(connection, query, previous, ran_at), replan=replan)


def _plain(
    connection: Connection, query: Query, previous: Snapshot | None, ran_at: datetime
) -> Outcome:
    """Run the text as it is."""
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
    if previous is not None and previous.is_of(fetched, columns):
        return Outcome(snapshot=None, difference=None, ran_at=ran_at)
    parsed = frames.parse(
        fetched,
        columns,
        dtype_backend=query.dtype_backend,
        known=_known(previous, columns),
    )
    if (
        previous is not None
        and not previous.digest
        and _shows_same(previous, parsed.frame, columns)
    ):
        return Outcome(snapshot=None, difference=None, ran_at=ran_at)
    snapshot = Snapshot(
        version=previous.version + 1 if previous is not None else 1,
        frame=parsed.frame,
        columns=columns,
        digest=fetched.digest,
        refreshed_at=ran_at,
        truncated=fetched.truncated,
        known=parsed.known,
    )
    before = previous.frame if previous is not None else None
    difference = Difference(before, snapshot.frame, query.key)
    return Outcome(snapshot=snapshot, difference=difference, ran_at=ran_at)


def _known(previous: Snapshot | None, columns: tuple[Column, ...]) -> frames.Known | None:
    """Give what need not be read again."""
    return previous.known if previous is not None and previous.columns == columns else None


def _shows_same(previous: Snapshot, frame: pd.DataFrame, columns: tuple[Column, ...]) -> bool:
    """Compare by value: of a result that was patched there is no text."""
    return previous.columns == columns and diff.is_equal(previous.frame, frame)
