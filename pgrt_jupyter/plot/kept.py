"""Remember points that have left the result, for as long as they are in the window.

A point is known by its series and its x: a new result replaces the points it has again, and adds others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .numbers import Floats
from .series import Drawn, Series

MAX_KEPT = 500_000  # points of a chart: what one holds must not grow for ever


class Kept:
    """Hold the points of one chart."""

    def __init__(self) -> None:
        self._series: dict[str, Series] = {}
        self._about: tuple[object, ...] = ()

    def merge(self, drawn: Drawn, window: float) -> Drawn:
        """Add the points of a new result; give all that are in the window."""
        about = (drawn.role, drawn.x_label, drawn.y_label)
        if drawn.role == "text" or about != self._about:
            self._series, self._about = {}, about  # another query's points are not compared
        for one in drawn.series:
            before = self._series.get(one.label)
            self._series[one.label] = one if before is None else _joined(before, one)
        self._forget(window)
        return replace(drawn, series=tuple(self._series.values()))

    def _forget(self, window: float) -> None:
        """Let go of what has left the window, and of the oldest beyond what may be held."""
        there = [one for one in self._series.values() if len(one.x)]
        oldest = max((float(one.x[-1]) for one in there), default=0.0) - window
        most = MAX_KEPT // max(1, len(there))
        for one in there:
            first = max(int(np.searchsorted(one.x, oldest, "left")), len(one.x) - most)
            self._series[one.label] = replace(one, x=one.x[first:], y=one.y[first:])
        self._series = {label: one for label, one in self._series.items() if len(one.x)}


def _joined(before: Series, now: Series) -> Series:
    """Put points together; where both have one at the same x, the new ones count."""
    old = ~np.isin(before.x, now.x)
    x, y = _sorted([(before.x[old], before.y[old]), (now.x, now.y)])
    return replace(now, x=x, y=y)


def _sorted(parts: Sequence[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    x = np.concatenate([part[0] for part in parts])
    y = np.concatenate([part[1] for part in parts])
    order = np.argsort(x, kind="stable")
    return x[order], y[order]
