"""Find, in a query's own text, which rows of its tables cannot matter to its result.

A row can matter only where the query names its table, and there only if it meets the conditions that
WHERE and the joins put on that table alone. A changed row whose old and new images meet none of them
leaves the result as it is. Each SELECT of the text, sub-queries and CTEs too, is looked at by itself:
its result is a function of its tables, whatever surrounds it.

A condition compares columns of the one table with constants and parameters, or asks `IS NULL`, `IN`,
`BETWEEN`, `LIKE`, joined by AND, OR and NOT. Nothing else may stand in WHERE and ON of that SELECT, but
for columns compared with columns and sub-queries made likewise: what could raise an error for a row that
does not matter could be looked at first. Beyond that a table has no condition: every change of it matters.

An outer join shows a row of NULLs where a partner is missing. A row that fails a condition after the join
may be the partner that keeps such a row away: there a condition counts only if a row of NULLs fails it, too.
Conditions are given back as SQL: only the server knows its types and collations.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import postgast
from postgast import pg_query_pb2 as pg

from .expressions import (
    children,
    columns_of,
    conjuncts,
    content,
    has_plain_output,
    is_condition,
    is_safe,
    is_same,
    walk,
)

ROW = "r"  # what conditions call the row
Columns = Callable[
    [str, str], Collection[str] | None
]  # of (schema or "", table); None: not a table


@dataclass(frozen=True, slots=True)
class Condition:
    """Hold a condition, as SQL about the row `r`."""

    sql: str
    columns: frozenset[str]
    strict: bool  # it counts only if a row of NULLs does not meet it


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Say which rows matter in one place where a query reads a table, or what may be one."""

    schema: str  # as written; "" when not
    table: str
    conditions: tuple[Condition, ...] = ()  # all of them; none: every row matters


@dataclass(slots=True, eq=False)
class _Item:
    """Hold one item of a FROM clause."""

    name: str  # that columns are qualified with
    node: Any = None  # the table; None for whatever else
    columns: Collection[str] | None = None  # None: not known
    conditions: list[Condition] = field(default_factory=list)


_Below = dict[_Item, bool]  # items of a part of FROM: whether a row of NULLs may stand for theirs


def occurrences(text: str, columns: Columns) -> list[Occurrence] | None:
    """List where a query reads tables, CTEs included; None when its text is not understood."""
    try:
        (statement,) = postgast.parse(text).stmts
    except (postgast.PgQueryError, ValueError):
        return None
    ctes = {node.ctename for node in walk(statement) if isinstance(node, pg.CommonTableExpr)}
    found: list[Occurrence] = []
    for select, is_outermost in _selects(statement.stmt, True):
        is_safe = is_outermost or has_plain_output(select)
        found += _Select(select, columns, ctes, is_safe).occurrences()
    tables = sum(isinstance(node, pg.RangeVar) for node in walk(statement))
    return found if tables == len(found) else None


