"""Find out which changed rows cannot matter to a query, and look at rows with that in mind.

`predicates` finds in a query's text the conditions that each place puts on the rows of its table; here the
server says whether they can be believed, and later which rows meet them. A row matters if in any place
either of its images meets all of the conditions. What is not certain does not count, so that the row matters:

- Nothing but the text decides what is read: no view, no policy, no function or operator that is not
  PostgreSQL's own, nothing that has to be polled.
- A condition uses columns whose text in an image is the whole value, and immutable operators, the same that
  the query uses. It is looked at with the column's exact type and collation, by the query's own role.
- A column that an image lacks (its value was too large, or the row was written as another table's) may meet
  anything.

Conditions are looked at one by one, whatever the others come to: what raises for a row could raise in the
query, too. Runs on worker threads.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql
from psycopg.rows import namedtuple_row

from . import analysis, predicates
from .connection import Connection
from .images import Stored
from .model import Dependencies, Relation
from .predicates import Condition
from .sql import load
from .statement import Statement
from .transactions import read_at_once

_NO_ROW = "{}"  # an image of NULLs
_PINNED = sql.SQL("SET LOCAL search_path = pg_catalog, pg_temp")  # see pinning


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Say which rows of one relation can matter."""

    relation: int
    columns: tuple[tuple[str, str], ...]  # that conditions use: name, type with collation
    places: tuple[tuple[Condition, ...], ...]  # a row matters that meets all of any of these


@dataclass(frozen=True, slots=True)
class Question:
    """Ask whether any of these changed rows of one relation matters."""

    conditions: Conditions
    rows: tuple[Stored, ...]


def find(
    connection: Connection, select: str, dependencies: Dependencies, fingerprint: Mapping[int, str]
) -> dict[int, Conditions]:
    """Find the conditions of a query, by relation; none for a relation of which every row may matter.

    Under the query's role. Raises the driver's error where that role cannot make a temporary function.
    """
    relations = {relation.oid: relation for relation in dependencies.relations}
    tables = {oid for oid in dependencies.fingerprint_oids if oid > 0}
    plain = len(tables) == len(dependencies.fingerprint_oids) and not dependencies.unwatchable
    if not plain or not tables or not tables == relations.keys() == set(dependencies.named):
        return {}
    with connection.transaction(force_rollback=True):
        connection.execute("SET TRANSACTION READ WRITE")
        query = _tree(connection, select)
        with connection.transaction(force_rollback=True):
            connection.execute(b"SET LOCAL search_path = pg_catalog, pg_temp")  # see pinning
            columns = _columns(connection, tables)
            if query.strange or query.failing or columns is None:
                return {}
            if analysis.fingerprint_here(connection, fingerprint) != fingerprint:
                return {}
            found = {}
            for oid, places in _places(select, relations.values(), columns).items():
                known = _Known(connection, columns[oid], frozenset(query.operators))
                certain = tuple(tuple(filter(known.believes, place)) for place in places)
                if all(certain):
                    found[oid] = _conditions(oid, columns[oid], certain)
    return found


def matter(connection: Connection, questions: Sequence[Question]) -> list[bool]:
    """Say for each question whether a row of it matters; raises the driver's error.

    Under the role of the queries. Questions about the same columns of a relation are one to the server.
    """
    answers = [False] * len(questions)
    alike: dict[tuple[int, tuple[tuple[str, str], ...]], list[int]] = {}
    for number, question in enumerate(questions):
        conditions = question.conditions
        alike.setdefault((conditions.relation, conditions.columns), []).append(number)
    groups = [
        _Look(columns, [questions[n] for n in numbers]) for (_, columns), numbers in alike.items()
    ]
    statements = [_PINNED, *(look.statement for look in groups)]
    for look, rows, numbers in zip(
        groups, read_at_once(connection, statements), alike.values(), strict=True
    ):
        for number, answer in zip(numbers, look.answers(rows), strict=True):
            answers[number] = answer
    return answers


class _Look:
    """Look once at all rows of questions about the same columns of a relation."""

    def __init__(self, columns: Sequence[tuple[str, str]], asked: Sequence[Question]) -> None:
        self._asked = asked
        names = frozenset(name for name, _ in columns)
        self._shown = {
            image: _shown(image, names) for question in asked for image in _images(question)
        }
        self._images = list(dict.fromkeys(text for text, _ in self._shown.values()))
        self._texts = {
            text: number
            for number, text in enumerate(
                dict.fromkeys(
                    condition.sql
                    for question in asked
                    for place in question.conditions.places
                    for condition in place
                )
            )
        }
        self.statement = _weigh(columns, self._texts, self._images)

    def answers(self, rows: Sequence[tuple[Any, ...]]) -> list[bool]:
        """Say for each question whether a row of it matters, from what the server found."""
        met = dict(zip(self._images, (row for (row,) in rows), strict=True))

        def holds(condition: Condition, image: str) -> bool:
            text, known = self._shown[image]
            return _lacks(condition, known) or met[text][self._texts[condition.sql]] is True

        return [
            any(
                all(holds(condition, image) for condition in place)
                for place in question.conditions.places
                for image in _images(question)
            )
            for question in self._asked
        ]


