"""Bring news to users: the one place where traits are notified.

The engine's loop only puts work into a queue. A delivery thread per engine takes it from there, pushes to
tables, and has observers run: on the kernel's main loop where there is a kernel, so that they may touch
pandas, matplotlib and widgets, else on a thread of their own (`observing`). Whatever waits for the main
loop is merged: a cell that blocks it for a minute is followed by one notification, of the newest result.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import queue
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Literal, Protocol

from .errors import ConfigurationError
from .observing import SLOW_SECONDS, Observing

log = logging.getLogger("pgrt_jupyter")

Deliver = Literal["auto", "main", "thread"]
_JOIN_SECONDS = 0.4  # a kernel has little time to end


class Receiver(Protocol):
    """Something with news for its users."""

    def push(self) -> None:
        """Bring tables up to date; on the delivery thread."""

    def flush(self) -> None:
        """Notify observers of everything that is new; on the thread they belong to."""


class Delivery:
    """Own the delivery thread of one engine."""

    def __init__(self, deliver: Deliver) -> None:
        if deliver not in ("auto", "main", "thread"):
            raise ConfigurationError(f"deliver={deliver!r}: use 'auto', 'main' or 'thread'.")
        self._main = kernel_loop() if deliver != "thread" else None
        if deliver == "main" and self._main is None:
            raise ConfigurationError(
                "deliver='main' needs a Jupyter kernel; use 'thread' or 'auto'."
            )
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._pushing: set[Receiver] = set()
        self._flushing: set[Receiver] = set()
        self._slow: weakref.WeakSet[Receiver] = weakref.WeakSet()  # and it was told
        self._observing = Observing() if self._main is None else None
        context = contextvars.Context()  # belongs to no cell
        self._thread = threading.Thread(
            target=lambda: context.run(self._serve), name="pgrt-delivery", daemon=True
        )
        self._thread.start()

    def news(self, receiver: Receiver) -> None:
        """Have a receiver bring its news; cheap, from any thread, merged while it has not begun."""
        with self._lock:
            if receiver in self._pushing:
                return
            self._pushing.add(receiver)
        self._tasks.put(lambda: self._bring(receiver))

    def call(self, function: Callable[[], None]) -> None:
        """Run a user's function where observers run."""
        self._tasks.put(lambda: self._where_observers_run(function, "an error handler", function))

    def stop(self) -> None:
        """End the thread after what is queued; may be called by an observer."""
        self._tasks.put(None)
        if self._observing is not None:
            self._observing.hurry()
            if self._observing.is_current():
                return
        self._thread.join(_JOIN_SECONDS)

    def abandon(self) -> None:
        """Begin anew in a forked child, where there is no thread to deliver anything."""
        self._lock = threading.Lock()
        self._tasks = queue.SimpleQueue()
        self._main = self._observing = None

    def _serve(self) -> None:
        """Do one task after another; none of them can end the thread."""
        while (task := self._tasks.get()) is not None:
            try:
                task()
            except Exception:
                log.exception("delivering an update failed")
            del task  # while waiting it would keep a query that has ended, and its result
        if self._observing is not None:
            self._observing.stop()

    def _bring(self, receiver: Receiver) -> None:
        with self._lock:
            self._pushing.discard(receiver)
            waiting = receiver in self._flushing
            self._flushing.add(receiver)
        try:
            receiver.push()
        finally:
            if not waiting:
                name = f"an observer of {receiver!r}"
                self._where_observers_run(receiver, name, lambda: self._flush(receiver))

    def _flush(self, receiver: Receiver) -> None:
        with self._lock:
            self._flushing.discard(receiver)
        began = time.monotonic()
        receiver.flush()
        took = time.monotonic() - began
        if took > SLOW_SECONDS and self._main is not None and receiver not in self._slow:
            self._slow.add(receiver)
            log.warning("observers of %r held the kernel up for %.0f s", receiver, took)

    def _where_observers_run(self, who: object, name: str, function: Callable[[], None]) -> None:
        if self._observing is not None:
            self._observing.run(who, name, function)
        elif self._main is None or self._main.is_closed():
            function()
        else:
            self._main.call_soon_threadsafe(function)


class Observer:
    """Wrap an observer: it runs in the context of the cell that registered it, and cannot stop others.

    Equal to the function it wraps, so that traitlets finds it again when it is removed.
    """

    def __init__(self, handler: Callable[[Any], Any]) -> None:
        self._handler = handler
        self._context = contextvars.copy_context()

    def __call__(self, change: Any) -> None:
        """Call the observer; what it raises is shown and goes no further."""
        self._context.copy().run(self._guarded, change)

    def _guarded(self, change: Any) -> None:
        try:
            self._handler(change)
        except BaseException as error:  # what ends a program ends no thread, and no kernel
            show_error(f"an observer of {change['name']!r} raised", error)

    def __eq__(self, other: object) -> bool:
        other = other._handler if isinstance(other, Observer) else other
        return bool(self._handler == other)

    def __hash__(self) -> int:
        return hash(self._handler)


def show_error(what: str, error: BaseException) -> None:
    """Show an error of the user's own code: in the cell it belongs to, else in the log."""
    shell = _shell()
    if shell is not None and hasattr(shell, "kernel"):
        shell.showtraceback((type(error), error, error.__traceback__), running_compiled_code=True)
    else:
        log.error("%s", what, exc_info=error)


def kernel_loop() -> asyncio.AbstractEventLoop | None:
    """Find the running kernel's main loop; None outside a kernel."""
    kernel = getattr(_shell(), "kernel", None)
    loop = getattr(getattr(kernel, "io_loop", None), "asyncio_loop", None)
    return loop if isinstance(loop, asyncio.AbstractEventLoop) else None


def _shell() -> Any:
    """Give the running IPython shell, without importing IPython where nobody else did."""
    module = sys.modules.get("IPython")
    return module.get_ipython() if module is not None else None
