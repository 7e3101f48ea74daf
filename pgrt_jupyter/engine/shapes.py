"""Understand a query's text, where part of its result can provably be read alone; else say why not.

What makes a row of the result is known from FROM: one row each of its tables. So with the primary keys of
those tables beside each row, a changed row of a table touches the rows with its key before and the rows with
its key now, and no others; what WHERE and the outputs ask besides is a function of the same rows, and of
tables in sub-queries, whose changes are not followed. Groups are found by what they are grouped by.

An outer join shows a row of NULLs for a missing partner. Who the missing partner would be is not seen from
the row, so the changed partner leads to the rows of the other side, the anchor's, that show it before or now,
and all of those are read. That finds all of them only if nothing but the join's own condition looks at the
partner: else a row could hide the partner that it has.

The grammar is PostgreSQL's own. Everything not named here makes `Refused`, which says what it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import postgast
from postgast import pg_query_pb2 as pg

from .expressions import columns_of, content, is_same, walk
from .plans import Sort


class Refused(Exception):
    """A query has no plan; the text says why, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyColumn:
    """Name a column of a primary key."""

    name: str
    attnum: int
    type: str  # as SQL writes it


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Say what a name in FROM stands for."""

    relation: int
    key: tuple[KeyColumn, ...]
    columns: frozenset[str]
    virtual: bool = False  # some are worked out when they are read
    readable: bool = True  # all of them, by the query's role


@dataclass(slots=True, eq=False)
class Place:
    """Hold one table in FROM."""

    alias: str
    node: Any
    table: Table
    nullable: bool = False


Tables = Callable[[str, str], Table | None]  # by schema, "" when not written, and name


@dataclass(slots=True, eq=False)
class Shape:
    """Hold a query that was understood."""

    select: Any  # the statement's SELECT; never changed
    statement: Any
    places: list[Place]
    limit: int | None
    outputs: list[Any] = field(default_factory=list)  # expressions added behind the query's own
    grouped: tuple[int, ...] = ()  # outputs that rows are grouped by
    sorted: tuple[Sort, ...] = ()


def understand(text: str, columns: Sequence[Any], tables: Tables) -> Shape:
    """Understand a query; raises Refused. `columns` are its outputs, as the server describes them."""
    try:
        statement = postgast.parse(text)
        (raw,) = statement.stmts
    except (postgast.PgQueryError, ValueError):
        raise Refused("its text is not understood") from None
    select = content(raw.stmt)
    if not isinstance(select, pg.SelectStmt):
        raise Refused("it is not a plain SELECT")
    _refuse(select)
    places = _places(select, tables)
    found = Shape(select, statement, places, _limit(select))
    _refuse_hidden_partners(select, places)
    for item in select.group_clause:
        found.grouped = (*found.grouped, _group_output(found, item, len(columns)))
    found.sorted = tuple(_sort(found, content(item), columns) for item in select.sort_clause)
    if found.limit is not None and not found.sorted:
        raise Refused("it has a LIMIT and no ORDER BY")
    return found


def output(shape: Shape, expression: Any, count: int) -> int:
    """Give the position of an expression among the outputs, where `count` are the query's own."""
    for place, known in enumerate(shape.outputs):
        if is_same(known, expression):
            return count + place
    shape.outputs.append(expression)
    return count + len(shape.outputs) - 1


def tables_inside(shape: Shape) -> set[str]:
    """Name the tables that sub-queries read."""
    every = Counter(n.relname for n in walk(shape.select) if isinstance(n, pg.RangeVar))
    return set(every - Counter(place.node.relname for place in shape.places))


def _refuse(select: Any) -> None:
    """Refuse what makes a result more than the sum of its rows."""
    if select.op > pg.SETOP_NONE:
        raise Refused("it combines queries by UNION, INTERSECT or EXCEPT")
    for name, what in (
        ("with_clause", "a WITH clause"),
        ("distinct_clause", "DISTINCT"),
        ("window_clause", "a WINDOW clause"),
        ("values_lists", "VALUES"),
        ("limit_offset", "OFFSET"),
        ("locking_clause", "a locking clause"),
    ):
        value = getattr(select, name)
        if select.HasField(name) if hasattr(value, "ListFields") else len(value):
            raise Refused(f"it has {what}")
    if select.having_clause.WhichOneof("node") and not select.group_clause:
        raise Refused("it is one group")
    if any(isinstance(node, pg.FuncCall) and node.HasField("over") for node in walk(select)):
        raise Refused("it uses window functions")
    if any(isinstance(content(item), pg.GroupingSet) for item in select.group_clause):
        raise Refused("it has grouping sets")
    if select.group_distinct:
        raise Refused("it has GROUP BY DISTINCT")


def _places(select: Any, tables: Tables) -> list[Place]:
    places: list[Place] = []
    for node in map(content, ranges(select.from_clause)):
        if not isinstance(node, pg.RangeVar):
            raise Refused("FROM holds something else than tables")
        table = tables(node.schemaname, node.relname)
        if table is None or node.catalogname:
            raise Refused(f"{node.relname} is not a table that can be followed row by row")
        if not table.key:
            raise Refused(f"{node.relname} has no primary key of a simple type")
        if node.alias.colnames:
            raise Refused("FROM gives columns other names")
        places.append(Place(node.alias.aliasname or node.relname, node, table))
    if not places:
        raise Refused("it reads no table")
    if len({place.alias for place in places}) < len(places):
        raise Refused("FROM has two tables of one name")
    return places