def _lacks(condition: Condition, columns: frozenset[str]) -> bool:
    """Say whether an image lacks values that a condition uses: it may meet it."""
    return not condition.columns <= columns


def _images(question: Question) -> Iterable[str]:
    """Give the images of the rows a question is about, old and new."""
    return (image for row in question.rows for image in (row.old, row.new) if image is not None)


def _shown(image: str, names: frozenset[str]) -> tuple[str, frozenset[str]]:
    """Leave of an image what conditions use, and name it.

    The role of the query sees the statement, in pg_stat_activity for one, and may read no other column.
    """
    values = json.loads(image, parse_float=str, parse_int=str)
    kept = {name: value for name, value in values.items() if name in names}
    return json.dumps(kept, ensure_ascii=False), frozenset(kept)


def _weigh(
    columns: Sequence[tuple[str, str]], texts: Iterable[str], images: Sequence[str]
) -> sql.Composed:
    """Ask the server to look at images: which conditions does each meet?"""
    return sql.SQL(load("conditions_weigh")).format(
        conditions=sql.SQL(", ").join(_parenthesised(texts)),
        images=sql.Literal(list(images)),
        columns=sql.SQL(", ").join(
            # The names of types and collations are the server's own text.
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(declaration))
            for name, declaration in columns
        ),
    )


def _parenthesised(texts: Iterable[str]) -> Iterable[sql.Composable]:
    """Write conditions, which come from a parse tree of what the role runs anyway."""
    return [sql.SQL("({})").format(sql.SQL(text)) for text in texts]


# -- finding


class _Known:
    """Ask the server whether conditions on one relation can be believed."""

    def __init__(
        self, connection: Connection, columns: Mapping[str, str], operators: frozenset[int]
    ) -> None:
        self._connection = connection
        self._columns = columns
        self._operators = operators

    def believes(self, condition: Condition) -> bool:
        """Say whether a condition can be looked at apart from its query."""
        if not condition.columns <= self._columns.keys():
            return False
        used = [(name, self._columns[name]) for name in sorted(condition.columns)]
        row = sql.SQL(", ").join(
            sql.SQL("NULL::{} AS {}").format(sql.SQL(declaration), sql.Identifier(name))
            for name, declaration in used
        )
        (text,) = _parenthesised([condition.sql])
        select = sql.SQL("SELECT {} FROM (SELECT {}) AS r").format(text, row)
        tree = _tree(self._connection, select.as_string(self._connection))
        if tree.strange or tree.typed or tree.mutable or not self._operators >= {*tree.operators}:
            return False
        if not condition.strict:
            return True
        of_nulls: Any = self._connection.execute(_weigh(used, [condition.sql], [_NO_ROW]))
        ((met,),) = of_nulls.fetchall()
        return met != [True]


def _tree(connection: Connection, select: str) -> Any:
    """Have the server read an expression, and see what it made of it."""
    statement = Statement(original=select, parts=(select,), starts=(0,), values=())
    with connection.transaction(force_rollback=True):
        function = analysis.create_function(connection, statement, ())
        connection.execute(b"SET LOCAL search_path = pg_catalog, pg_temp")  # see pinning
        cursor = connection.cursor(row_factory=namedtuple_row)
        return cursor.execute(load("conditions_tree"), {"function": function}).fetchone()


def _columns(connection: Connection, tables: Iterable[int]) -> dict[int, dict[str, str]] | None:
    """List the columns that conditions may look at, by relation; None where nothing can be believed."""
    given = {"oids": sorted(tables)}
    if connection.execute(load("conditions_sure"), given).fetchone() != (True,):
        return None
    columns: dict[int, dict[str, str]] = {oid: {} for oid in given["oids"]}
    rows: list[Any] = connection.execute(load("conditions_columns"), given).fetchall()
    for relation, name, declaration in rows:
        columns[relation][name] = declaration
    return columns


def _places(
    select: str, relations: Iterable[Relation], columns: Mapping[int, Mapping[str, str]]
) -> dict[int, list[tuple[Condition, ...]]]:
    """Sort the places of a text by the relation they read; none if one is not found in the text."""
    by_name: dict[tuple[str, str], int] = {}
    every: dict[int, frozenset[str]] = {}
    for relation in relations:
        by_name[relation.schema, relation.name] = relation.oid
        if relation.visible:
            by_name["", relation.name] = relation.oid
        every[relation.oid] = frozenset(columns[relation.oid])
    places: dict[int, list[tuple[Condition, ...]]] = {oid: [] for oid in every}
    found = predicates.occurrences(
        select, lambda schema, name: every.get(by_name.get((schema, name), 0))
    )
    for occurrence in found or ():
        oid = by_name.get((occurrence.schema, occurrence.table))
        if oid is not None:  # else it is a CTE
            places[oid].append(occurrence.conditions)
    return places if all(places.values()) else {}


def _conditions(
    relation: int, columns: Mapping[str, str], places: tuple[tuple[Condition, ...], ...]
) -> Conditions:
    used = sorted({name for place in places for one in place for name in one.columns})
    declared = tuple((name, columns[name]) for name in used)
    return Conditions(relation=relation, columns=declared, places=places)
