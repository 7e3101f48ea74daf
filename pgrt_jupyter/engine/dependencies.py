"""Follow the server's own dependency records from a function that holds a query to the tables it reads.

They lead through views on views, row-level security policies and functions with SQL-standard bodies. What
no trigger can announce is named. Runs on a worker thread, in the transaction in which the function was made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from psycopg.rows import namedtuple_row

from ..errors import QueryRefused
from . import frames
from .connection import Connection
from .model import Column, Dependencies, Relation
from .sql import load

_SELECT = 1
_FIRST_USER_OID = 12000  # below it objects are pinned and have no dependency records
_KINDS = {
    "m": "materialized view",
    "f": "foreign table",
    "S": "sequence",
    "v": "system view",
    "t": "TOAST table",
}
# They change when a row is locked, rewritten or moved, and tableoid only as an insert and a delete.
_SYSTEM_COLUMNS = {-1: "ctid", -2: "xmin", -3: "cmin", -4: "xmax", -5: "cmax"}


def follow(
    connection: Connection, function: int, described: frames.Described, schemas: Sequence[str]
) -> Dependencies:
    """Walk the records and put together what they say; raises QueryRefused for what is no plain query."""
    cursor = connection.cursor(row_factory=namedtuple_row)
    walked: list[Any] = cursor.execute(load("analyse_walk"), {"function": function}).fetchall()
    _refuse_writes(walked)
    used = _used_columns(walked)
    carried = {column.relation for column in described.columns if column.relation}
    ranges = {oid for node in walked for oid in node.ranges}
    found: list[Any] = cursor.execute(
        load("analyse_relations"),
        {"oids": sorted(used.keys() | carried | ranges), "schemas": list(schemas)},
    ).fetchall()
    called = sorted({function for node in walked for function in node.functions})
    functions: list[Any] = cursor.execute(load("analyse_functions"), {"oids": called}).fetchall()
    return Dependencies(
        columns=described.columns,
        parameter_types=described.parameter_oids,
        relations=tuple(_relation(row, used[row.oid]) for row in found if _watchable(row, used)),
        unwatchable=tuple(_unwatchable(found, functions, walked, used)),
        fingerprint_oids=(
            *(-function for function in called if function >= _FIRST_USER_OID),
            *sorted(row.oid for row in found if row.oid >= _FIRST_USER_OID),
        ),
        named=tuple(sorted(_used_columns(node for node in walked if node.query))),
        key=_key(described.columns, found),
    )


def _refuse_writes(walked: Iterable[Any]) -> None:
    """Refuse whatever is not a plain query."""
    for node in walked:
        if node.query and not node.commands:
            raise QueryRefused("The query is empty.")
        if node.query and any(command != _SELECT for command in node.commands):
            raise QueryRefused(
                "The query would change data; nothing was executed.",
                hint="a live query only reads: leave out INSERT, UPDATE, DELETE and MERGE.",
            )
        if node.query and node.locks:
            raise QueryRefused(
                "The query would lock rows; nothing was executed.",
                hint="leave out FOR UPDATE and FOR SHARE.",
            )


def _used_columns(walked: Iterable[Any]) -> dict[int, set[int]]:
    """Collect the columns used of each relation; 0 among them stands for every column."""
    used: dict[int, set[int]] = {}
    for node in walked:
        for reference in node.relations:
            oid, attnum = map(int, reference.split("."))
            used.setdefault(oid, set()).add(0 if node.whole_row else attnum)
    return used


def _watchable(row: Any, used: dict[int, set[int]]) -> bool:
    """Say whether triggers can announce changes of this relation."""
    return row.kind in ("r", "p") and row.oid >= _FIRST_USER_OID and row.oid in used


def _relation(row: Any, attnums: set[int]) -> Relation:
    """Describe a table and what is used of it."""
    every = 0 in attnums
    named = {name for attnum, name in row.columns.items() if every or int(attnum) in attnums}
    virtual = (base for name in named for base in row.bases.get(name, ()))
    return Relation(
        oid=row.oid,
        schema=row.schema,
        name=row.name,
        visible=row.visible,
        columns=frozenset(named.union(virtual)),
        every_column=every,
    )


def _unwatchable(
    found: Iterable[Any],
    functions: Iterable[Any],
    walked: Sequence[Any],
    used: dict[int, set[int]],
) -> list[str]:
    """Name what no trigger can announce."""
    names = []
    for row in found:
        system = used.get(row.oid, set()).intersection(_SYSTEM_COLUMNS)
        names += [f"{_SYSTEM_COLUMNS[n]} of {row.schema}.{row.name}" for n in sorted(system)]
        if row.oid < _FIRST_USER_OID and row.kind == "r":
            names.append(f"system catalog {row.schema}.{row.name}")
        elif row.kind == "v" and row.schema not in ("pg_catalog", "information_schema"):
            continue
        elif row.kind not in ("r", "p"):
            names.append(f"{_KINDS.get(row.kind, 'relation')} {row.schema}.{row.name}")
    for row in functions:
        shown = f"{row.bare}()" if row.builtin else row.name
        names.append(f"function {shown} ({row.reason})")
    if any(node.clocks for node in walked):
        names.append("the current date or time")
    if any(node.samples for node in walked):
        names.append("TABLESAMPLE or a sequence")
    return names


def _key(columns: Sequence[Column], found: Iterable[Any]) -> tuple[str, ...]:
    """Give the output columns that carry whole primary keys; names that occur twice carry none."""
    names = [column.name for column in columns]
    place = {
        (column.relation, column.attnum): column.name
        for column in reversed(columns)
        if names.count(column.name) == 1
    }
    key: list[str] = []
    for row in found:
        numbers = {name: int(attnum) for attnum, name in row.columns.items()}
        carried = [place.get((row.oid, numbers[name])) for name in row.key]
        if carried and all(name is not None for name in carried):
            key += [name for name in carried if name is not None]
    return tuple(sorted(key, key=names.index))
