"""Reduce results to digests that are equal exactly when their rows are, in order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_CHUNK = 5000


def digest(rows: Iterable[tuple[Any, ...]]) -> str:
    """Give a digest of rows of Python values."""
    hasher = hashlib.sha256()
    for row in rows:
        hasher.update(repr([text(value) for value in row]).encode())
    return hasher.hexdigest()


def text(value: Any) -> str | None:
    """Write a value the same way whether it came from a frame or from the driver."""
    return None if value is None or type(value).__name__ == "NAType" else str(value)


def rows(frame: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """Go through a frame's rows a chunk at a time, so that a large one leaves no trace in memory."""
    for start in range(0, len(frame), _CHUNK):
        yield from frame.iloc[start : start + _CHUNK].itertuples(index=False, name=None)
