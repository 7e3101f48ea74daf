"""Iterate over the updates of a live query with `async for`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING

import pandas as pd

from .engine.interrupts import sheltered
from .engine.model import Delta

if TYPE_CHECKING:
    from .live import LiveQuery


class Updates(AsyncIterator["Delta | pd.DataFrame"]):
    """Give each update since it was made, on the event loop it was made on; newest wins."""

    def __init__(self, query: LiveQuery) -> None:
        self._query = query
        self._seen = query.version
        self._event = asyncio.Event()
        self._user_loop = asyncio.get_running_loop()
        with sheltered(), query._news:  # the engine's loop goes through them
            query._wakers.add(self)

    def wake(self) -> None:
        """Look again; from any thread."""
        with suppress(RuntimeError):  # that loop has ended, and the iteration with it
            self._user_loop.call_soon_threadsafe(self._event.set)

    async def __anext__(self) -> Delta | pd.DataFrame:
        """Wait for the next update; ends when the query is closed."""
        query = self._query
        while True:
            self._event.clear()
            view = query._view
            if view is not None and view.version != self._seen:
                self._seen = view.version
                delta = view.delta
                return view.df if delta is None else delta
            if query._group is None:
                raise StopAsyncIteration
            await self._event.wait()
