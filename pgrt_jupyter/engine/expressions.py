"""Recognise expressions of a query that are simple enough to reason about.

`is_condition`: columns compared with constants and parameters, `IS NULL`, `IN`, `BETWEEN`, `LIKE`, joined by
AND, OR and NOT: the same at every time, and no error for any row. `is_safe`: no error for one row that
another would not raise; columns compared with columns and sub-queries made likewise may join in.
The grammar is PostgreSQL's own; nodes are those of its parse tree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from postgast import pg_query_pb2 as pg

_COMPARISONS = frozenset(("=", "<>", "<", "<=", ">", ">="))
_LIKES = (pg.AEXPR_LIKE, pg.AEXPR_ILIKE)
_LISTS = (pg.AEXPR_IN, pg.AEXPR_OP_ANY, pg.AEXPR_OP_ALL)
_RANGES = (pg.AEXPR_BETWEEN, pg.AEXPR_NOT_BETWEEN)
_PAIRS = (pg.AEXPR_OP, pg.AEXPR_DISTINCT, pg.AEXPR_NOT_DISTINCT)
_AGGREGATES = frozenset(("count", "sum", "avg", "min", "max", "bool_and", "bool_or", "array_agg"))
_PLACES = frozenset(("location", "rexpr_list_start", "rexpr_list_end", "list_start", "list_end"))
_CLOCK = re.compile(r"now|today|tomorrow|yesterday", re.IGNORECASE)  # times that are read as such


def has_plain_output(select: pg.SelectStmt) -> bool:
    """Say whether what a sub-query gives out cannot raise an error before its rows are filtered."""
    outputs = (content(target.res_target.val) for target in select.target_list)
    return all(
        isinstance(output, (pg.ColumnRef, pg.A_Const, pg.ParamRef)) or _is_aggregate(output)
        for output in outputs
    )


def _is_aggregate(output: Any) -> bool:
    """Say whether an output is of groups, which are made of filtered rows."""
    if not isinstance(output, pg.FuncCall) or output.HasField("over"):
        return False
    plain = all(
        isinstance(content(argument), (pg.ColumnRef, pg.A_Const)) for argument in output.args
    )
    return plain and output.funcname[-1].string.sval in _AGGREGATES


def is_condition(node: pg.Node) -> bool:
    """Say whether an expression is immutable, cannot fail for a row, and is of the short list."""
    return _is_simple(node, lambda operand: isinstance(content(operand), pg.ColumnRef))


def is_safe(node: pg.Node) -> bool:
    """Say whether an expression cannot raise an error for one row and not for another."""
    inner = content(node)
    if isinstance(inner, pg.BoolExpr):
        return all(map(is_safe, inner.args))
    if isinstance(inner, pg.SubLink):
        return _is_safe_sub_query(inner)
    column = (pg.ColumnRef, pg.SQLValueFunction)
    return _is_simple(node, lambda operand: isinstance(content(operand), column))


def _is_safe_sub_query(link: pg.SubLink) -> bool:
    """Say as much of EXISTS and IN over plain tables; their own SELECT counts by itself."""
    select = link.subselect.select_stmt
    known = link.sub_link_type in (pg.EXISTS_SUBLINK, pg.ANY_SUBLINK) and select.op <= pg.SETOP_NONE
    tested = link.sub_link_type == pg.EXISTS_SUBLINK or isinstance(
        content(link.testexpr), pg.ColumnRef
    )
    from_tables = all(isinstance(content(node), pg.RangeVar) for node in select.from_clause)
    where_is_safe = all(map(is_safe, conjuncts(select.where_clause)))
    return known and tested and from_tables and where_is_safe and has_plain_output(select)


def _is_simple(node: pg.Node, is_variable: Callable[[pg.Node], bool]) -> bool:
    """Say whether an expression has a form of the short list over these variables."""
    inner = content(node)
    if isinstance(inner, pg.BoolExpr):
        return all(_is_simple(argument, is_variable) for argument in inner.args)
    if isinstance(inner, pg.NullTest):
        return is_variable(inner.arg)
    if isinstance(inner, pg.BooleanTest):
        return _is_simple(inner.arg, is_variable)
    if isinstance(inner, pg.A_Expr):
        return _is_comparison(inner, is_variable)
    return is_variable(node) or _is_constant(node)


def _is_comparison(expression: pg.A_Expr, is_variable: Callable[[pg.Node], bool]) -> bool:
    """Look at one operator and its operands."""

    def is_operand(node: pg.Node) -> bool:
        return is_variable(node) or _is_constant(node)

    kind, right = expression.kind, expression.rexpr
    if kind in _LIKES:
        pattern = _uncast(right)
        text = pattern.sval.sval if isinstance(pattern, pg.A_Const) else "\\"
        return is_operand(expression.lexpr) and "\\" not in text
    if kind in (*_LISTS, *_RANGES):
        elements = content(right)
        listed = list(getattr(elements, "items", getattr(elements, "elements", [right])))
        compared = kind in _RANGES or expression.name[0].string.sval in _COMPARISONS
        return compared and is_operand(expression.lexpr) and all(map(_is_constant, listed))
    compared = len(expression.name) == 1 and expression.name[0].string.sval in _COMPARISONS
    return kind in _PAIRS and compared and is_operand(expression.lexpr) and is_operand(right)


def _is_constant(node: pg.Node) -> bool:
    """Say whether an operand is the same for every row and at every time."""
    inner = content(node)
    if isinstance(inner, pg.TypeCast):
        return _is_constant(inner.arg)
    if isinstance(inner, pg.A_Const):
        return not (inner.HasField("sval") and _CLOCK.search(inner.sval.sval))
    return isinstance(inner, pg.ParamRef)


def _uncast(node: pg.Node) -> Any:
    """Give what is cast; a parameter's value is written as a literal of its type."""
    inner = content(node)
    return _uncast(inner.arg) if isinstance(inner, pg.TypeCast) else inner


def is_same(one: Any, other: Any) -> bool:
    """Compare parts of parse trees, wherever in their texts they stand."""
    copies = []
    for node in (one, other):
        copies.append(copy := type(node)())
        copy.CopyFrom(node)
        for part in walk(copy):
            for name in _PLACES.intersection(part.DESCRIPTOR.fields_by_name):
                part.ClearField(name)
    return bool(copies[0] == copies[1])


def conjuncts(node: pg.Node) -> Iterator[pg.Node]:
    """Split at AND."""
    inner = content(node)
    if isinstance(inner, pg.BoolExpr) and inner.boolop == pg.AND_EXPR:
        for argument in inner.args:
            yield from conjuncts(argument)
    elif inner is not None:
        yield node


def columns_of(node: Any) -> list[Any]:
    return [found for found in walk(node) if isinstance(found, pg.ColumnRef)]


def walk(node: Any) -> Iterator[Any]:
    """Give a message of the tree and all below it."""
    yield node
    for child in children(node):
        yield from walk(child)


def children(node: Any) -> Iterator[Any]:
    for descriptor, value in node.ListFields():
        if descriptor.message_type is not None:
            yield from value if descriptor.is_repeated else (value,)


def content(node: pg.Node) -> Any:
    """Give what a node holds; None for an empty one."""
    kind = node.WhichOneof("node")
    return getattr(node, kind) if kind else None