def ranges(nodes: Any) -> list[Any]:
    """List what FROM holds besides joins, from left to right."""
    found = []
    for node in nodes:
        inner = content(node)
        if isinstance(inner, pg.JoinExpr):
            if inner.HasField("alias"):
                raise Refused("a join has a name of its own")
            if inner.jointype not in (pg.JOIN_INNER, pg.JOIN_LEFT, pg.JOIN_RIGHT):
                raise Refused("it has a FULL JOIN")
            found += ranges([inner.larg, inner.rarg])
        else:
            found.append(node)
    return found


def _limit(select: Any) -> int | None:
    """Read LIMIT; None: there is none."""
    node = select.limit_count
    if node.WhichOneof("node") is None:
        return None
    inner = content(node)
    while isinstance(inner, pg.TypeCast):
        inner = content(inner.arg)
    if isinstance(inner, pg.A_Const) and inner.isnull:
        return None
    if select.limit_option != pg.LIMIT_OPTION_COUNT:
        raise Refused("it has FETCH … WITH TIES")
    if not isinstance(inner, pg.A_Const):
        raise Refused("its LIMIT is computed")
    text = inner.sval.sval if inner.HasField("sval") else str(inner.ival.ival)
    if not text.isdecimal():
        raise Refused("its LIMIT is computed")
    return int(text)


def _refuse_hidden_partners(select: Any, places: Sequence[Place]) -> None:
    """Mark tables whose rows may be missing, and refuse conditions that look at them from outside."""
    below: dict[str, bool] = {}
    for node in select.from_clause:
        below |= _join(node, places)
    for place in places:
        place.nullable = below[place.alias]
    if any(below.values()):
        _refuse_use(select.where_clause, below, places)
    if all(below.values()):
        raise Refused("an outer join leaves no table whose rows are all there")


def _join(node: Any, places: Sequence[Place]) -> dict[str, bool]:
    """Give the tables below, and whether their rows may be missing."""
    inner = content(node)
    if not isinstance(inner, pg.JoinExpr):
        return {inner.alias.aliasname or inner.relname: False}
    left, right = _join(inner.larg, places), _join(inner.rarg, places)
    kept = {pg.JOIN_LEFT: left, pg.JOIN_RIGHT: right}.get(inner.jointype, {})
    filtered = {k: v for side in (left, right) if side is not kept for k, v in side.items()}
    if any(filtered.values()):
        if inner.is_natural or inner.using_clause:
            raise Refused("a join by common names looks at a table whose rows may be missing")
        _refuse_use(inner.quals, filtered, places)
    return filtered | kept if not kept else kept | dict.fromkeys(filtered, True)


def _refuse_use(node: Any, below: Mapping[str, bool], places: Sequence[Place]) -> None:
    """Refuse an expression that uses, or may use, a table whose rows may be missing."""
    if content(node) is None:
        return
    for used in columns_of(node):
        alias = _alias_of(used, places)
        if alias is None or below.get(alias, False):
            raise Refused("a condition looks at a table whose rows may be missing")


def _alias_of(used: Any, places: Sequence[Place]) -> str | None:
    """Name the table a column is of; None when that is not certain."""
    names = [part.string.sval for part in used.fields if part.HasField("string")]
    if len(names) != len(used.fields) or len(names) > 2:
        return None
    if len(names) == 2:
        found = [place for place in places if place.alias == names[0]]
    else:
        found = [place for place in places if names[0] in place.table.columns]
    return found[0].alias if len(found) == 1 else None


def _group_output(shape: Shape, item: Any, count: int) -> int:
    """Find or add what rows are grouped by."""
    inner = content(item)
    if isinstance(inner, pg.A_Const):
        return _position(inner, count)
    return output(shape, item, count)


def _sort(shape: Shape, item: Any, columns: Sequence[Any]) -> Sort:
    """Find or add what rows are sorted by."""
    if item.sortby_dir == pg.SORTBY_USING:
        raise Refused("it sorts by an operator")
    descending = item.sortby_dir == pg.SORTBY_DESC
    nulls_first = item.sortby_nulls == pg.SORTBY_NULLS_FIRST or (
        descending and item.sortby_nulls == pg.SORTBY_NULLS_DEFAULT
    )
    position = _sort_output(shape, item.node, [column.name for column in columns])
    return Sort(output=position, descending=descending, nulls_first=nulls_first)


def _sort_output(shape: Shape, node: Any, names: Sequence[str]) -> int:
    """Find what one item of ORDER BY is: a number or a name of an output, or an expression."""
    inner = content(node)
    if isinstance(inner, pg.A_Const):
        return _position(inner, len(names))
    if isinstance(inner, pg.ColumnRef) and len(inner.fields) == 1:
        name = inner.fields[0].string.sval
        if names.count(name) == 1:
            return names.index(name)
        if name in names:
            raise Refused("it sorts by a name that two outputs have")
    return output(shape, node, len(names))


def _position(constant: Any, count: int) -> int:
    """Read the number of an output."""
    if not constant.HasField("ival") or not 1 <= constant.ival.ival <= count:
        raise Refused("a position of an output is not understood")
    return int(constant.ival.ival) - 1
