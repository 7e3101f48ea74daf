"""List live queries in a table."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import pandas as pd

from .api import Engine
from .live import LiveQuery
from .watched import refused
from .wording import plain


def listing(queries: Iterable[LiveQuery]) -> pd.DataFrame:
    """Describe each query in a row: its state, how old its result is, what it reads."""
    now = dt.datetime.now(dt.UTC)
    rows = {
        plain(query.name): {
            "status": query.status,
            "rows": len(query.df),
            "age": age(query.refreshed_at, now),
            "version": query.version,
            "reads": plain(", ".join(query.tables)),
            "note": plain(query.error.message if query.error else ", ".join(query.unwatched)),
        }
        for query in queries
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("name")


def status(engine: Engine) -> str:
    """Say where an engine is connected, what it keeps live, and what it was sent and ignored."""
    count = len(engine.subscriptions())
    said = [
        f"Connected to {plain(engine.server)}; {count} live {'query' if count == 1 else 'queries'}"
    ]
    if engine.unreadable:
        said.append(
            f"{engine.unreadable:,} notifications were not of our triggers and were ignored."
        )
    if refused.count:
        said.append(f"{refused.count:,} messages from browsers made no sense and were ignored.")
    return "\n".join(said)


def age(moment: dt.datetime | None, now: dt.datetime) -> str:
    """Say in words how long ago a moment was."""
    if moment is None:
        return ""
    seconds = max(0, int((now - moment).total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
