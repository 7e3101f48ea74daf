"""Write what one view of a chart is sent: as many points as it can show, where it looks.

A range is sent with half of its width on either side, so that moving a little finds points there.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np

from ..presence import Presence
from . import thin
from .drawing import Picture
from .numbers import Floats
from .protocol import FromKernel, Line, State
from .series import Drawn, Series

MAX_WHOLE = 4_000  # points that are sent as they are
MAX_POINTS = 16_000  # of one message, 16 bytes each
_FEWEST = 20  # buckets of a series


@dataclass(frozen=True, slots=True)
class Wish:
    """Hold what a view can show: its width in pixels, and the range of x when it has zoomed."""

    width: int = 800
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Thinned:
    """Hold what is sent of a picture for one wish."""

    picture: Picture
    wish: Wish
    series: tuple[Series, ...]
    whole: bool


class PlotViewer(Presence):
    """Know what one view of a chart holds."""

    def __init__(self, token: str) -> None:
        super().__init__(token)
        self.wish = Wish()
        self.is_composing = False  # a worker thins what it is to be sent
        self._held: tuple[int, Wish] | None = None

    def want(self, width: int, low: float | None = None, high: float | None = None) -> None:
        """Take what the view can show; the next message carries points, and at once."""
        self.wish = Wish(width, low, high)
        self._held = None
        self.ask()

    def holds(self, picture: Picture) -> bool:
        """Tell whether the view has this picture as it wants it."""
        return self._held == (picture.revision, self.wish)

    def compose(
        self, picture: Picture, thinned: Thinned | None, *, seq: int, now: float, clock: dt.datetime
    ) -> tuple[FromKernel, list[bytes] | None]:
        """Write the message that brings the view to `picture`, with its buffers, and take it as pushed.

        Without points, where the view holds them, it is the state alone.
        """
        self.pushed(seq, now)
        message: dict[str, Any] = {"seq": seq, "viewer": self.token}
        message["state"] = state(picture, clock)
        if thinned is None:
            return cast(FromKernel, message | {"type": "state"}), None
        self._held = (picture.revision, thinned.wish)
        lines, buffers = packed(thinned.series)
        message |= {"type": "window", **asdict(thinned.wish)}
        message |= {**_about(picture.drawn), "whole": thinned.whole}
        return cast(FromKernel, message | {"series": lines}), buffers


def thinned(picture: Picture, wish: Wish) -> Thinned:
    """Leave as many points as a wish can show."""
    drawn = picture.drawn
    if drawn.points <= MAX_WHOLE or drawn.role == "text":
        return Thinned(picture, wish, drawn.series, True)
    low, high, width = wish.low, wish.high, wish.width
    if low is not None and high is not None:
        margin = (high - low) / 2
        low, high, width = low - margin, high + margin, 2 * width
    most = MAX_POINTS // max(1, len(drawn.series))
    buckets = max(_FEWEST, min(width, most // 2))
    series, cut = [], False
    for one in drawn.series:
        rows = thin.part(one.x, low, high)
        x, y = one.x[rows], one.y[rows]
        cut = cut or len(x) < len(one.x)
        if drawn.kind == "scatter" and len(x) > most:
            kept = thin.spread(x, np.log(y) if drawn.log else y, most)
        elif drawn.kind != "scatter" and len(x) > 2 * buckets:
            kept = thin.extremes(x, y, buckets)
        else:
            series.append(Series(one.label, x, y, one.slot))
            continue
        cut = True
        series.append(Series(one.label, x[kept], y[kept], one.slot))
    return Thinned(picture, wish, tuple(series), not cut)


def packed(series: tuple[Series, ...]) -> tuple[list[Line], list[bytes]]:
    """Write the numbers of series into buffers; series that share their x share its buffer."""
    places: dict[int, int] = {}
    buffers: list[bytes] = []

    def place(values: Floats) -> int:
        if id(values) not in places:
            places[id(values)] = len(buffers)
            buffers.append(np.ascontiguousarray(values, "<f8").tobytes())
        return places[id(values)]

    lines: list[Line] = [
        {"label": one.label, "slot": one.slot, "x": place(one.x), "y": place(one.y)}
        for one in series
    ]
    return lines, buffers


def state(picture: Picture, now: dt.datetime) -> State:
    """Describe the result's state as of `now`, an aware time."""
    shown, at = picture.shown, picture.shown.refreshed_at
    return {
        "version": shown.version,
        "revision": picture.revision,
        "status": shown.status,
        "message": shown.message,
        "error": shown.error,
        "refreshed_at": at.isoformat() if at else None,
        "age": max(0.0, round((now - at).total_seconds(), 3)) if at else None,
        "total": 0 if shown.frame is None else len(shown.frame),
        "truncated": shown.truncated,
    }


def _about(drawn: Drawn) -> dict[str, Any]:
    return {
        "kind": drawn.kind,
        "role": drawn.role,
        "x": drawn.x_label,
        "y": drawn.y_label,
        "log": drawn.log,
        "categories": list(drawn.categories),
        "extent": drawn.extent,
        "left_out": list(drawn.left_out),
        "problem": drawn.problem,
        "points": drawn.points,
    }
