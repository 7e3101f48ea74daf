"""A browser is not trusted: what it sends is checked, counted, and changes nothing for others."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgrt_jupyter import displayed, incoming, watched, window
from pgrt_jupyter.allowance import Allowance
from pgrt_jupyter.watched import refused
from pgrt_jupyter.widget import LiveTable

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=6)
    ),
    max_leaves=12,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["hello", "window", "ack", "beat", "bye", "sort", "eval"]) | JSON,
        "viewer": st.sampled_from(["a", "b", "", "x" * 65]) | JSON,
        **dict.fromkeys(
            ("seq", "start", "count", "of"),
            st.sampled_from([0, 1, -1, 2**53 - 1, 2**53, 10**30, 1.0, float("nan"), True]) | JSON,
        ),
        "column": JSON,
        "sort": st.just("n; DROP TABLE numbers --"),
        "__proto__": JSON,
    },
)


class Recorded(LiveTable):
    """Keep what would go to browsers."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        super().__init__(title="orders")

    def send(self, content: Any, buffers: Any = None) -> None:
        self.sent.append(content)


def shown(rows: int) -> window.Shown:
    return window.Shown(
        version=1,
        frame=pd.DataFrame({"n": range(rows), "t": "x"}),
        types=("int4", "text"),
        status="live",
        message="",
        refreshed_at=None,
        truncated=False,
    )


@pytest.fixture(scope="module")
def table() -> Iterator[Recorded]:
    """Give a table with rows; it outlives every message."""
    made = Recorded()
    made.show(shown(3000))
    yield made
    made.close()


@settings(max_examples=150, deadline=None)
@given(messages=st.lists(FIELDS | JSON, max_size=8))
def test_no_message_raises(table: Recorded, messages: list[Any]) -> None:
    """Whatever comes is answered with one of our messages or not at all, within bounds."""
    table.sent.clear()
    for content in messages:
        table._handle_msg({"content": {"data": {"method": "custom", "content": content}}})
        table._handle_msg({"content": {"data": content}})
        table._handle_msg({"content": content})
        table._handle_msg(content)
    assert table.viewers <= watched.MAX_VIEWERS
    for message in table.sent:
        assert message["type"] in ("window", "patch", "state")
        assert sum(map(len, message.get("cells", []))) <= displayed.MAX_WINDOW_CELLS
        json.dumps(message)
    assert (table.title, table.height) == ("orders", 320)


@pytest.mark.parametrize(
    "data",
    [
        {
            "method": "update",
            "state": {"title": "<b>", "_esm": "export default 1", "height": 10**9},
        },
        {"method": "update", "state": {"layout": "IPY_MODEL_x"}, "buffer_paths": [["a"]]},
        {"method": "backbone", "sync_data": {"title": "x"}},
        {"method": "nope"},
        {"method": ["custom"]},
        {"method": "custom"},
        {},
        None,
        [],
    ],
)
def test_a_browser_sets_nothing(data: Any) -> None:
    """What is synchronised goes one way, so that no view can put its script into the others."""
    table = Recorded()
    state, before = table.get_state(), refused.count
    table._handle_msg({"content": {"data": data}})
    assert table.get_state() == state
    assert refused.count == before + 1
    table.close()


def test_a_huge_message_costs_little() -> None:
    """Ten megabytes in fields that nobody reads, or in those that are read, are dropped at once."""
    table = Recorded()
    big = "x" * 10_000_000
    began = time.perf_counter()
    for content in (
        {"type": "hello", "seq": 1, "viewer": big, "start": 0, "count": 9},
        {"type": big, "seq": 1, "viewer": "a"},
        {"type": "ack", "seq": 1, "viewer": "a", "of": big},
        {big: big},
        [big] * 100,
    ):
        assert incoming.read(content) is None
        table._receive(table, content, [])
    assert time.perf_counter() - began < 5
    assert table.sent == []
    table.close()


