"""List the tables whose writes can change what a relation shows, and what of ours stands on them.

A table in a partition or inheritance tree is watched with its whole tree: a write names one member and
fires only that member's triggers. Runs on worker threads, under the installing role.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.rows import namedtuple_row

from .connection import Connection
from .pinning import pinned
from .sql import load


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Describe one table of a family and what of ours stands on it."""

    oid: int
    family: int  # oid that stands for the whole tree
    schema: str
    name: str
    kind: str  # relkind
    columns: tuple[tuple[str, int], ...]  # name and typlen
    opaque: frozenset[str]  # columns whose type is not PostgreSQL's own
    key: tuple[str, ...]  # the primary key's columns
    plain_key: bool  # whose text is the same whatever a writer's settings are
    subscribed: bool  # fed by logical replication
    above_foreign: bool  # a foreign table is among its partitions or children
    owned: bool  # by the installing role
    source: str | None  # the body of our function
    image: str | None  # the body of the function it calls
    triggers: tuple[tuple[str, str], ...]  # name and tgenabled
    stamp: str  # differs once that was put in place anew, or the table rewritten, by whomever

    @property
    def qualified(self) -> str:
        """Give `schema.table`, unquoted."""
        return f"{self.schema}.{self.name}"

    @property
    def capturable(self) -> bool:
        """Say whether PostgreSQL allows our triggers here."""
        if self.above_foreign:
            return False  # with transition tables, a write that reaches the foreign table fails
        return self.kind in ("r", "p") and not (self.subscribed and not self.owned)


def find(connection: Connection, oids: Iterable[int]) -> dict[int, tuple[Member, ...]]:
    """List, for each relation, every table whose writes can change what it shows; takes no lock."""
    cursor = connection.cursor(row_factory=namedtuple_row)
    with pinned(connection):
        rows: list[Any] = cursor.execute(load("capture_family"), {"oids": sorted(oids)}).fetchall()
    grouped: dict[int, list[Any]] = {}
    for row in rows:
        grouped.setdefault(row.start, []).append(row)
    return {start: _members(found) for start, found in grouped.items()}


def _members(rows: Sequence[Any]) -> tuple[Member, ...]:
    """Turn the rows of one family into members; the lowest root stands for the family."""
    family = min((row.oid for row in rows if row.root), default=rows[0].oid)
    return tuple(
        Member(
            oid=row.oid,
            family=family,
            schema=row.schema,
            name=row.name,
            kind=row.kind,
            columns=tuple((name, size) for name, size in row.columns),
            opaque=frozenset(row.opaque),
            key=tuple(row.key),
            plain_key=row.plain_key,
            subscribed=row.subscribed,
            above_foreign=row.above_foreign,
            owned=row.owned,
            source=row.source,
            image=row.image,
            triggers=tuple(sorted(row.triggers.items())),
            stamp=row.stamp,
        )
        for row in rows
    )
