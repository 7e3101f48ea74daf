"""Hold what a table displays at one moment: a result, its rows' identities, and their order.

A `Displayed` is made off every lock and never changed; what it is asked for often, it remembers.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from . import protocol, window
from .arrange import Order, arrange
from .arrangement import Arrangement, for_browser
from .identity import Identities, identify
from .protocol import Cell, Cells, Column, State
from .texts import Positions, arrow, take
from .window import Shown

log = logging.getLogger("pgrt_jupyter")

MAX_WINDOW_CELLS = 100_000
MAX_WHOLE_ROWS = 2_000
MAX_WHOLE_CHARACTERS = 256 * 1024
_NO_ROWS = pd.DataFrame()


class Displayed:
    """Know the rows of one revision; row numbers count from 0 after sorting and filtering."""

    def __init__(
        self,
        revision: int,
        shown: Shown,
        arrangement: Arrangement,
        identities: Identities,
        order: Order,
    ) -> None:
        self.revision = revision
        self.shown = shown
        self.arrangement = arrangement
        self.identities = identities
        self.order = order
        self.columns: list[Column] = window.columns(shown)
        self._texts: dict[str, Any] = {}
        self._last: tuple[pd.DataFrame, Cells] | None = None

    def told(self, shown: Shown) -> Displayed:
        """Give the same rows with another status."""
        other = Displayed(self.revision, shown, self.arrangement, self.identities, self.order)
        other._texts = self._texts
        return other

    @property
    def frame(self) -> pd.DataFrame:
        """The result; without rows and columns before there is one."""
        return self.identities.frame

    @property
    def names(self) -> list[str]:
        """The columns' names."""
        return [column["name"] for column in self.columns]

    @property
    def rows(self) -> int:
        """Count the rows displayed."""
        positions = self.order.positions
        return len(self.frame) if positions is None else len(positions)

    def positions(self, rows: range) -> Positions:
        """Say where in the frame rows are."""
        if self.order.positions is None:
            return np.arange(rows.start, rows.stop)
        return self.order.positions[rows.start : rows.stop]

    def numbers(self, rows: range) -> list[int]:
        """Give the identities of rows."""
        found: list[int] = self.identities.of(self.positions(rows)).tolist()
        return found

    def row(self, number: int) -> int:
        """Find the row of an identity; -1 when it is not displayed."""
        position = self.identities.position(number)
        if position < 0 or self.order.positions is None:
            return position
        found = np.flatnonzero(self.order.positions == position)
        return int(found[0]) if len(found) else -1

    def rows_of(self, numbers: Sequence[int]) -> dict[int, int]:
        """Find the rows of identities, as far as they are displayed."""
        positions = self.identities.positions(np.array(numbers, np.int64))
        rows = positions
        if self.order.positions is not None:
            rows = np.flatnonzero(np.isin(self.order.positions, positions))
            positions = self.order.positions[rows]
        return dict(zip(self.identities.of(positions).tolist(), rows.tolist(), strict=True))

    def in_order(self, numbers: Positions) -> Positions:
        """Give the positions of rows by identity, in the order they are displayed."""
        positions, order = self.identities.positions(numbers), self.order.positions
        return positions if order is None else order[np.isin(order, positions)]

    def part(self, rows: range, columns: Sequence[int] | None = None) -> list[pd.Series[Any]]:
        """Take rows of some columns, or of all."""
        if self.order.positions is not None:
            return self.taken(self.positions(rows), columns)
        part = self.frame.iloc[rows.start : rows.stop]
        return [part.iloc[:, place] for place in self._chosen(columns)]

    def taken(
        self, positions: Positions, columns: Sequence[int] | None = None
    ) -> list[pd.Series[Any]]:
        """Take rows by their positions in the frame."""
        return [take(self.frame.iloc[:, place], positions) for place in self._chosen(columns)]

    def _chosen(self, columns: Sequence[int] | None) -> Sequence[int]:
        return range(self.frame.shape[1]) if columns is None else columns

    def window(self, start: int, count: int) -> tuple[range, Cells]:
        """Give the rows to send to who wishes for these, all when they are few, and their text."""
        whole = self._whole()
        if whole is not None:
            return range(self.rows), whole
        rows = self.clamp(start, count)
        if self._texts.get("rows") != rows:
            self._texts["rows"], self._texts["cells"] = rows, self._cells(rows)
        return rows, self._texts["cells"]

    def clamp(self, start: int, count: int) -> range:
        """Fit a wished window into the rows there are and into what one message may carry."""
        first = min(start, self.rows)
        most = max(1, MAX_WINDOW_CELLS // max(1, self.frame.shape[1]))
        return range(first, min(self.rows, first + min(count, most)))

    def state(self, now: dt.datetime) -> State:
        """Describe the result's state as of `now`, an aware time."""
        shown, at = self.shown, self.shown.refreshed_at
        return {
            "version": shown.version,
            "revision": self.revision,
            "status": shown.status,
            "message": shown.message,
            "error": shown.error,
            "refreshed_at": at.isoformat() if at else None,
            "age": max(0.0, round((now - at).total_seconds(), 3)) if at else None,
            "total": len(self.frame),
            "filtered": self.rows,
            "truncated": shown.truncated,
            "paused": shown.status == "paused",
            "acts": shown.acts,
            "keyed": self.identities.keyed,
            "next": self.identities.next,
        }

    def arranged(self) -> protocol.Arrangement:
        """Describe the arrangement to a browser."""
        return for_browser(self.arrangement, self.names, self.order.problems)

    def _whole(self) -> Cells | None:
        """Give the text of all rows when that is little enough to send with every update."""
        if "whole" not in self._texts:
            self._texts["whole"] = self._measured()
        whole: Cells | None = self._texts["whole"]
        return whole

    def _measured(self) -> Cells | None:
        size = self.rows * max(1, self.frame.shape[1])
        if self.rows > MAX_WHOLE_ROWS or size > MAX_WHOLE_CHARACTERS:
            return None
        everything = self._everything()
        characters = sum(len(cell or "") + 3 for column in everything for cell in column)
        return everything if characters <= MAX_WHOLE_CHARACTERS else None

    def _everything(self) -> Cells:
        """Write all rows, taking over the columns that are as they were in the last result."""
        last, self._last = self._last, None
        if last is None:
            return self._cells(range(self.rows))
        frame, cells = last
        return [
            old if _is_same(column, frame.iloc[:, at]) else _written(column)
            for at, (column, old) in enumerate(zip(self.part(range(self.rows)), cells, strict=True))
        ]

    def build_on(self, before: Displayed) -> None:
        """Take over what the last result has written, where rows are where they were."""
        whole = before._texts.get("whole")
        same = self.order.positions is None and before.order.positions is None
        if whole and same and self.columns == before.columns and self.rows == before.rows:
            self._last = before.frame, whole

    def _cells(self, rows: range) -> Cells:
        return [_written(column) for column in self.part(rows)]


def display(
    before: Displayed | None, shown: Shown, arrangement: Arrangement, revision: int
) -> Displayed:
    """Work out what to display; takes up to a second or two for a million rows."""
    frame = _NO_ROWS if shown.frame is None else shown.frame
    last = before.identities if before is not None and before.shown.frame is not None else None
    if last is not None and last.frame is frame and last.key == shown.key:
        identities = last
    else:
        identities = identify(last, frame, shown.key)
    order = Order(None)
    if arrangement and shown.frame is not None:
        order = _arranged(frame, shown.types, arrangement)
    made = Displayed(revision, shown, arrangement, identities, order)
    if before is not None:
        made.build_on(before)
    return made


def _is_same(column: pd.Series[Any], last: pd.Series[Any]) -> bool:
    """Tell whether two columns surely have one text; floats and objects can be equal and have two."""
    data, before = arrow(column), arrow(last)
    if data is None or before is None or pa.types.is_floating(data.type):
        return False
    return bool(data.equals(before))


def _written(column: pd.Series[Any]) -> list[Cell]:
    return [window.text(value) for value in window.values(column)]


def _arranged(frame: pd.DataFrame, types: Sequence[str], arrangement: Arrangement) -> Order:
    """Arrange, and show all rows where values turn up that nobody thought of."""
    try:
        return arrange(frame, types, arrangement)
    except Exception as error:
        log.exception("a table could not be arranged")
        return Order(None, (f"cannot be arranged: {error}",))
