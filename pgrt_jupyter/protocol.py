"""Describe every message between the kernel and a table in a browser.

`js/src/protocol.ts` mirrors this file. All are custom messages of the widget's comm: rows never
travel as traits, which would be saved with the notebook. Every message names its `type`, a `seq`
that grows by sender, and the `viewer`: the random token a view in a browser chose for itself, since
a comm reaches all views of a widget. No field is called `id`: ipykernel 7.4 routes comm replies by
a string of that name.

    browser → kernel    hello        here I am, showing these rows; answer with a window
                        window       these rows, please
                        ack          I have message `of`
                        beat         still here; answer with a state
                        bye          gone
                        arrange      sort and filter like this
                        select       these rows are selected
                        act          pause, resume or refresh the query
                        cell         the whole text of one cell; answered by `cell`
                        copy         tab-separated text of these rows; answered by `copy`
                        export       CSV of all rows shown, in parts; answered by `export`s
                        export_stop  no more of it
    kernel → browser    window       rows, as text by column, and the state
                        patch        what changed since revision `base`, and the state
                        state        the state alone
                        cell, copy   the answer to request `of`
                        export       the next part for request `of`; its text is the message's buffer

A cell is text as PostgreSQL would print it, or null for NULL. Samples of both directions are in
`tests/protocol/`, read by the test suites of both sides.

*Versions and revisions.* `version` counts results, `revision` counts what is shown: it grows with
every result and every arrangement. Row numbers count the rows shown, after sorting and filtering,
from 0, and mean nothing without the revision they were counted in; the kernel remembers the last
two it sent to a view.

*Identities.* Every row has a number, its identity, that stays when the row moves or its values
change: by the query's key, or where there is none (`keyed` false) by its place in the result. New
rows get identities from the state's `next` on, so that between two states of a keyed table
`next - before.next` rows were added, and that less `total - before.total` were removed; a row whose
identity is at least `before.next` is new.

*Anchors.* With `hello` and `window` a view names the identity of the first row on its screen as
`anchor`, or null to stay where it is by number, as at the very top. When rows come or go above it
the window moves along, by `shift` rows: the view moves its scroll position by that much, or by what
it finds itself, looking up the identity of a row on its screen in the new window.

A new arrangement moves nothing: the window keeps its row numbers.

*Patches.* `rows` null: the same rows in the same places. Else it lists the new window's rows in
order, as pieces: held ones by their place in the old window, others with their text. `changes` are
cells of the window as it is then.

*What the views of a table share.* `arrangement` and `selected` come with a message when they are not
what the view was last told. `selected` gives runs of identities, first and last, among the rows the
window carries.

*Flow.* A view acknowledges windows, patches, states and parts of an export. One push is in flight
for each view, and one part.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict, final

Kind = Literal["number", "text", "boolean", "time", "json", "binary"]
Cell = str | None
Cells = list[list[Cell]]  # by column, then by row
Direction = Literal["asc", "desc"]
Operator = Literal[
    "eq", "ne", "lt", "le", "gt", "ge", "contains", "starts", "in", "null", "notnull"
]
Mode = Literal["replace", "add", "remove", "toggle"]
Verb = Literal["pause", "resume", "refresh"]


class Column(TypedDict):
    """Name a column, its PostgreSQL type and how to draw it."""

    name: str
    type: str
    kind: Kind


class Failure(TypedDict):
    """Say what went wrong in the last run."""

    message: str
    sqlstate: str | None


class State(TypedDict):
    """Say what the result is worth."""

    version: int  # of the result; 0 before the first
    revision: int  # of what is shown; 0 before the first result
    status: str
    message: str  # why, when the status needs a reason
    error: Failure | None
    refreshed_at: str | None  # ISO 8601
    age: float | None  # seconds since then on the kernel's clock
    total: int  # rows of the whole result
    filtered: int  # rows shown: those that pass the filters
    truncated: bool  # the result is not all there is
    paused: bool
    acts: bool  # whether there is a query to pause, resume and refresh
    keyed: bool  # whether identities follow a key
    next: int  # the identity the next new row gets


class Condition(TypedDict):
    """Keep rows by one column; `value` is text as typed, a list for `in`, null where none is needed."""

    column: int
    op: Operator
    value: str | list[str] | None


class Arrangement(TypedDict):
    """Say how rows are sorted and filtered, and what of it cannot be done."""

    sort: list[tuple[int, Direction]]
    search: str
    filters: list[Condition]
    error: str  # names each part that was left out, and why


class Selected(TypedDict):
    """Say how many rows are selected, and which of those the window carries."""

    count: int
    rows: list[tuple[int, int]]  # runs of identities: first and last


class Window(TypedDict):
    """Carry the rows from `start` on; `whole` when these are all rows shown."""

    type: Literal["window"]
    seq: int
    viewer: str
    state: State
    start: int
    shift: int
    whole: bool
    columns: list[Column]
    rows: list[int]  # identities
    cells: Cells
    arrangement: NotRequired[Arrangement]
    selected: NotRequired[Selected]


@final
class Held(TypedDict):
    """Stand for rows the viewer has, by their place in the window it holds."""

    place: int
    count: int


@final
class Come(TypedDict):
    """Carry rows the viewer does not have."""

    rows: list[int]
    cells: Cells


class Patch(TypedDict):
    """Carry changed cells: (column, rows counted from `start`, their new text)."""

    type: Literal["patch"]
    seq: int
    viewer: str
    state: State
    base: int  # the revision it builds on
    start: int
    shift: int
    whole: bool
    rows: list[Held | Come] | None
    changes: list[tuple[int, list[int], list[Cell]]]
    arrangement: NotRequired[Arrangement]
    selected: NotRequired[Selected]


class StateOnly(TypedDict):
    """Carry the state of a result the viewer already has."""

    type: Literal["state"]
    seq: int
    viewer: str
    state: State
    arrangement: NotRequired[Arrangement]
    selected: NotRequired[Selected]


class CellText(TypedDict):
    """Answer `cell`; `text` is null for NULL, and when `error` says why there is none."""

    type: Literal["cell"]
    seq: int
    viewer: str
    of: int
    text: Cell
    cut: bool  # there is more than a browser is sent
    error: str


class Copied(TypedDict):
    """Answer `copy` with text for the clipboard, empty when `error` says why."""

    type: Literal["copy"]
    seq: int
    viewer: str
    of: int
    text: str
    rows: int
    error: str


class Part(TypedDict):
    """Carry part of an export; its UTF-8 text is the message's one buffer."""

    type: Literal["export"]
    seq: int
    viewer: str
    of: int
    name: str  # of the file
    rows: int  # written so far
    total: int  # to be written
    done: bool  # this part is the last, or the export failed
    error: str


FromKernel = Window | Patch | StateOnly
Answer = CellText | Copied | Part


class Request(TypedDict, total=False):
    """Hold any message of a browser; `incoming` says which fields go with which type."""

    type: Literal[
        "hello",
        "window",
        "ack",
        "beat",
        "bye",
        "arrange",
        "select",
        "act",
        "cell",
        "copy",
        "export",
        "export_stop",
    ]
    seq: int
    viewer: str
    start: int
    count: int
    anchor: int | None  # identity of the first row on the screen
    revision: int  # in which `start` or `ranges` count; 0 when the view holds none
    of: int
    sort: list[tuple[int, Direction]]
    search: str
    filters: list[Condition]
    mode: Mode
    ranges: list[tuple[int, int]] | None  # of rows, the end excluded; null: the selected ones
    verb: Verb
    row: int  # identity
    column: int
    columns: list[int] | None  # in that order; null: all
    header: bool  # whether to copy the columns' names as well
