"""What is displayed: which rows, under which numbers, and how much of it travels."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pgrt_jupyter import displayed
from pgrt_jupyter.arrangement import Arrangement, Condition
from pgrt_jupyter.displayed import Displayed, display
from pgrt_jupyter.window import NOTHING, Shown

AT = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)


def shown(frame: pd.DataFrame | None, **values: Any) -> Shown:
    told: dict[str, Any] = {"version": 1, "types": (), "status": "live", "message": ""}
    return Shown(frame=frame, refreshed_at=AT, truncated=False, **{**told, **values})


def plainly(frame: pd.DataFrame | None) -> Displayed:
    return display(None, shown(frame), Arrangement(), 1)


def test_a_small_result_travels_whole() -> None:
    """Scrolling a small result needs no kernel."""
    rows, cells = plainly(pd.DataFrame({"a": range(100)})).window(90, 5)
    assert (rows, len(cells[0])) == (range(100), 100)


def test_of_a_large_result_the_window_travels() -> None:
    """Rows keep their number in the whole result."""
    made = plainly(pd.DataFrame({"a": range(10_000)}))
    assert made.window(9_998, 50) == (range(9_998, 10_000), [["9998", "9999"]])


def test_a_few_wide_rows_are_large() -> None:
    """Characters count, not only rows."""
    frame = pd.DataFrame({str(n): ["x" * 200] * 300 for n in range(10)})
    rows, _cells = plainly(frame).window(0, 10)
    assert rows == range(10)


def test_a_window_is_bounded() -> None:
    """A browser cannot ask for everything, nor for rows that are not there."""
    made = plainly(pd.DataFrame({"a": range(1_000_000)}))
    assert len(made.clamp(0, 10**12)) == displayed.MAX_WINDOW_CELLS
    assert len(made.clamp(10**12, 5)) == 0


def test_a_result_without_columns_is_displayed() -> None:
    """PostgreSQL allows SELECT without a list."""
    assert plainly(pd.DataFrame(index=range(3))).window(0, 10) == (range(3), [])


def test_before_the_first_result_nothing_is_displayed() -> None:
    """There is a state all the same, and an arrangement waits."""
    made = display(None, NOTHING, Arrangement(search="x"), 0)
    state = made.state(AT)
    assert (state["version"], state["revision"], state["total"]) == (0, 0, 0)
    assert made.window(0, 10) == (range(0), [])
    assert made.arranged()["search"] == "x"


def test_rows_are_numbered_as_they_are_arranged() -> None:
    """Filtering and sorting change a row's number, not its identity."""
    frame = pd.DataFrame({"k": [7, 8, 9, 10], "v": [3, 1, 4, 2]})
    arrangement = Arrangement((("v", "desc"),), "", (Condition("v", "gt", "1"),))
    made = display(None, shown(frame, key=("k",)), arrangement, 1)
    assert made.rows == 3
    assert made.window(0, 10)[1] == [["9", "7", "10"], ["4", "3", "2"]]
    assert made.numbers(range(3)) == [2, 0, 3]
    assert [made.row(number) for number in (0, 1, 2, 3, 99)] == [1, -1, 0, 2, -1]
    assert made.rows_of([0, 1, 3]) == {0: 1, 3: 2}
    assert made.in_order(np.array([0, 1, 2])).tolist() == [2, 0]
    state = made.state(AT)
    assert (state["total"], state["filtered"], state["keyed"]) == (4, 3, True)


def test_another_status_costs_nothing() -> None:
    """The text of the rows is kept."""
    made = plainly(pd.DataFrame({"a": range(100)}))
    cells = made.window(0, 10)[1]
    told = made.told(shown(made.frame, status="paused", acts=True))
    assert told.window(0, 10)[1] is cells
    state = told.state(AT + dt.timedelta(seconds=3))
    assert (state["paused"], state["acts"], state["age"]) == (True, True, 3.0)


def test_values_nobody_thought_of_do_not_hide_the_rows(monkeypatch: Any) -> None:
    """If arranging fails all rows are displayed, and the table says why."""

    def fail(*_: object) -> None:
        raise RuntimeError("odd")

    monkeypatch.setattr(displayed, "arrange", fail)
    made = display(None, shown(pd.DataFrame({"a": [2, 1]})), Arrangement(search="1"), 1)
    assert made.rows == 2
    assert "odd" in made.arranged()["error"]


@pytest.mark.parametrize(
    ("before", "now"),
    [(0.0, -0.0), (Decimal("1.0"), Decimal("1.00")), (1, 2), ("a", None), (float("nan"), None)],
)
def test_text_is_taken_over_only_where_it_is_the_same(before: Any, now: Any) -> None:
    """Columns that did not change are not written again; equal values can look different."""
    kind = None if isinstance(before, Decimal) else pa.array([before]).type
    first = display(None, shown(frame_of(kind, before)), Arrangement(), 1)
    first.window(0, 10)
    second = display(first, shown(frame_of(kind, now)), Arrangement(), 2)
    assert second.window(0, 10)[1] == plainly(frame_of(kind, now)).window(0, 10)[1]
    assert second.window(0, 10)[1][0] is first.window(0, 10)[1][0]


def frame_of(kind: Any, value: Any) -> pd.DataFrame:
    def column(values: list[Any], kind: Any) -> Any:
        if kind is None:
            return np.array(values, dtype=object)
        return pd.arrays.ArrowExtensionArray(pa.chunked_array([pa.array(values, kind)]))

    return pd.DataFrame({"same": column([1, 2], pa.int64()), "v": column([value, value], kind)})
