"""Find out how a query's result can be brought up to date without running all of it.

`shapes` says what its text allows; here the server says what its tables, types and collations allow, and
`drafting` writes the texts that are run later.

That needs that nothing but the text decides what is read (no view, no policy, nothing that must be polled), a
primary key of a simple type on every table in FROM, and outputs whose type does not depend on other rows.
Tables in sub-queries are watched: a change of one runs all. ORDER BY is kept where Python sorts as the server
does: numbers, times, uuid, text in the C collation. Runs on a worker thread, under the query's role.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import sql
from psycopg.rows import namedtuple_row

from . import analysis, frames, shapes
from .analysis import Analysed
from .connection import Connection, on_standby
from .drafting import Draft
from .families import Member
from .model import Column, Relation
from .plans import Plan, is_large
from .shapes import KeyColumn, Refused, Shape, Table
from .sql import load
from .statement import Statement
from .types import Form, kind_of

Members = Mapping[int, Sequence[Member]]  # by relation

_TEXTS = (19, 25, 1042, 1043)  # type oids that have a collation


class Small(Exception):
    """The query costs too little to be worth a plan."""


def find(
    connection: Connection, analysed: Analysed, members: Members, *, is_for_large: bool
) -> Plan:
    """Find the plan of a query, or, `is_for_large`, only if the server expects it to be costly.

    Raises Refused, which says why there is none, Small, and the driver's errors.
    """
    dependencies = analysed.dependencies
    tables = {oid for oid in dependencies.fingerprint_oids if oid > 0}
    if on_standby(connection):
        raise Refused("it runs on a replica")
    if dependencies.unwatchable or not analysed.complete:
        raise Refused("it reads what cannot be watched")
    if not tables or tables != {relation.oid for relation in dependencies.relations}:
        raise Refused("it reads views" if tables else "it reads no table")
    cost, rows = _estimate(connection, analysed.select)
    if is_for_large and not is_large(cost, rows * len(dependencies.columns)):
        raise Small
    with connection.transaction(force_rollback=True):
        connection.execute("SET TRANSACTION READ WRITE")
        known = _tables(connection, dependencies.relations, members)
        shape = shapes.understand(
            analysed.select, dependencies.columns, lambda schema, name: known.get((schema, name))
        )
        _check_tree(connection, analysed.select, bool(shape.grouped))
        draft = Draft(shape, dependencies)
        select = draft.select()
        columns = frames.describe(connection, select).columns
        _check_outputs(connection, select, columns, shape)
        types = [_type_name(connection, columns[output].type_oid) for output in shape.grouped]
        return draft.plan(select, columns, types, cost)


def _tables(
    connection: Connection, relations: Sequence[Relation], members: Members
) -> dict[tuple[str, str], Table]:
    """List the tables of a query by how its text may name them."""
    given = {"oids": sorted(relation.oid for relation in relations)}
    with connection.transaction(force_rollback=True):
        connection.execute(b"SET LOCAL search_path = pg_catalog, pg_temp")  # see pinning
        if connection.execute(load("conditions_sure"), given).fetchone() != (True,):
            raise Refused("a table has row-level security, or is temporary")
        found: list[Any] = connection.execute(load("plan_keys"), given).fetchall()
    keys = {oid: rest for oid, *rest in found}
    tables: dict[tuple[str, str], Table] = {}
    for relation in relations:
        key, columns, virtual, readable = keys[relation.oid]
        names = tuple(name for name, _, _ in key)
        simple = all(m.plain_key and m.key == names for m in members.get(relation.oid, ()))
        table = Table(
            relation=relation.oid,
            key=tuple(KeyColumn(name=n, attnum=a, type=t) for n, a, t in key) if simple else (),
            columns=frozenset(columns),
            virtual=virtual,
            readable=readable,
        )
        tables[relation.schema, relation.name] = table
        if relation.visible:
            tables["", relation.name] = table
    return tables


def _check_tree(connection: Connection, select: str, is_grouped: bool) -> None:
    """Ask the server for what the text does not tell."""
    statement = Statement(original=select, parts=(select,), starts=(0,), values=())
    with connection.transaction(force_rollback=True):
        function = analysis.create_function(connection, statement, ())
        connection.execute(b"SET LOCAL search_path = pg_catalog, pg_temp")  # see pinning
        cursor = connection.cursor(row_factory=namedtuple_row)
        tree: Any = cursor.execute(load("plan_tree"), {"function": function}).fetchone()
    if tree.sets:
        raise Refused("an output gives several rows")
    if tree.aggregates and not is_grouped:
        raise Refused("it is one group: whatever changes, all of it is counted anew")


def _check_outputs(
    connection: Connection, select: str, columns: Sequence[Column], shape: Shape
) -> None:
    """Refuse types whose values depend on other rows, and orders that Python does not reproduce."""
    for column in columns:
        if kind_of(column.type_oid, column.typmod).form is Form.LIST:
            raise Refused(f"the output {column.name} is an array")
    compared = _compared(connection, select, columns)
    for output in shape.grouped:
        if not compared[output][0]:
            raise Refused("it groups by a type whose equal values may look different")
    for sort in shape.sorted:
        if not compared[sort.output][1]:
            name = columns[sort.output].name
            shown = "an expression" if name.startswith("_pgrt_") else name
            raise Refused(f"the order of {shown} is the server's own (its collation or type)")


def _compared(
    connection: Connection, select: str, columns: Sequence[Column]
) -> list[tuple[bool, bool]]:
    """Say of each output whether equal values look alike, and whether Python sorts as the server does."""
    names = [f"c{n}" for n in range(len(columns))]
    nothing = sql.SQL("(SELECT {} FROM ({}\n) AS q ({}) LIMIT 0)")
    every = sql.SQL(", ").join(map(sql.Identifier, names))
    each = [
        sql.SQL("pg_catalog.pg_collation_for({})").format(
            nothing.format(sql.Identifier("q", name), sql.SQL(select), every)
        )
        if column.type_oid in _TEXTS
        else sql.SQL("NULL")
        for name, column in zip(names, columns, strict=True)
    ]
    text = sql.SQL(load("plan_collations")).format(
        each=sql.SQL(", ").join(each),
        types=sql.SQL(", ").join(sql.Literal(column.type_oid) for column in columns),
    )
    rows: list[Any] = connection.execute(text).fetchall()
    return [(plain, ordered) for plain, ordered in rows]


def _estimate(connection: Connection, select: str) -> tuple[float, float]:
    """Ask the server what it expects of a query: cost and rows."""
    explain = sql.SQL("EXPLAIN (FORMAT JSON) {}").format(sql.SQL(select))
    row: Any = connection.execute(explain).fetchone()
    plan = row[0] if not isinstance(row[0], str) else json.loads(row[0])
    return float(plan[0]["Plan"]["Total Cost"]), float(plan[0]["Plan"]["Plan Rows"])


def _type_name(connection: Connection, oid: int) -> str:
    """Have the server write the name of a type."""
    row: Any = connection.execute("SELECT pg_catalog.format_type(%s, -1)", (oid,)).fetchone()
    return str(row[0])
