"""Read the schema as it is, so that what is drawn next fits it even when a step before it failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg.rows import namedtuple_row

SCHEMA = "app"

_TABLES = """
SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind,
       c.relispartition AS partition, i.inhparent AS parent,
       c.relrowsecurity AS secured,
       pg_get_partkeydef(c.oid) AS split, pg_get_expr(c.relpartbound, c.oid) AS bound,
       (SELECT coalesce(json_agg(json_build_array(a.attname, format_type(a.atttypid, a.atttypmod),
                 t.typtype = 'e', a.attgenerated <> '', a.attidentity <> '',
                 a.attinhcount > 0) ORDER BY a.attnum), '[]')
        FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
       ARRAY(SELECT a.attname::text FROM pg_index AS x
             JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = ANY (x.indkey)
             WHERE x.indrelid = c.oid AND x.indisprimary ORDER BY a.attnum) AS key
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN (SELECT DISTINCT ON (inhrelid) inhrelid, inhparent FROM pg_inherits ORDER BY 1, 2) AS i
  ON i.inhrelid = c.oid
WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'v')
ORDER BY c.relname COLLATE "C"
"""


@dataclass(frozen=True, slots=True)
class Column:
    """Describe a column."""

    name: str
    type: str  # as format_type gives it
    is_enum: bool
    generated: bool
    identity: bool
    inherited: bool

    @property
    def quoted(self) -> str:
        """Give the name as SQL writes it."""
        return quote(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """Describe a table or view."""

    oid: int
    schema: str
    name: str
    kind: str  # r table, p partitioned table, v view
    partition: bool
    parent: int | None
    secured: bool
    split: str | None  # how it is partitioned
    bound: str | None  # which part it is
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    @property
    def quoted(self) -> str:
        """Give the qualified name as SQL writes it."""
        return f"{quote(self.schema)}.{quote(self.name)}"

    @property
    def writable(self) -> list[Column]:
        """List the columns that a statement may set."""
        return [column for column in self.columns if not column.generated]


@dataclass(frozen=True, slots=True)
class Catalog:
    """Hold every relation of the schema under test."""

    relations: tuple[Relation, ...]

    @property
    def tables(self) -> list[Relation]:
        """List what can be written to."""
        return [
            relation for relation in self.relations if relation.kind != "v" and relation.columns
        ]

    @property
    def views(self) -> list[Relation]:
        """List the views."""
        return [relation for relation in self.relations if relation.kind == "v"]

    @property
    def readable(self) -> list[Relation]:
        """List what a query may name; a partition is named now and then as well."""
        return [relation for relation in self.relations if relation.columns]

    def by_oid(self, oid: int | None) -> Relation | None:
        """Find a relation."""
        return next((relation for relation in self.relations if relation.oid == oid), None)


def quote(name: str) -> str:
    """Quote an identifier, always."""
    return '"' + name.replace('"', '""') + '"'


def read(connection: Any) -> Catalog:
    """Read the schema; blocks on nobody's lock."""
    rows = connection.cursor(row_factory=namedtuple_row).execute(_TABLES, (SCHEMA,)).fetchall()
    return Catalog(
        tuple(
            Relation(
                oid=row.oid,
                schema=row.schema,
                name=row.name,
                kind=row.kind,
                partition=row.partition,
                parent=row.parent,
                secured=row.secured,
                split=row.split,
                bound=row.bound,
                columns=tuple(Column(*column) for column in row.columns),
                key=tuple(row.key),
            )
            for row in rows
        )
    )
