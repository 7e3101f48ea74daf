"""A table in a real kernel, spoken to as its view in a browser does: over the comm, by the protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pgrt_jupyter.testing import wait_until

LIVE = "%%livequery numbers --throttle 0\nSELECT id, n, word FROM numbers ORDER BY id"
ROWS = 3_000  # more than travel whole
VIEWER = "0123456789abcdef01234567"


class Browser:
    """Speak the protocol with one table, acknowledging what is pushed; hold what a view would hold."""

    def __init__(self, kernel: Any, comm: str) -> None:
        self._kernel = kernel
        self._comm = comm
        self._seq = 0
        self._seen = 0
        self.subshell: str | None = None
        self.received: list[dict[str, Any]] = []
        self.rows: list[int] = []
        self.cells: list[list[str | None]] = []
        self.state: dict[str, Any] = {}
        self.shared: dict[str, Any] = {}
        self.exported = b""

    def say(self, kind: str, **fields: Any) -> int:
        """Send a message and give its number."""
        self._seq += 1
        message = {"type": kind, "seq": self._seq, "viewer": VIEWER, **fields}
        self._kernel.send_to_comm(self._comm, message, self.subshell)
        return self._seq

    def want(self, kind: str = "window", start: int = 0, count: int = 40, **fields: Any) -> None:
        """Ask for rows."""
        revision = self.state.get("revision", 0)
        self.say(kind, start=start, count=count, **{"anchor": None, "revision": revision, **fields})

    def until(self, done: Callable[[], Any], timeout: float = 20) -> Any:
        """Take messages until something is so."""
        wait_until(
            lambda: self._listen() or done(), timeout, message=lambda: str(self.received[-3:])
        )
        return done()

    def answer(self, kind: str, of: int) -> dict[str, Any]:
        """Wait for the answer to a request."""

        def found() -> Any:
            answers = (m for m in self.received if m["type"] == kind and m.get("of") == of)
            return next(answers, None)

        return self.until(found)

    def column(self, name: int) -> list[str | None]:
        """Give the text of a column."""
        return self.cells[name]

    def _listen(self) -> None:
        def is_ours(message: dict[str, Any]) -> bool:
            data = message["content"].get("data", {})
            return (
                message["msg_type"] == "comm_msg"
                and message["content"]["comm_id"] == self._comm
                and data.get("method") == "custom"
            )

        try:
            self._kernel.until(lambda _message: False, timeout=0.02)
        except TimeoutError:
            pass
        fresh = self._kernel.messages[self._seen :]
        self._seen = len(self._kernel.messages)
        for message in filter(is_ours, fresh):
            self._take(message["content"]["data"]["content"], message["buffers"])

    def _take(self, message: dict[str, Any], buffers: list[Any]) -> None:
        self.received.append(message)
        if message["type"] in ("window", "patch", "state", "export"):
            self.say("ack", of=message["seq"])
        if message["type"] == "export":
            self.exported += bytes(buffers[0])
        if "state" in message:
            if message["type"] == "patch":
                assert message["base"] == self.state["revision"]
            self.state = message["state"]
            self.shared |= {k: message[k] for k in ("arrangement", "selected") if k in message}
        if message["type"] == "window":
            self.rows, self.cells = message["rows"], message["cells"]
        if message["type"] == "patch":
            self._patch(message)

    def _patch(self, message: dict[str, Any]) -> None:
        if message["rows"] is not None:
            rows: list[int] = []
            cells: list[list[str | None]] = [[] for _ in self.cells]
            for piece in message["rows"]:
                part = slice(piece.get("place", 0), piece.get("place", 0) + piece.get("count", 0))
                rows += piece["rows"] if "rows" in piece else self.rows[part]
                for at, column in enumerate(cells):
                    column += piece["cells"][at] if "rows" in piece else self.cells[at][part]
            self.rows, self.cells = rows, cells
        for column, places, texts in message["changes"]:
            for place, text in zip(places, texts, strict=True):
                self.cells[column][place] = text


@pytest.fixture
def writer(connect):
    """Give a connection to a database with a table of numbers."""
    connection = connect()
    connection.execute("CREATE TABLE numbers (id int PRIMARY KEY, n int, word text)")
    connection.execute(
        f"INSERT INTO numbers SELECT g, g % 7, 'word ' || g FROM generate_series(1, {ROWS}) g"
    )
    return connection


@pytest.fixture
def browser(kernel, writer):
    """Run a live query and open a view on its table."""
    kernel.run("import time, threading\nimport pgrt_jupyter as pgrt")
    kernel.run(LIVE)
    [comm] = [
        message["content"]["comm_id"]
        for message in kernel.messages
        if message["msg_type"] == "comm_open" and "title" in message["content"]["data"]["state"]
    ]
    made = Browser(kernel, comm)
    made.want("hello")
    made.until(lambda: made.cells)
    return made


def test_a_view_sorts_and_filters_and_updates_keep_it(browser, kernel, writer):
    """The kernel sorts; Python reads and observes it; a row that changes moves to its place."""
    kernel.run(
        "table = numbers.own_table\n"
        "table.observe(lambda change: print('sorted', change.new), 'sort')"
    )
    browser.say(
        "arrange",
        sort=[[1, "desc"], [0, "desc"]],
        search="WORD 29",
        filters=[{"column": 0, "op": "gt", "value": "2900.5"}],
    )
    browser.until(lambda: browser.state["filtered"] < ROWS)
    assert browser.state["filtered"] == 99
    ids = [int(text) for text in browser.column(0)]
    wanted = sorted(range(2901, 3000), key=lambda i: (-(i % 7), -i))
    assert ids == wanted[: len(ids)]
    assert kernel.run("print(table.sort, table.search, len(table.filters))").text == (
        "[('n', 'desc'), ('id', 'desc')] WORD 29 1\n"
    )
    kernel.until(lambda m: "sorted [('n'" in str(m["content"].get("text", "")), since=0)
    writer.execute("UPDATE numbers SET n = 99 WHERE id = 2950")
    browser.until(lambda: browser.column(0)[0] == "2950")
    assert browser.received[-1]["type"] == "patch"
    kernel.run("table.sort, table.search, table.filters = None, '', []")
    browser.until(lambda: browser.state["filtered"] == ROWS)
    assert browser.shared["arrangement"]["sort"] == []


def test_a_wrong_filter_is_told_and_hides_nothing(browser):
    """The rows stay, and the message names the column and the value."""
    browser.say("arrange", sort=[], search="", filters=[{"column": 1, "op": "gt", "value": "many"}])
    browser.until(lambda: browser.shared["arrangement"]["error"])
    assert browser.shared["arrangement"]["error"] == "n: 'many' is no number"
    assert browser.state["filtered"] == ROWS


def test_rows_inserted_above_do_not_move_the_window(browser, writer):
    """The window follows its anchor; nothing in it is sent again."""
    browser.want(start=1_000, count=60, anchor=1_019)
    browser.until(lambda: browser.column(0)[0] == "1001")
    writer.execute("INSERT INTO numbers SELECT -g, 0, 'new' FROM generate_series(1, 25) g")
    browser.until(lambda: browser.state["total"] == ROWS + 25)
    last = browser.received[-1]
    assert (last["type"], last["start"], last["shift"]) == ("patch", 1_025, 25)
    assert (last["rows"], last["changes"]) == (None, [])
    assert browser.column(0)[0] == "1001"
    assert browser.state["next"] == ROWS + 25
    assert len(str(last)) < 1_000


def test_what_is_sent_is_what_changed(browser, writer):
    """One cell of the window, of 3,000 rows."""
    writer.execute("UPDATE numbers SET n = 555 WHERE id IN (3, 2000)")
    browser.until(lambda: browser.column(1)[2] == "555")
    assert browser.received[-1]["changes"] == [[1, [2], ["555"]]]


def test_selected_rows_are_read_in_python_and_follow_updates(browser, kernel, writer):
    """A view selects, Python reads, observes and selects in turn."""
    kernel.run(
        "table = numbers.own_table\n"
        "table.observe(lambda change: print('chosen', list(change.new['id'])), 'selected')"
    )
    revision = browser.state["revision"]
    browser.say("select", revision=revision, mode="replace", ranges=[[0, 2], [5, 6]])
    browser.until(lambda: browser.shared["selected"]["count"] == 3)
    assert browser.shared["selected"]["rows"] == [[0, 1], [5, 5]]
    assert kernel.run("print(list(table.selected['id']))").text == "[1, 2, 6]\n"
    kernel.until(lambda m: "chosen [1, 2, 6]" in str(m["content"].get("text", "")), since=0)
    writer.execute("DELETE FROM numbers WHERE id = 2")
    browser.until(lambda: browser.shared["selected"]["count"] == 2)
    assert kernel.run("print(list(table.selected['id']))").text == "[1, 6]\n"
    kernel.run("table.selected = [2999]")
    browser.until(lambda: browser.shared["selected"] == {"count": 1, "rows": []})
    browser.want(start=2_980, count=40)
    browser.until(lambda: browser.shared["selected"]["rows"] == [[2_998, 2_998]])


def test_cells_and_copies_are_given_in_full(browser, writer):
    """More than a window carries of a long text; tab-separated text of the rows."""
    writer.execute("UPDATE numbers SET word = repeat('long ', 1000) WHERE id = 1")
    browser.until(lambda: browser.column(2)[0].startswith("long"))
    assert len(browser.column(2)[0]) == 300
    cell = browser.answer("cell", browser.say("cell", row=0, column=2))
    assert (len(cell["text"]), cell["cut"], cell["error"]) == (5_000, False, "")
    revision = browser.state["revision"]
    asked = browser.say("copy", revision=revision, ranges=[[1, 3]], columns=[2, 0], header=True)
    copied = browser.answer("copy", asked)
    assert copied["text"] == "word\tid\r\nword 2\t2\r\nword 3\t3\r\n"


def test_an_export_is_of_all_rows_shown(browser, kernel):
    """In parts, each after the acknowledgement of the one before, and harmless; Python writes the same."""
    browser.say("arrange", sort=[[0, "desc"]], search="", filters=[])
    browser.until(lambda: browser.column(0)[0] == "3000")
    browser.say("export", columns=None)
    browser.until(lambda: browser.received[-1]["type"] == "export" and browser.received[-1]["done"])
    lines = browser.exported.decode().split("\r\n")
    assert lines[:2] == ["id,n,word", "3000,4,word 3000"]
    assert len(lines) == ROWS + 2
    parts = [m for m in browser.received if m["type"] == "export"]
    assert len(parts) > 1
    assert parts[-1]["rows"] == parts[-1]["total"] == ROWS
    kernel.run("text = numbers.own_table.to_csv()")
    assert kernel.run("print(len(text), len(text.splitlines()))").text == (
        f"{len(browser.exported)} {ROWS + 1}\n"
    )


def test_a_view_pauses_resumes_and_refreshes(browser, kernel, writer):
    """The verbs act on the query, and the state says what came of them."""
    assert browser.state["acts"]
    browser.say("act", verb="pause")
    browser.until(lambda: browser.state["paused"])
    assert kernel.run("print(numbers.status)").text == "paused\n"
    writer.execute("UPDATE numbers SET n = 777 WHERE id = 1")
    browser.say("act", verb="refresh")
    browser.until(lambda: browser.column(1)[0] == "777")
    assert browser.state["paused"]
    browser.say("act", verb="resume")
    browser.until(lambda: not browser.state["paused"])
    assert browser.state["status"] == "live"


def test_an_error_has_its_message_and_sqlstate(browser, writer):
    """The last rows stay."""
    writer.execute("ALTER TABLE numbers RENAME COLUMN word TO words")
    browser.say("act", verb="refresh")
    browser.until(lambda: browser.state["error"])
    assert browser.state["error"]["sqlstate"] == "42703"
    assert "word" in browser.state["error"]["message"]
    assert len(browser.cells[0]) == 40


def test_updates_are_sorted_and_pushed_while_a_cell_runs(browser, kernel, writer):
    """The order is kept although the kernel's main thread sleeps and hears no acknowledgement."""
    browser.say("arrange", sort=[[1, "desc"]], search="", filters=[])
    browser.until(lambda: browser.column(1)[0] == "6")
    sleeping = kernel.submit("print('asleep'); time.sleep(4)")
    kernel.until(lambda m: "asleep" in str(m["content"].get("text", "")), since=0)
    writer.execute("UPDATE numbers SET n = 1000 WHERE id = 42")
    browser.until(lambda: browser.column(0)[0] == "42")
    browser.say("arrange", sort=[[0, "desc"]], search="", filters=[])
    browser.say("select", revision=browser.state["revision"], mode="replace", ranges=[[0, 1]])
    kernel.finish(sleeping)
    browser.until(lambda: browser.column(0)[0] == "3000")
    assert kernel.run("print(list(numbers.own_table.selected['id']))").text == "[42]\n"


