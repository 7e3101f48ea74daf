"""Show a result as a live table in a notebook, fed from any thread.

The front end gets rows as custom messages (`protocol`), pushed by whatever thread calls `show`, so
that a table moves while a cell keeps the kernel's main thread busy. `content` knows what is displayed,
`viewer` decides what each view gets of it, `answers` answers its requests; this module holds the lock,
the comm and the thread that watches over unacknowledged pushes.

One lock guards everything, and nothing that takes long or calls others is done with it held, but
sending: it puts a message into a queue, and the order of messages is that of the decisions.
"""

from __future__ import annotations

import contextvars
import datetime as dt
import itertools
import pathlib
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import anywidget
import traitlets

from . import arrangement, export, incoming, protocol, waiting, window
from .allowance import Allowance
from .answers import Answers
from .arrangement import Arrangement
from .content import Content
from .displayed import MAX_WINDOW_CELLS
from .engine.interrupts import whole
from .shared import Shared
from .viewer import Viewer
from .window import Shown

MAX_VIEWERS = 64  # a browser is not trusted: tokens are its own invention
TICK = 1.0  # seconds
RATE, BURST = 200.0, 600.0  # messages a table answers, per second and at once; a view sends a few
CELLS_PER_MESSAGE = 2_000  # as costly to answer as a message more
COSTS = {"arrange": 10.0, "copy": 10.0, "export": 50.0}  # in messages; what goes through all rows


def _bundle() -> str:
    """Read the built table; given its path, anywidget would keep every table for ever."""
    path = pathlib.Path(__file__).parent / "static" / "widget.js"
    if not path.is_file():
        raise ImportError(
            f"{path} is missing: the table is built by `make setup` or by `npm run build` in js/"
        )
    return path.read_text(encoding="utf-8")


