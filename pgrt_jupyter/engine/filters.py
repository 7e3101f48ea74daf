"""Turn what a user passes as `refresh` into something that can be asked about a changed row.

Names are checked and literals are given their column's type by the server when the subscription is
made, so that a slip is an error there and not a filter that never matches.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pandas as pd
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from ..errors import ConfigurationError
from .connection import Connection
from .model import Column, Refresh, RefreshFunction, Relation, ResultColumn, RowChange, Tracked
from .pinning import pinned
from .relevance import (
    Alternatives,
    Condition,
    Conditions,
    InResult,
    OneOf,
    Verdict,
    Watched,
    by_conditions,
    by_default_for_row,
)
from .sql import load


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Hold a checked filter: conditions per table, or a function."""

    alternatives: Alternatives = field(default_factory=dict)  # relation oid: any of these
    function: RefreshFunction | None = None
    runs_user_code: bool = False  # needs a thread of its own

    def concerns(self, relation: int) -> bool:
        """Say whether changes of this relation are asked about, rather than decided by default."""
        return self.function is not None or relation in self.alternatives

    def columns(self, relation: int) -> frozenset[str]:
        """Name the columns of a relation that conditions look at."""
        return frozenset(name for tests in self.alternatives.get(relation, ()) for name in tests)


def compile_filter(
    connection: Connection,
    refresh: Refresh,
    relations: Sequence[Relation],
    columns: Sequence[Column],
) -> Filter | None:
    """Check a `refresh` argument; raises ConfigurationError saying what is wrong with it."""
    if refresh is None:
        return None
    if callable(refresh):
        return Filter(function=refresh, runs_user_code=True)
    mappings = [refresh] if isinstance(refresh, Mapping) else refresh
    if isinstance(mappings, (str, bytes)) or not isinstance(mappings, Sequence):
        raise ConfigurationError(
            "refresh must be None, a mapping {table: {column: value}}, a list of such mappings, "
            "or a function (connection, df, change)."
        )
    alternatives: dict[int, list[Conditions]] = {}
    for mapping in mappings:
        for table, tests in _tables(mapping).items():
            relation = _find(table, relations)
            compiled = _conditions(connection, relation, tests, columns)
            alternatives.setdefault(relation.oid, []).append(compiled)
    calls = any(
        callable(condition)
        for several in alternatives.values()
        for tests in several
        for condition in tests.values()
    )
    return Filter(alternatives=alternatives, runs_user_code=calls)


def ask(
    rule: Filter,
    change: RowChange,
    relation: int,
    watch: Watched,
    vague: Collection[str],
    frame: pd.DataFrame,
    result_values: Callable[[str], Collection[Any]],
    connection: psycopg.Connection[Any] | None,
) -> Verdict:
    """Ask a filter about one row; raises what the user's code raises."""
    if rule.function is not None:
        answer = rule.function(connection, frame, change)
        if isinstance(answer, Tracked):
            return by_default_for_row(change, watch, vague)
        return Verdict.REFRESH if answer else Verdict.IGNORE
    return by_conditions(change, rule.alternatives[relation], result_values)


def values_of(frame: pd.DataFrame, name: str) -> Collection[Any]:
    """Give the values of one result column as the driver would give them."""
    column = frame.loc[:, name]
    first = column.iloc[:, 0] if isinstance(column, pd.DataFrame) else column
    return _Values(first.dropna().tolist())


class _Values(Collection[Any]):
    """Look up values whatever Python type stands for them on either side."""

    def __init__(self, values: list[Any]) -> None:
        self._values = values
        self._texts = frozenset(map(str, values))

    def __contains__(self, value: object) -> bool:
        if value is None:
            return False
        return str(value) in self._texts or value in self._values

    def __iter__(self) -> Any:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _tables(mapping: Any) -> Mapping[str, Mapping[str, Any]]:
    """Check the shape of one mapping."""
    if not isinstance(mapping, Mapping) or not all(
        isinstance(v, Mapping) for v in mapping.values()
    ):
        raise ConfigurationError("A refresh mapping has the form {table: {column: value}}.")
    return mapping


def _find(table: str, relations: Sequence[Relation]) -> Relation:
    """Find a table of the query by the name the user gave it."""
    for relation in relations:
        if table == relation.qualified or (table == relation.name and relation.visible):
            return relation
    read = ", ".join(r.name if r.visible else r.qualified for r in relations) or "no table"
    raise ConfigurationError(
        f"refresh names the table {table!r}, which the query does not read.",
        hint=f"it reads {read}.",
    )


def _conditions(
    connection: Connection,
    relation: Relation,
    tests: Mapping[str, Any],
    columns: Sequence[Column],
) -> dict[str, Condition]:
    """Check the conditions on one table."""
    with pinned(connection):
        found = connection.execute(load("filter_columns"), {"oid": relation.oid}).fetchall()
    types = {str(name): str(kind) for name, kind in found}
    for name in tests:
        if name not in types:
            raise ConfigurationError(
                f"refresh names the column {name!r}, which {relation.qualified} does not have.",
                hint=f"it has {', '.join(types)}.",
            )
    return {
        name: _condition(connection, name, value, types[name], columns)
        for name, value in tests.items()
    }


def _condition(
    connection: Connection, name: str, value: Any, kind: str, columns: Sequence[Column]
) -> Condition:
    """Check one condition."""
    if isinstance(value, ResultColumn):
        if value.name not in {column.name for column in columns}:
            raise ConfigurationError(
                f"result({value.name!r}): the query has no such output column.",
                hint=f"it has {', '.join(column.name for column in columns)}.",
            )
        return InResult(value.name)
    if callable(value):
        return cast("Callable[[Any], Any]", value)
    several = isinstance(value, (set, frozenset, list, tuple))
    values = list(value) if several else [value]
    return OneOf(tuple(_typed(connection, name, item, kind) for item in values))


def _typed(connection: Connection, name: str, value: Any, kind: str) -> Any:
    """Have the server turn a literal into a value of the column's type."""
    if value is None:
        return None
    if isinstance(value, dict):
        value = Jsonb(value)
    try:
        with connection.transaction():
            query = sql.SQL("SELECT ({})::{}").format(sql.Literal(value), sql.SQL(kind))
            row = connection.execute(query).fetchone()
    except psycopg.Error as error:
        raise ConfigurationError(
            f"refresh compares {name} with {value!r}, which is not a value of type {kind}.",
            sqlstate=error.sqlstate,
        ) from error
    assert row is not None
    return row[0]
