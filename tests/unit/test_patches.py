"""Rows are put into results and taken out of them, and the rest is shared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgrt_jupyter.engine import patches
from pgrt_jupyter.engine.patches import body, patched, taken


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have few rows make a piece."""
    monkeypatch.setattr(patches, "GRAIN", 4)


def columns(values: list[int], chunk: int = 3) -> list[Any]:
    """Make a column each of numbers, text and Python objects, the Arrow ones in chunks."""
    numbers = [pa.array(values[i : i + chunk], pa.int64()) for i in range(0, len(values), chunk)]
    texts = [pa.array([f"t{v}" for v in values[i : i + 5]]) for i in range(0, len(values), 5)]
    objects = np.fromiter((f"o{v}" for v in values), object, len(values))
    return [pa.chunked_array(numbers, pa.int64()), pa.chunked_array(texts, pa.string()), objects]


@settings(deadline=None)
@given(st.data())
def test_a_patched_result_is_what_lists_come_to(data: st.DataObject) -> None:
    """Taking out and putting in, again and again, does as with lists."""
    patches.GRAIN = 4
    expected = list(range(data.draw(st.integers(0, 30))))
    found = body(columns(expected), len(expected))
    for step in range(3):
        rows = len(expected)
        gone = sorted(data.draw(st.sets(st.integers(0, rows - 1)) if rows else st.just(set())))
        places = sorted(data.draw(st.lists(st.integers(0, rows), max_size=12)))
        new = [1000 * (step + 1) + n for n in range(len(places))]
        found = patched(
            found, np.asarray(gone, np.int64), columns(new), np.asarray(places, np.int64)
        )
        merged: list[int] = []
        for at in range(rows + 1):
            merged += [value for value, place in zip(new, places, strict=True) if place == at]
            merged += [expected[at]] if at < rows and at not in gone else []
        expected = merged
        assert found.rows == len(expected)
        assert found.values[0].to_pylist() == expected
        assert found.values[1].to_pylist() == [f"t{v}" for v in expected]
        assert found.values[2].tolist() == [f"o{v}" for v in expected]
        assert np.all(np.diff(found.ends) > 0)


def test_pieces_that_did_not_change_are_shared() -> None:
    """Only the piece of the changed row is written anew, in any column."""
    before = body(columns(list(range(40)), chunk=4), 40)
    none = np.zeros(0, np.int64)
    after = patched(before, np.asarray([17]), columns([99]), np.asarray([17]))
    kept = {chunk.buffers()[1].address for chunk in before.values[0].chunks}
    shared = [c for c in after.values[0].chunks if c.buffers()[1].address in kept]
    assert sum(map(len, shared)) == 36
    assert before.values[0].to_pylist() == list(range(40))
    assert patched(after, none, columns([]), none).values[0].to_pylist()[17] == 99


def test_rows_are_taken_across_chunks() -> None:
    """Ascending rows, none, and those of one chunk."""
    (numbers, texts, objects) = columns(list(range(12)))
    rows = np.asarray([0, 2, 3, 11])
    for column, shown in ((numbers, [0, 2, 3, 11]), (texts, ["t0", "t2", "t3", "t11"])):
        assert taken(column, rows).to_pylist() == shown
        assert taken(column, rows[:0]).to_pylist() == []
        assert taken(column, rows).num_chunks == 1
    assert taken(objects, rows).tolist() == ["o0", "o2", "o3", "o11"]
