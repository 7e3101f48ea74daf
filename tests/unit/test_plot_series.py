"""What series a result makes, and how many points of them are sent."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgrt_jupyter import window
from pgrt_jupyter.errors import ConfigurationError
from pgrt_jupyter.plot import kept, thin, viewer
from pgrt_jupyter.plot.columns import choose
from pgrt_jupyter.plot.drawing import Picture
from pgrt_jupyter.plot.kept import Kept
from pgrt_jupyter.plot.options import read
from pgrt_jupyter.plot.series import MAX_CATEGORIES, MAX_SERIES, Drawn, Slots, draw, finished
from pgrt_jupyter.plot.viewer import Wish, thinned

AT = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)


class Chart:
    """Draw results one after another, as a chart does."""

    def __init__(self, kind: str = "line", mode: str = "replace", **asked: Any) -> None:
        plain: dict[str, Any] = {"x": None, "y": None, "by": None, "window": None, **asked}
        self.options = read(kind, **plain, mode=mode)
        self.slots, self.kept = Slots(), Kept()

    def show(self, frame: pd.DataFrame, at: dt.datetime = AT) -> Drawn:
        drawn = draw(frame, choose(frame, (), self.options), at)
        if self.options.mode == "append":
            assert self.options.window is not None
            drawn = self.kept.merge(drawn, self.options.window)
        return finished(drawn, self.options, self.slots)


def points(drawn: Drawn) -> dict[str, list[tuple[float, float]]]:
    return {
        one.label: list(zip(one.x.tolist(), one.y.tolist(), strict=True)) for one in drawn.series
    }


def test_columns_side_by_side_share_their_x() -> None:
    """Sorted; rows that are nowhere are left out, gaps stay."""
    frame = pd.DataFrame({"x": [3, 1, None, 2], "a": [30, 10, 0, None], "b": [1, 2, 3, 4]})
    drawn = Chart().show(frame)
    a, b = drawn.series
    assert a.x is b.x
    assert [*a.x] == [1, 2, 3]
    np.testing.assert_array_equal(a.y, [10, np.nan, 30])
    assert drawn.extent == (1, 3)
    assert drawn.points == 6


def test_equal_x_stay_in_the_order_of_the_result() -> None:
    """A line through them goes up and down as the rows do."""
    frame = pd.DataFrame({"x": [2, 1, 2, 1], "y": [1, 2, 3, 4]})
    assert points(Chart().show(frame))["y"] == [(1, 2), (1, 4), (2, 1), (2, 3)]


def test_the_values_of_a_column_make_series() -> None:
    """With several columns for y, of each."""
    frame = pd.DataFrame({"x": [1, 1, 2], "k": ["a", None, "a"], "v": [1, 2, 3], "w": [4, 5, 6]})
    drawn = Chart(by="k", y="v").show(frame)
    assert points(drawn) == {"a": [(1, 1), (2, 3)], "NULL": [(1, 2)]}
    assert drawn.y_label == "v"
    both = Chart(by="k").show(frame)
    assert [*points(both)] == ["a · v", "a · w", "NULL · v", "NULL · w"]


def test_series_keep_their_colours_when_others_come_and_go() -> None:
    """A slot is free for others once its series is gone."""
    chart = Chart(by="k")
    numbered = []
    for present in ("ab", "bc", "ca", "abcd"):
        frame = pd.DataFrame({"x": 1, "k": [*present], "v": 1})
        numbered.append({one.label: one.slot for one in chart.show(frame).series})
    assert numbered[0] == {"a": 0, "b": 1}
    assert numbered[1] == {"b": 1, "c": 0}
    assert numbered[2] == {"c": 0, "a": 1}
    assert numbered[3] == {"a": 1, "b": 2, "c": 0, "d": 3}


def test_series_beyond_the_most_are_named() -> None:
    """What was drawn before stays; the others are counted."""
    chart = Chart(by="k")
    chart.show(pd.DataFrame({"x": 1, "k": ["last"], "v": 1}))
    names = [f"k{at}" for at in range(MAX_SERIES + 2)] + ["last"]
    drawn = chart.show(pd.DataFrame({"x": 1, "k": names, "v": 1}))
    assert len(drawn.series) == MAX_SERIES
    assert "last" in points(drawn)
    assert drawn.left_out == ("3 more series (k49, k50, k51)",)


def test_categories_are_counted_in_the_order_of_the_result() -> None:
    """As many as there is room for."""
    drawn = Chart("bar").show(pd.DataFrame({"k": ["b", "a", "b"], "v": [1, 2, 3]}))
    assert drawn.categories == ("b", "a")
    assert points(drawn) == {"v": [(0, 1), (0, 3), (1, 2)]}
    many = pd.DataFrame({"k": [f"{at}" for at in range(MAX_CATEGORIES + 7)], "v": 1})
    drawn = Chart("bar").show(many)
    assert drawn.points == len(drawn.categories) == MAX_CATEGORIES
    assert drawn.left_out == ("7 more of k",)


def test_a_window_ends_with_the_newest_point() -> None:
    """Of all series; one that has nothing in it is not there."""
    frame = pd.DataFrame({"x": [1, 5, 9, 10], "k": ["a", "b", "b", "b"], "v": [1, 2, 3, 4]})
    drawn = Chart(by="k", window=5).show(frame)
    assert points(drawn) == {"b": [(5, 2), (9, 3), (10, 4)]}
    assert drawn.extent == (5, 10)
    rows = Chart(window=1, y="v").show(frame[["v", "k"]])
    assert points(rows) == {"v": [(3, 3), (4, 4)]}


def test_a_window_of_time_is_seconds() -> None:
    """Whatever it was given as."""
    at = pd.date_range(AT, periods=4, freq="min")
    drawn = Chart(window="90s").show(pd.DataFrame({"at": at, "v": [1, 2, 3, 4]}))
    assert [value for _, value in points(drawn)["v"]] == [3, 4]


def test_nothing_makes_no_points() -> None:
    """Neither no rows, nor rows of NULL."""
    for x in ([], [None, None]):
        frame = pd.DataFrame({"x": pd.Series(x, dtype=float), "v": pd.Series(x, dtype=float)})
        drawn = Chart(window=5).show(frame)
        assert (drawn.points, drawn.extent) == (0, None)


# -- points that have left the result


def test_points_stay_while_they_are_in_the_window() -> None:
    """What comes again counts as it is now."""
    chart = Chart(mode="append", window=10, x="x")
    chart.show(pd.DataFrame({"x": [1, 2], "v": [1, 2]}))
    drawn = chart.show(pd.DataFrame({"x": [2, 5], "v": [20, 50]}))
    assert points(drawn) == {"v": [(1, 1), (2, 20), (5, 50)]}
    assert drawn.extent == (-5, 5)
    drawn = chart.show(pd.DataFrame({"x": [12], "v": [120]}))
    assert points(drawn) == {"v": [(2, 20), (5, 50), (12, 120)]}


def test_a_series_that_has_left_the_result_stays_as_long() -> None:
    """Each for itself."""
    chart = Chart(mode="append", window=10, x="x", by="k")
    chart.show(pd.DataFrame({"x": [1], "v": [1], "k": ["a"]}))
    drawn = chart.show(pd.DataFrame({"x": [2], "v": [2], "k": ["b"]}))
    assert points(drawn) == {"a": [(1, 1)], "b": [(2, 2)]}
    drawn = chart.show(pd.DataFrame({"x": [12], "v": [3], "k": ["b"]}))
    assert points(drawn) == {"b": [(2, 2), (12, 3)]}


def test_a_result_without_a_time_is_a_point_at_its_own() -> None:
    """One number makes a line."""
    chart = Chart(mode="append", window="1min")
    for second in (0, 30, 70):
        at = AT + dt.timedelta(seconds=second)
        drawn = chart.show(pd.DataFrame({"v": [second]}), at)
    begin = AT.timestamp()
    assert points(drawn) == {"v": [(begin + 30, 30), (begin + 70, 70)]}
    assert drawn.role == "result"


def test_what_is_kept_does_not_grow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go first, however wide the window."""
    monkeypatch.setattr(kept, "MAX_KEPT", 3)
    chart = Chart(mode="append", window=1e9, x="x")
    for x in range(6):
        drawn = chart.show(pd.DataFrame({"x": [x], "v": [x]}))
    assert [x for x, _ in points(drawn)["v"]] == [3, 4, 5]


