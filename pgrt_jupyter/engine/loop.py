"""Run the engine on a thread of its own, and be the door to it for other threads."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from ..config import Conninfo
from ..errors import EngineNotRunning, PgrtError
from .group import Group
from .listener import Pulse
from .runtime import Runtime

T = TypeVar("T")
PULSE = Pulse()
AUDIT_SECONDS = 30.0
_CLOSING_SECONDS = 2.0  # Jupyter sends SIGTERM 2.5 s after it asked a kernel to end


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

    def call(
        self,
        function: Callable[..., Coroutine[Any, Any, T]],
        *arguments: Any,
        timeout: float | None = None,
    ) -> T:
        """Run a coroutine on the engine's loop and wait for its result.

        Raises what it raises, TimeoutError, or EngineNotRunning. An interrupt cancels it.
        """
        if self._closed:
            raise EngineNotRunning
        if threading.current_thread() is self._thread:
            raise RuntimeError("the engine's own thread must not wait for itself")
        future: Future[T] = asyncio.run_coroutine_threadsafe(function(*arguments), self._loop)
        try:
            return future.result(timeout)
        except BaseException:
            future.cancel()
            raise

    def post(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have the engine's loop call a function; after the end nothing happens."""
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            return

    def close(self) -> None:
        """End every query, close every connection, join every thread; takes at most a few seconds."""
        if self._closed:
            return
        runtime = getattr(self, "runtime", None)
        if runtime is not None:
            try:
                self.call(runtime.close, timeout=_CLOSING_SECONDS)
            except (TimeoutError, PgrtError):
                pass  # the loop is stopped below whatever it was waiting for
            runtime.stop_workers(_CLOSING_SECONDS)
        self._closed = True
        self.post(self._loop.stop)
        self._thread.join(_CLOSING_SECONDS)

    def _serve(self) -> None:
        """Run the loop until it is stopped, then end what is left on it."""
        asyncio.set_event_loop(self._loop)
        self._loop.call_soon(self._started.set)
        try:
            self._loop.run_forever()
        finally:
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self._loop.close()
