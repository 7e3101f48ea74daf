"""Give every row of a result a number that it keeps from result to result.

With a key a row's number follows its key, so that it stays when the row moves or other values
change; new rows get new numbers, and none is given twice. Without a key, or where the key is NULL or
appears twice, a row's number is its place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .engine import diff
from .texts import Positions


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Identities:
    """Hold the numbers of the rows of one frame."""

    frame: pd.DataFrame
    key: tuple[str, ...]
    keyed: bool  # numbers follow the key; else they are places
    line: object  # the same for as long as numbers mean the same
    next: int  # the number the next new row gets
    first: int = 0  # of a run of numbers, where `numbers` is None
    numbers: Positions | None = None

    def of(self, positions: Positions) -> Positions:
        """Give the numbers of the rows at these positions."""
        return positions + self.first if self.numbers is None else self.numbers[positions]

    def position(self, number: int) -> int:
        """Find a row; -1 when it is not there."""
        if self.numbers is None:
            place = number - self.first
            return place if 0 <= place < len(self.frame) else -1
        found = np.flatnonzero(self.numbers == number)
        return int(found[0]) if len(found) else -1

    def positions(self, numbers: Positions) -> Positions:
        """Find rows, in the order of the result; those that are not there are left out."""
        if self.numbers is not None:
            return np.flatnonzero(np.isin(self.numbers, numbers))
        places = np.sort(numbers) - self.first
        return places[(places >= 0) & (places < len(self.frame))]


def identify(before: Identities | None, frame: pd.DataFrame, key: tuple[str, ...]) -> Identities:
    """Number the rows of a frame, carrying on from the result before."""
    if before is not None and before.keyed and before.key == key:
        matching = diff.match(before.frame, frame, key)
        if matching is not None:
            return _follow(before, frame, matching)
    given = before.next if before is not None and before.keyed else 0
    if key and diff.match(frame.iloc[:0], frame, key) is not None:
        return Identities(
            frame=frame, key=key, keyed=True, line=object(), first=given, next=given + len(frame)
        )
    line = before.line if before is not None and not before.keyed else object()
    return Identities(frame=frame, key=key, keyed=False, line=line, next=len(frame))


def _follow(before: Identities, frame: pd.DataFrame, matching: diff.Matching) -> Identities:
    """Hand on the numbers of the rows that stayed."""
    count = len(matching.inserted)
    stayed = not count and not len(matching.deleted) and (matching.now == matching.before).all()
    if stayed:
        first, numbers = before.first, before.numbers
    else:
        first, numbers = 0, np.empty(len(frame), np.int64)
        numbers[matching.now] = before.of(matching.before)
        numbers[matching.inserted] = before.next + np.arange(count)
    return Identities(
        frame=frame,
        key=before.key,
        keyed=True,
        line=before.line,
        next=before.next + count,
        first=first,
        numbers=numbers,
    )
