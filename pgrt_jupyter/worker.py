"""Do long work off the threads that others wait for."""

from __future__ import annotations

import contextvars
import logging
import threading
from collections import deque
from collections.abc import Callable

log = logging.getLogger("pgrt_jupyter")


class Worker:
    """Do one task after another, on a thread that exists while there are any."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._tasks: deque[Callable[[], object]] = deque()
        self._thread: threading.Thread | None = None
        self._closed = False

    def put(self, task: Callable[[], object]) -> None:
        """Have a task done; what it raises is logged. After `close` nothing happens."""
        with self._lock:
            if self._closed:
                return
            self._tasks.append(task)
            if self._thread is None:
                context = contextvars.Context()  # belongs to no cell
                self._thread = threading.Thread(
                    target=lambda: context.run(self._serve), name=self._name, daemon=True
                )
                self._thread.start()

    def close(self) -> None:
        """Drop what is not begun and wait for the rest; may be called by a task."""
        with self._lock:
            self._closed = True
            self._tasks.clear()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _serve(self) -> None:
        while True:
            with self._lock:
                if not self._tasks:
                    self._thread = None
                    return
                task = self._tasks.popleft()
            try:
                task()
            except Exception:
                log.exception("a widget's work failed")
