"""Other libraries' figures follow a query; here one whose results are set by hand."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pandas as pd
import pytest
import traitlets

from pgrt_jupyter.link import Link


class Query(traitlets.HasTraits):
    """Have what a link uses of a live query."""

    df = traitlets.Any()
    version = 0

    def publish(self, value: int) -> None:
        self.version += 1
        self.df = pd.DataFrame({"v": [value]})


class Figure:
    """Be something that can be drawn."""

    drawn: list[int]

    def __init__(self) -> None:
        self.drawn = []


def update(figure: Figure, df: pd.DataFrame) -> None:
    figure.drawn.append(int(df["v"].iloc[0]))


def link(query: Query, figure: Any, call: Any = update) -> Link:
    return Link(query, figure, call)  # type: ignore[arg-type]


def test_a_figure_is_updated_now_and_after_each_update() -> None:
    """Until the link is closed; twice is once."""
    query, figure = Query(), Figure()
    query.publish(1)
    made = link(query, figure)
    query.publish(2)
    assert figure.drawn == [1, 2]
    made.close()
    made.close()
    query.publish(3)
    assert figure.drawn == [1, 2]
    assert repr(made) == "Link(closed)"


def test_before_the_first_result_nothing_is_drawn() -> None:
    """There is no frame to give."""
    query, figure = Query(), Figure()
    link(query, figure)
    assert figure.drawn == []
    query.publish(1)
    assert figure.drawn == [1]


def test_what_update_raises_goes_no_further(caplog: pytest.LogCaptureFixture) -> None:
    """It is shown, each time, and others are drawn."""
    query, figure = Query(), Figure()
    query.publish(1)
    link(query, figure, lambda figure, df: 1 / 0)
    link(query, figure)
    query.publish(2)
    assert figure.drawn == [1, 2]
    assert caplog.text.count("ZeroDivisionError") == 2


def test_a_figure_nobody_has_is_let_go() -> None:
    """And the query has no observer left of it."""
    query, figure = Query(), Figure()
    query.publish(1)
    reference = weakref.ref(figure)
    made = link(query, figure)
    del figure
    gc.collect()
    assert reference() is None
    query.publish(2)
    assert repr(made) == "Link(closed)"
    assert query._trait_notifiers.get("df", {}).get("change", []) == []


def test_a_link_does_not_keep_the_query() -> None:
    """Whoever holds the handle holds no result."""
    query, figure = Query(), Figure()
    made = link(query, figure)
    reference = weakref.ref(query)
    del query
    gc.collect()
    assert reference() is None
    made.close()


def test_a_figure_that_cannot_be_held_weakly_is_held() -> None:
    """A list, for one."""
    query = Query()
    link(query, [], lambda figure, df: figure.append(df))
    query.publish(1)
    (handler,) = query._trait_notifiers["df"]["change"]
    assert len(handler.__self__._figure()) == 1
