"""Put rows into a result and take rows out, without touching the rest.

A result is cut into pieces of some thousand rows. Only pieces that a changed row stands in are written
anew; the others are shared with the result before, which stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from .values import Objects, Values

Positions: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"

_MANY_RUNS = 8  # beyond, rows are picked one by one
GRAIN = 1 << 14  # rows of a piece; one of 10 columns is written anew in about a millisecond


@dataclass(frozen=True, slots=True)
class Body:
    """Hold the values of a result, hidden outputs included."""

    values: tuple[Values, ...]
    ends: Positions  # where pieces end

    @property
    def rows(self) -> int:
        """Count the rows."""
        return int(self.ends[-1]) if len(self.ends) else 0


@dataclass(frozen=True, slots=True)
class _Segment:
    """Say where some rows of the new result come from."""

    first: int  # rows of the result before …
    end: int
    added: slice  # … and rows that come in, written behind them before `order` picks
    order: Positions | None  # None: the rows as they are
    runs: tuple[tuple[int, int], ...] = ()  # the same by first row and length, where they are few


def body(values: Sequence[Values], rows: int) -> Body:
    """Hold a result that was read whole."""
    ends = np.arange(GRAIN, rows + GRAIN, GRAIN, dtype=np.int64)
    ends[-1:] = rows
    return Body(tuple(values), ends[: -(-rows // GRAIN)])


def patched(before: Body, removed: Positions, added: Sequence[Values], places: Positions) -> Body:
    """Take rows out and put others in.

    `removed` are positions, ascending; `places` says for each row of `added` before which row of the
    result it goes, ascending, `before.rows` being the end.
    """
    segments = list(_segments(before, removed, places))
    values = tuple(
        _column(old, new, segments) for old, new in zip(before.values, added, strict=True)
    )
    return Body(values, np.asarray(list(_ends(before, segments)), np.int64))


def _segments(before: Body, removed: Positions, places: Positions) -> Iterator[_Segment]:
    """Go through the pieces, those that stay as they are in one."""
    ends = before.ends if len(before.ends) else np.zeros(1, np.int64)
    last = len(ends) - 1
    at = np.minimum(np.searchsorted(ends, places, side="right"), last)
    touched = np.union1d(np.searchsorted(ends, removed, side="right"), at)
    begin = 0
    for piece in touched.tolist():
        first, end = int(ends[piece - 1]) if piece else 0, int(ends[piece])
        if begin < first:
            yield _Segment(begin, first, slice(0, 0), None)
        mine = slice(*np.searchsorted(at, [piece, piece + 1]).tolist())
        gone = removed[slice(*np.searchsorted(removed, [first, end]).tolist())] - first
        count = end - first
        order = np.insert(
            np.arange(count),
            places[mine] - first,
            count + np.arange(mine.stop - mine.start),
        )
        order = order[~np.isin(order, gone)]
        yield _Segment(first, end, mine, order, _runs(order))
        begin = end
    if begin < before.rows:
        yield _Segment(begin, before.rows, slice(0, 0), None)


def _ends(before: Body, segments: Sequence[_Segment]) -> Iterator[int]:
    """Say where pieces end afterwards; one that has grown to twice its size is two from now on."""
    shift = 0
    for segment in segments:
        if segment.order is None:
            inside = (before.ends > segment.first) & (before.ends <= segment.end)
            yield from (before.ends[inside] + shift).tolist()
            continue
        begin, count = segment.first + shift, len(segment.order)
        if count:
            parts = max(1, count // GRAIN)
            yield from (begin + count * (n + 1) // parts for n in range(parts))
        shift += count - (segment.end - segment.first)


def _column(old: Values, new: Values, segments: Sequence[_Segment]) -> Values:
    """Put one column together."""
    if isinstance(old, np.ndarray):
        parts = [_objects(old, new, segment) for segment in segments]
        return np.concatenate(parts) if parts else old
    chunks = [chunk for segment in segments for chunk in _chunks(old, new, segment)]
    return pa.chunked_array(chunks, old.type)


def _objects(old: Objects, new: Any, segment: _Segment) -> Objects:
    rows = old[segment.first : segment.end]
    if segment.order is None:
        return rows
    found: Objects = np.concatenate([rows, new[segment.added]])[segment.order]
    return found


def _chunks(old: pa.ChunkedArray, new: pa.ChunkedArray, segment: _Segment) -> list[pa.Array]:
    rows = old.slice(segment.first, segment.end - segment.first)
    if segment.order is None:
        return list(rows.chunks)
    added = new.slice(segment.added.start, segment.added.stop - segment.added.start)
    both = pa.concat_arrays([*rows.chunks, *added.chunks]) if rows.chunks or added.chunks else None
    if both is None or not len(segment.order):
        return []
    if not segment.runs:
        return [both.take(pa.array(segment.order))]
    return [pa.concat_arrays([both.slice(*run) for run in segment.runs])]


def _runs(order: Positions) -> tuple[tuple[int, int], ...]:
    """Give the runs of neighbours; none if they are many."""
    if not len(order):
        return ()
    begins = np.concatenate([[0], np.flatnonzero(np.diff(order) != 1) + 1])
    if len(begins) > _MANY_RUNS:
        return ()
    lengths = np.diff(begins, append=len(order))
    return tuple(zip(order[begins].tolist(), lengths.tolist(), strict=True))


def taken(values: Values, rows: Positions) -> Any:
    """Take rows of a column, into one chunk; ascending, where there are several.

    Chunk by chunk: of text, Arrow's own way joins all chunks first.
    """
    if isinstance(values, np.ndarray):
        return values[rows]
    if values.num_chunks == 1:
        return pa.chunked_array([values.chunk(0).take(pa.array(rows))], values.type)
    parts, first, end = [pa.array([], values.type)], 0, 0
    for chunk in values.chunks:
        begin, end = end, int(np.searchsorted(rows, first + len(chunk)))
        if begin < end:
            parts.append(chunk.take(pa.array(rows[begin:end] - first)))
        first += len(chunk)
    return pa.chunked_array([pa.concat_arrays(parts)], values.type)
