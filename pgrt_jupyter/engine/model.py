"""Hold the facts that travel along the journey: frozen values, no behaviour."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from .pieces import Fetched


class Operation(enum.Enum):
    """What a statement did to a relation."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    TRUNCATE = "truncate"


class Status(enum.Enum):
    """How much a result can be trusted right now."""

    STARTING = "starting"
    LIVE = "live"
    STALE = "stale"
    POLLING = "polling"
    PAUSED = "paused"
    ERROR = "error"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """Describe one output column of a query, as the server describes it."""

    name: str
    type_oid: int
    typmod: int = -1
    relation: int = 0  # oid of the table the column comes from; 0 when computed
    attnum: int = 0  # its number in that table; 0 when computed


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """Name one table a query depends on, directly or through views and policies."""

    oid: int
    schema: str
    name: str
    visible: bool  # the bare name finds it in the query role's search path
    columns: frozenset[str]  # the columns whose change matters
    every_column: bool  # whole rows, count(*) or EXISTS: any column matters

    @property
    def qualified(self) -> str:
        """Give `schema.table`, unquoted."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """Say what analysis found out about a query."""

    columns: tuple[Column, ...]
    parameter_types: tuple[int, ...]  # type oids of $1, $2, …
    relations: tuple[Relation, ...]
    unwatchable: tuple[str, ...]  # what no trigger can announce, by name
    fingerprint_oids: tuple[
        int, ...
    ]  # relations, and functions negated, whose definition shaped this
    named: tuple[int, ...]  # relations the text itself names: its role needs SELECT on them
    key: tuple[str, ...]  # the primary key columns the result carries


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Hold one published result; the frame is never mutated."""

    version: int
    frame: pd.DataFrame
    columns: tuple[Column, ...]
    digest: bytes  # of the server's text; equal digests are equal results
    refreshed_at: datetime  # aware, when the run began
    truncated: bool  # `max_rows` cut it
    # Columns of the frame in pieces, by the digest of their text: a next result may have them, too.
    known: Mapping[bytes, Sequence[Any]] = field(default_factory=dict, repr=False)

    def is_of(self, fetched: Fetched, columns: tuple[Column, ...]) -> bool:
        """Compare by the digest of the server's own text, which tells 1.0 from 1.00."""
        same = self.digest == fetched.digest and self.columns == columns
        return same and self.truncated == fetched.truncated


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """Hold the rows one update changed, matched by `key`."""

    inserted: pd.DataFrame
    updated: pd.DataFrame  # new values
    previous: pd.DataFrame  # old values of the same rows, in the same order
    deleted: pd.DataFrame
    key: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChange:
    """Describe one changed row to a `refresh` filter."""

    operation: str  # "insert", "update", "delete" or "truncate"
    table: str  # as the query finds it: "orders", or "schema.orders" off the search path
    row: Mapping[str, Any] | None  # the new image; the old one for a delete
    old: Mapping[str, Any] | None  # the old image of an update or delete
    changes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)  # column: (old, new)
    hashed: frozenset[str] = frozenset()  # columns carried as SHA-256 because of their size


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """Stand for the values of one column of the current result in a filter."""

    name: str


class Tracked(enum.Enum):
    """Let a `refresh` function fall back to the default for one change."""

    TRACKED_COLUMNS = "tracked columns"

    def __repr__(self) -> str:
        return "TRACKED_COLUMNS"


TRACKED_COLUMNS = Tracked.TRACKED_COLUMNS

RefreshFunction = Callable[[Any, "pd.DataFrame", RowChange], Any]
RefreshMapping = Mapping[str, Mapping[str, Any]]
Refresh = RefreshMapping | Sequence[RefreshMapping] | RefreshFunction | None