def test_a_view_sorts_selects_and_exports_while_a_cell_runs(browser, kernel):
    """Over the subshell that JupyterLab makes for widgets, everything works in a busy kernel."""
    if "kernel subshells" not in kernel.ask(kernel.client.kernel_info())["supported_features"]:
        pytest.skip("this kernel has no subshells")
    sleeping = kernel.submit("print('asleep'); time.sleep(6)")
    kernel.until(lambda m: "asleep" in str(m["content"].get("text", "")), since=0)
    browser.subshell = kernel.make_subshell()
    browser.say("arrange", sort=[[0, "desc"]], search="", filters=[])
    browser.until(lambda: browser.column(0)[0] == "3000")
    revision = browser.state["revision"]
    browser.say("select", revision=revision, mode="replace", ranges=[[0, 2]])
    browser.until(lambda: browser.shared["selected"]["count"] == 2)
    browser.say("export", columns=[0])
    browser.until(lambda: browser.received[-1]["type"] == "export" and browser.received[-1]["done"])
    browser.say("act", verb="pause")
    browser.until(lambda: browser.state["paused"])
    idle = [m for m in kernel.of(sleeping) if m["msg_type"] == "status"]
    assert [m["content"]["execution_state"] for m in idle] == ["busy"]
    kernel.finish(sleeping)