def test_a_flood_is_worked_off_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the rate, requests for rows wait for the next tick; they are counted and not lost."""
    monkeypatch.setattr(watched, "RATE", 0.0)
    table = Recorded()
    table.show(shown(100_000))
    table._receive(table, {"type": "hello", "seq": 1, "viewer": "a", "start": 0, "count": 30}, [])
    before = refused.count
    chance = random.Random(1)
    for seq in range(2, 2000):
        start = chance.randrange(100_000)
        content = {"type": "window", "seq": seq, "viewer": "a", "start": start, "count": 10**9}
        table._receive(table, content, [])
    assert len(table.sent) < watched.BURST
    assert refused.count - before > 1000
    assert table._viewers["a"].behind
    table._viewers["a"]._unacknowledged = None
    table._push()
    assert table.sent[-1]["start"] == start
    table.close()


def test_an_allowance_grows_back() -> None:
    """A burst, then the rate; an expensive request is paid off before the next."""
    allowance = Allowance(10, 2)
    assert [allowance.spend(1, 0.0) for _ in range(3)] == [True, True, False]
    assert allowance.spend(5, 0.1)
    assert not allowance.spend(1, 0.4)
    assert allowance.spend(1, 0.6)
    assert [allowance.spend(1, 1000.0) for _ in range(3)] == [True, True, False]


HOSTILE: list[Any] = [
    {"type": "hello", "seq": 1, "viewer": "evil", "start": 10**9, "count": 10**9},
    {"type": "window", "seq": 1, "viewer": "evil", "start": -1, "count": 5},
    {"type": "window", "seq": 1, "viewer": "evil", "start": "0; DROP TABLE numbers", "count": 5},
    {"type": "sort", "seq": 1, "viewer": "evil", "column": "n; DROP TABLE numbers"},
    {"type": "ack", "seq": 1, "viewer": "evil", "of": 1e300},
    {"type": "x" * 1_000_000},
    [[[[[[]]]]]],
    "DROP TABLE numbers",
    None,
]


def test_in_a_kernel(kernel: Any, connect: Callable[..., Any]) -> None:
    """Another table goes on, no error shows anywhere, and `%pgrt status` tells how many there were."""
    db = connect()
    db.execute("CREATE TABLE numbers (id int PRIMARY KEY, n int)")
    db.execute("INSERT INTO numbers VALUES (1, 1)")
    for name in ("one", "two"):
        kernel.run(f"%%livequery {name} --throttle 0\nSELECT id, n FROM numbers")
    assert "ignored" not in kernel.run("%pgrt status").text
    one, two = [
        m["content"]["comm_id"]
        for m in kernel.messages
        if m["msg_type"] == "comm_open" and "title" in m["content"]["data"]["state"]
    ]
    kernel.send_to_comm(two, {"type": "hello", "seq": 1, "viewer": "v", "start": 0, "count": 9})
    since = len(kernel.messages)
    for _ in range(30):
        for content in HOSTILE:
            kernel.send_to_comm(one, content)
    for data in ({"method": "update", "state": {"title": "x"}}, {}, {"method": 1}):
        message = kernel.client.session.msg("comm_msg", {"comm_id": one, "data": data})
        kernel.client.shell_channel.send(message)
    db.execute("UPDATE numbers SET n = 77")
    db.execute(
        "SELECT pg_notify('pgrt_jupyter', repeat('x', 100) || g) FROM generate_series(1, 50) g"
    )
    kernel.until(
        lambda m: m["content"].get("comm_id") == two and "77" in str(m["content"]), since=since
    )
    said = kernel.run("%pgrt status").text
    assert "243 messages from browsers made no sense" in said
    assert "50 notifications were not of our triggers" in said
    kernel.run("assert one.own_table.title == 'one' and two.status == one.status == 'live'")
    wrong = [
        m for m in kernel.messages if m["msg_type"] in ("error", "stream") and "rror" in str(m)
    ]
    assert wrong == []
    assert db.execute("SELECT count(*) FROM numbers").fetchone() == (1,)
