"""Describe every message between the kernel and a chart in a browser.

`js/src/chart/protocol.ts` mirrors this file. Addresses, `seq`, `ack`, `beat` and `bye` are as in the table's
`protocol`, and so is the flow: one push in flight for each view.

    browser → kernel    hello    here I am, so many pixels wide; answer with a window
                        window   another width, or another range of x, please
                        ack      I have message `of`
                        beat     still here; answer with a state
                        bye      gone
    kernel → browser    window   the points to draw, and the state
                        state    the state alone

Numbers are in the message's buffers, 64-bit floats, least significant byte first; a series names its
buffers of x and y by their place. NaN in y is a gap. Times are seconds since 1970; one without a zone is
counted as if it were UTC. Where x is text it counts `categories` from 0.

`low` and `high` of a request are the range of x on the screen, null where it is all. Where there are
more points than a screen can show a window carries those that make the same picture at the width asked
for, and `whole` is false: for another range another window is asked for.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict, cast

from .. import incoming
from ..protocol import Failure
from .columns import Role
from .options import Kind

MAX_WIDTH = 20_000
MAX_X = 1e300  # what may be subtracted from each other


class State(TypedDict):
    """Say what the result is worth; as in the table's protocol."""

    version: int
    revision: int  # of what is drawn: grows with every result
    status: str
    message: str
    error: Failure | None
    refreshed_at: str | None
    age: float | None
    total: int  # rows of the result
    truncated: bool


class Line(TypedDict):
    """Name a series and where its numbers are."""

    label: str
    slot: int  # gives its colour
    x: int  # which buffer
    y: int


class Window(TypedDict):
    """Carry what is drawn."""

    type: Literal["window"]
    seq: int
    viewer: str
    state: State
    width: int  # what it was asked for, or was last
    low: float | None
    high: float | None
    kind: Kind
    role: Role  # of x
    x: str  # its name
    y: str  # its name, where all series have the same
    log: bool  # its axis is logarithmic
    categories: list[str]
    extent: tuple[float, float] | None  # of x, when nobody has zoomed
    series: list[Line]
    left_out: list[str]  # what there is no room for, in words
    problem: str  # why nothing is drawn
    points: int  # of all series
    whole: bool  # these are all


class StateOnly(TypedDict):
    """Carry the state of a picture the view already has."""

    type: Literal["state"]
    seq: int
    viewer: str
    state: State


FromKernel = Window | StateOnly


class Request(TypedDict, total=False):
    """Hold any message of a browser."""

    type: Literal["hello", "window", "ack", "beat", "bye"]
    seq: int
    viewer: str
    width: int  # CSS pixels
    low: float | None
    high: float | None
    of: int


def read(content: object) -> Request | None:
    """Return a browser's message holding only known, valid fields, or None."""
    request = incoming.read(content, _FIELDS)
    if request is not None and "low" in request:
        asked = cast(dict[str, Any], request)
        low, high = asked["low"], asked["high"]
        if (low is None) != (high is None) or (low is not None and not low < high):
            return None
    return cast("Request | None", request)


def _is_width(value: object) -> bool:
    return type(value) is int and 0 < value <= MAX_WIDTH


def _is_edge(value: object) -> bool:
    return value is None or (type(value) in (int, float) and abs(cast(float, value)) <= MAX_X)


_RANGE: dict[str, incoming.Check] = {"width": _is_width, "low": _is_edge, "high": _is_edge}
_FIELDS: dict[str, dict[str, incoming.Check]] = {
    "hello": _RANGE,
    "window": _RANGE,
    **{kind: incoming.FIELDS[kind] for kind in ("ack", "beat", "bye")},
}
