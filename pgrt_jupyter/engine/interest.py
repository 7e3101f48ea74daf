"""Decide which advisory locks say what an engine waits for.

A key is 64 bits: 32 that stand for a family of tables (a partition or inheritance tree, or one table)
and 32 for what of it is of interest. While an engine holds a key shared, triggers cannot take it
exclusively and so know that somebody waits:

    key(family, RELATION)       inserts, deletes and truncates, and any update: the quick check
    key(family, EVERY_COLUMN)   updates of any column
    key(family, tag(column))    updates of that column

These have changes announced. The same numbers once more, each IMAGES higher, have the changed rows written
down; ROWS is the first of them. So rows can be kept without a word, which costs writers a fraction of a
notification, and who waits for notifications has nothing written. What is written of a row is its own choice:

    key(family, IMAGES + WHOLE)  images of whole rows
    key(family, IMAGES + KEYS)   primary keys alone, or a mark where there are none

Columns go by name, since their numbers differ between the members of a family. Two names or families
that share a hash cost a needless notification and never lose one. The shared lock table is
everybody's, so an engine holds few keys: columns give way to EVERY_COLUMN, then families are left out.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Generic, TypeVar

W = TypeVar("W", bound=Hashable)

RELATION = 0
EVERY_COLUMN = 1
WHOLE = 2
KEYS = 3
_FIRST_TAG = 16
IMAGES = 2**31  # tags have 31 bits
ROWS = IMAGES + RELATION
LIMIT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Say what one query wants to hear of one family."""

    family: int  # oid that stands for the family
    tags: frozenset[int] = frozenset()  # of the columns
    every_column: bool = False
    rows: bool = False  # images, too
    keys: bool = False  # primary keys, too
    quiet: bool = False  # no notifications


@dataclass(frozen=True, slots=True)
class Plan:
    """Say which keys to hold, and which families could not be covered."""

    keys: Mapping[int, int]  # key: the family it belongs to
    uncovered: frozenset[int]
    unkept: frozenset[int] = frozenset()  # families whose rows' primary keys are not asked for


def tag(column: str) -> int:
    """Give the number that stands for a column's name: 31 bits, above the reserved ones."""
    digest = hashlib.sha256(column.encode()).digest()
    return _FIRST_TAG + int.from_bytes(digest[:4], "big") % (2**31 - _FIRST_TAG)


@lru_cache(4096)
def key(family: int, what: int) -> int:
    """Give the signed 64-bit advisory lock key of one thing to wait for."""
    digest = hashlib.sha256(b"pgrt_jupyter %d" % family).digest()
    return int.from_bytes(digest[:4] + what.to_bytes(4, "big"), "big", signed=True)


def subjects(need: Need) -> frozenset[int]:
    """List what one need asks to hear of its family."""
    wanted = need.tags | {RELATION} | ({EVERY_COLUMN} if need.every_column else set())
    announced = frozenset[int]() if need.quiet else wanted
    kept = [what for what, asked in ((WHOLE, need.rows), (KEYS, need.keys)) if asked]
    return announced | {IMAGES + subject for subject in (*wanted, *kept)} if kept else announced


@dataclass(slots=True)
class Ledger(Generic[W]):
    """Keep what everybody wants, so that one change of mind does not take asking all."""

    _needs: dict[W, tuple[Need, ...]] = field(default_factory=dict)
    _wanted: dict[int, Counter[int]] = field(default_factory=dict)  # family: subject: by how many

    def put(self, who: W, needs: Iterable[Need]) -> None:
        """Replace what one wants; nothing at all ends it."""
        for need in self._needs.pop(who, ()):
            counts = self._wanted[need.family]
            counts.subtract(subjects(need))
            self._wanted[need.family] = counts = +counts
            if not counts:
                del self._wanted[need.family]
        if kept := tuple(needs):
            self._needs[who] = kept
        for need in kept:
            self._wanted.setdefault(need.family, Counter()).update(subjects(need))

    def who_wants(self, families: Iterable[int]) -> list[W]:
        """List who wants to hear of any of these families."""
        among = set(families)
        return [who for who, needs in self._needs.items() if any(n.family in among for n in needs)]

    def wants(self, who: W) -> bool:
        """Say whether one wants anything."""
        return who in self._needs

    @property
    def wants_rows(self) -> bool:
        """Say whether anybody wants rows written down."""
        return any(ROWS in counts for counts in self._wanted.values())

    def plan(self, *, limit: int = LIMIT) -> Plan:
        """Choose the keys to hold, at most `limit`."""
        return _plan({family: set(counts) for family, counts in self._wanted.items()}, limit)


def plan(needs: Iterable[Need], *, limit: int = LIMIT) -> Plan:
    """Merge what all queries want into the keys to hold, at most `limit`."""
    ledger: Ledger[int] = Ledger()
    for number, need in enumerate(needs):
        ledger.put(number, [need])
    return ledger.plan(limit=limit)


def _plan(wanted: dict[int, set[int]], limit: int) -> Plan:
    for chosen in wanted.values():
        for half in (0, IMAGES):
            if half + EVERY_COLUMN in chosen:
                _forget_columns(chosen, half)
    _shrink(wanted, limit)
    unkept = _spare(wanted, limit)
    keys: dict[int, int] = {}
    uncovered: set[int] = set()
    for family in sorted(wanted):
        if len(keys) + len(wanted[family]) > limit:
            uncovered.add(family)
        else:
            keys.update((key(family, subject), family) for subject in wanted[family])
    return Plan(keys, frozenset(uncovered), unkept)


def _shrink(wanted: dict[int, set[int]], limit: int) -> None:
    """Let columns give way to EVERY_COLUMN, the families with most columns first."""
    for family in sorted(wanted, key=lambda family: (-len(wanted[family]), family)):
        if sum(map(len, wanted.values())) <= limit:
            return
        for half in (0, IMAGES):
            _forget_columns(wanted[family], half)


def _spare(wanted: dict[int, set[int]], limit: int) -> frozenset[int]:
    """Do without primary keys, rather than without notifications; gives the families."""
    unkept = set()
    for family in sorted(wanted, reverse=True):
        if sum(map(len, wanted.values())) <= limit:
            break
        if IMAGES + KEYS in wanted[family] and IMAGES + WHOLE not in wanted[family]:
            wanted[family] = {subject for subject in wanted[family] if subject < IMAGES}
            unkept.add(family)
    return frozenset(unkept)


def _forget_columns(chosen: set[int], half: int) -> None:
    """Replace the columns of one family, to be announced or to be kept, by EVERY_COLUMN."""
    columns = {subject for subject in chosen if half + _FIRST_TAG <= subject < half + IMAGES}
    if columns:
        chosen -= columns
        chosen.add(half + EVERY_COLUMN)
