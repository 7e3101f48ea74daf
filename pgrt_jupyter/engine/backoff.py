"""Space out attempts after failures: exponential, capped, with full jitter."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Count failed attempts and say how many seconds to wait before the next."""

    def __init__(
        self, first: float, cap: float, *, uniform: Callable[[float, float], float] = random.uniform
    ) -> None:
        self._first = first
        self._cap = cap
        self._uniform = uniform
        self.attempts = 0

    def next(self) -> float:
        """Note a failure; the wait is between half of the current step and the whole of it."""
        step = min(self._cap, self._first * 2 ** min(self.attempts, 30))
        self.attempts += 1
        return self._uniform(step / 2, step)

    def reset(self) -> None:
        """Forget the failures: it works again."""
        self.attempts = 0
