"""Say how a query's result is brought up to date; `planning` finds it out, `planned` does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .model import Column

CELLS = 4_000  # values of a result that is read as quickly as what changed of it
_COST = 2_000.0  # the server's units: of reading about 100,000 rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Sort:
    """Say by which output rows are sorted."""

    output: int
    descending: bool
    nulls_first: bool


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
