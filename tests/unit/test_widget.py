"""How the table talks to its viewers, without a kernel: messages go into a list."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from ipywidgets.widgets.widget import _instances

from pgrt_jupyter import widget, window
from pgrt_jupyter.testing import wait_until
from pgrt_jupyter.widget import LiveTable


class Recorded(LiveTable):
    """Keep what would go to browsers."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        super().__init__(title="orders")

    def send(self, content: Any, buffers: Any = None) -> None:
        self.sent.append(content)

    def receive(self, kind: str, viewer: str = "a", **fields: int) -> None:
        self._receive(self, {"type": kind, "seq": 1, "viewer": viewer, **fields}, [])

    def hello(self, viewer: str = "a") -> None:
        self.receive("hello", viewer, start=0, count=30)


@pytest.fixture
def table() -> Iterator[Recorded]:
    made = Recorded()
    yield made
    made.close()


def shown(version: int, values: list[int], status: str = "live") -> window.Shown:
    return window.Shown(
        version=version,
        frame=pd.DataFrame({"a": values}),
        types=("int4",),
        status=status,
        message="",
        refreshed_at=dt.datetime.now(dt.UTC),
        truncated=False,
    )


def test_with_no_viewer_nothing_is_sent(table: Recorded) -> None:
    """An idle kernel stays idle."""
    table.show(shown(1, [1]))
    assert table.sent == []
    assert not any(thread.name == "pgrt-table" for thread in threading.enumerate())


def test_a_hello_is_answered_with_the_last_result(table: Recorded) -> None:
    """A view that opens later sees what is there."""
    table.show(shown(1, [5]))
    table.hello()
    assert table.sent[-1]["cells"] == [["5"]]


def test_a_view_is_told_that_there_is_no_result_yet(table: Recorded) -> None:
    """The state is honest from the start."""
    table.hello()
    assert table.sent[-1]["state"]["status"] == "starting"


def test_each_view_gets_its_own_messages(table: Recorded) -> None:
    """Two tabs on one table do not disturb each other."""
    table.hello("a")
    table.hello("b")
    table.receive("ack", "b", of=table.sent[-1]["seq"])
    table.show(shown(1, [1]))
    assert [message["viewer"] for message in table.sent] == ["a", "b", "b"]


def test_an_acknowledgement_brings_the_newest_result(table: Recorded) -> None:
    """What happened meanwhile is skipped, not queued."""
    table.hello()
    for version in range(1, 5):
        table.show(shown(version, [version]))
    assert len(table.sent) == 1
    table.receive("ack", of=table.sent[0]["seq"])
    assert [message["state"]["version"] for message in table.sent[1:]] == [4]


def test_what_was_held_back_is_pushed_without_an_acknowledgement(
    table: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy main thread hears nothing, and the table moves all the same."""
    monkeypatch.setattr(widget, "TICK", 0.01)
    monkeypatch.setattr("pgrt_jupyter.viewer.HOLD_BACK", 0.02)
    monkeypatch.setattr(widget, "_when_free", lambda _call: None)
    table.hello()
    table.show(shown(1, [1]))
    wait_until(lambda: table.sent[-1]["state"]["version"] == 1)


def test_a_silent_view_is_let_go(table: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is sent anything for ever, and the watching thread ends."""
    counts: list[int] = []
    table.on_viewers = counts.append
    monkeypatch.setattr(widget, "TICK", 0.01)
    monkeypatch.setattr("pgrt_jupyter.viewer.UNANSWERED", 0.05)
    table.hello()
    wait_until(lambda: counts == [1, 0])
    wait_until(lambda: table._watcher is None)


def test_a_view_is_kept_while_the_kernel_is_busy(
    table: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silence means nothing while nobody could listen."""
    asked: list[object] = []
    monkeypatch.setattr(widget, "TICK", 0.01)
    monkeypatch.setattr("pgrt_jupyter.viewer.UNANSWERED", 0.02)
    monkeypatch.setattr(widget, "_when_free", asked.append)
    table.hello()
    wait_until(lambda: len(asked) == 1)
    for version in range(20):
        table.show(shown(version + 1, [version]))
    assert table.viewers == 1
    assert len(asked) == 1


def test_viewers_are_counted(table: Recorded) -> None:
    """The owner hears of every arrival and departure."""
    counts: list[int] = []
    table.on_viewers = counts.append
    table.hello("a")
    table.hello("a")
    table.hello("b")
    table.receive("bye", "a")
    table.receive("bye", "b")
    assert counts == [1, 2, 1, 0]


def test_an_unknown_view_must_say_hello_first(table: Recorded) -> None:
    """A beat of a view that was let go brings nothing until it says hello."""
    table.receive("beat")
    table.receive("window", start=0, count=5)
    assert (table.sent, table.viewers) == ([], 0)


def test_views_are_limited(table: Recorded) -> None:
    """Tokens are the browser's own invention."""
    for number in range(widget.MAX_VIEWERS + 10):
        table.hello(f"v{number}")
    assert table.viewers == widget.MAX_VIEWERS


def test_a_beat_is_answered_with_the_state(table: Recorded) -> None:
    """A view learns that the kernel is alive."""
    table.show(shown(1, [1]))
    table.hello()
    table.receive("ack", of=table.sent[-1]["seq"])
    table.receive("beat")
    assert table.sent[-1]["type"] == "state"


def test_results_may_come_from_any_thread(table: Recorded) -> None:
    """Two threads at once leave every view with the newest result."""
    table.hello()

    def publish(first: int) -> None:
        for version in range(first, 200, 2):
            table.show(shown(version, [version]))
            table.receive("ack", of=table.sent[-1]["seq"])

    threads = [threading.Thread(target=publish, args=(first,)) for first in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    table.receive("ack", of=table.sent[-1]["seq"])
    seqs = [message["seq"] for message in table.sent]
    assert seqs == sorted(seqs)
    assert table.sent[-1]["state"]["version"] == table._content.shown.version


def test_closing_leaves_nothing(table: Recorded) -> None:
    """Neither the table's nor the layout's comm survives, nor the thread; twice is once."""
    before = set(_instances)
    other = Recorded()
    other.hello()
    other.close()
    other.close()
    other.hello()
    other.show(shown(1, [1]))
    assert set(_instances) == before
    assert other._watcher is None
    assert other.viewers == 0


def test_rows_are_in_no_synced_trait(table: Recorded) -> None:
    """What is synced is saved with the notebook."""
    table.show(shown(1, [424242]))
    assert "424242" not in str(table.get_state())


def test_the_mimebundle_has_a_snapshot(table: Recorded) -> None:
    """Viewers without a kernel see a table; text/plain is the same on every run."""
    table.show(shown(1, [424242]))
    bundle = table._repr_mimebundle_()
    assert bundle is not None
    data, _ = bundle
    assert "<td>424242</td>" in data["text/html"]
    assert data["text/plain"] == "LiveTable(title='orders')"
    assert "application/vnd.jupyter.widget-view+json" in data
