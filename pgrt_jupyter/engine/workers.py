"""Do blocking work on threads of our own, for the engine's loop to await.

The threads are daemons: neither a stuck query nor a user's filter that never returns can keep the
kernel from ending. `Workers` bounds how many queries run at once; `alone` gives a piece of user code a
thread that nobody else waits for.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Workers:
    """Run blocking functions on up to `count` threads, started when first needed."""

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._waiting = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Await the result of `work`; call on the loop only."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._tasks.put(lambda: _answer(loop, future, work))
        self._waiting += 1
        if self._waiting > len(self._threads) and len(self._threads) < self._count:
            name = f"{self._name}-{len(self._threads)}"
            self._threads.append(start(name, self._serve))
        try:
            return await future
        finally:
            self._waiting -= 1

    def stop(self, timeout: float) -> None:
        """Let each thread end after what it is doing; wait for them up to `timeout` seconds in all."""
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join(timeout / len(self._threads))

    def _serve(self) -> None:
        """Do one task after another until told to stop."""
        while (task := self._tasks.get()) is not None:
            task()
            del task  # while waiting it would keep the last result


async def alone(work: Callable[[], T], name: str) -> T:
    """Await the result of `work`, done on a thread of its own."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    start(name, lambda: _answer(loop, future, work))
    return await future


def start(name: str, target: Callable[[], None]) -> threading.Thread:
    """Start a daemon thread in an empty context, so that it belongs to no notebook cell."""
    context = contextvars.Context()
    thread = threading.Thread(target=lambda: context.run(target), name=name, daemon=True)
    thread.start()
    return thread


def _answer(
    loop: asyncio.AbstractEventLoop, future: asyncio.Future[T], work: Callable[[], T]
) -> None:
    """Do the work and hand its result, or what it raised, to the loop."""
    try:
        result = work()
    except BaseException as error:
        _post(loop, _settle, future, None, error)
    else:
        _post(loop, _settle, future, result, None)


def _post(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *arguments: Any) -> None:
    """Schedule a call unless the loop has ended meanwhile."""
    try:
        loop.call_soon_threadsafe(call, *arguments)
    except RuntimeError:
        return


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    """Resolve a future that nobody may have given up on."""
    if future.cancelled():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
