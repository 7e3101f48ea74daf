"""Draw changes of definitions: what no trigger announces and the audit has to notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random

from . import queries, schemas, values
from .catalog import SCHEMA, Catalog, Relation, quote
from .schemas import COLUMNS, FAMILIES, NAMES

Statements = list[str]


class Definitions:
    """Draw statements over the schema as it is; each list is one transaction."""

    def __init__(self, rng: Random, catalog: Catalog, version: int, readers: Sequence[str]) -> None:
        self._rng = rng
        self._catalog = catalog
        self._version = version
        self._readers = readers

    def draw(self) -> tuple[str, Statements] | None:
        """Draw one; gives its kind as well, or None where it does not fit the schema."""
        if len([r for r in self._catalog.tables if not r.partition and r.parent is None]) < 2:
            return "create table", self._create_table()
        kind = self._rng.choice(KINDS)
        drawn = kind(self)
        return (kind.__name__.strip("_").replace("_", " "), drawn) if drawn else None

    def _table(self) -> Relation:
        return self._rng.choice(self._catalog.tables)

    def _root(self) -> Relation:
        return self._rng.choice(
            [r for r in self._catalog.tables if r.parent is None] or self._catalog.tables
        )

    def _free(self, table: Relation) -> list[str]:
        """List the columns that stand alone."""
        return [
            c.quoted
            for c in table.columns
            if c.name not in (*table.key, "id", "region") and not c.inherited
        ]

    def _cascade(self) -> str:
        return self._rng.choice(["", " CASCADE"])

    # -- tables

    def _create_table(self) -> Statements:
        taken = {r.name for r in self._catalog.relations}
        name = self._rng.choice([n for n in NAMES if n not in taken] or ["spare"])
        return self._make(name)

    def _make(self, name: str) -> Statements:
        others = [r.name for r in self._catalog.tables if r.name != name and not r.partition]
        made: Iterator[str] = schemas.table(
            self._rng,
            name,
            self._rng.choice([f for f in FAMILIES if f != "linked"]),
            others,
            self._version,
            self._readers,
        )
        return list(made)

    def _recreate_table(self) -> Statements:
        table = self._root()
        return [f"DROP TABLE {table.quoted} CASCADE", *self._make(table.name)]

    def _drop_table(self) -> Statements:
        return [f"DROP TABLE {self._table().quoted}{self._cascade()}"]

    def _swap_tables(self) -> Statements | None:
        one, other = self._root(), self._root()
        if one is other:
            return None
        return [
            f"ALTER TABLE {one.quoted} RENAME TO swapping",
            f"ALTER TABLE {other.quoted} RENAME TO {quote(one.name)}",
            f"ALTER TABLE {SCHEMA}.swapping RENAME TO {quote(other.name)}",
        ]

    def _rename_table(self) -> Statements:
        taken = {r.name for r in self._catalog.relations}
        name = self._rng.choice([n for n in NAMES if n not in taken] or ["spare"])
        return [f"ALTER TABLE {self._table().quoted} RENAME TO {quote(name)}"]

    def _shadow_table(self) -> Statements:
        """Put a table of the same name where it is found first, or take it away."""
        name = quote(self._root().name)
        if self._rng.random() < 0.5:
            return [f"DROP TABLE IF EXISTS first.{name}"]
        return [f"CREATE TABLE first.{name} AS TABLE {SCHEMA}.{name} LIMIT 2"]

    def _move_table(self) -> Statements:
        table = self._root()
        return [
            f"ALTER TABLE {table.quoted} SET SCHEMA first",
            f"ALTER TABLE first.{quote(table.name)} SET SCHEMA {SCHEMA}",
        ]

    def _rewrite_table(self) -> Statements:
        table = self._table().quoted
        how = self._rng.choice(
            ["SET UNLOGGED", "SET LOGGED", "SET (fillfactor = 50)", "REPLICA IDENTITY FULL"]
        )
        return [f"ALTER TABLE {table} {how}"]

    # -- columns

    def _add_column(self) -> Statements:
        table = self._root()
        name = self._rng.choice(COLUMNS)
        default = self._rng.choice(["", " DEFAULT 'a'", " DEFAULT clock_timestamp()::text"])
        return [f"ALTER TABLE {table.quoted} ADD COLUMN {quote(name)} text{default}"]

    def _drop_column(self) -> Statements | None:
        table = self._root()
        free = self._free(table)
        if len(free) < 2:
            return None
        return [f"ALTER TABLE {table.quoted} DROP COLUMN {self._rng.choice(free)}{self._cascade()}"]

    def _rename_column(self) -> Statements | None:
        table = self._root()
        free = self._free(table)
        if not free:
            return None
        to = quote(self._rng.choice(COLUMNS))
        return [f"ALTER TABLE {table.quoted} RENAME COLUMN {self._rng.choice(free)} TO {to}"]

    def _swap_columns(self) -> Statements | None:
        table = self._root()
        free = self._free(table)
        if len(free) < 2:
            return None
        one, other = self._rng.sample(free, 2)
        alter = f"ALTER TABLE {table.quoted} RENAME COLUMN"
        return [
            f"{alter} {one} TO swapping",
            f"{alter} {other} TO {one}",
            f"{alter} swapping TO {other}",
        ]

    def _alter_type(self) -> Statements | None:
        table = self._root()
        columns = [c for c in table.columns if c.quoted in self._free(table) and not c.generated]
        if not columns:
            return None
        column = self._rng.choice(columns)
        to = {
            "integer": "bigint",
            "bigint": "text",
            "numeric(10,2)": "numeric(12,2)",
            "numeric": "text",
        }
        kind = to.get(column.type, "text")
        c = column.quoted
        return [f"ALTER TABLE {table.quoted} ALTER COLUMN {c} TYPE {kind} USING {c}::{kind}"]

    def _alter_values(self) -> Statements | None:
        """Rewrite a column without changing its type."""
        table = self._root()
        columns = [
            c
            for c in table.columns
            if c.type in ("integer", "text") and c.quoted in self._free(table)
        ]
        columns = [c for c in columns if not c.generated]
        if not columns:
            return None
        c = self._rng.choice(columns)
        new = f"{c.quoted} + 1" if c.type == "integer" else f"left({c.quoted} || '!', 9)"
        return [f"ALTER TABLE {table.quoted} ALTER COLUMN {c.quoted} TYPE {c.type} USING {new}"]

    # -- trees

    def _partitions(self) -> list[Relation]:
        return [r for r in self._catalog.tables if r.partition]

    def _detach_partition(self) -> Statements | None:
        parts = self._partitions()
        if not parts:
            return None
        part = self._rng.choice(parts)
        parent = self._catalog.by_oid(part.parent)
        if parent is None:
            return None
        detach = f"ALTER TABLE {parent.quoted} DETACH PARTITION {part.quoted}"
        attach = f"ALTER TABLE {parent.quoted} ATTACH PARTITION {part.quoted} {part.bound}"
        change = str(values.of_type(self._rng, "integer"))
        between = f"UPDATE {part.quoted} SET id = id WHERE id = {change}"
        return self._rng.choice([[detach], [detach, attach], [detach, between, attach]])

    def _attach_partition(self) -> Statements | None:
        """Give a partitioned table a part that has rows already."""
        roots = [r for r in self._catalog.tables if r.kind == "p" and r.split]
        if not roots:
            return None
        root = self._rng.choice(roots)
        name = f"{SCHEMA}.{quote(f'part {self._rng.randrange(100)}')}"
        bound = {
            "RANGE": f"FOR VALUES FROM ({self._rng.choice([300, 400])}) TO ({self._rng.choice([400, 500])})",
            "LIST": f"FOR VALUES IN ({values.string(self._rng.choice(['q', 'z']))})",
        }.get((root.split or "").split(" ")[0])
        if bound is None:
            return None
        row = "id" if "RANGE" in (root.split or "") else "region"
        value = "350" if row == "id" else "'q'"
        return [
            f"CREATE TABLE {name} (LIKE {root.quoted} INCLUDING ALL)",
            f"INSERT INTO {name} ({row}) VALUES ({value})",
            f"ALTER TABLE {root.quoted} ATTACH PARTITION {name} {bound}",
        ]

    def _inherit(self) -> Statements | None:
        children = [r for r in self._catalog.tables if r.parent is not None and not r.partition]
        parents = [r for r in self._catalog.tables if r.kind == "r" and not r.partition]
        if children and self._rng.random() < 0.4:
            child = self._rng.choice(children)
            parent = self._catalog.by_oid(child.parent)
            return [f"ALTER TABLE {child.quoted} NO INHERIT {parent.quoted}"] if parent else None
        if not parents:
            return None
        parent = self._rng.choice(parents)
        name = f"{SCHEMA}.{quote(f'child {self._rng.randrange(100)}')}"
        return [
            f"CREATE TABLE {name} (LIKE {parent.quoted} INCLUDING ALL)",
            f"INSERT INTO {name} TABLE {parent.quoted} LIMIT 2",
            f"ALTER TABLE {name} INHERIT {parent.quoted}",
        ]

    # -- views, functions, types

    def _create_view(self) -> Statements | None:
        names = [f"view {i}" for i in range(4)]
        name = self._rng.choice(names)
        made = queries.view(self._rng, self._catalog, self._version, name)
        return [f"DROP VIEW IF EXISTS {SCHEMA}.{quote(name)} CASCADE", made] if made else None

    def _replace_view(self) -> Statements | None:
        """Have a view show other rows under the same columns."""
        if not self._catalog.views:
            return None
        view = self._rng.choice(self._catalog.views)
        typed = ", ".join(
            f"NULL::{c.type if not c.is_enum else SCHEMA + '.mood'} AS {c.quoted}"
            for c in view.columns
        )
        more = f" FROM {self._table().quoted}" if self._rng.random() < 0.7 else ""
        return [f"CREATE OR REPLACE VIEW {view.quoted} AS SELECT {typed}{more}"]

    def _replace_function(self) -> Statements:
        return list(schemas.functions(self._rng, [r.name for r in self._catalog.tables]))

    def _rename_label(self) -> Statements:
        label = values.string(self._rng.choice(values.MOODS))
        there, back = label, "'renamed'"
        if self._rng.random() < 0.5:
            there, back = back, there
        return [f"ALTER TYPE {SCHEMA}.mood RENAME VALUE {there} TO {back}"]

    # -- privileges and policies

    def _revoke(self) -> Statements:
        table, role = self._table().quoted, quote(self._rng.choice(self._readers))
        return self._rng.choice(
            [
                [f"REVOKE ALL ON {table} FROM {role}"],
                [f"REVOKE ALL ON {table} FROM {role}", f"GRANT SELECT (id) ON {table} TO {role}"],
                [f"REVOKE USAGE ON SCHEMA {SCHEMA} FROM {role}"],
                [f"REVOKE EXECUTE ON FUNCTION {SCHEMA}.shown() FROM PUBLIC"],
            ]
        )

    def _grant(self) -> Statements:
        role = quote(self._rng.choice(self._readers))
        return [
            f"GRANT USAGE ON SCHEMA {SCHEMA} TO {role}",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA {SCHEMA} TO {role}",
            f"GRANT EXECUTE ON FUNCTION {SCHEMA}.shown() TO PUBLIC",
        ]

    def _change_policy(self) -> Statements:
        secured = [r for r in self._catalog.tables if r.secured]
        table = self._rng.choice(secured) if secured else self._root()
        name = f"p{self._rng.randrange(len(self._readers))}"
        reader = self._rng.choice(self._readers)
        return [
            f"DROP POLICY IF EXISTS {name} ON {table.quoted}",
            schemas.policy(self._rng, table.quoted, name, reader, []),
        ]

    def _switch_policies(self) -> Statements:
        table = self._root()
        word = self._rng.choice(["ENABLE", "DISABLE", "FORCE", "NO FORCE"])
        return [f"ALTER TABLE {table.quoted} {word} ROW LEVEL SECURITY"]


KINDS: tuple[Callable[[Definitions], Statements | None], ...] = (
    Definitions._recreate_table,
    Definitions._recreate_table,
    Definitions._drop_table,
    Definitions._create_table,
    Definitions._swap_tables,
    Definitions._swap_tables,
    Definitions._rename_table,
    Definitions._shadow_table,
    Definitions._move_table,
    Definitions._rewrite_table,
    Definitions._add_column,
    Definitions._drop_column,
    Definitions._rename_column,
    Definitions._swap_columns,
    Definitions._alter_type,
    Definitions._alter_values,
    Definitions._detach_partition,
    Definitions._detach_partition,
    Definitions._attach_partition,
    Definitions._attach_partition,
    Definitions._inherit,
    Definitions._create_view,
    Definitions._create_view,
    Definitions._replace_view,
    Definitions._replace_function,
    Definitions._rename_label,
    Definitions._revoke,
    Definitions._grant,
    Definitions._grant,
    Definitions._change_policy,
    Definitions._switch_policies,
)
