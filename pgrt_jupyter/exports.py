"""Send exports to browsers part by part, each when the one before is acknowledged."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .export import Export
from .worker import Worker


@dataclass(slots=True)
class _Running:
    """Hold one export."""

    export: Export
    request: int  # its number
    part: int = 0  # the number of the message to be acknowledged


class Exports:
    """Own the exports under way, one a view at most.

    `send` sends a view a message with a buffer and gives the message's number. The lock is held for
    the books alone, not while text is written.
    """

    def __init__(
        self,
        lock: threading.RLock,
        worker: Worker,
        send: Callable[[str, dict[str, Any], bytes | None], int],
    ) -> None:
        self._lock = lock
        self._worker = worker
        self._send = send
        self._running: dict[str, _Running] = {}

    def begin(self, viewer: str, request: int, export: Export) -> None:
        """Begin an export in place of the one that the view may have under way."""
        with self._lock:
            running = self._running[viewer] = _Running(export, request)
        self._worker.put(lambda: self._next(viewer, running))

    def acknowledge(self, viewer: str, part: int) -> None:
        """Go on when a view has the last part."""
        with self._lock:
            running = self._running.get(viewer)
            if running is None or running.part != part:
                return
            running.part = 0
        self._worker.put(lambda: self._next(viewer, running))

    def stop(self, viewer: str) -> None:
        """Forget a view's export."""
        with self._lock:
            self._running.pop(viewer, None)

    def _next(self, viewer: str, running: _Running) -> None:
        if self._running.get(viewer) is not running:
            return
        export, error, text = running.export, "", ""
        try:
            text = export.part()
        except Exception as raised:  # whatever a value did: the view must not wait for ever
            error = f"{type(raised).__name__}: {raised}"
        done = export.is_done or bool(error)
        with self._lock:
            if self._running.get(viewer) is not running:
                return
            if done:
                del self._running[viewer]
            running.part = self._send(
                viewer,
                {
                    "type": "export",
                    "of": running.request,
                    "rows": export.rows,
                    "total": export.total,
                    "done": done,
                    "error": error,
                },
                text.encode(errors="replace"),
            )
