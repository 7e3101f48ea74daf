"""Decide whether a query has the rows of changes looked at, or simply runs.

Looking at rows costs every writer of the table more than a notification, and saves runs only where most
changes do not matter. So a query starts plain and becomes attentive when too many runs were in vain:

    state       run after a notification           rows looked at             could not look
    PLAIN       most of the last found nothing     -                          -
                new: attentive, once asked
    ATTENTIVE   -                                  most of the last           often: NEVER
                                                   mattered: PLAIN
    NEVER       -                                  -                          -

Each time it becomes plain again it takes twice as many runs in vain to try anew.
"""

from __future__ import annotations

import enum
from collections import deque

RUNS = 10  # after notifications, of which so many
VAIN = 8  # must have found the result as it was
READINGS = 20  # of rows; when more than half of these mattered, looking at them does not pay
FAILURES = 3  # to look at rows, after which nobody tries again
_RELAPSES = 6  # beyond which trying anew takes no longer


class Mode(enum.Enum):
    """Say what is done about a change."""

    PLAIN = "plain"
    ATTENTIVE = "attentive"
    NEVER = "never"  # plain for good


class Vigilance:
    """Hold the mode of one query and what speaks for another."""

    def __init__(self) -> None:
        self.mode = Mode.PLAIN
        self._relapses = 0
        self._failures = 0
        self._vain: deque[bool] = deque()
        self._mattered: deque[bool] = deque()

    @property
    def is_due(self) -> bool:
        """Say whether it is time to become attentive."""
        factor = 2**self._relapses
        enough = len(self._vain) >= RUNS * factor and sum(self._vain) >= VAIN * factor
        return self.mode is Mode.PLAIN and enough

    def ran(self, *, vain: bool) -> None:
        """Note a run that a notification asked for; in vain, the result was what it is."""
        self._vain.append(vain)
        while len(self._vain) > RUNS * 2**self._relapses:
            self._vain.popleft()

    def attend(self) -> None:
        """Become attentive."""
        self.mode = Mode.ATTENTIVE
        self._vain.clear()
        self._mattered.clear()

    def give_up(self) -> None:
        """Stay plain for good: nothing is known that could be looked at."""
        self.mode = Mode.NEVER

    def weighed(self, *, mattered: bool) -> bool:
        """Note what rows came to, or that there were none to look at; says whether that was the end of it."""
        self._failures = 0
        self._mattered.append(mattered)
        while len(self._mattered) > READINGS:
            self._mattered.popleft()
        futile = len(self._mattered) >= READINGS and 2 * sum(self._mattered) > READINGS
        if self.mode is not Mode.ATTENTIVE or not futile:
            return False
        self.mode = Mode.PLAIN
        self._relapses = min(self._relapses + 1, _RELAPSES)
        self._vain.clear()
        return True

    def failed(self) -> bool:
        """Note that rows could not be looked at; says whether that was the end of it."""
        self._failures += 1  # in a row
        if self.mode is not Mode.ATTENTIVE or self._failures < FAILURES:
            return False
        self.mode = Mode.NEVER
        return True
