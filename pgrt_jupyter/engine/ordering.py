"""Sort rows as the server does, where that can be done exactly: numbers, times, uuid, text by code points.

NaN is the greatest number and equals itself; NULL comes first or last as the query says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from .plans import Sort
from .types import Kind
from .values import Values


def is_as_declared(values: Values, kind: Kind) -> bool:
    """Tell whether a column has the type its kind says, and not one that a value made it fall back to."""
    if isinstance(values, np.ndarray):
        return kind.arrow is None
    return kind.arrow is not None and values.type == kind.arrow


class Order:
    """Compare rows of results that have the same columns."""

    def __init__(self, sorts: Sequence[Sort]) -> None:
        self._sorts = sorts

    def keys(self, values: Sequence[Values], row: int) -> tuple[Any, ...]:
        """Give what a row is sorted by; to be compared by `compare` alone."""
        return tuple(_key(values[sort.output], row) for sort in self._sorts)

    def compare(self, one: tuple[Any, ...], other: tuple[Any, ...]) -> int:
        """Say which comes first: less than 0, 0 for neither, more than 0."""
        for sort, a, b in zip(self._sorts, one, other, strict=True):
            if a is None or b is None:
                if a is not b:
                    return -1 if (a is None) == sort.nulls_first else 1
            elif a != b:
                return -1 if (a < b) != sort.descending else 1
        return 0

    def place(self, values: Sequence[Values], rows: int, keys: tuple[Any, ...]) -> int:
        """Say before which of these rows, which are sorted, one of these keys goes: behind its equals."""
        low, high = 0, rows
        while low < high:
            middle = (low + high) // 2
            if self.compare(keys, self.keys(values, middle)) < 0:
                high = middle
            else:
                low = middle + 1
        return low


def _key(values: Values, row: int) -> Any:
    """Give a value that Python compares as the server does."""
    if isinstance(values, np.ndarray):
        value = values[row]
        return None if value is pd.NA else (value.is_nan(), value if not value.is_nan() else 0)
    scalar = values[row]
    if not scalar.is_valid:
        return None
    if pa.types.is_temporal(values.type):
        return scalar.value
    value = scalar.as_py()
    if isinstance(value, float):
        return (value != value, value if value == value else 0.0)
    return value


Comparison = Callable[[tuple[Any, ...], tuple[Any, ...]], int]
