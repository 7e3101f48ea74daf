"""How the chart talks to its viewers, without a kernel: messages go into a list."""

from __future__ import annotations

import datetime as dt
import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ipywidgets.widgets.widget import _instances

from pgrt_jupyter import watched, window
from pgrt_jupyter.plot import drawing, widget
from pgrt_jupyter.plot.options import read
from pgrt_jupyter.plot.widget import LivePlot
from pgrt_jupyter.testing import wait_until
from pgrt_jupyter.watched import refused


class Recorded(LivePlot):
    """Keep what would go to browsers."""

    def __init__(self, kind: str = "line", mode: str = "replace", **asked: Any) -> None:
        self.sent: list[dict[str, Any]] = []
        self.buffers: list[list[bytes]] = []
        plain: dict[str, Any] = {"x": None, "y": None, "by": None, "window": None, **asked}
        super().__init__(title="orders", options=read(kind, **plain, mode=mode))

    def send(self, content: Any, buffers: Any = None) -> None:
        self.sent.append(content)
        self.buffers.append(buffers or [])

    def receive(self, kind: str, viewer: str = "a", **fields: Any) -> None:
        self._receive(self, {"type": kind, "seq": 1, "viewer": viewer, **fields}, [])

    def hello(self, viewer: str = "a", width: int = 800) -> None:
        self.receive("hello", viewer, width=width, low=None, high=None)

    def look(self, low: float, high: float, width: int = 800) -> None:
        self.receive("window", width=width, low=low, high=high)

    def acknowledge(self, viewer: str = "a") -> None:
        mine = [message for message in self.sent if message["viewer"] == viewer]
        self.receive("ack", viewer, of=mine[-1]["seq"])

    def numbers(self) -> list[list[float]]:
        return [np.frombuffer(part).tolist() for part in self.buffers[-1]]


@pytest.fixture
def plot() -> Iterator[Recorded]:
    made = Recorded()
    yield made
    made.close()


def shown(version: int, values: Any, status: str = "live", **more: Any) -> window.Shown:
    frame = values if isinstance(values, pd.DataFrame) else pd.DataFrame({"v": values})
    return window.Shown(
        version=version,
        frame=frame,
        types=(),
        status=status,
        message="",
        refreshed_at=dt.datetime.now(dt.UTC),
        truncated=False,
        **more,
    )


def test_with_no_viewer_nothing_is_worked_out_or_sent(plot: Recorded) -> None:
    """An idle kernel stays idle."""
    plot.show(shown(1, [1, 2]))
    assert plot.sent == []
    assert plot._drawing.picture is None
    assert not any(thread.name == "pgrt-plot" for thread in threading.enumerate())


def test_a_hello_is_answered_with_points(plot: Recorded) -> None:
    """In buffers, none of them in the message."""
    plot.show(shown(1, [424242, 7]))
    plot.hello()
    message = plot.sent[-1]
    assert (message["type"], message["role"], message["points"]) == ("window", "row", 2)
    assert plot.numbers() == [[1, 2], [424242, 7]]
    assert "424242" not in str(message)


def test_one_push_is_in_flight_and_the_newest_follows(plot: Recorded) -> None:
    """What came between is skipped."""
    plot.hello()
    for version in range(1, 5):
        plot.show(shown(version, [version]))
    assert [message["state"]["version"] for message in plot.sent] == [0]
    plot.acknowledge()
    assert [message["state"]["version"] for message in plot.sent] == [0, 4]
    assert plot.numbers() == [[1], [4]]


def test_a_status_alone_carries_no_points(plot: Recorded) -> None:
    """Nor does the answer to a beat."""
    result = shown(1, [1, 2])
    plot.show(result)
    plot.hello()
    plot.acknowledge()
    plot.show(window.Shown(**{**_fields(result), "status": "stale"}))
    assert (plot.sent[-1]["type"], plot.sent[-1]["state"]["status"]) == ("state", "stale")
    plot.acknowledge()
    plot.receive("beat")
    assert plot.sent[-1]["type"] == "state"
    assert plot.buffers[-1] == []


def _fields(shown: window.Shown) -> dict[str, Any]:
    return {name: getattr(shown, name) for name in window.Shown.__dataclass_fields__}


def test_views_are_sent_what_fits_each(plot: Recorded) -> None:
    """By its width, and by the range it looks at."""
    plot.show(shown(1, np.arange(4_500.0)))
    plot.hello("a", 100)
    assert 190 < len(plot.numbers()[0]) <= 202
    plot.hello("b", 400)
    assert 790 < len(plot.numbers()[0]) <= 802
    plot.acknowledge()
    plot.look(1001, 1011, 100)
    assert plot.numbers()[0] == [*range(995, 1018)]
    assert (plot.sent[-1]["low"], plot.sent[-1]["high"]) == (1001, 1011)
    plot.acknowledge()
    plot.show(shown(2, np.arange(4_500.0) * 2))
    mine = [message for message in plot.sent if message["viewer"] == "a"]
    assert (mine[-1]["low"], mine[-1]["state"]["version"]) == (1001, 2)


