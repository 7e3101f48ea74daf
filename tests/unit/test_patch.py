"""A patch leads from one window to the next, and is sent only where it is shorter."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pgrt_jupyter.patch import Carried, Difference, difference
from pgrt_jupyter.protocol import Column

COLUMNS: list[Column] = [
    {"name": "a", "type": "text", "kind": "text"},
    {"name": "b", "type": "int4", "kind": "number"},
]


def carried(rows: dict[int, tuple[str | None, str | None]], columns: Any = COLUMNS) -> Carried:
    cells = [[row[at] for row in rows.values()] for at in range(2)]
    return Carried(start=0, columns=columns, rows=[*rows], cells=cells)


def applied(before: Carried, found: Difference) -> tuple[list[int], list[list[str | None]]]:
    """Do what a browser does with a patch."""
    rows, cells = list(before.rows), [list(column) for column in before.cells]
    if found.pieces is not None:
        rows, cells = [], [[] for _ in before.columns]
        for piece in found.pieces:
            if "rows" in piece:
                rows += piece["rows"]
                for column, come in zip(cells, piece["cells"], strict=True):
                    column += come
            else:
                part = slice(piece["place"], piece["place"] + piece["count"])
                rows += before.rows[part]
                for column, held in zip(cells, before.cells, strict=True):
                    column += held[part]
    for number, places, texts in found.changes:
        for place, text in zip(places, texts, strict=True):
            assert cells[number][place] != text
            cells[number][place] = text
    return rows, cells


CELL = st.none() | st.sampled_from(["", "1", "2"])


def windows(least: int) -> Any:
    """Draw windows of at least so many rows."""
    rows = st.tuples(st.integers(0, 25), CELL, CELL)
    drawn = st.lists(rows, min_size=least, unique_by=lambda row: row[0])
    return drawn.map(lambda rows: {number: (a, b) for number, a, b in rows})


WINDOW = windows(0)


@settings(deadline=None, max_examples=100)
@given(WINDOW, WINDOW)
def test_a_patch_leads_to_the_new_window(one: Any, other: Any) -> None:
    """Whatever came, went, moved and changed; or there is none."""
    before, after = carried(one), carried(other)
    found = difference(before, after)
    if found is not None:
        assert applied(before, found) == (list(after.rows), after.cells)


@settings(deadline=None, max_examples=100)
@given(windows(13), st.data())
def test_a_small_change_is_always_a_patch(rows: Any, data: Any) -> None:
    """One row that came, one that went, one cell that changed."""
    numbers = [*rows]
    gone = data.draw(st.sampled_from(numbers))
    place = data.draw(st.integers(0, len(numbers)))
    changed = data.draw(st.sampled_from([number for number in numbers if number != gone]))
    items = [(n, ("new", row[1]) if n == changed else row) for n, row in rows.items() if n != gone]
    items.insert(place, (99, ("x", "y")))
    assert difference(carried(rows), carried(dict(items))) is not None


def test_a_window_that_cannot_be_built_on_is_none() -> None:
    """The first one, and one of other columns."""
    one = carried({1: ("a", "b")})
    assert difference(None, one) is None
    assert difference(carried({1: ("a", "b")}, COLUMNS[::-1]), one) is None


def test_the_same_window_is_no_change() -> None:
    """Nothing is said of rows or cells."""
    one = carried({1: ("a", "b")})
    assert difference(one, one) == Difference(None, [])
