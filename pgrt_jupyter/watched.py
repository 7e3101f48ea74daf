"""Keep the views of a widget in browsers: who is there, who is owed something, who is gone.

What a widget shows goes to browsers as custom messages, pushed by whatever thread has news, so that it
moves while a cell keeps the kernel's main thread busy. This module holds the lock, the comm and the
thread that watches over unacknowledged pushes; what a view is sent is for the widget to say.

One lock guards everything, and nothing that takes long or calls others is done with it held, but
sending: it puts a message into a queue, and the order of messages is that of the decisions.
"""

from __future__ import annotations

import itertools
import pathlib
import threading
import time
from collections.abc import Callable
from typing import Any

import anywidget

from .allowance import Allowance
from .engine.interrupts import whole
from .kernel import main_loop, outside_cells, when_free
from .presence import Presence

MAX_VIEWERS = 64  # a browser is not trusted: tokens are its own invention
TICK = 1.0  # seconds
RATE, BURST = 200.0, 600.0  # messages a widget answers, per second and at once; a view sends a few


def bundle(name: str) -> str:
    """Read a built module; given its path, anywidget would keep every widget for ever."""
    path = pathlib.Path(__file__).parent / "static" / name
    if not path.is_file():
        raise ImportError(
            f"{path} is missing: it is built by `make setup` or by `npm run build` in js/"
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


class Watched(anywidget.AnyWidget):
    """Be a widget that knows its views.

    `on_viewers` is called with the number of views whenever it changes, on any thread.
    """

    _closed = True  # until it is made
    _thread_name = "pgrt-table"

    def _attend(self, **synced: Any) -> None:
        """Open the comm, with the values of synced traits; after `_watch_anew`."""
        self._seq = itertools.count(1)
        self._allowance = Allowance(RATE, BURST)
        self.on_viewers: Callable[[int], None] | None = None
        self._outside = outside_cells()
        self._closed = False
        self._outside.copy().run(lambda: super(Watched, self).__init__(**synced))
        self.on_msg(self._receive)

    def _watch_anew(self) -> None:
        """Make the lock and what it guards."""
        self._lock = threading.RLock()
        self._viewers_changed = threading.Condition(self._lock)
        self._viewers: dict[str, Any] = {}
        self._watcher: threading.Thread | None = None
        self._asked = False

    # -- what a widget says

    def _parse(self, content: object) -> Any:
        """Read a browser's message; None when it makes no sense."""
        raise NotImplementedError

    def _make_viewer(self, token: str) -> Presence:
        """Give what knows a new view."""
        raise NotImplementedError

    def _cost(self, request: Any) -> float:
        """Say how many messages' worth of work an answer is."""
        return 1.0

    def _want(self, viewer: Any, request: Any) -> None:
        """Note what a view wants to see, from a hello or a window."""
        raise NotImplementedError

    def _answer(self, viewer: Any, request: Any) -> None:
        """Do what a view says or asks for, and send it what is due; without the lock."""
        raise NotImplementedError

    def _send_to(self, viewer: Any) -> None:
        """Send a view what is due; with the lock held."""
        raise NotImplementedError

    def _dismissed(self, token: str) -> None:
        """Forget what else there is about a view; with the lock held."""

    def _end(self) -> None:
        """End what else runs, on closing."""

    # -- for users

    @whole
    def close(self) -> None:
        """Close it in every browser, its layout with it; a second call does nothing."""
        if self._closed:
            return
        with self._lock:
            self._closed = True
            self._viewers.clear()
            self._viewers_changed.notify_all()
            watcher = self._watcher
        if watcher is not None and watcher is not threading.current_thread():
            watcher.join()
        self._end()
        layout = self.layout
        super().close()
        layout.close()

    def close_soon(self) -> None:
        """Close when the kernel's main loop is free; safe while garbage is collected, on any thread."""
        loop = main_loop()
        if loop is not None:
            loop.call_soon_threadsafe(self.close)

    @property
    def viewers(self) -> int:
        """Count the views in browsers."""
        return len(self._viewers)

    # -- messages

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
        request = self._parse(content)
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

    def _meet(self, request: Any) -> Any:
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
            viewer = self._viewers[token] = self._make_viewer(token)
            self._watch()
        viewer.heard()
        if self._allowance.spend(self._cost(request), time.monotonic()):
            return viewer
        refused.add()
        if request["type"] in ("hello", "window"):
            self._want(viewer, request)
        viewer.behind = True  # answered with the next tick
        return None

    def _push(self) -> None:
        """Send every view what is due to it; with the lock held."""
        now = time.monotonic()
        for viewer in self._viewers.values():
            if viewer.may_be_sent(now):
                self._send_to(viewer)

    def _push_to_all(self) -> None:
        """Send every view what there is to show now."""
        with self._lock:
            for viewer in self._viewers.values():
                viewer.behind = True
            self._push()

    def _say(self, message: Any, buffers: list[bytes] | None = None) -> None:
        """Send a message that belongs to no cell; with the lock held."""
        arguments = (message,) if buffers is None else (message, buffers)
        self._outside.copy().run(self.send, *arguments)

    def _dismiss(self, token: str) -> None:
        """Let go of a view; with the lock held."""
        self._viewers.pop(token, None)
        self._dismissed(token)
        self._viewers_changed.notify_all()

    def _tell(self, before: int, after: int) -> None:
        if before != after and self.on_viewers is not None:
            self.on_viewers(after)

    # -- the watching thread

    def _watch(self) -> None:
        if self._watcher is None:
            name = self._thread_name
            self._watcher = threading.Thread(target=self._tick, name=name, daemon=True)
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
                when_free(self._main_is_free)

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
