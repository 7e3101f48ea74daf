"""Run a query by other means and say how a live result differs from it.

Two fresh runs: one over psycopg's own types, which shares no code with ours but the driver, and one over
a new connection through our reading, which must agree in dtypes too.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd
import psycopg
from psycopg.types.string import TextLoader

from pgrt_jupyter.engine import analysis, refresh
from pgrt_jupyter.engine.statement import parse
from pgrt_jupyter.errors import PgrtError

from .queries import Query

_AS_TEXT = ("json", "jsonb", "uuid")
_SHOWN = 6  # rows of a difference that are printed


def difference(live: Any, query: Query, conninfo: str, *, busy: bool = False) -> str | None:
    """Say how a LiveQuery differs from fresh runs of its query; None where it does not.

    While writers are `busy` triggers may have to wait for them, and the query polls.
    """
    with psycopg.connect(conninfo, autocommit=True, application_name="pgrt-test") as connection:
        for name in _AS_TEXT:
            connection.adapters.register_loader(name, TextLoader)
        try:
            cursor = connection.execute(query.fresh.encode())
        except psycopg.Error as error:
            return _failing(live, error)
        names = [column.name for column in cursor.description or ()]
        rows = [tuple(map(canonical, row)) for row in cursor.fetchall()]
    if live.error is not None:
        return f"a fresh run succeeds, the live query has {live.error!r}"
    expected = {"polling"} if query.polls else {"live", "polling"} if busy else {"live"}
    if live.status not in expected:
        return f"status is {live.status!r}, not {expected} ({live._shown().message})"
    found = _frames(live.df, names, rows, query, live.truncated)
    return found or _read_again(live.df, query, conninfo)


def _failing(live: Any, error: psycopg.Error) -> str | None:
    """Compare with a fresh run that failed: the error must show, and a forbidden result be gone."""
    told = getattr(live.error, "sqlstate", None)
    if told != error.sqlstate:
        return f"a fresh run fails with {error.sqlstate} {error}, the live query has {live.error!r}"
    if live.status != "error":
        return f"a fresh run fails, status is {live.status!r} ({live._shown().message})"
    if error.sqlstate == "42501" and len(live.df):
        return "the role may not read this any more, and the rows are still there"
    return None


def _frames(
    frame: pd.DataFrame, names: list[str], rows: list[Any], query: Query, truncated: bool
) -> str | None:
    """Compare a frame with names and rows."""
    if list(frame.columns) != names:
        return f"columns {list(frame.columns)}, fresh {names}"
    most = query.options.get("max_rows")
    if most is not None:
        if truncated != (len(rows) > most):
            return f"truncated is {truncated} with {len(rows)} rows and max_rows={most}"
        rows = rows[:most]
    return differing(list(rows_of(frame)), rows, ordered=query.ordered)


def differing(shown: list[Any], fresh: list[Any], *, ordered: bool) -> str | None:
    """Compare rows, as a sequence or as a multiset."""
    if shown == fresh:
        return None
    missing, extra = Counter(fresh) - Counter(shown), Counter(shown) - Counter(fresh)
    if not missing and not extra:
        return f"the order differs: {shown[:_SHOWN]}, fresh {fresh[:_SHOWN]}" if ordered else None
    return f"{len(shown)} rows shown, {len(fresh)} fresh; missing {_some(missing)}; extra {_some(extra)}"


def _read_again(frame: pd.DataFrame, query: Query, conninfo: str) -> str | None:
    """Compare with our own reading over a new connection."""
    statement = parse(query.sql, query.params)
    with psycopg.connect(conninfo, autocommit=True, application_name="pgrt-test") as connection:
        try:
            analysed = analysis.analyse(connection, statement)
            again = refresh.run(
                connection,
                refresh.Query(
                    statement=statement,
                    select=analysed.select,
                    parameter_types=analysed.dependencies.parameter_types,
                    key=(),
                    max_rows=query.options.get("max_rows"),
                    dtype_backend="pyarrow",
                ),
                None,
            ).snapshot
        except (PgrtError, psycopg.Error) as error:
            return f"reading it again fails: {error!r}"
    assert again is not None
    if list(map(str, frame.dtypes)) != list(map(str, again.frame.dtypes)):
        return f"dtypes {list(frame.dtypes)}, fresh {list(again.frame.dtypes)}"
    return differing(list(rows_of(frame)), list(rows_of(again.frame)), ordered=query.ordered)


def rows_of(frame: pd.DataFrame) -> Iterable[tuple[Any, ...]]:
    """List a frame's rows in comparable form."""
    columns = [[canonical(v) for v in frame.iloc[:, i].tolist()] for i in range(frame.shape[1])]
    return zip(*columns, strict=True) if columns else [()] * len(frame)


def canonical(value: Any) -> Any:
    """Give one value the form in which both sides can be compared; 1.0 and 1.00 stay apart."""
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, dt.datetime):
        moment = value.to_pydatetime() if isinstance(value, pd.Timestamp) else value
        return moment.astimezone(dt.UTC).isoformat()
    if isinstance(value, (list, tuple)):
        return tuple(map(canonical, value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    return value


def _some(rows: Counter[Any]) -> Sequence[Any]:
    return [
        (row if len(repr(row)) < 300 else repr(row)[:300], n) for row, n in rows.most_common(_SHOWN)
    ]
