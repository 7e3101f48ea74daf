"""List live queries in a table."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import pandas as pd

from .live import LiveQuery


def listing(queries: Iterable[LiveQuery]) -> pd.DataFrame:
    """Describe each query in a row: its state, how old its result is, what it reads."""
    now = dt.datetime.now(dt.UTC)
    rows = {
        query.name: {
            "status": query.status,
            "rows": len(query.df),
            "age": age(query.refreshed_at, now),
            "version": query.version,
            "reads": ", ".join(query.tables),
            "note": query.error.message if query.error else ", ".join(query.unwatched),
        }
        for query in queries
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("name")


def age(moment: dt.datetime | None, now: dt.datetime) -> str:
    """Say in words how long ago a moment was."""
    if moment is None:
        return ""
    seconds = max(0, int((now - moment).total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
