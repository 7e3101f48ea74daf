"""Write a query's text anew, so that part of its result can be read alone.

Nothing is pasted into the text: its tree is changed and written by PostgreSQL's own rules, and what was
written is read again, since it must mean the same. Which queries this is done to is told in `shapes`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import postgast
from postgast import pg_query_pb2 as pg
from psycopg import sql

from .expressions import conjuncts, content, is_same
from .shapes import Refused, Shape, ranges

HIDDEN = "_pgrt_{}"  # names of outputs that are added


def full(shape: Shape) -> str:
    """Write the query with what was added to its outputs."""
    statement, select = _copy(shape)
    _add_outputs(select, shape.outputs)
    return _written(statement)


def part(shape: Shape, condition: str) -> str:
    """Write it for the rows that meet a condition too, unsorted and unlimited."""
    statement, select = _bare(shape)
    _add_outputs(select, shape.outputs)
    _add_condition(select, condition)
    return _written(statement)


def only(shape: Shape, outputs: Sequence[Any], condition: str, tables: Mapping[int, str]) -> str:
    """Write it to give other outputs, each once, for the rows that meet a condition.

    `tables` puts sub-queries in the places of tables, by place.
    """
    statement, select = _bare(shape)
    for name in ("target_list", "group_clause", "having_clause"):
        select.ClearField(name)
    select.distinct_clause.add()
    _add_outputs(select, outputs)
    if condition:
        _add_condition(select, condition)
    found = ranges(select.from_clause)
    for number, text in tables.items():
        _substitute(found[number], text, shape.places[number].alias)
    return _written(statement)


def _copy(shape: Shape) -> tuple[Any, Any]:
    statement = type(shape.statement)()
    statement.CopyFrom(shape.statement)
    return statement, statement.stmts[0].stmt.select_stmt


def _bare(shape: Shape) -> tuple[Any, Any]:
    statement, select = _copy(shape)
    for name in ("sort_clause", "limit_count", "limit_option"):
        select.ClearField(name)
    select.limit_option = pg.LIMIT_OPTION_DEFAULT
    return statement, select


def column(alias: str, name: str) -> Any:
    """Write a column of a table as an expression."""
    return expression(sql.Identifier(alias, name).as_string(None))


def expression(text: str) -> Any:
    """Read an expression of our own making."""
    tree = postgast.parse("SELECT " + text)
    return tree.stmts[0].stmt.select_stmt.target_list[0].res_target.val


def text_of(node: Any) -> str:
    """Write an expression."""
    tree = postgast.parse("SELECT 1")
    tree.stmts[0].stmt.select_stmt.target_list[0].res_target.val.CopyFrom(node)
    return postgast.deparse(tree).removeprefix("SELECT ")


def _add_outputs(select: Any, outputs: Collection[Any]) -> None:
    for number, node in enumerate(outputs):
        target = select.target_list.add().res_target
        target.name = HIDDEN.format(number)
        target.val.CopyFrom(node)


def _add_condition(select: Any, condition: str) -> None:
    """Ask for a condition besides what WHERE asks."""
    text = sql.SQL("({})").format(sql.SQL(condition)).as_string(None)
    before = pg.Node()
    before.CopyFrom(select.where_clause)
    select.ClearField("where_clause")
    if content(before) is None:
        select.where_clause.CopyFrom(expression(text))
        return
    both = select.where_clause.bool_expr
    both.boolop = pg.AND_EXPR
    for conjunct in (*conjuncts(before), *conjuncts(expression(text))):
        both.args.add().CopyFrom(conjunct)


def _substitute(node: Any, text: str, alias: str) -> None:
    """Put a sub-query in the place of a table."""
    name = sql.Identifier(alias)
    query = sql.SQL("SELECT FROM ({}) AS {}").format(sql.SQL(text), name)
    tree = postgast.parse(query.as_string(None))
    node.CopyFrom(tree.stmts[0].stmt.select_stmt.from_clause[0])


def _written(statement: Any) -> str:
    """Write a tree as text; raises Refused where that would not mean the same."""
    text = postgast.deparse(statement)
    if not is_same(postgast.parse(text).stmts[0].stmt, statement.stmts[0].stmt):
        raise Refused("its text cannot be written anew")
    return text
