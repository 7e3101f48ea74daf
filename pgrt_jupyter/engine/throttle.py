"""Decide when a query may run again.

At most one run starts per interval and one is under way at a time. The first change after a quiet
interval runs at once; changes that come sooner, or during a run, are answered by one run at the end
of the interval. Nothing restarts the interval, so a steady stream of changes cannot put a run off.
Each interval is longer by a random part, up to a tenth, so that many engines that heard of the same
change do not go on asking the server at the same moments.

    state      changed                 due (time passed)   started    finished
    IDLE       start / wait until due  -                   RUNNING    illegal
    WAITING    nothing                 start               RUNNING    illegal
    RUNNING    remember                -                   illegal    IDLE, or as if changed

A forced change does not wait for the interval, only for the run under way.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass


class Action(enum.Enum):
    """Tell the caller what to do."""

    START = "start"
    WAIT = "wait"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Decision:
    """Pair an action with the time it is for, in the clock of the `now` that came in."""

    action: Action
    at: float = 0.0


_NOTHING = Decision(Action.NOTHING)
_SPREAD = 0.1  # share of the interval


class IllegalEvent(RuntimeError):
    """An event does not fit the throttle's state; the state is unchanged."""


class Throttle:
    """Space the runs of one query; seconds throughout."""

    def __init__(self, interval: float, chance: Callable[[], float] = lambda: 0.0) -> None:
        self.interval = interval
        self._chance = chance  # gives numbers from 0 to 1
        self._stretch = 1.0
        self._started: float | None = None
        self._running = False
        self._dirty = False
        self._forced = False
        self._took = 0.0

    @property
    def slow(self) -> str:
        """Say in words that the last run took longer than runs are to be apart; empty if not."""
        if not 0 < self.interval < self._took:
            return ""
        return (
            f"the last run took {self._took:.1f} s, longer than the interval of {self.interval:g} s"
        )

    @property
    def running(self) -> bool:
        """Say whether a run is under way."""
        return self._running

    @property
    def dirty(self) -> bool:
        """Say whether a change has not been answered by a run yet."""
        return self._dirty

    def changed(self, now: float) -> Decision:
        """Note that the result may be out of date."""
        self._dirty = True
        return self.decide(now)

    def forced(self, now: float) -> Decision:
        """Note that somebody wants a run as soon as one may start."""
        self._forced = True
        return self.changed(now)

    def decide(self, now: float) -> Decision:
        """Say what to do at this moment."""
        if self._running or not self._dirty:
            return _NOTHING
        at_once = self._forced or self._started is None
        due = now if at_once else (self._started or 0.0) + self.interval * self._stretch
        return Decision(Action.START, now) if now >= due else Decision(Action.WAIT, due)

    def started(self, now: float) -> None:
        """Note that a run begins; what changed before it is answered by it."""
        if self._running:
            raise IllegalEvent("a run is under way already")
        self._running, self._dirty, self._forced, self._started = True, False, False, now
        self._stretch = 1.0 + _SPREAD * self._chance()

    def finished(self, now: float) -> Decision:
        """Note that the run has ended, and say what follows."""
        if not self._running:
            raise IllegalEvent("no run is under way")
        self._running = False
        self._took = now - (self._started or 0.0)
        return self.decide(now)
