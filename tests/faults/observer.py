"""Watch a live query from a second thread: what it says of itself, and how old it truly is.

The observer knows what was committed and when, since every token is written through `Ledger`. It samples
the state every few milliseconds: `samples` are (time, status, message, age), where the age is the time
since the oldest commit that the frame does not show.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pgrt_jupyter as pgrt

EVERY = 0.01  # seconds between two samples


@dataclass(frozen=True, slots=True)
class Sample:
    """Hold what was seen at one moment."""

    at: float
    status: str
    message: str
    age: float  # seconds since the oldest commit that is not shown; 0 when all are
    newest: int  # the highest token shown


class Ledger:
    """Write tokens and remember when each was committed."""

    def __init__(self, insert: Callable[[int], object]) -> None:
        self._insert = insert
        self._lock = threading.Lock()
        self._committed: dict[int, float] = {}
        self._number = 0

    def write(self) -> int:
        """Commit one row with a token that no other has."""
        self._number += 1
        token = self._number
        self._insert(token)
        with self._lock:
            self._committed[token] = time.monotonic()
        return token

    def forget(self, tokens: set[int]) -> None:
        """Take note that the server itself lost what it had committed."""
        with self._lock:
            for token in tokens:
                self._committed.pop(token, None)

    @property
    def tokens(self) -> set[int]:
        """Give every token committed so far."""
        with self._lock:
            return set(self._committed)

    def oldest_missing(self, shown: set[int]) -> float | None:
        """Say when the oldest token was committed that is not shown."""
        with self._lock:
            missing = [at for token, at in self._committed.items() if token not in shown]
        return min(missing, default=None)


class Observer:
    """Sample one live query until stopped."""

    def __init__(self, query: pgrt.LiveQuery, ledger: Ledger) -> None:
        self._query = query
        self._ledger = ledger
        self._end = threading.Event()
        self.samples: list[Sample] = []
        self._frame: Any = None
        self._shown: set[int] = set()
        self._thread = threading.Thread(target=self._run, name="faults-observer", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(EVERY):
            self._look()

    def _look(self) -> None:
        """Take the state first and the time last, so that an age is never said to be too high."""
        now = time.monotonic()
        shown = self._query._shown()
        if shown.frame is None:
            return
        if shown.frame is not self._frame:
            self._frame, self._shown = shown.frame, set(map(int, shown.frame["token"]))
        missing = self._ledger.oldest_missing(self._shown)
        age = max(0.0, now - missing) if missing is not None else 0.0
        newest = max(self._shown, default=0)
        self.samples.append(Sample(now, shown.status, shown.message, age, newest))

    def stop(self) -> None:
        """End the thread."""
        self._end.set()
        self._thread.join()

    def first(self, which: Callable[[Sample], bool], since: float) -> Sample | None:
        """Find the first sample since a moment that fits."""
        return next((one for one in list(self.samples) if one.at >= since and which(one)), None)

    def dishonest(self, bound: float) -> list[Sample]:
        """List the moments at which `live` was said of something older than the bound."""
        return [one for one in list(self.samples) if one.status == "live" and one.age > bound]

    def went_back(self) -> list[Sample]:
        """List the moments at which a frame was older than one before it."""
        found, highest = [], 0
        for one in list(self.samples):
            if one.newest < highest:
                found.append(one)
            highest = max(highest, one.newest)
        return found

    def said(self, since: float) -> list[str]:
        """List the states since a moment, each once in a row, as a table shows them."""
        told: list[str] = []
        for one in list(self.samples):
            if one.at >= since and (not told or told[-1] != one.status):
                told.append(one.status)
        return told
