"""Answer what a view in a browser asks for besides rows: arrange, select, cell, copy, export, act.

Nothing a browser says is taken on trust: rows and columns are numbers that are looked up, and one
that is not there any more is left out or answered with an error.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from . import arrangement, export, selection, window
from .content import Content
from .displayed import Displayed
from .exports import Exports
from .protocol import Request
from .texts import Positions
from .viewer import Viewer

Send = Callable[[str, dict[str, Any], bytes | None], int]


class Answers:
    """Answer the requests of one table's views.

    `send` sends a view a message, with a buffer if there is one, and gives its number. Called without
    the lock, on whatever thread the kernel handles comms; what takes long goes to the worker.
    """

    def __init__(self, lock: threading.RLock, content: Content, send: Send) -> None:
        self.exports = Exports(lock, content.worker, send)
        self._lock = lock
        self._content = content
        self._send = send

    def answer(self, viewer: Viewer, request: Request) -> None:
        """Do what a view asks for; requests of other types are none of ours."""
        match request["type"]:
            case "arrange":
                names = window.names(self._content.shown)
                self._content.arrange(arrangement.from_browser(request, names))
            case "select":
                self._select(viewer, request)
            case "cell":
                self._cell(request)
            case "copy":
                self._content.worker.put(lambda: self._copy(viewer, request))
            case "export":
                displayed = self._content.displayed
                if displayed is not None:
                    made = export.Export(displayed, request["columns"])
                    self.exports.begin(viewer.token, request["seq"], made)
            case "export_stop":
                self.exports.stop(viewer.token)
            case "ack":
                self.exports.acknowledge(viewer.token, request["of"])

    def _select(self, viewer: Viewer, request: Request) -> None:
        """Select rows by where they were in the revision the view speaks of."""
        with self._lock:
            seen, now = viewer.sent(request["revision"]), self._content.displayed
            # It shows the change already, and must hear of it if nothing came of it.
            viewer.forget()
        stale = seen is None or now is None or seen.identities.line is not now.identities.line
        if seen is None or stale:
            self._content.select("add", selection.NOTHING.numbers)
        else:
            numbers = selection.in_ranges(seen, request["ranges"] or [])
            self._content.select(request["mode"], numbers)

    def _cell(self, request: Request) -> None:
        answer: dict[str, Any] = {"type": "cell", "text": None, "cut": False, "error": ""}
        try:
            displayed = self._displayed()
            text, cut = export.cell(displayed, request["row"], request["column"])
            answer |= {"text": text, "cut": cut}
        except ValueError as error:
            answer["error"] = str(error)
        self._reply(request, answer)

    def _copy(self, viewer: Viewer, request: Request) -> None:
        """Answer with text for the clipboard; on the worker's thread."""
        answer: dict[str, Any] = {"type": "copy", "text": "", "rows": 0, "error": ""}
        try:
            displayed, positions = self._copied(viewer, request)
            columns, header = request["columns"], request["header"]
            answer["text"] = export.tab_separated(displayed, positions, columns, header=header)
            answer["rows"] = len(positions)
        except ValueError as error:
            answer["error"] = str(error)
        self._reply(request, answer)

    def _copied(self, viewer: Viewer, request: Request) -> tuple[Displayed, Positions]:
        """Find the rows to copy: in ranges the view saw, or the selected ones."""
        if request["ranges"] is None:
            displayed = self._displayed()
            return displayed, displayed.in_order(self._content.selection.numbers)
        with self._lock:
            seen = viewer.sent(request["revision"])
        if seen is None:
            raise ValueError("the rows have changed meanwhile: copy again")
        return seen, selection.positions_in(seen, request["ranges"])

    def _displayed(self) -> Displayed:
        displayed = self._content.displayed
        if displayed is None:
            raise ValueError("there is no result yet")
        return displayed

    def _reply(self, request: Request, answer: dict[str, Any]) -> None:
        with self._lock:
            self._send(request["viewer"], {**answer, "of": request["seq"]}, None)
