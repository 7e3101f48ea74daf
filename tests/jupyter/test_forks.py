"""A forked child can neither use nor harm what belongs to its parent."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import pgrt_jupyter as pgrt
from pgrt_jupyter.testing import wait_until

QUERY = "SELECT id, n FROM numbers ORDER BY id"
SESSIONS = (
    "SELECT array_agg(pid ORDER BY pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name = 'pgrt_jupyter'"
)


@pytest.fixture
def db(connect: Callable[..., Any]) -> Any:
    """Give a connection to a database with a table of one number."""
    connection = connect()
    connection.execute("CREATE TABLE numbers (id int PRIMARY KEY, n int)")
    connection.execute("INSERT INTO numbers VALUES (1, 1)")
    return connection


@pytest.fixture
def live(dsn: str, db: Any) -> Iterator[pgrt.LiveQuery]:
    """Give a live query whose sessions must be there and at work when the test ends."""
    pgrt.start(dsn, throttle_ms=0)
    query = pgrt.sub("q", QUERY)
    query.own_table  # noqa: B018 - made when first asked for
    ((sessions,),) = db.execute(SESSIONS)
    try:
        yield query
        ((now,),) = db.execute(SESSIONS)
        assert set(sessions) <= set(now)
        db.execute("UPDATE numbers SET n = 99")
        query.wait_for(lambda df: df["n"][0] == 99)
        query.refresh()
        assert query.status == "live"
    finally:
        pgrt.shutdown()


def said(call: Callable[[], object]) -> str:
    """Describe what came of a call."""
    try:
        return repr(call())
    except pgrt.EngineNotRunning as error:
        return "forked" if "forked process" in str(error) else str(error)


def try_everything(query: pgrt.LiveQuery) -> dict[str, str]:
    """Use all that a child might have at hand."""
    engine = pgrt.api._default
    assert engine is not None
    calls: dict[str, Callable[[], object]] = {
        "sub": lambda: pgrt.sub("other", "SELECT 1"),
        "sub again": lambda: pgrt.sub("q"),
        "sub of the engine": lambda: engine.sub("q", QUERY),
        "refresh": query.refresh,
        "wait_for": lambda: query.wait_for(lambda df: False),
        "pause": query.pause,
        "status": lambda: query.status,
        "rows": lambda: len(query.df),
        "subscriptions": pgrt.subscriptions,
        "unsub": lambda: pgrt.unsub("q"),
        "close": query.close,
        "close the table": query.own_table.viewers.__int__,
        "shutdown": pgrt.shutdown,
        "shutdown of the engine": engine.shutdown,
    }
    return {name: said(call) for name, call in calls.items()}


EXPECTED = {
    **dict.fromkeys(("sub", "sub again", "sub of the engine"), "forked"),
    **dict.fromkeys(("refresh", "wait_for", "pause"), "forked"),
    "status": "'closed'",
    "rows": "1",
    "subscriptions": "{}",
    "unsub": "False",
    "close": "None",
    "close the table": "0",
    **dict.fromkeys(("shutdown", "shutdown of the engine"), "False"),
}


def in_child(work: Callable[[], str]) -> str:
    """Run something in a forked child that ends as Python programs do; give what it found."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            found = work()
        except BaseException as error:
            found = f"raised {error!r}"
        os.write(writing, found.encode())
        os.close(writing)
        if "pytest" not in found:
            pgrt.api._shut_down_all()  # what atexit would call; pytest's own must not run here
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        found = answer.read()
    os.waitpid(child, 0)
    return found


def test_a_forked_child_is_told(live: pgrt.LiveQuery) -> None:
    """Each verb says why it cannot be; the last result can be read; the parent's session lives on."""

    def collecting() -> str:
        found = repr(try_everything(live))
        gc.collect()
        return found

    assert in_child(collecting) == repr(EXPECTED)


def test_a_pool_of_forked_workers(live: pgrt.LiveQuery) -> None:
    """multiprocessing by fork may use the DataFrame, and its workers' end closes nothing."""
    frame = live.df
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(frame["n"].iloc[:1].sum().__add__, [1, 2]) == [2, 3]
        assert pool.apply(os.getpid) != os.getpid()


def test_a_child_has_none_of_the_sockets(live: pgrt.LiveQuery, db: Any) -> None:
    """What a child keeps open would keep the sessions of a killed parent alive."""

    def sockets() -> str:
        links = []
        for name in os.listdir("/proc/self/fd"):
            try:
                links.append(os.readlink(f"/proc/self/fd/{name}"))
            except OSError:
                continue
        return str(sum(link in parents for link in links))

    from pgrt_jupyter.engine import forks

    parents = [
        os.readlink(f"/proc/self/fd/{c.pgconn.socket}") for c in forks._opened if not c.closed
    ]
    assert len(parents) >= 2
    assert sockets() == str(len(parents))
    assert in_child(sockets) == "0"


def test_a_child_may_have_an_engine_of_its_own(live: pgrt.LiveQuery, dsn: str) -> None:
    """`start` in the child connects anew."""

    def begin() -> str:
        with pgrt.start(dsn, throttle_ms=0):
            return str(len(pgrt.sub("mine", QUERY).refresh()))

    assert in_child(begin) == "1"


def test_commands_and_subprocesses(live: pgrt.LiveQuery) -> None:
    """`!cmd` is a fork, too, and a subprocess inherits no socket."""
    import IPython.utils.process

    assert "hello" in (IPython.utils.process.getoutput("echo hello") or "")
    listing = subprocess.run(
        [sys.executable, "-c", "import os; print(os.listdir('/proc/self/fd'))"],
        capture_output=True,
        text=True,
        check=True,
        close_fds=False,
    )
    assert len(eval(listing.stdout)) < 12
    for _ in range(20):
        subprocess.run(["true"], check=True, preexec_fn=lambda: None)


def test_a_killed_child_is_nothing_to_the_parent(live: pgrt.LiveQuery) -> None:
    """However a child ends."""
    child = os.fork()
    if child == 0:
        signal.pause()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_forking_while_the_engine_works(live: pgrt.LiveQuery, db: Any) -> None:
    """A child never waits for a lock that a thread of the parent held."""
    for number in range(20):
        db.execute("UPDATE numbers SET n = %s", [number])
        assert in_child(lambda: repr(try_everything(live))) == repr(EXPECTED)


def test_in_a_kernel(kernel: Any, db: Any) -> None:
    """In cells: a shell command, a fork, a worker pool."""
    kernel.run(f"%%livequery q --throttle 0\n{QUERY}")
    sessions = db.execute(SESSIONS).fetchone()
    kernel.run("!echo hello\n!true")
    kernel.run("import os\nif (child := os.fork()) == 0: os._exit(0)\nos.waitpid(child, 0)")
    kernel.run(
        "import multiprocessing as m\n"
        "with m.get_context('fork').Pool(2) as pool: print(pool.map(abs, [-1, -2]))"
    )
    db.execute("UPDATE numbers SET n = 5")
    kernel.run("assert len(q.wait_for(lambda df: df['n'][0] == 5)) == 1 and q.status == 'live'")
    wait_until(lambda: db.execute(SESSIONS).fetchone() == sessions)
