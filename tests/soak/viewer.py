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
        query._displays.add(self._table)
        self._wish = 0
        self._seq = 0
        self._cells: list[list[Any]] = []
        self._from = 0
        self._revision = 0
        self.messages = 0
        self.faults: list[str] = []
        self._ended = threading.Event()
        self._table.show(query._shown())
        self._thread = threading.Thread(target=self._live, name="soak-browser", daemon=True)
        self._thread.start()
        self._ask("hello")

    def shows_the_result(self) -> bool:
        """Say whether the cells on screen are those of the query's newest frame."""
        frame = self._query.df
        held = len(self._cells[0]) if self._cells else 0
        whole = held == len(frame) and self._from == 0
        wanted = held == min(60, len(frame) - self._from)
        rows = range(self._from, self._from + held)
        return (whole or wanted) and window.cells(frame, rows) == self._cells

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        self._table.close()

    def _ask(self, kind: str) -> None:
        """Ask for the rows on screen, holding on by none of them."""
        revision = 0 if kind == "hello" else self._revision
        self._say(kind, start=self._wish, count=60, anchor=None, revision=revision)

    def _say(self, kind: str, **fields: int | None) -> None:
        self._seq += 1
        message = {"type": kind, "seq": self._seq, "viewer": "soak", **fields}
        self._table._receive(self._table, message, [])

    def _live(self) -> None:
        beat, heard = 0.0, -1
        while not self._ended.wait(self._chance.uniform(0.05, 0.4)):
            if time.monotonic() > beat:
                silent = heard == self.messages  # the kernel took us for gone
                beat, heard = time.monotonic() + _BEAT, self.messages
                self._ask("hello") if silent else self._say("beat")
            if self._chance.random() < 0.01:
                self._wish = self._chance.choice([0, 0, 200, 1500])
                self._ask("window")
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
            if message["base"] != self._revision:
                self.faults.append(f"patch on {message['base']} while at {self._revision}")
            self._patch(message)
        if message["type"] in ("window", "patch"):
            self._revision = message["state"]["revision"]

    def _patch(self, message: dict[str, Any]) -> None:
        """Put the new window together from held and new rows, then change cells."""
        self._from = message["start"]
        if message["rows"] is not None:
            held, self._cells = self._cells, [[] for _ in self._cells]
            for piece in message["rows"]:
                if "rows" in piece:
                    come = piece["cells"]
                else:
                    part = slice(piece["place"], piece["place"] + piece["count"])
                    come = [column[part] for column in held]
                for column, new in zip(self._cells, come, strict=True):
                    column += new
        for column, places, texts in message["changes"]:
            for place, text in zip(places, texts, strict=True):
                self._cells[column][place] = text
