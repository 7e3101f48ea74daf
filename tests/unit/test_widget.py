"""How the table talks to its viewers, without a kernel: messages go into a list."""

from __future__ import annotations

import datetime as dt
import gc
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import traitlets
from ipywidgets.widgets.widget import _instances

from pgrt_jupyter import content, watched, window
from pgrt_jupyter.testing import wait_until
from pgrt_jupyter.widget import LiveTable


class Recorded(LiveTable):
    """Keep what would go to browsers."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.buffers: list[bytes] = []
        self.acts: list[str] = []
        super().__init__(title="orders", act=self.acts.append)

    def send(self, content: Any, buffers: Any = None) -> None:
        self.sent.append(content)
        self.buffers += buffers or []

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.sent if message["type"] == kind]

    def acknowledge(self) -> None:
        self.receive("ack", of=self.sent[-1]["seq"])

    def receive(self, kind: str, viewer: str = "a", **fields: Any) -> None:
        self._receive(self, {"type": kind, "seq": 1, "viewer": viewer, **fields}, [])

    def hello(self, viewer: str = "a") -> None:
        self.receive("hello", viewer, start=0, count=30)


@pytest.fixture
def table() -> Iterator[Recorded]:
    made = Recorded()
    yield made
    made.close()


def shown(version: int, values: list[int], status: str = "live", **more: Any) -> window.Shown:
    return window.Shown(
        **more,
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
    monkeypatch.setattr(watched, "TICK", 0.01)
    monkeypatch.setattr("pgrt_jupyter.presence.HOLD_BACK", 0.02)
    monkeypatch.setattr(watched, "when_free", lambda _call: None)
    table.hello()
    table.show(shown(1, [1]))
    wait_until(lambda: table.sent[-1]["state"]["version"] == 1)


def test_a_silent_view_is_let_go(table: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is sent anything for ever, and the watching thread ends."""
    counts: list[int] = []
    table.on_viewers = counts.append
    monkeypatch.setattr(watched, "TICK", 0.01)
    monkeypatch.setattr("pgrt_jupyter.presence.UNANSWERED", 0.05)
    table.hello()
    wait_until(lambda: counts == [1, 0])
    wait_until(lambda: table._watcher is None)


