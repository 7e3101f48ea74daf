"""Know when this process did not run for a while: what was kept for it may have been forgotten meanwhile.

A kernel may be stopped, a machine asleep, a thread keep the interpreter. Engines forget row images that are
older than half a minute; one that comes back after longer finds the notifications and not the images.
"""

from __future__ import annotations

TICK = 5.0  # seconds between two signs of life
LAPSE = 20.0  # seconds without one, or until an answer, after which images may be gone
_AFTERWARDS = 5.0  # seconds in which what arrived during a lapse may still be dealt with


class Lapses:
    """Take signs of life and say what came too late; seconds throughout."""

    def __init__(self) -> None:
        self._alive: float | None = None
        self._doubtful_until = float("-inf")

    def ticked(self, now: float) -> None:
        """Note a sign of life."""
        if self._alive is not None and now - self._alive > LAPSE:
            self._doubtful_until = now + _AFTERWARDS
        self._alive = now

    def is_late(self, heard: float, now: float) -> bool:
        """Say whether images may be gone of a change that was heard of then and is looked at now."""
        asleep = self._alive is None or now - self._alive > LAPSE
        return asleep or now - heard > LAPSE or heard <= self._doubtful_until
