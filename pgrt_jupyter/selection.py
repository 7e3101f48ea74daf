"""Know which rows are selected, by identity, whoever selected them: a browser or Python."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .displayed import Displayed
from .identity import Identities
from .protocol import Mode, Selected
from .texts import Positions, take


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """Hold the identities of the selected rows, ascending and each once."""

    numbers: Positions

    def __len__(self) -> int:
        return len(self.numbers)

    def changed(self, mode: Mode, numbers: Positions) -> Selection:
        """Select these rows as well, or instead, or no longer."""
        match mode:
            case "replace":
                return Selection(np.unique(numbers))
            case "add":
                return Selection(np.union1d(self.numbers, numbers))
            case "remove":
                return Selection(np.setdiff1d(self.numbers, numbers))
            case "toggle":
                return Selection(np.setxor1d(self.numbers, numbers))

    def kept(self, before: Identities | None, now: Identities) -> Selection:
        """Give what is left of it in the next result."""
        if not len(self.numbers) or before is now:
            return self
        if before is None or before.line is not now.line:
            return NOTHING
        return self.there(now)

    def there(self, identities: Identities) -> Selection:
        """Give what of it is among the rows of a result."""
        left = identities.of(identities.positions(self.numbers))
        return self if len(left) == len(self.numbers) else Selection(np.sort(left))

    def among(self, numbers: Sequence[int]) -> Selected:
        """Describe it to a view that holds rows of these identities."""
        held = np.sort(np.array(numbers, np.int64))
        places = np.searchsorted(self.numbers, held)
        inside = places < len(self.numbers)
        inside[inside] = self.numbers[places[inside]] == held[inside]
        return {"count": len(self.numbers), "rows": _runs(held[inside])}

    def frame(self, identities: Identities) -> pd.DataFrame:
        """Take the selected rows, in the order and with the labels of the result."""
        positions = identities.positions(self.numbers)
        return rows(identities.frame, positions)


NOTHING = Selection(np.empty(0, np.int64))


def rows(frame: pd.DataFrame, positions: Positions) -> pd.DataFrame:
    """Take rows of a frame, labelled by their positions."""
    columns = {at: take(frame.iloc[:, at], positions).array for at in range(frame.shape[1])}
    taken = pd.DataFrame(columns, index=pd.Index(positions), copy=False)
    taken.columns = frame.columns
    return taken


def positions_in(displayed: Displayed, ranges: Iterable[Sequence[int]]) -> Positions:
    """Give the positions of the rows in ranges of displayed rows, as far as there are such."""
    found = [
        displayed.positions(range(first, min(end, displayed.rows)))
        for first, end in ranges
        if first < min(end, displayed.rows)
    ]
    return np.concatenate(found) if found else np.empty(0, np.int64)


def in_ranges(displayed: Displayed, ranges: Iterable[Sequence[int]]) -> Positions:
    """Give the identities of the rows in ranges of displayed rows."""
    return np.unique(displayed.identities.of(positions_in(displayed, ranges)))


def chosen(value: Any, identities: Identities) -> Positions:
    """Give the identities of the rows Python names; rows that are not there are left out.

    A DataFrame names rows by the key's columns, without a key by its index; a sequence of booleans
    by their places; any other sequence by keys, without a key by places. Raises ValueError.
    """
    frame, key = identities.frame, identities.key if identities.keyed else ()
    if value is None:
        return np.empty(0, np.int64)
    if isinstance(value, pd.DataFrame):
        if key and set(key) <= set(value.columns):
            value = list(value[list(key)].itertuples(index=False, name=None))
        else:
            return identities.of(_places(value.index, len(frame)))
    values = list(value)
    if values and all(isinstance(one, (bool, np.bool_)) for one in values):
        if len(values) != len(frame):
            raise ValueError(f"{len(values)} booleans for {len(frame)} rows")
        return identities.of(np.flatnonzero(np.array(values, np.bool_)))
    if not key:
        return identities.of(_places(values, len(frame)))
    return identities.of(_with_keys(frame, key, values))


def _places(values: Iterable[Any], count: int) -> Positions:
    try:
        places = np.array([int(one) for one in values], np.int64)
    except (TypeError, ValueError):
        raise ValueError("without a key, rows are named by their places, from 0") from None
    return np.unique(places[(places >= 0) & (places < count)])


def _with_keys(frame: pd.DataFrame, key: Sequence[str], values: Sequence[Any]) -> Positions:
    """Find rows by key: a value each, or a tuple where the key has several columns."""
    wanted = {tuple(one) if isinstance(one, (tuple, list)) else (one,) for one in values}
    if any(len(one) != len(key) for one in wanted):
        raise ValueError(f"a key is ({', '.join(key)})")
    found = np.ones(len(frame), np.bool_)
    for at, name in enumerate(key):
        found &= frame[name].isin([one[at] for one in wanted]).to_numpy(np.bool_)
    places = np.flatnonzero(found)
    if len(key) == 1:
        return places
    part = rows(frame[list(key)], places).itertuples(index=False, name=None)
    return places[[one in wanted for one in part]] if len(places) else places


def _runs(numbers: Positions) -> list[tuple[int, int]]:
    """Write ascending numbers as runs, first and last."""
    if not len(numbers):
        return []
    breaks = np.flatnonzero(np.diff(numbers) != 1)
    first = numbers[np.concatenate([[0], breaks + 1])]
    last = numbers[np.concatenate([breaks, [len(numbers) - 1]])]
    return list(zip(first.tolist(), last.tolist(), strict=True))