def test_a_view_is_kept_while_the_kernel_is_busy(
    table: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silence means nothing while nobody could listen."""
    asked: list[object] = []
    monkeypatch.setattr(watched, "TICK", 0.01)
    monkeypatch.setattr("pgrt_jupyter.presence.UNANSWERED", 0.02)
    monkeypatch.setattr(watched, "when_free", asked.append)
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
    for number in range(watched.MAX_VIEWERS + 10):
        table.hello(f"v{number}")
    assert table.viewers == watched.MAX_VIEWERS


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
    table.selected = [0]
    assert "424242" not in str(table.get_state())
    assert not {"selected", "sort", "search", "filters"} & table.get_state().keys()


def test_the_mimebundle_has_a_snapshot(table: Recorded) -> None:
    """Viewers without a kernel see names and counts, and with `persist` rows; the text stays the same."""
    table.show(shown(1, [424242]))
    bundle = table._repr_mimebundle_()
    assert bundle is not None
    data, _ = bundle
    assert "<th>a</th>" in data["text/html"]
    assert "424242" not in str(bundle)
    table.persist = True
    assert "<td>424242</td>" in str(table._repr_mimebundle_())
    assert data["text/plain"] == "LiveTable(title='orders')"
    assert "application/vnd.jupyter.widget-view+json" in data


def test_a_closed_table_is_forgotten() -> None:
    """A cell that is run again and again leaves no table with its result in memory."""
    table = Recorded()
    table.show(shown(1, [1]))
    reference = weakref.ref(table)
    table.close()
    del table
    gc.collect()
    assert reference() is None


# -- what the views of a table share


def plain(**values: Any) -> dict[str, Any]:
    return {"sort": [], "search": "", "filters": [], **values}


def test_a_browser_sorts_and_python_sees_it(table: Recorded) -> None:
    """Every view is told, observers too, and updates keep the order."""
    heard: list[Any] = []
    table.observe(lambda change: heard.append((change["name"], change["new"])), "sort")
    table.show(shown(1, [1, 3, 2]))
    table.hello("a")
    table.hello("b")
    table.receive("ack", "b", of=table.sent[-1]["seq"])
    table.receive("arrange", **plain(sort=[[0, "desc"]]))
    assert table.sort == [("a", "desc")]
    assert heard == [("sort", [("a", "desc")])]
    told = table.sent[-1]
    assert (told["viewer"], told["arrangement"]["sort"]) == ("b", [(0, "desc")])
    table.receive("ack", "b", of=told["seq"])
    table.show(shown(2, [1, 3, 2, 9]))
    assert table.sent[-1]["state"]["filtered"] == 4
    assert table.to_csv() == "a\r\n9\r\n3\r\n2\r\n1\r\n"


def test_python_filters_and_browsers_see_it(table: Recorded) -> None:
    """A trait is set, the views get the rows that are left."""
    table.show(shown(1, [1, 3, 2]))
    table.hello()
    table.acknowledge()
    table.filters = [("a", ">", 1)]
    message = table.sent[-1]
    assert (message["state"]["total"], message["state"]["filtered"]) == (3, 2)
    assert message["arrangement"]["filters"] == [{"column": 0, "op": "gt", "value": "1"}]
    assert table.filters == [("a", "gt", "1")]


def test_a_wrong_filter_is_an_error_in_python_and_a_message_in_the_table(table: Recorded) -> None:
    """What makes no sense is refused; what this result has no answer to is named."""
    table.show(shown(1, [1, 3, 2]))
    table.hello()
    table.acknowledge()
    with pytest.raises(traitlets.TraitError, match="no condition"):
        table.filters = [("a", "like", 1)]
    with pytest.raises(traitlets.TraitError, match="search"):
        table.search = 5
    table.filters = [("nope", "=", 1), ("a", "=", "x")]
    error = table.sent[-1]["arrangement"]["error"]
    assert error == "there is no column 'nope'\na: 'x' is no number"
    with pytest.raises(ValueError, match="no sort key"):
        LiveTable(title="t", sort=[("a", "up")])


def test_a_browser_selects_and_python_sees_the_rows(table: Recorded) -> None:
    """By where the rows were in the revision the view speaks of, whatever came since."""
    heard: list[Any] = []
    table.observe(lambda change: heard.append(list(change["new"]["a"])), "selected")
    table.show(shown(1, [10, 20, 30], key=("a",)))
    table.hello()
    table.acknowledge()
    table.show(shown(2, [5, 10, 20, 30], key=("a",)))
    table.receive("select", revision=1, mode="replace", ranges=[[1, 3]])
    assert list(table.selected["a"]) == [20, 30]
    assert list(table.selected.index) == [2, 3]
    assert heard[-1] == [20, 30]
    table.acknowledge()
    assert table.sent[-1]["selected"] == {"count": 2, "rows": [(1, 2)]}
    table.acknowledge()
    table.show(shown(3, [30, 10], key=("a",)))
    assert list(table.selected["a"]) == [30]
    assert heard[-1] == [30]
    assert table.sent[-1]["selected"] == {"count": 1, "rows": [(2, 2)]}


def test_python_selects_and_browsers_see_it(table: Recorded) -> None:
    """Keys, a DataFrame, booleans; with no view open as well."""
    table.show(shown(1, [10, 20, 30], key=("a",)))
    table.selected = [30, 10]
    assert list(table.selected["a"]) == [10, 30]
    table.selected = table.selected.iloc[:1]
    assert list(table.selected["a"]) == [10]
    table.selected = [False, True, False]
    table.hello()
    assert table.sent[-1]["selected"] == {"count": 1, "rows": [(1, 1)]}
    with pytest.raises(traitlets.TraitError, match="booleans"):
        table.selected = [True]
    table.selected = None
    assert table.selected.empty
    assert list(table.selected.columns) == ["a"]


def test_a_selection_of_an_unknown_revision_is_taken_back(table: Recorded) -> None:
    """The view showed it already, and is told what is true."""
    table.show(shown(1, [1, 2]))
    table.hello()
    table.acknowledge()
    table.receive("select", revision=7, mode="replace", ranges=[[0, 2]])
    assert table.selected.empty
    assert table.sent[-1]["selected"] == {"count": 0, "rows": []}


def test_verbs_are_passed_on_where_there_is_a_query(table: Recorded) -> None:
    """A table that shows a result without a query has nothing to pause."""
    table.show(shown(1, [1]))
    table.hello()
    table.receive("act", verb="pause")
    assert table.acts == []
    table.show(shown(1, [1], acts=True))
    table.receive("act", verb="pause")
    table.receive("act", verb="refresh")
    assert table.acts == ["pause", "refresh"]


def test_a_cell_and_a_copy_are_answered_to_who_asked(table: Recorded) -> None:
    """With the number of the request, and an error where there is nothing to give."""
    table.show(shown(1, [1, 2]))
    table.hello("a")
    table.hello("b")
    table.receive("cell", "b", row=1, column=0)
    answer = table.of("cell")[-1]
    assert (answer["viewer"], answer["of"], answer["text"], answer["error"]) == ("b", 1, "2", "")
    table.receive("cell", "b", row=77, column=0)
    assert table.of("cell")[-1]["error"] == "this row is gone"
    ask = {"revision": 1, "ranges": [[1, 2]], "columns": None, "header": True}
    table.receive("copy", "b", **ask)
    wait_until(lambda: table.of("copy"))
    assert (table.of("copy")[-1]["text"], table.of("copy")[-1]["rows"]) == ("a\r\n2\r\n", 1)
    table.receive("copy", "b", **{**ask, "revision": 9})
    wait_until(lambda: len(table.of("copy")) == 2)
    assert "copy again" in table.of("copy")[-1]["error"]


def test_selected_rows_are_copied_in_the_order_shown(table: Recorded) -> None:
    """Wherever they are in the result."""
    table.show(shown(1, [1, 2, 3]))
    table.hello()
    table.sort, table.selected = ["a"], [0, 2]
    table.sort = [("a", "desc")]
    table.receive("copy", revision=0, ranges=None, columns=None, header=False)
    wait_until(lambda: table.of("copy"))
    assert table.of("copy")[-1]["text"] == "3\r\n1\r\n"


def test_an_export_goes_on_when_it_is_acknowledged(table: Recorded) -> None:
    """One part at a time; updates go on, and the export is of the moment it began."""
    table.show(shown(1, [*range(2_000)]))
    table.hello()
    table.receive("export", columns=None)
    wait_until(lambda: table.of("export"))
    table.show(shown(2, [1]))
    while not table.of("export")[-1]["done"]:
        seen = len(table.of("export"))
        table.receive("ack", of=table.of("export")[-1]["seq"])
        wait_until(lambda seen=seen: len(table.of("export")) > seen)
    parts = table.of("export")
    assert [part["rows"] for part in parts] == [500, 2_000]
    assert {part["name"] for part in parts} == {"orders.csv"}
    lines = b"".join(table.buffers).decode().splitlines()
    assert lines == ["a", *map(str, range(2_000))]


@pytest.mark.parametrize("ending", ["export_stop", "bye"])
def test_an_export_ends_when_nobody_wants_it(table: Recorded, ending: str) -> None:
    """Stopped, or with its view."""
    table.show(shown(1, [*range(2_000)]))
    table.hello()
    table.receive("export", columns=None)
    wait_until(lambda: table.of("export"))
    table.receive(ending)
    table.receive("ack", of=table.of("export")[-1]["seq"])
    wait_until(lambda: table._content.worker._thread is None)
    assert len(table.of("export")) == 1
    assert table._answers.exports._running == {}


def test_csv_goes_into_a_file(table: Recorded, tmp_path: Path) -> None:
    """As UTF-8, line ends untouched."""
    table.show(shown(1, [1]))
    assert table.to_csv(tmp_path / "t.csv") is None
    assert (tmp_path / "t.csv").read_bytes() == b"a\r\n1\r\n"


def test_an_observer_that_raises_stops_no_other(
    table: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor the thread that told it."""
    heard: list[Any] = []
    table.observe(lambda change: 1 / 0, "search")
    table.observe(heard.append, "search")
    table.hello()
    table.receive("arrange", **plain(search="x"))
    assert [change["new"] for change in heard] == ["x"]
    assert "ZeroDivisionError" in caplog.text
    table.unobserve(heard.append, "search")


def test_hostile_requests_change_nothing(table: Recorded) -> None:
    """Columns that are not there, ranges beyond the end, far too many rows."""
    table.show(shown(1, [1, 2]))
    table.hello()
    table.receive("arrange", **plain(sort=[[9, "asc"]], filters=[]))
    assert table.sort == []
    table.receive("arrange", **plain(filters=[{"column": 5, "op": "eq", "value": "1"}]))
    assert table.filters == []
    table.receive("select", revision=1, mode="add", ranges=[[0, 2**53 - 1], [5, 3]])
    table.receive("copy", revision=1, ranges=[[0, 2**53 - 1]] * 100, columns=[0, 1600], header=True)
    wait_until(lambda: table.of("copy"))
    assert table.of("copy")[-1]["rows"] <= 200
    table.receive("export", columns=[1600])
    wait_until(lambda: table.of("export"))


def test_many_rows_are_sorted_off_the_thread_that_asks(
    table: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While they are, a view scrolls through what was there before."""
    monkeypatch.setattr("pgrt_jupyter.content.QUICK_ROWS", 3)
    began, go_on = threading.Event(), threading.Event()
    table.show(shown(1, [3, 1, 4, 2]))
    table.hello()
    wait_until(lambda: table.sent)
    table.acknowledge()
    display = content.display

    def slow(*arguments: Any) -> Any:
        began.set()
        assert go_on.wait(10)
        return display(*arguments)

    monkeypatch.setattr(content, "display", slow)
    table.receive("arrange", **plain(sort=[[0, "asc"]]))
    assert began.wait(10)
    table.receive("window", start=0, count=2)
    assert table.sent[-1]["cells"] == [["3", "1", "4", "2"]]
    table.acknowledge()
    go_on.set()
    wait_until(lambda: table.sent[-1]["state"]["revision"] == 2)
