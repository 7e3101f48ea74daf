"""Hold what a chart is to draw and what it draws: the one is turned into the other off the lock.

`show` says what is wanted, from any thread, and returns at once. What few rows need is worked out there
and then; what many need, by a worker, the newest only. While nobody looks nothing is worked out, unless
points are kept that will have left the result.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from .. import window
from ..window import Shown
from ..worker import Worker
from .columns import choose
from .kept import Kept
from .options import Options
from .series import Drawn, Slots, draw, failed, finished

log = logging.getLogger("pgrt_jupyter")

QUICK_ROWS = 5_000  # these take a few milliseconds


@dataclass(frozen=True, slots=True)
class Picture:
    """Hold what is drawn of a result."""

    shown: Shown
    drawn: Drawn
    revision: int


class Drawing:
    """Own a chart's result and what is drawn of it; `lock` guards them.

    `news` is called without the lock after something else is drawn or told, on any thread.
    `is_watched` is called with the lock: whether anybody looks.
    """

    def __init__(
        self,
        options: Options,
        lock: threading.RLock,
        is_watched: Callable[[], bool],
        news: Callable[[], None],
    ) -> None:
        self.options = options
        self.shown: Shown = window.NOTHING
        self.picture: Picture | None = None
        self.worker = Worker("pgrt-plot-work")
        self._lock = lock
        self._is_watched = is_watched
        self._news = news
        self._revisions = itertools.count(1)
        self._is_busy = False
        self._slots = Slots()
        self._kept = Kept()

    def show(self, shown: Shown) -> None:
        """Take a result or a new status."""
        with self._lock:
            self.shown = shown
            is_current = self._is_current()
        if is_current:
            self._news()
        else:
            self.renew()

    def told(self) -> Picture | None:
        """Give what is drawn, with the status as it is now; with the lock held."""
        picture, shown = self.picture, self.shown
        if picture is not None and picture.shown is not shown and self._is_current():
            self.picture = Picture(shown, picture.drawn, picture.revision)
        return self.picture

    def renew(self) -> None:
        """Bring what is drawn up to date, if it is not and anybody cares."""
        while True:
            with self._lock:
                if self._is_busy or self._is_current() or not self._cares():
                    return
                self._is_busy = True
                frame = self.shown.frame
            if frame is not None and len(frame) > QUICK_ROWS:
                self.worker.put(self._work)
                return
            self._build()  # and see what came meanwhile

    def _work(self) -> None:
        """Draw on the worker's thread."""
        self._build()
        self.renew()

    def _build(self) -> None:
        """Draw the newest result."""
        with self._lock:
            shown, revision = self.shown, next(self._revisions)
        try:
            drawn = self._draw(shown)
            with self._lock:
                self.picture = Picture(shown, drawn, revision)
        finally:
            with self._lock:
                self._is_busy = False
        self._news()

    def _draw(self, shown: Shown) -> Drawn:
        """Make series of a result; what cannot be drawn says why."""
        frame, options = shown.frame, self.options
        if frame is None:
            return failed("")
        try:
            chosen = choose(frame, shown.types, options)
            drawn = draw(frame, chosen, shown.refreshed_at)
        except (ValueError, NotImplementedError, pa.ArrowException) as error:
            return failed(str(error))
        except Exception as error:  # must not keep other charts and tables from their results
            log.error("a chart could not be drawn: %s", type(error).__name__)
            return failed(f"this result cannot be drawn ({type(error).__name__})")
        if options.mode == "append" and options.window is not None:
            drawn = self._kept.merge(drawn, options.window)
        return finished(drawn, options, self._slots)

    def _is_current(self) -> bool:
        return self.picture is not None and self.picture.shown.frame is self.shown.frame

    def _cares(self) -> bool:
        return self.options.mode == "append" or self._is_watched()
