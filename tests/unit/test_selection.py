"""Which rows are selected, said by a browser or by Python, through updates."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pgrt_jupyter import selection
from pgrt_jupyter.arrangement import Arrangement
from pgrt_jupyter.displayed import Displayed, display
from pgrt_jupyter.identity import identify
from pgrt_jupyter.selection import NOTHING, Selection
from pgrt_jupyter.window import Shown


def of(*numbers: int) -> Selection:
    return Selection(np.array(numbers, np.int64))


def displayed(keys: list[int], sort: Any = (), key: tuple[str, ...] = ("k",)) -> Displayed:
    shown = Shown(
        version=1,
        frame=pd.DataFrame({"k": keys, "v": 0}),
        types=("int4", "int4"),
        status="live",
        message="",
        refreshed_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        truncated=False,
        key=key,
    )
    return display(None, shown, Arrangement(sort=sort), 1)


@pytest.mark.parametrize(
    ("mode", "left"),
    [("replace", [2, 9]), ("add", [1, 2, 3, 9]), ("remove", [1, 3]), ("toggle", [1, 3, 9])],
)
def test_a_selection_changes(mode: Any, left: list[int]) -> None:
    """Instead, as well, no longer, or the other way round."""
    assert of(1, 2, 3).changed(mode, np.array([9, 2])).numbers.tolist() == left


def test_ranges_of_displayed_rows_are_found() -> None:
    """Counted as they are sorted; beyond the end there is nothing."""
    made = displayed([10, 20, 30, 40], sort=(("k", "desc"),))
    assert selection.in_ranges(made, [[0, 2], [3, 99], [7, 9], [2, 1]]).tolist() == [0, 2, 3]


def test_a_selection_follows_its_rows() -> None:
    """Rows that move stay selected, those that go do not."""
    before = identify(None, pd.DataFrame({"k": [1, 2, 3]}), ("k",))
    now = identify(before, pd.DataFrame({"k": [9, 3, 1]}), ("k",))
    left = of(0, 1, 2).kept(before, now)
    assert left.numbers.tolist() == [0, 2]
    assert left.frame(now)["k"].to_dict() == {1: 3, 2: 1}


def test_a_selection_ends_with_the_meaning_of_its_numbers() -> None:
    """Where a key stops being one nobody knows which rows were meant."""
    before = identify(None, pd.DataFrame({"k": [1, 2]}), ("k",))
    now = identify(before, pd.DataFrame({"k": [1, 1]}), ("k",))
    assert of(0).kept(before, now) is NOTHING


def test_a_view_hears_of_the_rows_it_holds() -> None:
    """As runs of identities, and of how many there are in all."""
    selected = of(1, 2, 3, 7, 100)
    assert selected.among([9, 7, 3, 2, 4]) == {"count": 5, "rows": [(2, 3), (7, 7)]}
    assert NOTHING.among([1, 2]) == {"count": 0, "rows": []}
    assert selected.among([]) == {"count": 5, "rows": []}


KEYED = displayed([30, 10, 20])
PLAIN = displayed([30, 10, 20], key=())


@pytest.mark.parametrize(
    ("made", "value", "rows"),
    [
        (KEYED, None, []),
        (KEYED, [], []),
        (KEYED, [20, 30, 99], [0, 2]),
        (KEYED, [(20,)], [2]),
        (KEYED, pd.DataFrame({"k": [10, 77]}), [1]),
        (KEYED, pd.DataFrame({"v": [0]}, index=[2]), [2]),
        (KEYED, [True, False, True], [0, 2]),
        (KEYED, pd.Series([False, True, False]), [1]),
        (KEYED, KEYED.frame["k"] > 15, [0, 2]),
        (PLAIN, [2, 0, 99], [0, 2]),
        (PLAIN, range(1, 3), [1, 2]),
        (PLAIN, PLAIN.frame.iloc[[1]], [1]),
        (PLAIN, np.array([False, True, True]), [1, 2]),
    ],
)
def test_python_names_rows(made: Displayed, value: Any, rows: list[int]) -> None:
    """By key, by DataFrame, by booleans, without a key by place; what is gone is left out."""
    assert sorted(selection.chosen(value, made.identities).tolist()) == rows


@pytest.mark.parametrize(
    ("made", "value"), [(KEYED, [True]), (KEYED, [(1, 2)]), (PLAIN, ["a"]), (PLAIN, [None])]
)
def test_what_names_no_rows_is_refused(made: Displayed, value: Any) -> None:
    """A mask of another length, a key of another width, a name without a key."""
    with pytest.raises(ValueError, match=r"booleans|a key is|without a key"):
        selection.chosen(value, made.identities)


def test_keys_of_several_columns_are_tuples() -> None:
    """All columns must match in one row."""
    frame = pd.DataFrame({"a": [1, 1, 2, 2], "b": ["x", "y", "x", "y"]})
    identities = identify(None, frame, ("a", "b"))
    assert selection.chosen([(1, "y"), (2, "x"), (3, "x")], identities).tolist() == [1, 2]


def test_selected_rows_keep_types_names_and_order() -> None:
    """Also with names that appear twice."""
    frame = pd.DataFrame([[1, "a"], [2, "b"], [3, "c"]], columns=["x", "x"])
    taken = selection.rows(frame, np.array([0, 2]))
    assert list(taken.columns) == ["x", "x"]
    assert list(taken.dtypes) == list(frame.dtypes)
    assert taken.iloc[:, 1].to_dict() == {0: "a", 2: "c"}