class _Refused:
    """Count the messages of browsers that were ignored: they made no sense, or were too many."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def add(self) -> None:
        """Count one more; from any thread."""
        with self._lock:
            self.count += 1


refused = _Refused()


class LiveTable(Shared, anywidget.AnyWidget):
    """Show the last `Shown` it was given, in as many views as there are.

    `on_viewers` is called with the number of views whenever it changes, on any thread; `act`, on any
    thread as well, with "pause", "resume" or "refresh" when somebody asks for it in a browser.
    Observers of `sort`, `search`, `filters` and `selected` run on the kernel's main loop when it was a
    browser or an update that changed them.
    """

    _esm = _bundle()
    title = traitlets.Unicode().tag(sync=True)
    height = traitlets.Int(320).tag(sync=True)  # CSS pixels
    _closed = True  # until it is made

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
        self._seq = itertools.count(1)
        self._act = act
        self._allowance = Allowance(RATE, BURST)
        self.persist = persist  # rows in the notebook file
        self.on_viewers: Callable[[int], None] | None = None
        self._outside = _outside_cells()
        self._closed = False
        self._outside.copy().run(
            lambda: super(LiveTable, self).__init__(title=title, height=height)
        )
        self.on_msg(self._receive)

    def _begin(self, arranged: Arrangement) -> None:
        """Make the lock and all that it guards."""
        self._lock = threading.RLock()
        self._viewers_changed = threading.Condition(self._lock)
        self._viewers: dict[str, Viewer] = {}
        self._watcher: threading.Thread | None = None
        self._asked = False
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

    @whole
    def close(self) -> None:
        """Close the table in every browser, its layout with it; a second call does nothing."""
        if self._closed:
            return
        with self._lock:
            self._closed = True
            self._viewers.clear()
            self._viewers_changed.notify_all()
            watcher = self._watcher
        if watcher is not None and watcher is not threading.current_thread():
            watcher.join()
        self._content.worker.close()
        layout = self.layout
        super().close()
        layout.close()

    def close_soon(self) -> None:
        """Close when the kernel's main loop is free; safe while garbage is collected, on any thread."""
        loop = getattr(getattr(_kernel(), "io_loop", None), "asyncio_loop", None)
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self.close)

    @property
    def viewers(self) -> int:
        """Count the views in browsers."""
        return len(self._viewers)

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

    @whole
    def _handle_msg(self, msg: Any) -> None:
        """Take a message of the comm; a browser may talk to us, and not set what we synchronise."""
        content = msg.get("content") if isinstance(msg, dict) else None
        data = content.get("data") if isinstance(content, dict) else None
        method = data.get("method") if isinstance(data, dict) else None
        if method == "request_state" or (method == "custom" and "content" in (data or ())):
            super()._handle_msg(msg)
        else:
            refused.add()

    def _receive(self, _widget: object, content: object, _buffers: object) -> None:
        """Take a browser's message, on whatever thread the kernel handles comms."""
        request = incoming.read(content)
        if request is None:
            refused.add()
            return
        before = self.viewers
        with self._lock:
            viewer = None if self._closed else self._meet(request)
            after = self.viewers
        if viewer is not None:
            self._answer(viewer, request)
        self._tell(before, after)

    def _meet(self, request: protocol.Request) -> Viewer | None:
        """Keep the list of views; give the one that is to be answered."""
        token = request["viewer"]
        if request["type"] == "bye":
            self._dismiss(token)
            return None
        viewer = self._viewers.get(token)
        if viewer is None:
            if request["type"] != "hello":
                return None  # let go of meanwhile: it will say hello
            if len(self._viewers) >= MAX_VIEWERS:
                refused.add()
                return None
            viewer = self._viewers[token] = Viewer(token)
            self._watch()
        viewer.heard()
        if self._affordable(request):
            return viewer
        refused.add()
        if "start" in request:
            _want(viewer, request)
        viewer.behind = True  # answered with the next tick
        return None

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
                    _want(viewer, request)
                    if request["type"] == "hello":
                        viewer.forget()
                case "beat":
                    viewer.behind = True
                case "ack":
                    viewer.acknowledge(request["of"])

    def _news(self) -> None:
        """Send every view what is displayed now, and tell observers."""
        with self._lock:
            for viewer in self._viewers.values():
                viewer.behind = True
            self._push()
        self._tell_observers_soon()

    def _affordable(self, request: protocol.Request) -> bool:
        """Say whether there is time to answer, after all that was asked before."""
        frame = self._content.shown.frame
        rows = min(request.get("count", 0), 0 if frame is None else len(frame))
        cells = rows * (0 if frame is None else frame.shape[1])
        cost = COSTS.get(request["type"], 1.0) + min(cells, MAX_WINDOW_CELLS) / CELLS_PER_MESSAGE
        return self._allowance.spend(cost, time.monotonic())

    def _push(self) -> None:
        now = time.monotonic()
        for viewer in self._viewers.values():
            if viewer.may_be_sent(now):
                self._send_to(viewer)

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
        self._outside.copy().run(self.send, message)

    def _send_answer(self, viewer: str, answer: dict[str, Any], buffer: bytes | None) -> int:
        """Send an answer to a view that is still there; with the lock held."""
        seq = next(self._seq)
        if viewer in self._viewers:
            message = {**answer, "seq": seq, "viewer": viewer}
            if buffer is not None:
                message["name"] = export.file_name(self.title)
            self._outside.copy().run(self.send, message, None if buffer is None else [buffer])
        return seq

    def _dismiss(self, token: str) -> None:
        """Let go of a view; with the lock held."""
        self._viewers.pop(token, None)
        self._answers.exports.stop(token)
        self._viewers_changed.notify_all()

    def _on_main(self, call: Callable[[], None]) -> None:
        _when_free(call)

    def _tell(self, before: int, after: int) -> None:
        if before != after and self.on_viewers is not None:
            self.on_viewers(after)

    def _watch(self) -> None:
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._tick, name="pgrt-table", daemon=True)
            self._watcher.start()

    def _tick(self) -> None:
        """Push what was held back and let go of silent viewers, while there are any."""
        while True:
            with self._lock:
                self._viewers_changed.wait_for(lambda: not self._viewers, TICK)
                if not self._viewers:
                    self._watcher = None
                    return
                self._push()
                ask, self._asked = not self._asked, True
            if ask:
                _when_free(self._main_is_free)

    def _main_is_free(self) -> None:
        with self._lock:
            self._asked = False
            before = self.viewers
            for viewer in list(self._viewers.values()):
                viewer.free(TICK)
                if viewer.is_gone:
                    self._dismiss(viewer.token)
            self._viewers_changed.notify_all()
            after = self.viewers
        self._tell(before, after)


def _want(viewer: Viewer, request: protocol.Request) -> None:
    """Note which rows a view wants."""
    viewer.want(request["start"], request["count"], request["anchor"], request["revision"])


def _kernel() -> Any:
    """Return the running ipykernel, or None; without importing IPython where nobody else did."""
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None)


def _when_free(call: Callable[[], None]) -> None:
    """Call on the kernel's main loop once it is free; at once where there is none."""
    loop = getattr(getattr(_kernel(), "io_loop", None), "asyncio_loop", None)
    if loop is None or loop.is_closed():
        call()
    else:
        loop.call_soon_threadsafe(call)


def _outside_cells() -> contextvars.Context:
    """Give a context in which a comm message belongs to no cell.

    ipykernel 7.4 routes replies on a comm to the shell of the cell that last sent on it, which is
    the main one and may be busy; a message without a parent leaves the front end's own choice, a
    subshell in JupyterLab, so that scrolling is answered while a cell runs. Others ignore this.
    """
    context = contextvars.copy_context()
    parent = getattr(_kernel(), "_shell_parent", None)
    if isinstance(parent, contextvars.ContextVar):
        context.run(parent.set, {})
    return context


def _write(exported: export.Export, write: Callable[[str], object]) -> None:
    """Write an export, saying how far it is where that takes long."""
    told = lambda: f"exporting {exported.rows:,} of {exported.total:,} rows"  # noqa: E731
    with waiting.shown(told) as look:
        for part in exported.parts():
            write(part)
            look()
