"""Stand for a browser that shows one table: apply every message, acknowledge it at a human pace.

What it shows at rest must be what the kernel's frame says: windows and patches are part of the promise.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from random import Random
from typing import Any

from pgrt_jupyter import window
from pgrt_jupyter.live import LiveQuery
from pgrt_jupyter.widget import LiveTable

_BEAT = 10.0  # seconds, as browsers do it


class Recorded(LiveTable):
    """Hand messages to a browser of ours instead of to a comm."""

    def __init__(self, *, title: str) -> None:
        self.inbox: deque[dict[str, Any]] = deque()
        super().__init__(title=title)

    def send(self, content: Any, buffers: Any = None) -> None:
        self.inbox.append(content)


class Browser:
    """Show a live query's table on a thread of its own."""

    def __init__(self, query: LiveQuery, chance: Random) -> None:
        self._query, self._chance = query, chance
        self._table = Recorded(title=query.name)
        with query._news:
            query._tables.add(self._table)
        self._wish = 0
        self._seq = 0
        self._cells: list[list[Any]] = []
        self._from = 0
        self._version = -1
        self.messages = 0
        self.faults: list[str] = []
        self._ended = threading.Event()
        self._table.show(query._shown())
        self._thread = threading.Thread(target=self._live, name="soak-browser", daemon=True)
        self._thread.start()
        self._say("hello", start=0, count=60)

    def shows_the_result(self) -> bool:
        """Say whether the cells on screen are those of the query's newest frame."""
        start, _, cells = window.Text(self._query.df).window(self._wish, 60)
        return start == self._from and cells == self._cells

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        self._table.close()

    def _say(self, kind: str, **fields: int) -> None:
        self._seq += 1
        message = {"type": kind, "seq": self._seq, "viewer": "soak", **fields}
        self._table._receive(self._table, message, [])

    def _live(self) -> None:
        beat, heard = 0.0, -1
        while not self._ended.wait(self._chance.uniform(0.05, 0.4)):
            if time.monotonic() > beat:
                silent = heard == self.messages  # the kernel took us for gone
                beat, heard = time.monotonic() + _BEAT, self.messages
                self._say("hello", start=self._wish, count=60) if silent else self._say("beat")
            if self._chance.random() < 0.01:
                self._wish = self._chance.choice([0, 0, 200, 1500])
                self._say("window", start=self._wish, count=60)
            while self._table.inbox:
                message = self._table.inbox.popleft()
                self._take(message)
                self._say("ack", of=message["seq"])

    def _take(self, message: dict[str, Any]) -> None:
        """Apply a message; a patch whose base is another version is a fault."""
        self.messages += 1
        if message["type"] == "window":
            self._from, self._cells = message["start"], [list(c) for c in message["cells"]]
        elif message["type"] == "patch":
            if message["base"] != self._version:
                self.faults.append(f"patch on {message['base']} while at {self._version}")
            for column, places, texts in message["changes"]:
                for place, text in zip(places, texts, strict=True):
                    self._cells[column][place] = text
        if message["type"] != "state":
            self._version = message["state"]["version"]
