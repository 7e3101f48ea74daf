"""Show below a cell what it waits for, once that takes long; the line goes when the wait ends.

Only in a kernel, and only from its main thread, whose output belongs to the cell that runs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from .delivery import kernel_loop
from .wording import plain

AFTER_SECONDS = 1.0
_EVERY_SECONDS = 0.5
_CANCELS = "Interrupting the kernel cancels it."
# JupyterLab gives 20 pixels to a cell that has an output, if only an empty one, and `clear_output` would take
# what else the cell has shown. So a style has the outputs of a cell not shown that has no other.
_GONE = (
    '<span class="pgrt-waited" hidden></span><style>.jp-Cell-outputWrapper:has(.pgrt-waited)'
    ":not(:has(.jp-OutputArea-child~.jp-OutputArea-child)){display:none}</style>"
)


_hidden: ContextVar[bool] = ContextVar("pgrt_waiting_hidden", default=False)
_places: ContextVar[list[Any] | None] = ContextVar("pgrt_waiting_places", default=None)


@contextmanager
def hidden() -> Iterator[None]:
    """Show nothing of what is waited for in the block."""
    token = _hidden.set(True)
    try:
        yield
    finally:
        _hidden.reset(token)


@contextmanager
def replaced_by(result: Callable[[], object]) -> Iterator[None]:
    """Show a result when the block has ended: in the place of what was waited for in it, if anything was.

    An output that is only emptied stays in the notebook's file.
    """
    from IPython.display import display

    places: list[Any] = []
    token = _places.set(places)
    try:
        yield
    except BaseException:
        for place in places:
            _empty(place)
        raise
    finally:
        _places.reset(token)
    for place in places[:-1]:
        _empty(place)
    if places:
        places[-1].update(result())
    else:
        display(result())


@contextmanager
def shown(describe: Callable[[], str]) -> Iterator[Callable[[], None]]:
    """Give a function for the block to call while it waits; `describe` says for what."""
    on_main = threading.current_thread() is threading.main_thread()
    if _hidden.get() or not on_main or kernel_loop() is None:
        yield lambda: None
        return
    line = _Line(describe)
    try:
        yield line.look
    finally:
        line.end()


class _Line:
    """Own one line of output."""

    def __init__(self, describe: Callable[[], str]) -> None:
        self._describe = describe
        self._began = time.monotonic()
        self._next = self._began + AFTER_SECONDS
        self._handle: Any = None

    def look(self) -> None:
        """Show how things stand, if it is time to; what goes wrong with that disturbs nothing."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _EVERY_SECONDS
        with suppress(Exception):
            self._put(f"{plain(self._describe())}, {now - self._began:.0f} s. {_CANCELS}")

    def end(self) -> None:
        """Take the line away, or leave its place to what will be shown there."""
        if self._handle is None:
            return
        if (places := _places.get()) is not None:
            places.append(self._handle)
        else:
            _empty(self._handle)

    def _put(self, text: str) -> None:
        from IPython.display import display  # not everybody who subscribes has it loaded

        data = {"text/plain": text}
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)


def _empty(handle: Any) -> None:
    """Leave nothing of an output; what goes wrong with that disturbs nothing."""
    with suppress(Exception):
        handle.update({"text/plain": "", "text/html": _GONE}, raw=True)