class _Select:
    """Look at one SELECT, without what is inside its sub-queries."""

    def __init__(
        self, select: pg.SelectStmt, columns: Columns, ctes: Collection[str], is_safe: bool
    ) -> None:
        self._select = select
        self._columns = columns
        self._ctes = ctes
        self._items: list[_Item] = []
        self._merged = False  # a join merges columns, so that bare names are of neither table
        self._is_safe = is_safe
        for item in select.from_clause:
            self._read(item)

    def occurrences(self) -> list[Occurrence]:
        """Say what matters of each table in FROM."""
        below: _Below = {}
        for node in self._select.from_clause:
            below |= self._join(node)
        self._take(self._select.where_clause, below)
        return [
            Occurrence(
                item.node.schemaname,
                item.node.relname,
                tuple(item.conditions) if self._is_safe else (),
            )
            for item in self._items
            if item.node is not None
        ]

    def _read(self, node: pg.Node) -> None:
        """Note what a FROM item brings."""
        inner = content(node)
        if isinstance(inner, pg.JoinExpr):
            self._merged = self._merged or inner.is_natural or bool(inner.using_clause)
            before = len(self._items)
            self._read(inner.larg)
            self._read(inner.rarg)
            if inner.HasField("alias"):
                for item in self._items[before:]:
                    item.name = ""  # hidden behind the join's own name
                self._items.append(_Item(inner.alias.aliasname))
        elif isinstance(inner, pg.RangeVar):
            self._items.append(self._table(inner))
        else:
            self._items.append(_Item(getattr(getattr(inner, "alias", None), "aliasname", "")))
            self._items += [_Item("", table) for table in _tables_outside_selects(inner)]

    def _table(self, table: pg.RangeVar) -> _Item:
        """Note a table, or a CTE, which may hide one of the same name."""
        name = table.alias.aliasname or table.relname
        hidden = not table.schemaname and table.relname in self._ctes
        if hidden or table.catalogname or table.alias.colnames:
            return _Item(name, table)
        return _Item(name, table, self._columns(table.schemaname, table.relname))

    def _join(self, node: pg.Node) -> _Below:
        """Take the conditions of joins; gives the items below."""
        inner = content(node)
        if not isinstance(inner, pg.JoinExpr):
            return {item: False for item in self._items if item.node is inner}
        left, right = self._join(inner.larg), self._join(inner.rarg)
        below = left | right
        limited = {pg.JOIN_INNER: below, pg.JOIN_LEFT: right, pg.JOIN_RIGHT: left}
        self._take(inner.quals, limited.get(inner.jointype, {}))
        return below if inner.jointype == pg.JOIN_INNER else dict.fromkeys(below, True)

    def _take(self, node: pg.Node, below: _Below) -> None:
        """Give each conjunct that is about one of these items alone to that item."""
        for conjunct in conjuncts(node):
            self._is_safe = self._is_safe and is_safe(conjunct)
            items = {self._item_of(column) for column in columns_of(conjunct)}
            item = items.pop() if len(items) == 1 else None
            if item is not None and item in below and is_condition(conjunct):
                condition = _condition(conjunct, below[item])
                item.conditions += [condition] if condition is not None else []

    def _item_of(self, column: pg.ColumnRef) -> _Item | None:
        """Find the item a column is of; None when that is not certain."""
        names = [part.string.sval for part in column.fields if part.HasField("string")]
        if len(names) != len(column.fields) or len(names) > 2:
            return None
        if len(names) == 2:
            found = [item for item in self._items if item.name == names[0]]
        elif self._merged or any(item.columns is None for item in self._items):
            return None
        else:
            found = [item for item in self._items if names[0] in (item.columns or ())]
        certain = len(found) == 1 and names[-1] in (found[0].columns or ())
        return found[0] if certain else None


def _selects(node: Any, is_outermost: bool) -> Iterator[tuple[pg.SelectStmt, bool]]:
    """Give every SELECT, and whether its output is the query's own."""
    if isinstance(node, pg.SelectStmt):
        yield node, is_outermost
        arms = (node.larg, node.rarg) if node.op > pg.SETOP_NONE else ()
        for arm in arms:
            yield from _selects(arm, is_outermost)
        for child in children(node):
            if not isinstance(child, pg.SelectStmt):
                yield from _selects(child, False)
    else:
        for child in children(node):
            yield from _selects(child, is_outermost)


def _condition(node: pg.Node, strict: bool) -> Condition | None:
    """Write a condition as SQL about the row `r`; None where the text would not mean the same."""
    copy = pg.Node()
    copy.CopyFrom(node)
    names = set()
    for column in columns_of(copy):
        names.add(name := column.fields[-1].string.sval)
        del column.fields[:]
        column.fields.add().string.sval = ROW
        column.fields.add().string.sval = name
    tree = postgast.parse("SELECT 1")
    tree.stmts[0].stmt.select_stmt.target_list[0].res_target.val.CopyFrom(copy)
    text = postgast.deparse(tree)
    if not is_same(postgast.parse(text).stmts[0].stmt, tree.stmts[0].stmt):
        return None
    return Condition(text.removeprefix("SELECT "), frozenset(names), strict)


def _tables_outside_selects(node: Any) -> list[Any]:
    """List tables that are not in the FROM clause of a SELECT below: of TABLESAMPLE, for one."""
    if isinstance(node, pg.SelectStmt):
        return []
    if isinstance(node, pg.RangeVar):
        return [node]
    return [table for child in children(node) for table in _tables_outside_selects(child)]
