"""Limit how much work may be asked for: a steady rate, and a burst on top.

Time comes in as `now`, in seconds.
"""

from __future__ import annotations


class Allowance:
    """Hold what may still be spent; it grows back at `rate` per second up to `most`."""

    def __init__(self, rate: float, most: float) -> None:
        self._rate = rate
        self._most = most
        self._left = most
        self._at: float | None = None

    def spend(self, cost: float, now: float) -> bool:
        """Spend if there is anything left; what costs more than that is paid off later."""
        if self._at is not None:
            self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left <= 0:
            return False
        self._left -= cost
        return True
