"""Draw many points as few: what is left looks the same at the width it is for.

A line keeps the lowest and the highest value of each bucket of x, a pixel or several wide, at their own
places; a cloud of points keeps one in each cell of a grid. A line of a million points takes 20 to 60 ms,
a cloud 300.
"""

from __future__ import annotations

import numpy as np

from .numbers import Codes, Floats


def part(x: Floats, low: float | None, high: float | None) -> slice:
    """Say where in sorted x a range lies, with a neighbour on each side, to which lines lead."""
    first = 0 if low is None else max(0, int(np.searchsorted(x, low, "left")) - 1)
    end = len(x) if high is None else min(len(x), int(np.searchsorted(x, high, "right")) + 1)
    return slice(first, max(first, end))


def extremes(x: Floats, y: Floats, buckets: int) -> Codes:
    """Give the positions of the lowest and highest values of buckets of sorted x, and of both ends.

    A bucket without values keeps one position, so that a gap stays a gap.
    """
    place = _places(x, buckets)
    starts = np.flatnonzero(np.diff(place, prepend=-1))
    counts = np.diff(np.append(starts, len(x)))
    numbers = np.repeat(np.arange(len(starts)), counts)
    kept = [np.array([0, len(x) - 1], np.int64)]
    for found in (np.fmin.reduceat(y, starts), np.fmax.reduceat(y, starts)):
        hits = np.flatnonzero(y == np.repeat(found, counts))
        _, first = np.unique(numbers[hits], return_index=True)
        kept += [hits[first], starts[np.isnan(found)]]
    return np.unique(np.concatenate(kept))


def spread(x: Floats, y: Floats, most: int) -> Codes:
    """Give the positions of points that cover the same area, the outermost among them."""
    there = np.flatnonzero(np.isfinite(y))
    if not len(there):
        return there
    side = 2 * int(np.sqrt(most))
    while True:
        cells = _places(x[there], side) * side + _places(y[there], side)
        _, first = np.unique(cells, return_index=True)
        if len(first) <= most or side <= 1:
            break
        side = side * 3 // 4
    ends = [np.argmin(x[there]), np.argmax(x[there]), np.argmin(y[there]), np.argmax(y[there])]
    return np.unique(np.concatenate([there[first], there[np.array(ends)]]))


def _places(values: Floats, buckets: int) -> Codes:
    """Say in which bucket of equal width each value lies."""
    low, high = float(values.min()), float(values.max())
    if not high > low:
        return np.zeros(len(values), np.int64)
    # Halves first: the difference of two large numbers may be infinite.
    share = (values / 2 - low / 2) / (high / 2 - low / 2)
    return np.minimum((share * buckets).astype(np.int64), buckets - 1)
