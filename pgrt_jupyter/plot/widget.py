"""Show a result as a live chart in a notebook, fed from any thread.

`watched` keeps the views, `drawing` knows what is drawn, `viewer` writes what each view is sent.
"""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import traitlets

from .. import window
from ..watched import Watched, bundle
from ..window import Shown
from . import protocol
from .columns import choose
from .drawing import Drawing
from .options import Options
from .viewer import PlotViewer, Thinned, thinned

QUICK_POINTS = 20_000  # these are thinned in a millisecond
POINTS_PER_MESSAGE = 50_000  # as costly to thin as a message more to answer


class LivePlot(Watched):
    """Draw the last `Shown` it was given, in as many views as there are."""

    _esm = bundle("chart.js")
    _thread_name = "pgrt-plot"
    title = traitlets.Unicode().tag(sync=True)
    height = traitlets.Int(320).tag(sync=True)  # CSS pixels

    def __init__(
        self, *, title: str, options: Options, height: int = 320, persist: bool = False
    ) -> None:
        self.persist = persist  # rows in the notebook file
        self._options = options
        self._begin()
        self._attend(title=title, height=height)

    def _begin(self) -> None:
        """Make the lock and all that it guards."""
        self._watch_anew()
        self._drawing = Drawing(
            self._options, self._lock, lambda: bool(self._viewers), self._push_to_all
        )

    def abandon(self) -> None:
        """Let go of the parent's viewers in a forked child, and of locks that nobody will release."""
        shown = self._drawing.shown
        self._begin()
        self._drawing.shown = shown

    def show(self, shown: Shown) -> None:
        """Draw a result or tell a new status; callable from any thread. Once closed nothing happens."""
        if not self._closed:
            self._drawing.show(shown)

    def __repr__(self) -> str:
        return f"LivePlot(title={self.title!r})"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        made = super()._repr_mimebundle_(**kwargs)
        if made is None:
            return None
        data, metadata = made
        html = window.html_snapshot(self._drawing.shown, persist=self.persist)
        return {**data, "text/html": html}, metadata

    # -- what `watched` asks for

    def _parse(self, content: object) -> protocol.Request | None:
        return protocol.read(content)

    def _make_viewer(self, token: str) -> PlotViewer:
        return PlotViewer(token)

    def _want(self, viewer: PlotViewer, request: protocol.Request) -> None:
        viewer.want(request["width"], request["low"], request["high"])

    def _cost(self, request: protocol.Request) -> float:
        picture = self._drawing.picture
        if picture is None or request["type"] not in ("hello", "window"):
            return 1.0
        return 1.0 + picture.drawn.points / POINTS_PER_MESSAGE

    def _answer(self, viewer: PlotViewer, request: protocol.Request) -> None:
        """Note what a view says or wants, and send it what is due."""
        with self._lock:
            match request["type"]:
                case "hello" | "window":
                    self._want(viewer, request)
                case "beat":
                    viewer.behind = True
                case "ack":
                    viewer.acknowledge(request["of"])
        self._drawing.renew()
        with self._lock:
            self._push()

    def _send_to(self, viewer: PlotViewer) -> None:
        """Send a view what is due, or have a worker thin it first; with the lock held."""
        picture = self._drawing.told()
        if picture is None or viewer.is_composing:
            return  # being worked out
        if viewer.holds(picture):
            self._write_to(viewer, None)
        elif picture.drawn.points <= QUICK_POINTS:
            self._write_to(viewer, thinned(picture, viewer.wish))
        else:
            viewer.is_composing = True
            self._drawing.worker.put(lambda: self._compose(viewer))

    def _compose(self, viewer: PlotViewer) -> None:
        """Thin what a view is to be sent, on the worker's thread, and send it."""
        with self._lock:
            picture, wish = self._drawing.told(), viewer.wish
        assert picture is not None
        try:
            made = thinned(picture, wish)
        finally:
            viewer.is_composing = False
        with self._lock:
            if self._viewers.get(viewer.token) is not viewer:
                return
            self._write_to(viewer, made)
            if viewer.wish != wish:
                viewer.ask()
                self._send_to(viewer)
            elif self._drawing.told() is not picture:
                viewer.behind = True

    def _write_to(self, viewer: PlotViewer, made: Thinned | None) -> None:
        picture = self._drawing.told() if made is None else made.picture
        assert picture is not None
        clock = dt.datetime.now(dt.UTC)
        seq, now = next(self._seq), time.monotonic()
        message, buffers = viewer.compose(picture, made, seq=seq, now=now, clock=clock)
        self._say(message, buffers)

    def _end(self) -> None:
        self._drawing.worker.close()


def make(shown: Shown, title: str, options: Options, *, height: int, persist: bool) -> LivePlot:
    """Make a chart of a result; raises ConfigurationError for columns that cannot be drawn."""
    if shown.frame is not None:
        choose(shown.frame, shown.types, options)
    plot = LivePlot(title=title, options=options, height=height, persist=persist)
    plot.show(shown)
    return plot
