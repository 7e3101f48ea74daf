"""Show one live query in tables and charts, and do what viewers ask for there."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from .errors import EngineNotRunning, PgrtError
from .wording import plain

if TYPE_CHECKING:
    from .live import LiveQuery
    from .plot.options import Options
    from .plot.widget import LivePlot
    from .widget import LiveTable
    from .window import Shown


class Displays:
    """Own what shows one live query; `show` is for the delivery thread, the rest for users' threads."""

    def __init__(self, query: LiveQuery) -> None:
        self._find = weakref.ref(query)  # which is not to be kept by what it owns
        self._lock = threading.RLock()  # of `_all`
        self._all: weakref.WeakSet[LiveTable | LivePlot] = weakref.WeakSet()
        self._own: LiveTable | None = None
        self._refreshing = threading.Lock()

    def add(self, display: LiveTable | LivePlot) -> None:
        """Show what comes from now on there, too."""
        with self._lock:
            self._all.add(display)

    def table(self, query: LiveQuery, options: Mapping[str, Any]) -> LiveTable:
        """Make a table."""
        from .widget import LiveTable

        # The kernel's list of widgets keeps a table; that must not keep the query and its result.
        table = LiveTable(title=plain(query.name), act=_weakly(self._act), **options)
        self.add(table)
        table.show(query._shown())
        return table

    def plot(self, query: LiveQuery, asked: Options, *, height: int, persist: bool) -> LivePlot:
        """Make a chart."""
        from .plot.widget import make

        plot = make(query._shown(), plain(query.name), asked, height=height, persist=persist)
        self.add(plot)
        plot.show(query._shown())  # a newer one may have come
        return plot

    def own(self, query: LiveQuery) -> LiveTable:
        """Give the table that displaying the query shows, however often; it is closed with the query."""
        if self._own is None:
            self._own = self.table(query, {})
            weakref.finalize(query, self._own.close_soon).atexit = False
        return self._own

    @property
    def persist(self) -> bool:
        """Say whether the notebook file gets the first rows of that table."""
        return self._own is not None and self._own.persist

    def release(self) -> None:
        """Close that table, in every browser."""
        table, self._own = self._own, None
        if table is not None:
            table.close()

    def show(self, shown: Shown) -> None:
        """Bring everything up to date."""
        with self._lock:
            displays = list(self._all)
        for display in displays:
            display.show(shown)

    def abandon(self) -> None:
        """Let go, in a forked child, of what belongs to the parent."""
        self._lock = threading.RLock()
        for display in list(self._all):
            display.abandon()

    def _act(self, verb: str) -> None:
        """Do what somebody asks for at a table; whoever asks sees in the state what came of it."""
        if (query := self._find()) is None:
            return
        act = {"pause": query.pause, "resume": query.resume, "refresh": self._refresh_soon}[verb]
        with contextlib.suppress(EngineNotRunning):
            act()

    def _refresh_soon(self) -> None:
        """Refresh without waiting, unless that is under way."""
        if self._refreshing.acquire(blocking=False):
            name = "pgrt-refresh"
            threading.Thread(target=self._refresh_quietly, name=name, daemon=True).start()

    def _refresh_quietly(self) -> None:
        try:
            with contextlib.suppress(PgrtError, TimeoutError, CancelledError):
                if (query := self._find()) is not None:
                    query.refresh()
        finally:
            self._refreshing.release()


def _weakly(act: Callable[[str], None]) -> Callable[[str], None]:
    """Call a method for as long as its object is there."""
    held = weakref.WeakMethod(act)

    def call(verb: str) -> None:
        if (found := held()) is not None:
            found(verb)

    return call
