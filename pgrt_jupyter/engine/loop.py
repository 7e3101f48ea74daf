"""Run the engine on a thread of its own, and be the door to it for other threads."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any, Generic, TypeVar

from ..config import Conninfo
from ..errors import EngineNotRunning, PgrtError
from .group import Group
from .interrupts import sheltered
from .listener import Pulse
from .runtime import Runtime

T = TypeVar("T")
PULSE = Pulse()
AUDIT_SECONDS = 30.0
FORKED = (
    "This is a forked process, and the engine with its connections belongs to the parent: call "
    "pgrt_jupyter.start() here for an engine of this process's own."
)
_CLOSING_SECONDS = 1.5  # Jupyter sends SIGTERM 2.5 s after it asked a kernel to end
_LOOK_SECONDS = 0.5  # how often who waits looks whether the engine still is there


def _nothing() -> None:
    """Let nothing happen."""


class EngineLoop:
    """Own the engine thread; every method may be called from any other thread."""

    def __init__(
        self,
        conninfo: Conninfo,
        *,
        pool_size: int = 4,
        pulse: Pulse | None = None,
        audit_seconds: float | None = None,
        report: Callable[[Group | None, PgrtError], None],
    ) -> None:
        # psycopg cannot wait on Windows' default event loop.
        self._loop = asyncio.SelectorEventLoop()
        self._started = threading.Event()
        context = contextvars.Context()
        self._thread = threading.Thread(
            target=lambda: context.run(self._serve), name="pgrt-engine", daemon=True
        )
        self._arguments: dict[str, Any] = {
            "pool_size": pool_size,
            "pulse": pulse or PULSE,
            "audit_seconds": audit_seconds or AUDIT_SECONDS,
            "report": report,
        }
        self._conninfo = conninfo
        self._closed = False
        self._abandoned = False
        self.ended_because = ""  # where there is more to say than that it has ended
        self.runtime: Runtime

    def start(self) -> None:
        """Start the thread and connect; raises ServerUnavailable, and then nothing is left."""
        self._thread.start()
        self._started.wait()
        try:
            self.call(self._open)
        except BaseException:
            self.close()
            raise

    async def _open(self) -> None:
        self.runtime = Runtime(self._conninfo, **self._arguments)
        await self.runtime.open()

    async def _close(self) -> None:
        if hasattr(self, "runtime"):
            self.runtime.close()

    def call(
        self,
        function: Callable[..., Coroutine[Any, Any, T]],
        *arguments: Any,
        timeout: float | None = None,
        interruptible: bool = True,
        meanwhile: Callable[[], None] = _nothing,
    ) -> T:
        """Run a coroutine on the engine's loop and wait for its result, calling `meanwhile` now and then.

        Raises what it raises, TimeoutError, or EngineNotRunning. An interrupt cancels it, and is
        raised when it has come to its end.
        """
        if self._closed:
            raise EngineNotRunning(self.ended_because)
        if threading.current_thread() is self._thread:
            raise RuntimeError("the engine's own thread must not wait for itself")
        errand = _Errand(self._loop, lambda: function(*arguments))
        with (
            sheltered() as shelter,
            shelter.cancelling(errand.cancel if interruptible else _nothing),
        ):
            self.post(errand.begin)
            try:
                return self._wait(errand.answer, timeout, meanwhile)
            except CancelledError:
                if shelter.interrupted and interruptible:
                    shelter.raise_now()
                raise EngineNotRunning(self.ended_because) from None
            except TimeoutError:
                errand.cancel()
                raise

    def _wait(self, answer: Future[T], timeout: float | None, meanwhile: Callable[[], None]) -> T:
        """Wait for an answer for as long as there is somebody to give it."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _LOOK_SECONDS if deadline is None else deadline - time.monotonic()
            try:
                return answer.result(max(0.0, min(left, _LOOK_SECONDS)))
            except TimeoutError:
                if answer.done() or (deadline is not None and time.monotonic() >= deadline):
                    raise
                if not self._thread.is_alive():
                    raise EngineNotRunning(self.ended_because) from None
                meanwhile()

    def post(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have the engine's loop call a function; after the end nothing happens."""
        if self._abandoned:
            return
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            return

    def close(self) -> None:
        """End every query, close every connection, join every thread; takes at most two seconds."""
        if self._closed:
            return
        end = time.monotonic() + _CLOSING_SECONDS
        runtime = getattr(self, "runtime", None)
        if runtime is not None:
            try:
                self.call(self._close, timeout=_CLOSING_SECONDS / 2, interruptible=False)
            except (TimeoutError, PgrtError):
                pass  # the loop is busy; it is stopped below, and closes then
            runtime.stop_workers(max(0.1, end - time.monotonic()))
        self._closed = True
        self.post(self._loop.stop)
        self._thread.join(max(0.1, end - time.monotonic()))

    def require_own(self) -> None:
        """Raise EngineNotRunning in a forked child."""
        if self._abandoned:
            raise EngineNotRunning(FORKED)

    def abandon(self) -> None:
        """Let go of an engine that belongs to the process this one was forked from.

        Its selector is the parent's as well: nothing is closed, woken or sent (`forks`).
        """
        self._closed = True
        self._abandoned = True
        self.ended_because = FORKED

    def _serve(self) -> None:
        """Run the loop until it is stopped, then end what is left on it."""
        asyncio.set_event_loop(self._loop)
        self._loop.call_soon(self._started.set)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._close())
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self._loop.close()


class _Errand(Generic[T]):
    """Have a coroutine run as a task on another thread's loop; its end is told even when cancelled."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, function: Callable[[], Coroutine[Any, Any, T]]
    ) -> None:
        self.answer: Future[T] = Future()
        self._loop = loop
        self._function = function
        self._task: asyncio.Task[T] | None = None

    def begin(self) -> None:
        """Start; on the loop."""
        self._task = self._loop.create_task(self._function())
        self._task.add_done_callback(self._ended)

    def cancel(self) -> None:
        """Cancel it, behind its beginning; from any thread."""
        with suppress(RuntimeError):  # the loop has ended, and the task with it
            self._loop.call_soon_threadsafe(lambda: self._task and self._task.cancel())

    def _ended(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self.answer.set_exception(CancelledError())
        elif (error := task.exception()) is not None:
            self.answer.set_exception(error)
        else:
            self.answer.set_result(task.result())
