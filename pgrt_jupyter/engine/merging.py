"""Put rows that were read anew in the places of those they have become.

What is the same stays; a row that is sorted as it was stays where it was; another goes where the order
says, or, where there is none, to the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from typing import Any

import numpy as np
import pandas as pd

from . import diff
from .ordering import Order
from .patches import Body, Positions, patched, taken
from .plans import Plan
from .values import Values


class Uncertain(Exception):
    """What changed does not tell what to read; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """Say what became of a result."""

    body: Body
    removed: list[Values]  # rows that were taken out …
    added: list[Values]  # … and put in, in their order
    is_all: bool = True  # LIMIT took out others


class Merge:
    """Put rows in the places of others."""

    def __init__(
        self,
        plan: Plan,
        base: Body,
        gone: Positions,
        added: list[Values],
        identity: Sequence[int],
    ) -> None:
        self._plan = plan
        self._base = base
        self._order = Order(plan.sorts)
        self._added = added
        self._gone = gone
        self._were = [taken(column, gone) for column in base.values]
        self._identity = identity

    def patch(self) -> Patch | None:
        """Merge; None where nothing is new. Raises Uncertain where what LIMIT shows is not known."""
        gone, places, rows = self._merged()
        if self._plan.limit is not None:
            gone, places, rows = self._within_limit(gone, places, rows)
        if not len(gone) and not rows:
            return None
        removed = [taken(column, np.searchsorted(self._gone, gone)) for column in self._were]
        added = [taken(column, np.asarray(rows, np.int64)) for column in self._added]
        body = patched(self._base, gone, added, np.asarray(places, np.int64))
        if self._plan.limit is not None and body.rows > self._plan.limit:
            rest = np.arange(self._plan.limit, body.rows)
            none = [taken(column, rest[:0]) for column in body.values]
            body = patched(body, rest, none, rest[:0])
            return Patch(body=body, removed=[], added=[], is_all=False)
        return Patch(body=body, removed=removed, added=added)

    def _merged(self) -> tuple[Positions, list[int], list[int]]:
        """Give the rows to take out, and the ones to put in with their places; what is the same stays."""
        known: dict[tuple[Any, ...], list[int]] = {}
        for number, name in enumerate(_names(self._were, self._identity)):
            known.setdefault(name, []).append(number)
        pairs = [
            (row, known[name].pop() if known.get(name) else None)
            for row, name in enumerate(_names(self._added, self._identity))
        ]
        same = self._same([(row, was) for row, was in pairs if was is not None])
        stay = {was for row, was in pairs if row in same}
        put = [
            (self._place(row, was), self._order.keys(self._added, row), row)
            for row, was in pairs
            if row not in same
        ]
        compare = cmp_to_key(self._order.compare)
        put.sort(key=lambda one: (one[0], compare(one[1])))
        gone = [at for number, at in enumerate(self._gone.tolist()) if number not in stay]
        return np.asarray(gone, np.int64), [at for at, _, _ in put], [row for _, _, row in put]

    def _same(self, pairs: Sequence[tuple[int, int]]) -> set[int]:
        """List the rows that are what they were."""
        now = np.asarray([row for row, _ in pairs], np.int64)
        before = np.asarray([was for _, was in pairs], np.int64)
        differ = np.zeros(len(pairs), np.bool_)
        for old, new in zip(self._were, self._added, strict=True):
            differ |= diff.differing(_series(taken(old, before)), _series(taken(new, now)))
        return set(now[~differ].tolist())

    def _place(self, row: int, was: int | None) -> int:
        """Say before which row of the result one goes: where it was, if that is right."""
        keys = self._order.keys(self._added, row)
        if was is not None and not self._order.compare(keys, self._order.keys(self._were, was)):
            return int(self._gone[was])
        if not self._plan.sorts:
            return self._base.rows
        return self._order.place(self._base.values, self._base.rows, keys)

    def _within_limit(
        self, gone: Positions, places: list[int], rows: list[int]
    ) -> tuple[Positions, list[int], list[int]]:
        """Leave out what comes behind the last row that is known, where there may be others behind it."""
        assert self._plan.limit is not None
        if self._base.rows < self._plan.limit:
            return gone, places, rows
        inside = sum(place < self._base.rows for place in places)
        if self._base.rows - len(gone) + inside < self._plan.limit:
            raise Uncertain("other rows come within the limit")
        return gone, places[:inside], rows[:inside]


def _names(values: Sequence[Values], outputs: Sequence[int]) -> list[tuple[Any, ...]]:
    """Name rows by some of their values."""
    return list(zip(*(_list(values[output]) for output in outputs), strict=True))


def _list(values: Values) -> list[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else values.to_pylist()


def _series(values: Values) -> pd.Series[Any]:
    if isinstance(values, np.ndarray):
        return pd.Series(values)
    return pd.Series(pd.arrays.ArrowExtensionArray(values))
