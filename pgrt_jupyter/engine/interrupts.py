"""Hold an interrupt back until what is being done has come to an end one can leave.

Python raises KeyboardInterrupt between any two instructions of the main thread: after a connection was
made and before anybody remembers it, or with a lock taken and not yet guarded. So a verb that changes
something runs `sheltered`: an interrupt only cancels what it waits for, and is raised when all of it
has happened or nothing has. Other threads are never interrupted.
"""

from __future__ import annotations

import functools
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import ParamSpec, TypeVar

_LOOK_SECONDS = 0.2  # how soon who waits for a lock notices an interrupt

P = ParamSpec("P")
T = TypeVar("T")


class Shelter:
    """Keep an interrupt that came meanwhile."""

    def __init__(self) -> None:
        self.interrupted = False
        self._cancels: list[Callable[[], object]] = []

    def take(self, _number: int, _frame: FrameType | None) -> None:
        """Stand in for the handler of SIGINT."""
        self.interrupted = True
        for cancel in self._cancels:
            cancel()

    @contextmanager
    def cancelling(self, cancel: Callable[[], object]) -> Iterator[None]:
        """Call `cancel` when an interrupt comes, or came already, during the block."""
        self._cancels.append(cancel)
        try:
            if self.interrupted:
                cancel()
            yield
        finally:
            self._cancels.remove(cancel)

    def raise_now(self) -> None:
        """Raise the interrupt that was kept; there is nothing left to do after it."""
        self.interrupted = False
        raise KeyboardInterrupt


_current: Shelter | None = None  # of the main thread


@contextmanager
def sheltered() -> Iterator[Shelter]:
    """Run the block without a KeyboardInterrupt in it; one that came is raised behind it."""
    global _current
    if threading.current_thread() is not threading.main_thread():
        yield Shelter()
        return
    if _current is not None:
        yield _current
        return
    before = signal.getsignal(signal.SIGINT)
    if not callable(before):  # ignored, or the end of the process
        yield Shelter()
        return
    shelter = Shelter()
    signal.signal(signal.SIGINT, shelter.take)
    try:
        _current = shelter
        yield shelter
    finally:
        _current = None
        signal.signal(signal.SIGINT, before)
    if shelter.interrupted:
        before(signal.SIGINT, None)


@contextmanager
def turn(lock: threading.RLock) -> Iterator[None]:
    """Run the block sheltered and with a lock that others may keep for long; waiting can be interrupted."""
    with sheltered() as shelter:
        while not lock.acquire(timeout=_LOOK_SECONDS):
            if shelter.interrupted:
                shelter.raise_now()
        try:
            yield
        finally:
            lock.release()


def whole(verb: Callable[P, T]) -> Callable[P, T]:
    """Have a verb happen wholly or not at all, as far as interrupts go."""

    @functools.wraps(verb)
    def run(*arguments: P.args, **options: P.kwargs) -> T:
        with sheltered():
            return verb(*arguments, **options)

    return run
