"""Decide what one view of a table in a browser is sent, and whether anybody is still there.

Time comes in as `now`, in seconds; nothing is sent from here. The rules:

- One push is in flight. While it is not acknowledged further updates only mark the viewer as
  behind; the acknowledgement brings the newest state, whatever was skipped.
- A kernel running a cell may be unable to hear acknowledgements, while the browser sees every push.
  So an unacknowledged push holds back the next one for a second, not for ever.
- A viewer is gone after it said bye, or after the kernel was free to hear it and heard nothing: for
  `UNANSWERED` seconds with a push in flight, for `SILENT` seconds without (browsers send a beat
  every five), so that nothing is sent 15 s after a page was left. Time during which the kernel was
  busy does not count.
- What changed since the last push goes out as a patch if the viewer holds the same rows and columns
  and at most half of the cells differ; else as a whole window.
"""

from __future__ import annotations

import datetime as dt

from . import window
from .protocol import Cells, Column, FromKernel

UNANSWERED = 9.0
SILENT = 12.0
HOLD_BACK = 1.0


class Viewer:
    """Know what one view holds and what it is waiting for."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.behind = True
        self._wish = (0, 0)
        self._held: tuple[int, list[Column], Cells] | None = None  # first row, columns, text
        self._version = 0
        self._unacknowledged: int | None = None
        self._pushed_at = 0.0
        self._quiet = 0.0

    def want(self, start: int, count: int) -> None:
        """Take the rows the view shows; the next message carries them in full."""
        self._wish = (start, count)
        self._held = None

    def heard(self) -> None:
        """Note that the view gave a sign of life."""
        self._quiet = 0.0

    def acknowledge(self, seq: int) -> None:
        """Note that the view has a message; a late acknowledgement of an older one is none."""
        if seq == self._unacknowledged:
            self._unacknowledged = None

    def free(self, seconds: float) -> None:
        """Note that the kernel was free to hear the view for this long, and did not."""
        self._quiet += seconds

    @property
    def is_gone(self) -> bool:
        """Tell whether nobody is there any more."""
        return self._quiet >= (SILENT if self._unacknowledged is None else UNANSWERED)

    def may_be_sent(self, now: float) -> bool:
        """Tell whether a push is due and allowed."""
        free = self._unacknowledged is None or now - self._pushed_at >= HOLD_BACK
        return self.behind and free

    def compose(
        self, shown: window.Shown, text: window.Text, *, seq: int, now: float, clock: dt.datetime
    ) -> FromKernel:
        """Write the message that brings the view to `shown`, and take it as pushed."""
        state = window.state(shown, clock)
        columns = window.columns(shown)
        start, whole, cells = text.window(*self._wish)
        changes = self._changes(start, columns, cells)
        base, self._version = self._version, shown.version
        self._held = (start, columns, cells)
        self.behind = False
        self._unacknowledged, self._pushed_at = seq, now
        if changes is None:
            return {
                "type": "window",
                "seq": seq,
                "viewer": self.token,
                "state": state,
                "start": start,
                "whole": whole,
                "columns": columns,
                "cells": cells,
            }
        if base == shown.version and not changes:
            return {"type": "state", "seq": seq, "viewer": self.token, "state": state}
        return {
            "type": "patch",
            "seq": seq,
            "viewer": self.token,
            "state": state,
            "base": base,
            "start": start,
            "changes": changes,
        }

    def _changes(
        self, start: int, columns: list[Column], cells: Cells
    ) -> list[tuple[int, list[int], list[str | None]]] | None:
        """List changed cells, or None where a whole window is needed or shorter."""
        if self._held is None or self._held[0] != start or self._held[1] != columns:
            return None
        before = self._held[2]
        rows = len(cells[0]) if cells else 0
        if (len(before[0]) if before else 0) != rows:
            return None
        changed = window.changes(before, cells)
        count = sum(len(numbers) for _, numbers, _ in changed)
        return changed if 2 * count <= rows * len(columns) else None
