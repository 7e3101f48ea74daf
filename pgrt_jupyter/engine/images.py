"""Read the images of changed rows that triggers wrote while a filter waits for them.

What is new is what became visible since the last read, by snapshot and not by number: a writer that
commits late is still seen, once. Runs on worker threads under the installing role, the only one that
may read `_pgrt.changes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql
from psycopg.rows import dict_row

from .connection import Connection
from .model import RowChange
from .pinning import pinned
from .sql import load

_OPERATIONS = {"I": "insert", "U": "update", "D": "delete", "T": "truncate", "M": "many"}
# Of these, and of arrays, an image does not show all: -0, the blanks of a json, where an array begins.
_VAGUE = ("json", "real", "double precision")
_PART = 1_000  # images sent back in one piece


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """Hold one changed row: typed values before and after; a truncate and many rows have none."""

    relation: int
    operation: str
    old: Mapping[str, Any] | None
    new: Mapping[str, Any] | None
    hashed: frozenset[str] = field(default_factory=frozenset)
    vague: frozenset[str] = field(default_factory=frozenset)  # columns that may have changed unseen

    def as_change(self, table: str) -> RowChange:
        """Describe the row to a filter, under the name the query knows its table by."""
        old, new = self.old, self.new
        changes = {}
        if old is not None and new is not None:
            changes = {name: (old[name], new[name]) for name in new if _differs(old, new, name)}
        row = old if self.operation == "delete" else new
        return RowChange(
            operation=self.operation,
            table=table,
            row=row,
            old=old,
            changes=changes,
            hashed=self.hashed,
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """Hold one changed row as its trigger wrote it: JSON objects without the values that are hashed."""

    relation: int
    operation: str
    old: str | None
    new: str | None

    @property
    def is_mark(self) -> bool:
        """Say whether it only tells that something changed: a truncate, or too many rows."""
        return self.old is None and self.new is None


@dataclass(frozen=True, slots=True)
class Batch:
    """Pair what was read with the snapshot to read from next."""

    snapshot: str
    images: tuple[Image, ...]  # of the relations that were asked for
    stored: tuple[Stored, ...] = ()  # of all


def now(connection: Connection) -> str:
    """Give the snapshot of this moment."""
    row = connection.execute("SELECT pg_catalog.pg_current_snapshot()::text").fetchone()
    assert row is not None
    return str(row[0])


def read(connection: Connection, since: str, tables: Mapping[int, tuple[str, str]]) -> Batch:
    """Read the images of some relations (oid: schema and name) since a snapshot."""
    images: list[Image] = []
    with pinned(connection):
        rows: list[Any] = connection.execute(load("images_read"), {"since": since}).fetchall()
        snapshot = str(rows[0][0])
        for oid in tables:
            mine = [row[2:] for row in rows if row[1] == oid]
            if mine:
                images += _typed(connection, oid, mine)
    stored = tuple(
        Stored(row[1], _OPERATIONS[row[2]], row[3], row[5]) for row in rows if row[1] is not None
    )
    return Batch(snapshot, tuple(images), stored)


@dataclass(frozen=True, slots=True)
class Marks:
    """Pair the relations whose changes could not be announced with the snapshot to look from next."""

    snapshot: str
    relations: frozenset[int]


def marks(connection: Connection, since: str | None) -> Marks:
    """List relations whose triggers could not send a notification since a snapshot, or ever."""
    with pinned(connection):
        row: Any = connection.execute(load("images_marks"), {"since": since}).fetchone()
    return Marks(str(row[0]), frozenset(row[1]))


def prune(connection: Connection, before: str) -> None:
    """Delete images that were committed before a snapshot."""
    with pinned(connection):
        connection.execute(load("images_prune"), {"before": before})


def _typed(connection: Connection, oid: int, rows: Sequence[Sequence[Any]]) -> list[Image]:
    """Have the server turn the stored text back into values of the columns' types."""
    types: list[Any] = connection.execute(load("images_types"), {"oid": oid}).fetchall()
    columns = sql.SQL(", ").join(
        # The names of types are the server's own text.
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind))
        for name, kind in types
    )
    stored = [text for _, old, _, new, _ in rows for text in (old, new) if text is not None]
    query = sql.SQL(load("images_typed")).format(columns=columns)
    values = _values(connection, query, stored)
    vague = frozenset(name for name, kind in types if kind in _VAGUE or kind.endswith("[]"))
    images = []
    for operation, old, old_hashes, new, new_hashes in rows:
        before = next(values) | (old_hashes or {}) if old is not None else None
        after = next(values) | (new_hashes or {}) if new is not None else None
        images.append(
            Image(
                relation=oid,
                operation=_OPERATIONS[operation],
                old=before,
                new=after,
                hashed=frozenset({**(old_hashes or {}), **(new_hashes or {})}),
                vague=vague,
            )
        )
    return images


def _values(
    connection: Connection, query: sql.Composed, stored: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Give a row of values for each stored text."""
    cursor = connection.cursor(row_factory=dict_row)
    for start in range(0, len(stored), _PART):
        part = ",".join(stored[start : start + _PART])
        yield from cursor.execute(query, {"images": f"[{part}]"}).fetchall()


def _differs(old: Mapping[str, Any], new: Mapping[str, Any], name: str) -> bool:
    """Compare so that 1.0 and 1.00 are different, as they are to the server."""
    before, after = old.get(name), new[name]
    return before is not after and (type(before) is not type(after) or str(before) != str(after))
