"""Read which rows changed since a result was read: their primary keys, and images where they were written.

Read in the transaction that reads the result, so that keys and rows agree to the transaction. What has
neither left a mark, which stands for any row.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql

from .sql import load

Row = Mapping[str, Any]


@dataclass(slots=True)
class Changed:
    """Hold what changed of the tables of one query."""

    snapshot: str  # up to which this is all
    marked: bool = False  # what changed is not all known
    bare: bool = False  # of some rows only the keys are
    rows: dict[int, list[Row]] = field(default_factory=dict)  # by member: the key's values at least
    images: dict[int, list[str]] = field(default_factory=dict)  # by member: rows as they were

    def of(self, members: Collection[int]) -> list[Row]:
        """List the rows that changed of some tables."""
        return [row for oid in members for row in self.rows.get(oid, ())]

    def before(self, members: Collection[int]) -> str:
        """Write rows of some tables as they were, as an array of objects."""
        return f"[{','.join(text for oid in members for text in self.images.get(oid, ()))}]"


def statement(since: str, relations: Iterable[int]) -> sql.Composed:
    """Write what reads all that became visible since a snapshot."""
    return sql.SQL(load("changed_read")).format(
        since=sql.Literal(since), relations=sql.Literal(sorted(relations))
    )


def changed(found: Sequence[Sequence[str | None]]) -> Changed:
    """Take what that reads, all of it text."""
    result = Changed(str(found[0][0]))
    for _, relation, operation, keys, old, new, hashed in found:
        if relation is None:
            continue
        oid = int(relation)
        if keys is not None:
            result.bare = True
            result.rows.setdefault(oid, []).extend(_loaded(keys))
        elif operation in ("T", "M") or hashed == "t":
            result.marked = True
        else:
            images = [text for text in (old, new) if text is not None]
            result.rows.setdefault(oid, []).extend(_loaded(f"[{','.join(images)}]"))
            result.images.setdefault(oid, []).extend(text for text in (old,) if text is not None)
    return result


def _loaded(text: str) -> list[Row]:
    """Read objects; numbers stay text, since they may be larger than any that Python reads them as."""
    found: list[Row] = json.loads(text, parse_int=str, parse_float=str)
    return found