def test_another_query_begins_anew() -> None:
    """Points of another x are not compared."""
    chart = Chart(mode="append", window=10)
    chart.show(pd.DataFrame({"at": pd.date_range(AT, periods=2), "v": [1, 2]}))
    drawn = chart.show(pd.DataFrame({"day": pd.date_range(AT, periods=1), "v": [3]}))
    assert drawn.points == 1


# -- fewer points

values = st.floats(-1e6, 1e6) | st.just(float("nan"))


@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6), values), min_size=1, max_size=200),
    st.integers(1, 40),
)
def test_a_thinned_line_has_the_same_extremes(
    rows: list[tuple[float, float]], buckets: int
) -> None:
    """In each bucket; its points are points of the line, in order, the ends among them."""
    rows.sort(key=lambda row: row[0])
    x, y = np.array(rows).T
    at = thin.extremes(x, y, buckets)
    assert len(at) <= 2 * buckets + 2
    assert at[0] == 0 and at[-1] == len(x) - 1
    assert (np.diff(at) > 0).all()
    if not np.isnan(y).all():
        assert np.nanmin(y[at]) == np.nanmin(y)
        assert np.nanmax(y[at]) == np.nanmax(y)


def test_a_gap_of_a_bucket_stays_a_gap() -> None:
    """And one narrower than that does not."""
    x = np.arange(1000.0)
    y = np.where((x >= 300) & (x < 400), np.nan, x)
    y[700] = np.nan
    at = thin.extremes(x, y, 20)
    assert np.isnan(y[at]).sum() == 2
    assert 300 <= x[at][np.isnan(y[at])][0] < 400


