"""Running cells again and again leaves as much behind as running them once.

`PGRT_RUNS` sets how many runs a kernel is put through.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

import pgrt_jupyter as pgrt
from pgrt_jupyter.testing import wait_until

RUNS = int(os.environ.get("PGRT_RUNS", "1000"))
LIVE = "%%livequery numbers --throttle 0 --height 200\nSELECT id, n FROM numbers ORDER BY id"


@pytest.fixture
def db(connect: Callable[..., Any]) -> Any:
    """Give a connection to a database with a table of one number."""
    connection = connect()
    connection.execute("CREATE TABLE numbers (id int PRIMARY KEY, n int)")
    connection.execute("INSERT INTO numbers VALUES (1, 1)")
    return connection


COUNTING = """
import gc, os, threading, time
import comm, ipywidgets, psutil, pgrt_jupyter as pgrt

def count():
    gc.collect()
    engine = pgrt.start()
    return {
        "comms": len(comm.get_comm_manager().comms),
        "widgets": len(ipywidgets.widgets.widget._instances),
        "threads": sum(t.name != "pgrt-cancel" for t in threading.enumerate()),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "subscriptions": len(engine.subscriptions()),
        "groups": len(engine._loop.runtime.groups),
    }

def again(cell, times):
    magic, _, line = cell.split("\\n")[0].partition(" ")
    body = cell.split("\\n", 1)[1]
    for number in range(times):
        other = body.replace("n FROM", f"n + {number // 10} AS n FROM")
        get_ipython().run_cell_magic("livequery", line, other)

def megabytes():
    gc.collect()
    return psutil.Process().memory_info().rss / 2**20
"""


def counted(kernel: Any) -> dict[str, int]:
    """Count what a kernel holds, once it has settled."""
    return eval(kernel.run("print(count())").text)


def test_a_cell_that_runs_a_thousand_times(kernel: Any, db: Any) -> None:
    """Comms, widgets, threads, descriptors, sessions and memory are those of a few runs."""
    kernel.run(COUNTING)
    kernel.run(f"again({LIVE!r}, {RUNS // 5})")  # the first runs fill caches
    before, memory = counted(kernel), float(kernel.run("print(megabytes())").text)
    for _ in range(4):
        kernel.run(f"again({LIVE!r}, {RUNS // 4})")
    wait_until(lambda: counted(kernel) == before, message=lambda: f"{before} {counted(kernel)}")
    grown = float(kernel.run("print(megabytes())").text) - memory
    print(f"{RUNS} runs: {grown:+.1f} MB")
    assert grown < 10 + RUNS / 200
    assert before["subscriptions"] == 1
    assert [m for m in kernel.messages if m["msg_type"] == "comm_close"] == []
    db.execute("UPDATE numbers SET n = 7")
    kernel.run("numbers.wait_for(lambda df: df['n'][0] >= 7)")


def test_stopping_and_beginning_again(kernel: Any, db: Any) -> None:
    """The table of a query that has ended closes, layout and all, when its cell runs again."""
    kernel.run(COUNTING)
    again = "%livequery --stop numbers"
    kernel.run(LIVE)
    before = counted(kernel)
    for _ in range(30):
        kernel.run(again)
        kernel.run(LIVE)
    wait_until(lambda: counted(kernel) == before, message=lambda: f"{before} {counted(kernel)}")
    for _ in range(3):
        kernel.run("%pgrt shutdown")
        kernel.run(LIVE)
    wait_until(lambda: counted(kernel) == before, message=lambda: f"{before} {counted(kernel)}")
    opened = sum(m["msg_type"] == "comm_open" for m in kernel.messages)
    closed = sum(m["msg_type"] == "comm_close" for m in kernel.messages)
    assert opened - closed == before["comms"]


def test_a_query_that_is_still_live_keeps_its_table(shell: Any, db: Any) -> None:
    """Only what has ended is released, and only for the variable it was bound to."""
    shell.run("%%livequery q --height 100\nSELECT 1 AS one")
    query = shell.ip.user_ns["q"]
    table = query.own_table
    shell.run("other = q; del q")
    shell.run("%%livequery q --height 100\nSELECT 2 AS two")
    assert query.own_table is table
    query.release()
    assert query.own_table is table
    assert table.comm is not None
    query.close()
    query.release()
    assert table.comm is None


def test_the_notebook_forgets(shell: Any, db: Any) -> None:
    """%reset, del, %load_ext and %reload_ext, autoreload: one engine, one query, no error."""
    shell.run(LIVE)
    engine, query = pgrt.start(), pgrt.sub("numbers")
    for cell in (
        "del numbers",
        "%reset -f",
        "%load_ext pgrt_jupyter",
        "%reload_ext pgrt_jupyter",
        "%reload_ext pgrt_jupyter",
        "%load_ext autoreload\n%autoreload 2\nimport pgrt_jupyter",
        "%unload_ext pgrt_jupyter",
        "%load_ext pgrt_jupyter",
    ):
        ran = shell.run(cell)
        assert ran.error is None, (cell, ran.error)
        assert "rror" not in ran.text, ran.text
        assert pgrt.start() is engine
        assert pgrt.subscriptions() == {"numbers": query}
    shell.run(LIVE)
    assert shell.ip.user_ns["numbers"] is query
    assert len(shell.ip.Completer.custom_matchers) == 1
    db.execute("UPDATE numbers SET n = 7")
    assert query.wait_for(lambda df: df["n"][0] == 7) is query.df
    shell.run("%autoreload 0")


def test_what_is_dropped_is_collected(kernel: Any, db: Any) -> None:
    """A closed query that nobody holds takes its own table with it; a user's own table stays his."""
    kernel.run(COUNTING)
    kernel.run("pgrt.start()\npgrt.sub('q', 'SELECT 1').own_table; mine = pgrt.sub('q').table()")
    before = counted(kernel)
    kernel.run("assert pgrt.unsub('q')")
    wait_until(lambda: counted(kernel)["comms"] == before["comms"] - 2)
    kernel.run("assert mine.comm is not None\nmine.close()")
