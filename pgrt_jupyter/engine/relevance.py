"""Decide whether a change matters to a query.

First the default: an insert, a delete, a truncate, or an update of a column that the query reads.
Then, where the user gave a filter and the row images are at hand, the filter. Whatever cannot be
decided is UNSURE, and UNSURE refreshes: a notification is a hint, the query is the truth.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .interest import tag
from .model import Operation, RowChange
from .notification import Change


class Verdict(enum.Enum):
    """Answer whether to run the query again."""

    REFRESH = "refresh"
    IGNORE = "ignore"
    UNSURE = "unsure"  # could not be decided: refreshes


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """Say what a query reads of one relation."""

    tags: frozenset[int]  # of the columns
    every_column: bool


@dataclass(frozen=True, slots=True)
class OneOf:
    """Match a value that is among these; None among them matches NULL."""

    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class InResult:
    """Match a value that the named column of the current result holds."""

    column: str


Condition = OneOf | InResult | Callable[[Any], Any]
Conditions = Mapping[str, Condition]  # column of the table: its condition
Alternatives = Mapping[int, Sequence[Conditions]]  # relation: any of these


def watched(columns: Collection[str], every_column: bool) -> Watched:
    """Prepare what a query reads for comparing with notifications."""
    return Watched(tags=frozenset(map(tag, columns)), every_column=every_column)


def by_default(change: Change, watch: Watched) -> Verdict:
    """Decide from the notification alone."""
    if change.operation is None:
        return Verdict.UNSURE
    if change.operation is not Operation.UPDATE or watch.every_column or change.tags is None:
        return Verdict.REFRESH
    return Verdict.REFRESH if change.tags & watch.tags else Verdict.IGNORE


def by_default_for_row(change: RowChange, watch: Watched, vague: Collection[str] = ()) -> Verdict:
    """Decide as `by_default`, from a row's images; `vague` columns may have changed unseen."""
    if change.operation != "update" or watch.every_column:
        return Verdict.REFRESH
    changed = frozenset(map(tag, {*change.changes, *vague}))
    return Verdict.REFRESH if changed & watch.tags else Verdict.IGNORE


def by_conditions(
    change: RowChange,
    alternatives: Sequence[Conditions],
    result_values: Callable[[str], Collection[Any]],
) -> Verdict:
    """Refresh when, for any alternative, the old row or the new row meets all its conditions.

    A row that leaves the filter refreshes like one that enters it. Raises what a predicate raises.
    """
    if change.row is None:
        return Verdict.REFRESH
    images = [image for image in (change.old, change.row) if image is not None]
    for conditions in alternatives:
        if any(column in change.hashed for column in conditions):
            return Verdict.UNSURE
        if any(_meets(image, conditions, result_values) for image in images):
            return Verdict.REFRESH
    return Verdict.IGNORE


def _meets(
    image: Mapping[str, Any],
    conditions: Conditions,
    result_values: Callable[[str], Collection[Any]],
) -> bool:
    """Ask whether one image of a row meets every condition."""
    return all(_holds(image[name], test, result_values) for name, test in conditions.items())


def _holds(
    value: Any, condition: Condition, result_values: Callable[[str], Collection[Any]]
) -> bool:
    """Ask whether one value meets one condition."""
    if isinstance(condition, OneOf):
        return any(_same(value, wanted) for wanted in condition.values)
    if isinstance(condition, InResult):
        return value in result_values(condition.column)
    return bool(condition(value))


def _same(value: Any, wanted: Any) -> bool:
    """Compare like SQL's IS NOT DISTINCT FROM."""
    return wanted is None if value is None else bool(wanted is not None and value == wanted)
