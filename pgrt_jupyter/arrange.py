"""Sort and filter the rows of a result: an arrangement and a frame give the order to show them in.

Sorting is stable, so that rows which compare the same stay as the query gave them; NULL comes last,
ascending or descending. A search looks at the text of every column, a condition at one; `contains`,
`starts` and searching disregard case. What cannot be done is left out and named.

A million rows take 0.2 to 0.6 s to sort by one column and 0.05 to 0.5 s to filter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from .arrangement import Arrangement, ColumnId, Condition
from .comparing import comparable
from .texts import Positions, alphabet, arrow, take, texts

Mask: TypeAlias = "np.ndarray[Any, np.dtype[np.bool_]]"


@dataclass(frozen=True, slots=True)
class Order:
    """Hold the rows to show, by their positions in the frame; None for all, as the query gave them."""

    positions: Positions | None
    problems: tuple[str, ...] = ()  # what of the arrangement cannot be done, and why


def arrange(frame: pd.DataFrame, types: Sequence[str], arrangement: Arrangement) -> Order:
    """Put the rows of a frame in order; `types` are PostgreSQL's names of the columns' types."""
    work = _Work(frame, types)
    kept = work.filter(arrangement)
    positions = work.sort(arrangement, kept)
    return Order(positions, tuple(work.problems))


class _Work:
    """Do one arrangement, collecting what cannot be done."""

    def __init__(self, frame: pd.DataFrame, types: Sequence[str]) -> None:
        self._frame = frame
        self._types = types
        self._names = [str(name) for name in frame.columns]
        self.problems: list[str] = []

    def filter(self, arrangement: Arrangement) -> Positions | None:
        """Find the rows that meet all conditions and hold the text; None for all rows."""
        kept: Mask | None = None
        for condition in arrangement.filters:
            met = self._meets(condition)
            if met is not None:
                kept = met if kept is None else kept & met
        positions = None if kept is None else np.flatnonzero(kept)
        if arrangement.search:
            positions = self._search(arrangement.search, positions)
        return positions

    def sort(self, arrangement: Arrangement, kept: Positions | None) -> Positions | None:
        """Sort the rows that are kept."""
        keys: list[tuple[pa.ChunkedArray, str]] = []
        for name, direction in arrangement.sort:
            place = self._find(name)
            if place is None:
                continue
            column = self._frame.iloc[:, place]
            if kept is not None:
                column = take(column, kept)
            way = "ascending" if direction == "asc" else "descending"
            keys += [(key, way) for key in comparable(column, self._type(place)).sort_keys()]
        if not keys:
            return kept
        table = pa.table({str(at): key for at, (key, _) in enumerate(keys)})
        ways = [(str(at), way) for at, (_, way) in enumerate(keys)]
        order = pc.sort_indices(table, sort_keys=ways)
        found = np.asarray(order).astype(np.int64)
        return found if kept is None else kept[found]

    def _meets(self, condition: Condition) -> Mask | None:
        """Say which rows meet a condition; None when nobody can say."""
        place = self._find(condition.column)
        if place is None:
            return None
        try:
            return self._mask(self._frame.iloc[:, place], self._type(place), condition)
        except (ValueError, NotImplementedError, pa.ArrowException) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            self.problems.append(f"{self._names[place]}: {reason}")
            return None

    def _mask(self, column: pd.Series[Any], type_name: str, condition: Condition) -> Mask:
        op, value = condition.op, condition.value
        if op in ("null", "notnull"):
            return _is_null(column) == (op == "null")
        if op == "contains":
            return _flags(_holds(texts(column), str(value)))
        if op == "starts":
            return _flags(pc.starts_with(texts(column), value, ignore_case=True))
        values = comparable(column, type_name)
        if isinstance(value, tuple):
            return _flags(values.among(value))
        return _flags(values.compare(op, value or ""))

    def _search(self, words: str, kept: Positions | None) -> Positions:
        """Find the rows with a text in any column, looking only where it can be."""
        positions = np.arange(len(self._frame)) if kept is None else kept
        found = np.zeros(len(positions), np.bool_)
        for column in self._searched(words):
            part = column if kept is None else take(column, positions)
            found |= _flags(_holds(texts(part), words))
        return positions[found]

    def _searched(self, words: str) -> Iterator[pd.Series[Any]]:
        letters = set(words.lower())
        for place in range(self._frame.shape[1]):
            column = self._frame.iloc[:, place]
            possible = alphabet(column, self._type(place))
            if possible is None or letters <= set(possible):
                yield column

    def _find(self, column: ColumnId) -> int | None:
        """Find a column's place, by name or number."""
        if isinstance(column, int):
            if 0 <= column < len(self._names):
                return column
            self.problems.append(f"there is no column number {column}")
            return None
        count = self._names.count(column)
        if count == 1:
            return self._names.index(column)
        said = f"there are {count} columns '{column}': use a number" if count else ""
        self.problems.append(said or f"there is no column '{column}'")
        return None

    def _type(self, place: int) -> str:
        return self._types[place] if place < len(self._types) else ""


def _flags(mask: pa.ChunkedArray) -> Mask:
    """Make an array of booleans, false for NULL."""
    return np.asarray(pc.fill_null(mask, False)).astype(np.bool_, copy=False)


def _holds(column: pa.ChunkedArray, words: str) -> pa.ChunkedArray:
    """Look for words in either case; three times quicker where there is no case."""
    has_case = words.lower() != words.upper()
    return pc.match_substring(column, words, ignore_case=has_case)


def _is_null(column: pd.Series[Any]) -> Mask:
    data = arrow(column)
    if data is not None:
        return np.asarray(data.is_null())
    missing = (value is None or value is pd.NA for value in column.to_numpy())
    return np.fromiter(missing, np.bool_, len(column))
