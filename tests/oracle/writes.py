"""Draw statements that change data, each as the SQL of one statement or as rows for COPY."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from . import values
from .catalog import Catalog, Column, Relation, quote

BULK = 1_200  # rows; a notification speaks of up to 100 exactly and a filter is asked of 1,000
MANY = 130


@dataclass(frozen=True, slots=True)
class Copy:
    """Hold rows for COPY … FROM STDIN."""

    statement: str
    rows: str


Write = str | Copy


def draw(rng: Random, catalog: Catalog, version: int) -> tuple[str, Write] | None:
    """Draw a write; gives its kind as well, or None where it does not fit the schema."""
    if not catalog.tables:
        return None
    kinds = [k for k in KINDS if k is not _merge or version >= 150000]
    table = rng.choice(catalog.tables)
    kind = rng.choice(kinds)
    drawn = kind(rng, table)
    return (kind.__name__.strip("_"), drawn) if drawn is not None else None


def fill(rng: Random, table: Relation) -> Write:
    """Draw the rows a table begins with."""
    return _insert(rng, table, rng.randint(3, 9))


def _insert(rng: Random, table: Relation, count: int | None = None, more: str = "") -> str:
    columns = table.writable
    count = count or rng.choice([1, 1, 2, 5])
    rows = [
        "(" + ", ".join(values.literal(rng, c, null=c.name not in table.key) for c in columns) + ")"
        for _ in range(count)
    ]
    return f"INSERT INTO {table.quoted} ({_listed(columns)}) VALUES {', '.join(rows)} {more}"


def _insert_new(rng: Random, table: Relation) -> str:
    return _insert(rng, table, more=_on_conflict(rng, table, update=False))


def _upsert(rng: Random, table: Relation) -> str:
    return _insert(rng, table, 1, _on_conflict(rng, table, update=True))


def _on_conflict(rng: Random, table: Relation, *, update: bool) -> str:
    if not table.key:
        return ""
    free = [c for c in table.writable if c.name not in table.key]
    if not update or not free:
        return "ON CONFLICT DO NOTHING"
    column = rng.choice(free).quoted
    keys = ", ".join(map(quote, table.key))
    return f"ON CONFLICT ({keys}) DO UPDATE SET {column} = excluded.{column}"


def _insert_bulk(rng: Random, table: Relation) -> str:
    count = rng.choice([MANY, BULK])
    columns = [
        c for c in table.writable if values.numbered(c, "g") != "NULL" or c.name in table.key
    ]
    if not columns:
        return _insert(rng, table)
    exprs = ", ".join(
        values.numbered(c, "g")
        if values.numbered(c, "g") != "NULL"
        else values.literal(rng, c, null=False)
        for c in columns
    )
    return (
        f"INSERT INTO {table.quoted} ({_listed(columns)}) SELECT {exprs}"
        f" FROM generate_series(1, {count}) AS g ON CONFLICT DO NOTHING"
    )


def _update(rng: Random, table: Relation) -> str:
    column = _column(rng, table)
    return f"UPDATE {table.quoted} SET {column.quoted} = {values.literal(rng, column)}{_where(rng, table)}"


def _update_all(rng: Random, table: Relation) -> str:
    column = _column(rng, table)
    return f"UPDATE {table.quoted} SET {column.quoted} = {values.literal(rng, column)}"


def _update_nothing(rng: Random, table: Relation) -> str:
    column = _column(rng, table).quoted
    return rng.choice(
        [
            f"UPDATE {table.quoted} SET {column} = {column}{_where(rng, table)}",
            f"UPDATE {table.quoted} SET {column} = {column} WHERE false",
        ]
    )


def _update_scale(rng: Random, table: Relation) -> str | None:
    """Change how a value looks, though it stays equal."""
    columns = [c for c in table.writable if c.type in ("numeric", "jsonb")]
    if not columns:
        return None
    column = rng.choice(columns)
    new = "trim_scale({0}) + 0.00" if column.type == "numeric" else "'[1.0, 1.00]'"
    return f"UPDATE {table.quoted} SET {column.quoted} = {new.format(column.quoted)}"


def _update_key(rng: Random, table: Relation) -> str:
    column = rng.choice(
        [c for c in table.writable if c.name in (*table.key, "id", "region")] or table.writable
    )
    if column.type == "integer":
        return (
            f"UPDATE {table.quoted} SET {column.quoted} = {column.quoted} + 1{_where(rng, table)}"
        )
    value = values.literal(rng, column, null=False)
    return f"UPDATE {table.quoted} SET {column.quoted} = {value}{_where(rng, table)}"


def _update_swap(rng: Random, table: Relation) -> str | None:
    """Exchange the values of two rows."""
    columns = [
        c for c in table.writable if c.name not in table.key and c.type in ("integer", "text")
    ]
    if not columns:
        return None
    c = rng.choice(columns).quoted
    return (
        f"UPDATE {table.quoted} SET {c} = CASE {c} WHEN (SELECT min({c}) FROM {table.quoted})"
        f" THEN (SELECT max({c}) FROM {table.quoted}) ELSE (SELECT min({c}) FROM {table.quoted}) END"
    )


def _delete(rng: Random, table: Relation) -> str:
    return f"DELETE FROM {table.quoted}{_where(rng, table)}"


def _delete_bulk(rng: Random, table: Relation) -> str:
    """Take away what bulk inserts left, so that tables stay small."""
    columns = [c for c in table.columns if c.type in ("integer", "bigint")]
    if not columns:
        return f"DELETE FROM {table.quoted}"
    return f"DELETE FROM {table.quoted} WHERE {rng.choice(columns).quoted} BETWEEN 900 AND 100000"


def _merge(rng: Random, table: Relation) -> str | None:
    if len(table.key) != 1:
        return None
    key = next(c for c in table.columns if c.name == table.key[0])
    free = [c for c in table.writable if c.name not in table.key]
    if not free or key.generated:
        return None
    column = rng.choice(free)
    rows = ", ".join(
        f"({v}, {values.literal(rng, column, null=False)})"
        for v in {values.literal(rng, key, null=False) for _ in range(3)}
    )
    then = rng.choice([f"UPDATE SET {column.quoted} = s.v", "DELETE", "DO NOTHING"])
    return (
        f"MERGE INTO {table.quoted} AS t USING (VALUES {rows}) AS s(k, v) ON t.{key.quoted} = s.k"
        f" WHEN MATCHED THEN {then}"
        f" WHEN NOT MATCHED THEN INSERT ({key.quoted}, {column.quoted}) VALUES (s.k, s.v)"
    )


def _copy(rng: Random, table: Relation) -> Copy | None:
    plain = ("integer", "bigint", "text", "boolean", "date")
    columns = [c for c in table.writable if c.type in plain]
    if not columns or any(k not in [c.name for c in columns] for k in table.key):
        return None
    out = io.StringIO()
    rows = csv.writer(out, quoting=csv.QUOTE_ALL)
    for _ in range(rng.randint(1, 4)):
        rows.writerow([_copied(rng, column) for column in columns])
    return Copy(f"COPY {table.quoted} ({_listed(columns)}) FROM STDIN (FORMAT csv)", out.getvalue())


def _copied(rng: Random, column: Column) -> str:
    match column.type:
        case "integer" | "bigint":
            return str(rng.randint(1, 400))
        case "boolean":
            return "t"
        case "date":
            return "2024-02-29"
    return values.text(rng)


def _truncate(rng: Random, table: Relation) -> str:
    only = rng.choice(["", "ONLY "]) if table.kind == "r" else ""
    return f"TRUNCATE {only}{table.quoted}{rng.choice(['', ' CASCADE'])}"


def _with(rng: Random, table: Relation) -> str:
    """Write to one table twice in a statement that looks like a query."""
    gone = f"DELETE FROM {table.quoted}{_where(rng, table)} RETURNING *"
    return f"WITH gone AS ({gone}) {_insert(rng, table, 1)}"


def _where(rng: Random, table: Relation) -> str:
    column = rng.choice(table.columns)
    if rng.random() < 0.2 or column.type in ("jsonb",):
        return ""
    operator = rng.choice(["=", "<=", "IS DISTINCT FROM"])
    return f" WHERE {column.quoted} {operator} {values.literal(rng, column, null=False)}"


def _column(rng: Random, table: Relation) -> Column:
    return rng.choice([c for c in table.writable if c.name not in table.key] or table.writable)


def _listed(columns: list[Column]) -> str:
    return ", ".join(column.quoted for column in columns)


KINDS: tuple[Callable[[Random, Relation], Write | None], ...] = (
    _insert_new,
    _insert_new,
    _upsert,
    _insert_bulk,
    _update,
    _update,
    _update_all,
    _update_nothing,
    _update_scale,
    _update_key,
    _update_swap,
    _delete,
    _delete_bulk,
    _merge,
    _copy,
    _copy,
    _truncate,
    _with,
)
