"""Decide what one view of a table in a browser is sent; `presence` decides when.

Time comes in as `now`, in seconds; nothing is sent from here. The rules:

- What changed since the last push goes out as a patch if at most half of the cells travel with it;
  else as a whole window.
- When rows come or go above the anchor, the first row on the view's screen, the window moves along;
  if the anchor itself is gone, its next neighbour that is left takes its place.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, cast

from .displayed import Displayed
from .patch import Carried, Difference, difference
from .presence import Presence
from .protocol import FromKernel
from .selection import NOTHING, Selection

NEIGHBOURS = 1_000  # rows below a vanished anchor that may stand for it


@dataclass(frozen=True, slots=True)
class Wish:
    """Hold which rows a view wants, and by which row it holds on."""

    start: int = 0
    count: int = 0
    anchor: int | None = None  # an identity
    revision: int = 0  # in which `start` counts


class Viewer(Presence):
    """Know what one view of a table holds."""

    def __init__(self, token: str) -> None:
        super().__init__(token)
        self._wish = Wish()
        self._held: Carried | None = None
        self._sent: list[Displayed] = []  # the last two
        self._told: dict[str, Any] = {}  # arrangement and selection

    def want(self, start: int, count: int, anchor: int | None = None, revision: int = 0) -> None:
        """Take the rows the view shows; the next message carries them in full, and at once."""
        self._wish = Wish(start, count, anchor, revision)
        self._held = None
        self.ask()

    def forget(self) -> None:
        """Tell the view anew what all views share, as after a hello."""
        self._told = {}

    def sent(self, revision: int) -> Displayed | None:
        """Give what the view was sent as this revision, while it may still speak of it."""
        return next((one for one in self._sent if one.revision == revision), None)

    def compose(
        self,
        displayed: Displayed,
        selection: Selection = NOTHING,
        *,
        seq: int,
        now: float,
        clock: dt.datetime,
    ) -> FromKernel:
        """Write the message that brings the view to `displayed`, and take it as pushed."""
        shift = self._follow(displayed)
        rows, cells = displayed.window(self._wish.start, self._wish.count)
        numbers = displayed.numbers(rows)
        carried = Carried(start=rows.start, columns=displayed.columns, rows=numbers, cells=cells)
        found = difference(self._held, carried)
        base = self._sent[-1].revision if self._sent else 0
        held, self._held = self._held, carried
        self._sent = [*self._sent, displayed][-2:] if base != displayed.revision else self._sent
        self.pushed(seq, now)
        message: dict[str, Any] = {"seq": seq, "viewer": self.token}
        message["state"] = displayed.state(clock)
        placed = {"start": rows.start, "shift": shift, "whole": len(rows) == displayed.rows}
        if found is None:
            window = {"columns": displayed.columns, "rows": numbers, "cells": cells}
            message |= {"type": "window", **placed, **window}
        elif base == displayed.revision and found == Difference() and held is not None:
            message |= {"type": "state"}
        else:
            changes = {"rows": found.pieces, "changes": found.changes}
            message |= {"type": "patch", "base": base, **placed, **changes}
        selected = selection.among(numbers)
        message |= self._news(arrangement=displayed.arranged(), selected=selected)
        return cast(FromKernel, message)

    def _news(self, **shared: Any) -> dict[str, Any]:
        """Give what the views of a table share, where it is not what this one was told last."""
        news = {name: value for name, value in shared.items() if self._told.get(name) != value}
        self._told |= news
        return news

    def _follow(self, displayed: Displayed) -> int:
        """Move the wish along with its anchor, into the numbering of `displayed`; say how far."""
        wish, before = self._wish, self.sent(self._wish.revision)
        revision = displayed.revision
        if (
            before is None
            or wish.revision == revision
            or before.arrangement != displayed.arrangement
        ):
            self._wish = Wish(wish.start, wish.count, wish.anchor, revision)
            return 0
        anchor, shift = _moved(wish.anchor, before, displayed)
        self._wish = Wish(max(0, wish.start + shift), wish.count, anchor, revision)
        return shift


def _moved(anchor: int | None, before: Displayed, now: Displayed) -> tuple[int | None, int]:
    """Find which row to hold on by, and by how many rows it moved."""
    row = -1 if anchor is None else before.row(anchor)
    if row < 0 or before.identities.line is not now.identities.line:
        return anchor, 0
    numbers = before.numbers(before.clamp(row, NEIGHBOURS))
    found = now.rows_of(numbers)
    for place, number in enumerate(numbers, row):
        if number in found:
            return number, found[number] - place
    return None, 0
