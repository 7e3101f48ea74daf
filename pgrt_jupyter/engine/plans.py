"""Find out how a query's result can be brought up to date without running all of it.

`rewriting` says what its text allows; here the server says what its tables, types and collations allow, and
the texts that are run later are written:

    rows     SELECT … FROM joins WHERE …       rows with a changed primary key are read anew
    groups   the same with GROUP BY            groups that changed rows belonged or belong to are read anew

Both need that nothing but the text decides what is read (no view, no policy, nothing that must be polled), a
primary key of a simple type on every table in FROM, and outputs whose type does not depend on other rows.
Tables in sub-queries are watched: a change of one runs all. ORDER BY is kept where Python sorts as the server
does: numbers, times, uuid, text in the C collation. Runs on a worker thread, under the query's role.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql
from psycopg.rows import namedtuple_row

from . import analysis, frames, rewriting
from .analysis import Analysed
from .connection import Connection
from .families import Member
from .model import Column, Relation
from .rewriting import KeyColumn, Refused, Shape, Sort, Table
from .sql import load
from .statement import Statement
from .types import Form, kind_of

Members = Mapping[int, Sequence[Member]]  # by relation

CELLS = 4_000  # values of a result that is read as quickly as what changed of it
_COST = 2_000.0  # the server's units: of reading about 100,000 rows
_TEXTS = (19, 25, 1042, 1043)  # type oids that have a collation


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Say how changes of one table in FROM are followed."""

    relation: int
    key: tuple[str, ...]  # names of its primary key's columns
    outputs: tuple[int, ...]  # that carry the key; none in a plan of groups
    text: str  # what changed keys lead to: rows, keys of the anchor, or groups


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Say how a result is brought up to date."""

    select: str  # the query with outputs added behind its own
    columns: tuple[Column, ...]  # of that
    shown: int  # how many of them are the query's own
    places: tuple[Place, ...]  # whose rows are all there, the anchor first where there is one
    partners: tuple[Place, ...] = ()  # whose rows may be missing: they lead to the anchor's keys
    grouped: tuple[int, ...] = ()  # outputs that make a group; none: a plan of rows
    group_text: str = ""  # reads groups by the values of `grouped`
    sorts: tuple[Sort, ...] = ()
    limit: int | None = None
    followed: frozenset[int]  # relations; a change of another runs all
    words: str  # for people
    cost: float  # the server's own estimate of running all, in its units

    @property
    def by_groups(self) -> bool:
        """Say whether groups are read anew, rather than rows."""
        return bool(self.grouped)

    def is_keyed_by(self, key: Sequence[str]) -> bool:
        """Say whether the key of the one table tells the rows of the result apart."""
        if self.by_groups or self.partners or len(self.places) != 1:
            return False
        outputs = self.places[0].outputs
        shown = all(output < self.shown for output in outputs)
        return shown and [self.columns[output].name for output in outputs] == list(key)


def is_large(cost: float, cells: float) -> bool:
    """Say whether a query costs enough, by the server's estimate, to be worth a plan."""
    return cost > _COST or cells > CELLS


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
    if connection.info.parameter_status("in_hot_standby") == "on":
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
        shape = rewriting.shape(
            analysed.select, dependencies.columns, lambda schema, name: known.get((schema, name))
        )
        _check_tree(connection, analysed.select, bool(shape.grouped))
        return _Writer(connection, analysed, shape).plan(cost)


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


