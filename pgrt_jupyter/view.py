"""Say what a live query shows at one moment, and read traits from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Never, TypeVar

import pandas as pd
import traitlets
from psycopg import adapters

from .engine import frames
from .engine.model import Delta, Status
from .engine.outcomes import Difference
from .engine.subscription import State
from .errors import PgrtError
from .protocol import Failure
from .window import Shown
from .wording import plain

# The traits whose observers are notified; `delta` is left out because working it out takes time.
NOTIFIED = (
    "df",
    "status",
    "error",
    "refreshed_at",
    "refresh_count",
    "version",
    "key",
    "tables",
    "unwatched",
    "sql",
    "params",
    "plan",
    "refresh_kind",
    "refresh_kinds",
)
T = TypeVar("T")
StatusName = Literal["starting", "live", "stale", "polling", "paused", "error", "closed"]

_BY_IDENTITY = ("df", "error", "params")  # comparing these by value is costly or not possible


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Hold everything a LiveQuery shows at one moment."""

    df: pd.DataFrame  # the user's own, who may change it
    frame: pd.DataFrame  # the engine's, of which it is made
    status: str
    error: PgrtError | None
    difference: Difference | None  # gives the delta
    refreshed_at: datetime | None
    refresh_count: int
    version: int
    key: tuple[str, ...]
    tables: Mapping[str, frozenset[str]]
    unwatched: tuple[str, ...]
    message: str
    types: tuple[str, ...]  # PostgreSQL type names of the columns
    truncated: bool
    sql: str
    params: Any
    plan: str
    refresh_kind: str | None
    refresh_kinds: Mapping[str, int]

    @property
    def delta(self) -> Delta | None:
        """Give what changed from the result before to this one, working it out when first asked."""
        return self.difference.delta() if self.difference is not None else None

    def differs(self, before: View | None, name: str) -> bool:
        """Say whether a trait's value is another than before."""
        old, new = getattr(before, name, None), getattr(self, name)
        return new is not old and (name in _BY_IDENTITY or new != old)

    def shown(self) -> Shown:
        """Give what a table shows of it."""
        return Shown(
            version=self.version,
            frame=self.frame,
            types=self.types,
            status=self.status,
            message=plain(self.message, keep="\n"),
            refreshed_at=self.refreshed_at,
            truncated=self.truncated,
            error=_failure(self.error),
            key=self.key,
            acts=self.status != Status.CLOSED.value,
        )


def _failure(error: PgrtError | None) -> Failure | None:
    """Give what a table shows of an error."""
    if error is None:
        return None
    hint = f"\nHint: {error.hint}" if error.hint else ""
    return {"message": error.message + hint, "sqlstate": error.sqlstate}


def view_of(
    state: State,
    before: View | None,
    *,
    status: str,
    version: int,
    runs_before: int,
    source: Any,
) -> View:
    """Turn the engine's state into what users see; `source` is the query's text and parameters."""
    assert state.snapshot is not None
    sql, params = source
    frame = state.snapshot.frame
    return View(
        df=before.df if before is not None and before.frame is frame else frames.own(frame),
        frame=frame,
        status=status,
        error=state.error,
        difference=state.difference,
        refreshed_at=state.refreshed_at,
        refresh_count=runs_before + state.refresh_count,
        version=version,
        key=state.key,
        tables={table.qualified: table.columns for table in state.dependencies.relations},
        unwatched=state.dependencies.unwatchable,
        message=state.message,
        types=tuple(_type_name(column.type_oid) for column in state.snapshot.columns),
        truncated=state.snapshot.truncated,
        sql=sql,
        params=params,
        plan=state.plan,
        refresh_kind=state.refresh_kind,
        refresh_kinds=state.refresh_kinds,
    )


class FromView(traitlets.TraitType[T, Never]):
    """Read a trait from the newest view; set by nobody."""

    def __init__(self, help: str) -> None:
        super().__init__(read_only=True, allow_none=True, help=help)

    def get(self, obj: Any, cls: Any = None) -> Any:
        """Give the value that is true now, whatever observers have been told yet."""
        return getattr(obj._view, str(self.name)) if obj._view is not None else None


def _type_name(oid: int) -> str:
    """Name a type for the table's alignment; types that are not built in count as text."""
    found = adapters.types.get(oid)
    return found.name if found is not None else "text"