def test_a_column_that_is_gone_is_said_and_comes_back(plot: Recorded) -> None:
    """The chart shows why it is empty."""
    one = Recorded(y="v")
    one.hello()
    one.show(shown(1, pd.DataFrame({"w": [1]})))
    one.acknowledge()
    assert one.sent[-1]["problem"] == "y='v': there is no such column; there are w (number)"
    one.acknowledge()
    one.show(shown(2, [1]))
    assert (one.sent[-1]["problem"], one.sent[-1]["points"]) == ("", 1)
    one.close()


def test_making_one_of_a_result_it_cannot_draw_raises() -> None:
    """And leaves no widget."""
    before = set(_instances)
    options = read("line", "nope", None, None, None, "replace")
    with pytest.raises(ValueError, match="there are v"):
        widget.make(shown(1, [1]), "t", options, height=300, persist=False)
    assert set(_instances) == before
    made = widget.make(window.NOTHING, "t", options, height=300, persist=False)
    made.close()


def test_many_points_are_drawn_and_thinned_on_another_thread(
    plot: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever says hello does not wait for them."""
    threads: list[str] = []
    draw, thinned = drawing.draw, widget.thinned

    def drawn(*arguments: Any) -> Any:
        threads.append(threading.current_thread().name)
        return draw(*arguments)

    def few(*arguments: Any) -> Any:
        threads.append(threading.current_thread().name)
        return thinned(*arguments)

    monkeypatch.setattr(drawing, "draw", drawn)
    monkeypatch.setattr(widget, "thinned", few)
    plot.show(shown(1, np.arange(100_000.0)))
    plot.hello()
    wait_until(lambda: plot.sent)
    assert threads == ["pgrt-plot-work"] * 2
    plot.look(5, 10)
    wait_until(lambda: len(plot.sent) == 2)
    assert plot.sent[-1]["low"] == 5
    plot.look(6, 10)
    plot.look(7, 10)
    wait_until(lambda: plot.sent[-1].get("low") == 7)


@pytest.fixture
def held_up(plot: Recorded, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Give the chart many points and a view, and hold up their thinning until the event is set."""
    began, go_on = threading.Event(), threading.Event()
    thinned = widget.thinned

    def slow(*arguments: Any) -> Any:
        began.set()
        assert go_on.wait(10)
        return thinned(*arguments)

    monkeypatch.setattr(widget, "thinned", slow)
    plot.show(shown(1, np.arange(100_000.0)))
    plot.hello()
    assert began.wait(10)
    return go_on


def test_a_result_that_comes_meanwhile_follows(plot: Recorded, held_up: threading.Event) -> None:
    """With the acknowledgement of what was under way."""
    plot.show(shown(2, [1]))
    held_up.set()
    wait_until(lambda: plot.sent)
    assert plot.sent[-1]["state"]["version"] == 1
    wait_until(lambda: plot._drawing.worker._thread is None)
    plot.acknowledge()
    assert plot.sent[-1]["state"]["version"] == 2


def test_a_range_asked_for_meanwhile_follows_at_once(
    plot: Recorded, held_up: threading.Event
) -> None:
    """Somebody is zooming and waits."""
    plot.look(7, 10)
    held_up.set()
    wait_until(lambda: len(plot.sent) == 2)
    assert [message["low"] for message in plot.sent] == [None, 7]


def test_results_may_come_from_any_thread(plot: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large and small ones at once leave every view with the newest."""
    monkeypatch.setattr(drawing, "QUICK_ROWS", 1)
    monkeypatch.setattr(widget, "QUICK_POINTS", 1)
    plot.hello("a")
    plot.hello("b")

    def publish(first: int) -> None:
        for version in range(first, 100, 2):
            plot.show(shown(version, [version] * (version % 3 + 1)))
            plot.acknowledge("a")

    threads = [threading.Thread(target=publish, args=(first,)) for first in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last = plot._drawing.shown.version

    def arrived() -> bool:
        for viewer in "ab":
            plot.acknowledge(viewer)
        newest = {message["viewer"]: message["state"]["version"] for message in plot.sent}
        return newest == {"a": last, "b": last}

    wait_until(arrived)
    seqs = [message["seq"] for message in plot.sent]
    assert seqs == sorted(seqs)


def test_points_that_have_left_are_kept_though_nobody_looks() -> None:
    """Whoever opens the chart later sees them."""
    one = Recorded(mode="append", window=3600)
    for value in (5, 6, 7):
        one.show(shown(value, [value]))
    one.hello()
    assert one.numbers()[1] == [5, 6, 7]
    one.close()
    one.show(shown(8, [8]))
    assert one._drawing.picture.drawn.points == 3


def test_a_silent_view_is_let_go(plot: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is sent anything for ever, and the watching thread ends."""
    counts: list[int] = []
    plot.on_viewers = counts.append
    monkeypatch.setattr(watched, "TICK", 0.01)
    monkeypatch.setattr("pgrt_jupyter.presence.UNANSWERED", 0.05)
    plot.hello()
    wait_until(lambda: counts == [1, 0])
    wait_until(lambda: plot._watcher is None)


def test_hostile_messages_are_counted_and_change_nothing(plot: Recorded) -> None:
    """Other types, fields out of bounds, too many views."""
    before = refused.count
    plot.show(shown(1, [1]))
    plot.receive("arrange", sort=[], search="", filters=[])
    plot.receive("hello", width=10**9, low=None, high=None)
    plot.receive("window", width=5, low=float("nan"), high=3)
    plot._receive(plot, "hello", [])
    plot._handle_msg({"content": {"data": {"method": "update", "state": {"_esm": "evil"}}}})
    assert refused.count == before + 5
    assert plot.sent == []
    for number in range(watched.MAX_VIEWERS + 3):
        plot.hello(f"v{number}")
    assert plot.viewers == watched.MAX_VIEWERS
    assert refused.count == before + 8


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
NUMBERS = st.sampled_from([None, 0, 1, -1, 0.5, 1e300, 1e301, 10**400, float("nan"), "1"]) | JSON
FIELDS = st.fixed_dictionaries(
    {"type": st.sampled_from(["hello", "window", "ack", "beat", "bye", "act"]) | JSON},
    optional={
        "viewer": st.sampled_from(["a", "b", "", "x" * 65]) | JSON,
        **dict.fromkeys(("seq", "of"), st.sampled_from([1, 2, -1, 2**53]) | JSON),
        **dict.fromkeys(("width", "low", "high"), NUMBERS),
    },
)


@settings(deadline=None)
@given(st.lists(FIELDS | JSON, max_size=8))
def test_no_message_raises(messages: list[Any]) -> None:
    """Whatever comes is answered with one of our messages or not at all."""
    one = Recorded()
    one.show(shown(1, np.arange(4_500.0)))
    for content in messages:
        one._receive(one, content, [])
    one.close()
    assert {message["type"] for message in one.sent} <= {"window", "state"}


def test_a_flood_is_worked_off_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thinning many points costs more than one message's worth."""
    monkeypatch.setattr(watched, "RATE", 0.0)
    monkeypatch.setattr(widget, "POINTS_PER_MESSAGE", 10)
    one = Recorded()
    one.show(shown(1, np.arange(1_000.0)))
    for _ in range(50):
        one.hello()
    assert 1 <= len(one.sent) < 20
    one.close()


def test_no_numbers_are_in_synced_traits_or_saved(plot: Recorded) -> None:
    """A viewer without a kernel sees names and counts; with `persist` the first rows."""
    plot.show(shown(1, [424242]))
    plot.hello()
    bundle = plot._repr_mimebundle_()
    assert bundle is not None
    assert "<th>v</th>" in bundle[0]["text/html"]
    assert "424242" not in str(bundle) + str(plot.get_state())
    assert bundle[0]["text/plain"] == "LivePlot(title='orders')"
    plot.persist = True
    assert "<td>424242</td>" in str(plot._repr_mimebundle_())


def test_closing_leaves_nothing() -> None:
    """Neither comm nor thread nor memory; twice is once."""
    before = set(_instances)
    one = Recorded()
    one.show(shown(1, np.arange(100_000.0)))
    one.hello()
    one.close()
    one.close()
    one.hello()
    one.show(shown(2, [1]))
    assert set(_instances) == before
    assert (one._watcher, one.viewers) == (None, 0)
    reference = weakref.ref(one)
    del one
    gc.collect()
    assert reference() is None


def test_a_forked_child_begins_anew(plot: Recorded) -> None:
    """Without the parent's views and locks; the result stays."""
    plot.show(shown(1, [1, 2]))
    plot.hello()
    plot.receive("bye")
    wait_until(lambda: plot._watcher is None)  # a child has none
    plot.abandon()
    assert plot.viewers == 0
    plot.hello()
    assert plot.sent[-1]["points"] == 2