class _Writer:
    """Write the texts of one plan."""

    def __init__(self, connection: Connection, analysed: Analysed, shape: Shape) -> None:
        self._connection = connection
        self._shape = shape
        self._own = analysed.dependencies.columns
        self._relations = {r.oid: r for r in analysed.dependencies.relations}
        self._keys = (
            [] if shape.grouped else [self._key_outputs(n) for n in range(len(shape.places))]
        )
        self._columns: tuple[Column, ...] = ()

    def plan(self, cost: float) -> Plan:
        """Write all; raises Refused."""
        select = self._shape.full()
        self._columns = frames.describe(self._connection, select).columns
        self._check_outputs(select)
        followed = self._followed()
        places, partners = self._grouping() if self._shape.grouped else self._by_rows()
        return Plan(
            select=select,
            columns=self._columns,
            shown=len(self._own),
            places=places,
            partners=partners,
            grouped=self._shape.grouped,
            group_text=self._group_text(),
            sorts=self._shape.sorted,
            limit=self._shape.limit,
            followed=followed,
            words=self._words(followed),
            cost=cost,
        )

    # -- outputs

    def _key_outputs(self, number: int) -> tuple[int, ...]:
        """Find or add the outputs that carry the key of a table."""
        place = self._shape.places[number]
        oid = place.table.relation
        once = sum(other.table.relation == oid for other in self._shape.places) == 1
        found = []
        for key in place.table.key:
            own = [
                n for n, c in enumerate(self._own) if (c.relation, c.attnum) == (oid, key.attnum)
            ]
            if own and once:
                found.append(own[0])
            else:
                node = rewriting.column(place.alias, key.name)
                found.append(rewriting.output(self._shape, node, len(self._own)))
        return tuple(found)

    def _check_outputs(self, select: str) -> None:
        """Refuse types whose values depend on other rows, and orders that Python does not reproduce."""
        for column in self._columns:
            if kind_of(column.type_oid, column.typmod).form is Form.LIST:
                raise Refused(f"the output {column.name} is an array")
        compared = _compared(self._connection, select, self._columns)
        for output in self._shape.grouped:
            if not compared[output][0]:
                raise Refused("it groups by a type whose equal values may look different")
        for sort in self._shape.sorted:
            if not compared[sort.output][1]:
                name = self._columns[sort.output].name
                shown = "an expression" if name.startswith("_pgrt_") else name
                raise Refused(f"the order of {shown} is the server's own (its collation or type)")

    # -- texts

    def _by_rows(self) -> tuple[tuple[Place, ...], tuple[Place, ...]]:
        """Write what reads rows by the keys of their tables, and the anchor's keys by its partners'."""
        shape = self._shape
        order = sorted(range(len(shape.places)), key=lambda n: int(shape.places[n].nullable))
        anchor = shape.places[order[0]]
        whole = [n for n in order if not shape.places[n].nullable]
        places, partners = list[Place](), list[Place]()
        before: list[tuple[tuple[KeyColumn, ...], str]] = []
        for n in whole:
            condition = _key_condition(shape.places[n], sum(len(k) for k, _ in before))
            others = [text for _, text in before]
            places.append(self._place(n, shape.part(_only(condition, others))))
            before.append((shape.places[n].table.key, condition))
        keys = [rewriting.column(anchor.alias, key.name) for key in anchor.table.key]
        for n in order[len(whole) :]:
            text = shape.only(keys, _key_condition(shape.places[n], 0), {})
            partners.append(self._place(n, text))
        return tuple(places), tuple(partners)

    def _place(self, number: int, text: str) -> Place:
        table = self._shape.places[number].table
        return Place(
            relation=table.relation,
            key=tuple(key.name for key in table.key),
            outputs=self._keys[number] if self._keys else (),
            text=text,
        )

    def _grouping(self) -> tuple[tuple[Place, ...], tuple[Place, ...]]:
        """Write what finds the groups that changed rows of each table belonged or belong to."""
        shape = self._shape
        if any(place.nullable for place in shape.places):
            raise Refused("it groups an outer join")
        if any(place.table.virtual for place in shape.places):
            raise Refused("it groups a table with virtual columns, which are not written down")
        if not all(place.table.readable for place in shape.places):
            raise Refused("it groups a table of which its role may not read every column")
        outputs = [self._group_expression(output) for output in shape.grouped]
        places = []
        for n, place in enumerate(shape.places):
            # $1 to the key's number are its changed keys; then images of the rows before, for each table.
            tables = {
                m: self._with_images(m, len(place.table.key) + 1 + m, only_changed=m == n)
                for m in range(len(shape.places))
            }
            places.append(self._place(n, shape.only(outputs, "", tables)))
        return tuple(places), ()

    def _group_expression(self, output: int) -> Any:
        """Give the expression of what is grouped by."""
        if output >= len(self._own):
            return self._shape.outputs[output - len(self._own)]
        targets = self._shape.select.target_list
        if len(targets) != len(self._own):
            raise Refused("it groups by a position behind a star")
        return targets[output].res_target.val

    def _with_images(self, number: int, parameter: int, *, only_changed: bool) -> str:
        """Write a table together with rows as they were, or what changed of it and these rows."""
        place = self._shape.places[number]
        relation = self._relations[place.table.relation]
        name = sql.Identifier(relation.schema, relation.name)
        now = sql.SQL("SELECT {alias}.* FROM {only}{name} AS {alias} WHERE {condition}").format(
            alias=sql.Identifier(place.alias),
            only=sql.SQL("" if place.node.inh else "ONLY "),
            name=name,
            condition=sql.SQL(_key_condition(place, 0) if only_changed else "true"),
        )
        before = sql.SQL(
            "SELECT r.* FROM pg_catalog.jsonb_populate_recordset(NULL::{name}, ${parameter}::jsonb) AS r"
        ).format(name=name, parameter=sql.SQL(str(parameter)))
        return sql.SQL("{} UNION ALL {}").format(now, before).as_string(None)

    def _group_text(self) -> str:
        """Write what reads groups by their values, and by whether a value may be NULL."""
        if not self._shape.grouped:
            return ""
        count = len(self._shape.grouped)
        conditions = []
        for n, output in enumerate(self._shape.grouped):
            node = self._group_expression(output)
            column = self._columns[output]
            condition = sql.SQL(
                "({value} = ANY (${values}::{type}[]) OR (${null}::pg_catalog.bool AND {value} IS NULL))"
            ).format(
                value=sql.SQL(rewriting.text_of(node)),
                values=sql.SQL(str(n + 1)),
                null=sql.SQL(str(count + n + 1)),
                type=sql.SQL(_type_name(self._connection, column.type_oid)),
            )
            conditions.append(condition.as_string(None))
        return self._shape.part(" AND ".join(conditions))

    # -- words

    def _followed(self) -> frozenset[int]:
        """List the relations that nothing but FROM reads."""
        places = self._shape.places
        found = {place.table.relation for place in places}
        inside = rewriting.tables_inside(self._shape)
        return frozenset(
            oid for oid in found if not any(self._relations[oid].name == name for name in inside)
        )

    def _words(self, followed: frozenset[int]) -> str:
        """Tell people what the plan is."""
        names = [
            f"{place.alias} ({', '.join(key.name for key in place.table.key)})"
            for place in self._shape.places
            if place.table.relation in followed
        ]
        if not names:
            raise Refused("its tables stand in sub-queries, too")
        what = "groups of changed rows" if self._shape.grouped else "rows with a changed key"
        others = [r.qualified for oid, r in sorted(self._relations.items()) if oid not in followed]
        rest = f"; a change of {', '.join(others)} runs all of it" if others else ""
        return f"incremental: {what} of {', '.join(names)} are read anew{rest}"


def _key_condition(place: rewriting.Place, before: int) -> str:
    """Ask for rows of a table with one of some keys, given as arrays behind `before` other parameters.

    Of a key of several columns, each is asked for by itself: that finds more rows, and rows of the result
    are taken out by the same rule.
    """
    tests = [
        sql.SQL("{} = ANY (${}::{}[])").format(
            sql.Identifier(place.alias, key.name),
            sql.SQL(str(before + n)),
            sql.SQL(key.type),
        )
        for n, key in enumerate(place.table.key, 1)
    ]
    return sql.SQL(" AND ").join(tests).as_string(None)


def _only(condition: str, others: Iterable[str]) -> str:
    """Ask for what meets a condition and none of the others, so that no row is read twice."""
    return " AND ".join([condition, *(f"({other}) IS NOT TRUE" for other in others)])


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
