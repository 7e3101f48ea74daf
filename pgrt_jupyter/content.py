"""Hold what a table is to display and what it displays: the one is turned into the other off the lock.

`show`, `arrange` and `select` say what is wanted, from any thread, and return at once. What few rows
need is worked out there and then; what many need, by a worker, one thing at a time and the newest
only. While nobody cares nothing is worked out.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

import numpy as np

from . import window
from .arrangement import Arrangement
from .displayed import Displayed, display
from .protocol import Mode
from .selection import NOTHING, Selection
from .texts import Positions
from .window import Shown
from .worker import Worker

QUICK_ROWS = 20_000  # these take a few milliseconds


class Content:
    """Own a table's result, arrangement and selection; `lock` guards them all.

    `news` is called without the lock after something else is displayed or selected, on any thread.
    `is_watched` is called with the lock: whether anybody cares.
    """

    def __init__(
        self, lock: threading.RLock, is_watched: Callable[[], bool], news: Callable[[], None]
    ) -> None:
        self.displayed: Displayed | None = None
        self.selection: Selection = NOTHING
        self.shown: Shown = window.NOTHING
        self.arrangement = Arrangement()
        self._lock = lock
        self._built = threading.Condition(lock)
        self._is_watched = is_watched
        self._news = news
        self._revisions = itertools.count(1)
        self._is_building = False
        self._is_queued = False
        self.worker = Worker("pgrt-table-work")

    def show(self, shown: Shown) -> None:
        """Take a result or a new status."""
        with self._lock:
            self.shown = shown
            is_current = self._is_current()
            if self.displayed is not None and is_current:
                self.displayed = self.displayed.told(shown)
            elif not self._cares():
                self.displayed = None
        if is_current:
            self._news()
        else:
            self.renew()

    def arrange(self, arrangement: Arrangement) -> None:
        """Sort and filter in another way from now on."""
        with self._lock:
            self.arrangement = arrangement
        self.renew()

    def select(self, mode: Mode, numbers: Positions) -> None:
        """Change the selection, by identities of the result that is displayed."""
        with self._lock:
            if self.displayed is None:
                return
            changed = self.selection.changed(mode, numbers)
            if not np.array_equal(changed.numbers, self.selection.numbers):
                self.selection = changed.there(self.displayed.identities)
        self._news()

    def renew(self) -> None:
        """Bring what is displayed up to date, if it is not and anybody cares."""
        while True:
            with self._lock:
                if self._is_building or self._is_queued or self._is_current() or not self._cares():
                    return
                if not self._is_quick():
                    self._is_queued = True
                    self.worker.put(self._work)
                    return
            self._build()  # and see what came meanwhile

    def current(self) -> Displayed:
        """Give what is displayed once it is up to date, working it out here if need be."""
        while True:
            with self._lock:
                while self._is_building:
                    self._built.wait()
                if self.displayed is not None and self._is_current():
                    return self.displayed
            self._build()

    def _work(self) -> None:
        """Build on the worker's thread."""
        with self._lock:
            self._is_queued = False
            while self._is_building:
                self._built.wait()
            needed = not self._is_current() and self._cares()
        if needed:
            self._build()
            self.renew()

    def _build(self) -> None:
        """Work out what to display and display it, unless another thread is at it."""
        with self._lock:
            if self._is_building:
                return
            self._is_building = True
            before, shown, arrangement = self.displayed, self.shown, self.arrangement
            revision = 0 if shown.frame is None else next(self._revisions)
        try:
            made = display(before, shown, arrangement, revision)
            with self._lock:
                last = before.identities if before is not None else None
                self.selection = self.selection.kept(last, made.identities)
                same = self.shown.frame is shown.frame
                self.displayed = made.told(self.shown) if same else made
        finally:
            with self._lock:
                self._is_building = False
                self._built.notify_all()
        self._news()

    def _is_current(self) -> bool:
        displayed, shown = self.displayed, self.shown
        return (
            displayed is not None
            and displayed.shown.frame is shown.frame
            and displayed.shown.key == shown.key
            and displayed.arrangement is self.arrangement
        )

    def _is_quick(self) -> bool:
        frame = self.shown.frame
        return frame is None or len(frame) <= QUICK_ROWS

    def _cares(self) -> bool:
        return len(self.selection) > 0 or self._is_watched()
