"""Watch, from outside the engine, what users would believe: the status shown and the true age of the frame.

`live` is never shown with a result older than the bound. A status and a frame are read as one: status,
frame, status again, and only what was `live` both times counts.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import pgrt_jupyter as pgrt

from .ledger import Ledger
from .schema import QUERIES

_PERIOD = 0.05  # seconds
_STEPS = (0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 15, 20, 30, 60, float("inf"))


class Observer:
    """Sample on a thread of its own."""

    def __init__(self, engine: pgrt.Engine, ledger: Ledger, bound: float) -> None:
        self._engine, self._ledger, self._bound = engine, ledger, bound
        self._allowed = 0.0
        self._lock = threading.Lock()
        self._problems: list[str] = []
        self._transitions: list[tuple[float, str, str]] = []
        self._last: dict[str, str] = {}
        self._said: dict[str, float] = {}
        self._histogram = dict.fromkeys(_STEPS, 0)
        self._oldest: dict[str, float] = {}  # while live, since last asked
        self._now: dict[str, float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="soak-observer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def allow(self, seconds: float) -> None:
        self._allowed = seconds

    def take_problems(self) -> list[str]:
        with self._lock:
            problems, self._problems = self._problems, []
        return problems

    def take_transitions(self) -> list[tuple[float, str, str]]:
        """Give the changes of status since last asked: when, which query, to what."""
        with self._lock:
            found, self._transitions = self._transitions, []
        return found

    def ages(self) -> dict[str, Any]:
        """Give the greatest age of a live frame since last asked, the age now, and how ages were."""
        with self._lock:
            oldest, self._oldest = self._oldest, {}
            return {"oldest": oldest, "now": dict(self._now), "histogram": dict(self._histogram)}

    def _watch(self) -> None:
        while not self._ended.wait(_PERIOD):
            found = self._engine.subscriptions()
            with self._lock:
                for name, query in found.items():
                    self._note(name, query.status)
                for live in QUERIES:
                    if live.stream and live.name in found:
                        self._measure(live.name, live.stream, found[live.name], live.throttle_ms)

    def _note(self, name: str, status: str) -> None:
        if self._last.get(name) != status:
            self._transitions.append((time.monotonic(), name, status))
            self._last[name] = status

    def _measure(self, name: str, stream: str, query: Any, throttle_ms: int) -> None:
        before, frame, after = query.status, query.df, query.status
        if not len(frame) or frame.columns.get_indexer(["tick"])[0] < 0:
            return
        shown = frame["tick"].iloc[0]
        age = self._ledger.age(stream, int(shown), time.monotonic())
        self._now[name] = age
        if not before == after == "live":
            return
        self._histogram[next(step for step in _STEPS if age <= step)] += 1
        self._oldest[name] = max(age, self._oldest.get(name, 0.0))
        bound = self._bound + throttle_ms / 1000 + self._allowed
        if age > bound and time.monotonic() - self._said.get(name, 0) > 5:
            self._said[name] = time.monotonic()
            self._problems.append(f"{name} is live at an age of {age:.1f} s, bound {bound:.1f} s")
