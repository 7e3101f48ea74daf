"""Drive a figure of another library by a live query.

`update(figure, df)` runs where observers run: in a kernel on its main loop, so that it may touch figures
and widgets. The query holds the link, and the link neither query nor figure: a figure that nobody else
has is gone, and the link ends.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd

from .delivery import show_error
from .kernel import main_loop, when_free

if TYPE_CHECKING:
    from .live import LiveQuery

Update = Callable[[Any, pd.DataFrame], Any]


class Link:
    """Hold a figure to a query until it is closed; made by `LiveQuery.link`."""

    def __init__(self, query: LiveQuery, figure: Any, update: Update) -> None:
        self._query = weakref.ref(query)
        self._figure = _weakly(figure)
        self._call: Update | None = update
        self._lock = threading.RLock()  # without a kernel two threads may come
        self._seen = 0  # version of the result that was drawn last
        query.observe(self._changed, "df")
        if main_loop() is None or threading.current_thread() is threading.main_thread():
            self._changed()
        else:
            when_free(self._changed)

    def close(self) -> None:
        """Update the figure no more; a second call does nothing."""
        query = self._query()
        if self._call is not None and query is not None:
            query.unobserve(self._changed, "df")
        self._call = None

    def __repr__(self) -> str:
        query = self._query()
        state = "closed" if self._call is None or query is None else f"to {query!r}"
        return f"Link({state})"

    def _changed(self, _change: object = None) -> None:
        """Draw the newest result, unless it is drawn already."""
        with self._lock:
            query, figure, call = self._query(), self._figure(), self._call
            if query is None or figure is None or call is None:
                self.close()
                return
            version, df = query.version, query.df
            if df is None or version == self._seen:
                return
            self._seen = version
            try:
                call(figure, df)
            except Exception as error:
                show_error("the update of a linked figure raised", error)


def _weakly(figure: Any) -> Callable[[], Any]:
    """Give what finds the figure while it is there; one that cannot be held weakly is held."""
    try:
        return weakref.ref(figure)
    except TypeError:
        return lambda: figure