def test_python_arranges_and_selects_while_its_cell_runs(browser, kernel):
    """What a blocking cell sets is on the screen before it ends."""
    running = kernel.submit(
        "t = numbers.own_table\n"
        "t.filters = [('n', '=', 3)]\n"
        "t.selected = [3]\n"
        "assert len(t.selected) == 1\n"
        "time.sleep(3)"
    )
    browser.until(lambda: browser.state["filtered"] == 429)
    browser.until(lambda: browser.shared["selected"]["count"] == 1)
    idle = [m for m in kernel.of(running) if m["msg_type"] == "status"]
    assert [m["content"]["execution_state"] for m in idle] == ["busy"]
    kernel.finish(running)


def test_hostile_requests_leave_the_table_alive(browser, kernel):
    """Nothing is logged, nothing ends; the next request is answered."""
    for fields in (
        {"type": "arrange", "sort": [[99, "asc"]], "search": "'; DROP", "filters": []},
        {"type": "select", "revision": 1, "mode": "add", "ranges": [[0, 2**53 - 1]] * 50},
        {"type": "copy", "revision": 1, "ranges": None, "columns": [9], "header": True},
        {"type": "export", "columns": [1_600]},
        {"type": "cell", "row": 2**53 - 1, "column": 1_600},
        {"type": "act", "verb": "drop"},
        {"type": "arrange", "sort": "id"},
        {"type": {"$ne": 1}},
    ):
        kernel.send_to_comm(browser._comm, {"seq": 1, "viewer": VIEWER, **fields})
    browser.say("arrange", sort=[[0, "desc"]], search="", filters=[])
    browser.until(lambda: browser.column(0)[:1] == ["3000"])
    assert not [m for m in kernel.messages if m["msg_type"] in ("error", "stream")]
