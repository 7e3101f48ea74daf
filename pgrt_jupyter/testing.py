"""Wait for conditions and turn the clock by hand, in tests of this package and of its users."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T], timeout: float = 10.0, *, message: str | Callable[[], str] = ""
) -> T:
    """Call `condition` until it is truthy and give what it returned.

    Raises `TimeoutError` with `message`, or the last value, after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() >= deadline:
            said = message() if callable(message) else message
            raise TimeoutError(said or f"not so within {timeout:g} s; last value: {value!r}")
        time.sleep(0.005)
    return value


class FakeClock:
    """Stand for a monotonic clock, in seconds, that moves only when told to."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> float:
        """Move the clock forward and give the new time."""
        if seconds < 0:
            raise ValueError("a monotonic clock does not go back")
        self.now += seconds
        return self.now
