"""Run observers and error handlers where there is no kernel, and overtake one that does not return.

They run one after another on a thread. One that takes longer than `SLOW_SECONDS` keeps that thread to
itself: it is logged, the others go on on a new one, and what comes for the slow one meanwhile waits for
it, the newest only.
"""

from __future__ import annotations

import contextvars
import logging
import queue
import threading
import time
from collections.abc import Callable

log = logging.getLogger("pgrt_jupyter")

SLOW_SECONDS = 5.0
_LAST_SECONDS = 0.2  # how long the end waits for one that runs
_LOOK_SECONDS = 0.1

Function = Callable[[], None]


class Observing:
    """Own the thread that users' functions run on, and those that were overtaken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slow: dict[object, Function | None] = {}  # who does not return: what comes next
        self._ending = False
        self._worker = self._start()

    def run(self, who: object, name: str, function: Function) -> None:
        """Run a function and wait for it, but not for ever; from one thread only.

        `who` is the same for functions of which only the newest counts.
        """
        with self._lock:
            if who in self._slow:
                self._slow[who] = function
                return
        worker = self._worker
        worker.finished.clear()
        worker.tasks.put(function)
        if not self._is_slow(worker):
            return
        with self._lock:
            if worker.finished.is_set():
                return
            self._slow[who] = None
            worker.only = who
            self._worker = self._start()
        log.warning("%s has not returned for %g s; others go on without it", name, SLOW_SECONDS)

    def is_current(self) -> bool:
        """Say whether the caller is one of the functions that are run here."""
        return isinstance(threading.current_thread(), _Worker)

    def hurry(self) -> None:
        """Wait no longer for what runs: the end has come."""
        self._ending = True

    def stop(self) -> None:
        """End the thread after what it does; from the thread that calls `run`."""
        self._worker.tasks.put(None)

    def _is_slow(self, worker: _Worker) -> bool:
        """Wait until the function has returned, or has had its time."""
        began = time.monotonic()
        while not worker.finished.wait(_LOOK_SECONDS):
            if time.monotonic() - began >= (_LAST_SECONDS if self._ending else SLOW_SECONDS):
                return True
        return False

    def _start(self) -> _Worker:
        worker = _Worker(self._after)
        worker.start()
        return worker

    def _after(self, worker: _Worker) -> None:
        """Say that a function has returned; one that was overtaken goes on with its own."""
        with self._lock:
            if worker.only is None:
                worker.finished.set()
                return
            following = self._slow[worker.only]
            if following is None or self._ending:
                del self._slow[worker.only]
                worker.tasks.put(None)
            else:
                self._slow[worker.only] = None
                worker.tasks.put(following)


class _Worker(threading.Thread):
    """Do one task after another until told to stop; a daemon, since users' functions may never return."""

    def __init__(self, after: Callable[[_Worker], None]) -> None:
        super().__init__(name="pgrt-delivery", daemon=True)
        self.tasks: queue.SimpleQueue[Function | None] = queue.SimpleQueue()
        self.finished = threading.Event()
        self.only: object | None = None  # who was overtaken on this thread
        self._after = after

    def run(self) -> None:
        """Run on the thread, in a context that belongs to no cell."""
        context = contextvars.Context()
        while (task := self.tasks.get()) is not None:
            try:
                context.run(task)
            except BaseException:  # what ends a program ends no thread of ours
                log.exception("delivering an update failed")
            del task  # while waiting it would keep a query that has ended
            self._after(self)
