"""Show a result as a live table in a notebook, fed from any thread.

The front end gets rows as custom messages (`protocol`), never as traits. `watched` keeps the views,
`content` knows what is displayed, `viewer` decides what each view gets of it, `answers` answers its
requests; this module joins them.
"""

from __future__ import annotations

import datetime as dt
import pathlib
import time
from collections.abc import Callable
from typing import Any

import traitlets

from . import arrangement, export, incoming, protocol, waiting, window
from .answers import Answers
from .arrangement import Arrangement
from .content import Content
from .displayed import MAX_WINDOW_CELLS
from .kernel import when_free
from .shared import Shared
from .viewer import Viewer
from .watched import Watched, bundle
from .window import Shown

CELLS_PER_MESSAGE = 2_000  # as costly to answer as a message more
COSTS = {"arrange": 10.0, "copy": 10.0, "export": 50.0}  # in messages; what goes through all rows


class LiveTable(Shared, Watched):
    """Show the last `Shown` it was given, in as many views as there are.

    `on_viewers` is called with the number of views whenever it changes, on any thread; `act`, on any
    thread as well, with "pause", "resume" or "refresh" when somebody asks for it in a browser.
    Observers of `sort`, `search`, `filters` and `selected` run on the kernel's main loop when it was a
    browser or an update that changed them.
    """

    _esm = bundle("widget.js")
    title = traitlets.Unicode().tag(sync=True)
    height = traitlets.Int(320).tag(sync=True)  # CSS pixels

    def __init__(
        self,
        *,
        title: str,
        height: int = 320,
        persist: bool = False,
        sort: Any = None,
        search: str = "",
        filters: Any = None,
        act: Callable[[str], None] | None = None,
    ) -> None:
        self._begin(arrangement.read(sort, search, filters))
        self._act = act
        self.persist = persist  # rows in the notebook file
        self._attend(title=title, height=height)

    def _begin(self, arranged: Arrangement) -> None:
        """Make the lock and all that it guards."""
        self._watch_anew()
        content = Content(self._lock, lambda: bool(self._viewers), self._news)
        content.arrangement = arranged
        self._share(self._lock, content)
        self._answers = Answers(self._lock, content, self._send_answer)

    def abandon(self) -> None:
        """Let go of the parent's viewers in a forked child, and of locks that nobody will release."""
        shown = self._content.shown
        self._begin(self._content.arrangement)
        self._content.shown = shown

    def show(self, shown: Shown) -> None:
        """Show a result or a new status; callable from any thread."""
        self._content.show(shown)

    def to_csv(self, path: str | pathlib.Path | None = None, *, raw: bool = False) -> str | None:
        """Write the rows that pass the filters, sorted as shown, as CSV: into a file, or return it.

        Text that a spreadsheet would take for a formula gets an apostrophe in front, unless `raw`.
        """
        exported = export.Export(self._content.current(), raw=raw, size=1 << 23)
        if path is None:
            parts: list[str] = []
            _write(exported, parts.append)
            return "".join(parts)
        with open(path, "w", encoding="utf-8", newline="") as file:
            _write(exported, file.write)
        return None

    def __repr__(self) -> str:
        return f"LiveTable(title={self.title!r})"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle
        return {
            **data,
            "text/html": window.html_snapshot(self._content.shown, persist=self.persist),
        }, metadata

    # -- what `watched` asks for

    def _parse(self, content: object) -> protocol.Request | None:
        return incoming.read(content)

    def _make_viewer(self, token: str) -> Viewer:
        return Viewer(token)

    def _want(self, viewer: Viewer, request: protocol.Request) -> None:
        """Note which rows a view wants."""
        viewer.want(request["start"], request["count"], request["anchor"], request["revision"])

    def _answer(self, viewer: Viewer, request: protocol.Request) -> None:
        """Do what a view says or asks for, and send it what is due."""
        match request["type"]:
            case "hello" | "window" | "ack" | "beat":
                self._keep_up(viewer, request)
            case "act" if self._act is not None and self._content.shown.acts:
                self._act(request["verb"])
        self._answers.answer(viewer, request)
        self._content.renew()
        with self._lock:
            self._push()
        self._tell_observers_soon()

    def _keep_up(self, viewer: Viewer, request: protocol.Request) -> None:
        """Note what a view holds and wants."""
        with self._lock:
            match request["type"]:
                case "hello" | "window":
                    self._want(viewer, request)
                    if request["type"] == "hello":
                        viewer.forget()
                case "beat":
                    viewer.behind = True
                case "ack":
                    viewer.acknowledge(request["of"])

    def _news(self) -> None:
        """Send every view what is displayed now, and tell observers."""
        self._push_to_all()
        self._tell_observers_soon()

    def _cost(self, request: protocol.Request) -> float:
        """Say how many messages' worth of work an answer is."""
        frame = self._content.shown.frame
        rows = min(request.get("count", 0), 0 if frame is None else len(frame))
        cells = rows * (0 if frame is None else frame.shape[1])
        return COSTS.get(request["type"], 1.0) + min(cells, MAX_WINDOW_CELLS) / CELLS_PER_MESSAGE

    def _send_to(self, viewer: Viewer) -> None:
        if self._content.displayed is None:
            return  # being worked out
        message = viewer.compose(
            self._content.displayed,
            self._content.selection,
            seq=next(self._seq),
            now=time.monotonic(),
            clock=dt.datetime.now(dt.UTC),
        )
        self._say(message)

    def _send_answer(self, viewer: str, answer: dict[str, Any], buffer: bytes | None) -> int:
        """Send an answer to a view that is still there; with the lock held."""
        seq = next(self._seq)
        if viewer in self._viewers:
            message = {**answer, "seq": seq, "viewer": viewer}
            if buffer is not None:
                message["name"] = export.file_name(self.title)
            self._say(message, None if buffer is None else [buffer])
        return seq

    def _dismissed(self, token: str) -> None:
        self._answers.exports.stop(token)

    def _end(self) -> None:
        self._content.worker.close()

    def _on_main(self, call: Callable[[], None]) -> None:
        when_free(call)


def _write(exported: export.Export, write: Callable[[str], object]) -> None:
    """Write an export, saying how far it is where that takes long."""
    told = lambda: f"exporting {exported.rows:,} of {exported.total:,} rows"  # noqa: E731
    with waiting.shown(told) as look:
        for part in exported.parts():
            write(part)
            look()