def test_points_at_one_place_are_thinned_too() -> None:
    """All in one bucket, whatever their number."""
    x, y = np.full(1000, 5.0), np.arange(1000.0)
    assert y[thin.extremes(x, y, 100)].tolist() == [0, 999]


def test_a_cloud_covers_the_same_area() -> None:
    """With as many points as were asked for, and the four outermost."""
    x, y = np.random.default_rng(1).normal(size=(2, 50_000))
    y[:100] = np.nan
    x.sort()
    at = thin.spread(x, y, 1000)
    assert 300 < len(at) <= 1004
    assert np.isfinite(y[at]).all()
    for values in (x[100:], y[100:]):
        assert {values.min(), values.max()} <= {*values[at - 100]}
    assert len(thin.spread(x, np.full(50_000, np.nan), 10)) == 0


def picture(kind: str, series: int, rows: int) -> Picture:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": np.arange(rows, dtype=float)})
    for at in range(series):
        frame[f"y{at}"] = rng.normal(size=rows)
    drawn = Chart(kind, x="x").show(frame)
    shown = window.Shown(
        version=1,
        frame=frame,
        types=(),
        status="live",
        message="",
        refreshed_at=AT,
        truncated=False,
    )
    return Picture(shown, drawn, 1)


@pytest.mark.parametrize("kind", ["line", "area", "bar", "scatter"])
@pytest.mark.parametrize(("series", "rows"), [(1, 200_000), (50, 2_000)])
def test_what_is_sent_is_bounded(kind: str, series: int, rows: int) -> None:
    """However many rows, series and pixels there are."""
    made = thinned(picture(kind, series, rows), Wish(20_000))
    assert not made.whole
    assert sum(len(one.x) for one in made.series) <= viewer.MAX_POINTS + 4 * series
    _, buffers = viewer.packed(made.series)
    assert sum(map(len, buffers)) <= 16 * (viewer.MAX_POINTS + 4 * series)


def test_a_line_is_sent_for_the_width_it_has() -> None:
    """Twice as many points as pixels."""
    made = thinned(picture("line", 1, 100_000), Wish(300))
    assert 500 < len(made.series[0].x) <= 602


def test_a_range_is_sent_with_what_is_beside_it() -> None:
    """Every point, when they are few enough; with neighbours to which lines lead."""
    made = thinned(picture("line", 1, 100_000), Wish(300, 1000.0, 1100.0))
    assert [*made.series[0].x] == [*range(949, 1152)]
    assert not made.whole
    beyond = thinned(picture("line", 1, 100_000), Wish(300, 1e8, 2e8))
    assert [*beyond.series[0].x] == [99_999]


def test_few_points_are_sent_as_they_are() -> None:
    """Whatever the width and the range."""
    made = thinned(picture("line", 2, 1_500), Wish(100, 5.0, 6.0))
    assert made.whole
    assert [len(one.x) for one in made.series] == [1_500, 1_500]
    _, buffers = viewer.packed(made.series)
    assert [len(part) for part in buffers] == [12_000] * 3


def test_a_logarithmic_axis_leaves_out_what_is_not_above_zero() -> None:
    """It is a gap, and counted by name; NULL is a gap that nobody counts; x and the result stay."""
    frame = pd.DataFrame({"x": [1, 2, 3, 4], "a": [10, 0, None, 0.5], "b": [-1, 2, 3, 4]})
    drawn = Chart(log=True).show(frame)
    a, b = drawn.series
    np.testing.assert_array_equal(a.y, [10, np.nan, np.nan, 0.5])
    np.testing.assert_array_equal(b.y, [np.nan, 2, 3, 4])
    assert a.x is b.x
    assert (drawn.left_out, drawn.log) == (("2 values of 0 or less",), True)
    assert frame["b"][0] == -1
    assert Chart().show(frame).left_out == ()


def test_a_logarithmic_axis_is_asked_for_by_true() -> None:
    """Anything else is a mistake."""
    with pytest.raises(ConfigurationError, match="log=10: use True or False"):
        Chart(log=10)
