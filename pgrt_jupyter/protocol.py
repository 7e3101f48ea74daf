"""Describe every message between the kernel and a table in a browser.

`js/src/protocol.ts` mirrors this file. All are custom messages of the widget's comm: rows never
travel as traits, which would be saved with the notebook. Every message names its `type`, a `seq`
that grows by sender, and the `viewer`: the random token a view in a browser chose for itself, since
a comm reaches all views of a widget. No field is called `id`: ipykernel 7.4 routes comm replies by
a string of that name.

    browser → kernel    hello    here I am, showing these rows; answer with a window
                        window   these rows, please
                        ack      I have message `of`
                        beat     still here; answer with a state
                        bye      gone
    kernel → browser    window   rows, as text by column, and the state
                        patch    the cells that changed since version `base`, and the state
                        state    the state alone

A cell is text as PostgreSQL would print it, or null for NULL. Samples of both directions are in
`tests/protocol/`, read by the test suites of both sides.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict, cast

Kind = Literal["number", "text", "boolean", "time", "json", "binary"]
Cell = str | None
Cells = list[list[Cell]]  # by column, then by row

MAX_TOKEN = 64
MAX_NUMBER = 2**53 - 1  # what a JavaScript number holds exactly


class Column(TypedDict):
    """Name a column, its PostgreSQL type and how to draw it."""

    name: str
    type: str
    kind: Kind


class State(TypedDict):
    """Say what the result is worth."""

    version: int  # of the result; 0 before the first
    status: str
    message: str  # why, when the status needs a reason
    refreshed_at: str | None  # ISO 8601
    age: float | None  # seconds since then on the kernel's clock
    total: int  # rows of the whole result
    truncated: bool


class Window(TypedDict):
    """Carry the rows from `start` on; `whole` when these are all rows there are."""

    type: Literal["window"]
    seq: int
    viewer: str
    state: State
    start: int
    whole: bool
    columns: list[Column]
    cells: Cells


class Patch(TypedDict):
    """Carry changed cells: (column, rows counted from `start`, their new text)."""

    type: Literal["patch"]
    seq: int
    viewer: str
    state: State
    base: int
    start: int
    changes: list[tuple[int, list[int], list[Cell]]]


class StateOnly(TypedDict):
    """Carry the state of a result the viewer already has."""

    type: Literal["state"]
    seq: int
    viewer: str
    state: State


FromKernel = Window | Patch | StateOnly


class Request(TypedDict, total=False):
    """Hold any message of a browser; `start` and `count` with hello and window, `of` with ack."""

    type: Literal["hello", "window", "ack", "beat", "bye"]
    seq: int
    viewer: str
    start: int
    count: int
    of: int


_FIELDS: dict[str, tuple[str, ...]] = {
    "hello": ("seq", "start", "count"),
    "window": ("seq", "start", "count"),
    "ack": ("seq", "of"),
    "beat": ("seq",),
    "bye": ("seq",),
}


def read(content: object) -> Request | None:
    """Return a browser's message holding only known, valid fields, or None."""
    if not isinstance(content, dict):
        return None
    kind, viewer = content.get("type"), content.get("viewer")
    if not isinstance(kind, str) or kind not in _FIELDS:
        return None
    if not isinstance(viewer, str) or not 0 < len(viewer) <= MAX_TOKEN:
        return None
    request: dict[str, Any] = {"type": kind, "viewer": viewer}
    for name in _FIELDS[kind]:
        value = content.get(name)
        if type(value) is not int or not 0 <= value <= MAX_NUMBER:
            return None
        request[name] = value
    return cast(Request, request)
