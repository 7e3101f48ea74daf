"""Whatever comes down the notification channel, load and memory stay bounded and nothing is lost."""

from __future__ import annotations

import asyncio
import ctypes
import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

import pgrt_jupyter as pgrt
from pgrt_jupyter import api
from pgrt_jupyter.engine.group import Group
from pgrt_jupyter.engine.listener import Listener, Pulse
from pgrt_jupyter.engine.loop import EngineLoop
from pgrt_jupyter.testing import wait_until

from ..variants.broken import against, break_engine, noticed, patience

Connection = psycopg.Connection[Any]
COUNTER = "SELECT n FROM counter"
STRANGERS = """SELECT count(pg_notify('pgrt_jupyter', i || repeat(' x', 20)))
    FROM generate_series(%s::int, %s::int) AS i"""
OURS = """SELECT count(pg_notify('pgrt_jupyter', 'counter'::regclass::oid || ' U ' || i))
    FROM generate_series(%s::int, %s::int) AS i"""


@pytest.fixture(autouse=True)
def eavesdropper() -> None:
    """Have nobody else listen: who does not read keeps the server's queue back."""


@pytest.fixture
def db(dsn: str, connect: Callable[..., Any]) -> Connection:
    """Give a connection to a database with a counter."""
    connection: Connection = connect(dsn)
    connection.execute("CREATE TABLE counter (n int); INSERT INTO counter VALUES (0)")
    return connection


CHILD = """
import json, os, resource, sys
import pgrt_jupyter as pgrt
runs = []
engine = pgrt.Engine(sys.argv[1], throttle_ms=100, deliver="thread").start()
query = engine.sub("counter", "SELECT n FROM counter")
for line in sys.stdin:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    attention = engine._loop.runtime._attention
    print(json.dumps({
        "n": int(query.df["n"][0]), "status": query.status, "runs": query.refresh_count,
        "kilobytes": usage.ru_maxrss, "cpu": usage.ru_utime + usage.ru_stime,
        "strangers": engine._loop.runtime.unreadable, "connections": attention._connections,
    }), flush=True)
engine.shutdown()
"""


class Child:
    """Run an engine in a process of its own, which can be stopped and asked how it is."""

    def __init__(self, dsn: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, dsn],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.ask()

    def ask(self) -> dict[str, Any]:
        """Ask how the engine is."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def send(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def end(self) -> None:
        self.send(signal.SIGCONT)
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()


@pytest.fixture
def child(dsn: str, db: Connection) -> Iterator[Child]:
    """Give an engine in a process of its own that follows the counter every 100 ms."""
    made = Child(dsn)
    yield made
    made.end()


def bump(db: Connection) -> int:
    """Count up and give the number."""
    ((n,),) = db.execute("UPDATE counter SET n = n + 1 RETURNING n").fetchall()
    return n


@pytest.mark.parametrize(("payloads", "strange"), [(STRANGERS, True), (OURS, False)])
def test_a_storm_takes_neither_memory_nor_queries(db, child, payloads, strange):
    """A hundred thousand notifications, each different: bounded runs, flat memory, nothing lost."""
    db.execute(payloads, (1, 20_000))
    last = bump(db)
    wait_until(lambda: child.ask()["n"] == last, 30)
    before, began = child.ask(), time.monotonic()
    for start in range(100_000, 200_000, 10_000):
        db.execute(payloads, (start, start + 9_999))
        last = bump(db)
    wait_until(lambda: child.ask()["n"] == last, 30)
    after, took = child.ask(), time.monotonic() - began
    assert after["runs"] - before["runs"] <= took / 0.1 + 2
    assert after["kilobytes"] - before["kilobytes"] < 30_000
    assert after["connections"] == 1
    wait_until(lambda: child.ask()["status"] == "live")
    if strange:
        wait_until(lambda: child.ask()["strangers"] >= 120_000)


def test_an_engine_that_is_stopped_under_a_storm_holds_nobody_up(db, child):
    """Writers and the server's queue go on; when it continues it shows the newest, and the queue is empty."""
    child.send(signal.SIGSTOP)
    for start in range(0, 100_000, 10_000):
        db.execute(OURS, (start, start + 9_999))
        last = bump(db)
    assert usage(db) < 0.5
    child.send(signal.SIGCONT)
    wait_until(lambda: child.ask()["n"] == last, 30)
    wait_until(lambda: usage(db) == 0, 30)
    wait_until(lambda: child.ask()["status"] == "live")
    last = bump(db)
    wait_until(lambda: child.ask()["n"] == last)


def usage(db: Connection) -> float:
    """Say how full the server's notification queue is."""
    ((found,),) = db.execute("SELECT pg_notification_queue_usage()").fetchall()
    return found


def test_the_listening_session_is_never_in_a_transaction(dsn, db):
    """It keeps neither the queue nor VACUUM back, also while changes arrive."""
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("counter", COUNTER)
        for _ in range(20):
            last = bump(db)
            query.wait_for(lambda df: df["n"][0] == last)  # noqa: B023
        listener: Listener = engine._loop.runtime._attention._listener
        assert listener._connection is not None and listener._connection.autocommit
        pid = listener._connection.info.backend_pid
        found = "SELECT state, xact_start, backend_xmin FROM pg_stat_activity WHERE pid = %s"
        wait_until(lambda: db.execute(found, (pid,)).fetchone() == ("idle", None, None))


def test_a_queue_that_refuses_to_be_listened_to_is_tidied_and_tried_again(dsn, db, monkeypatch):
    """An entry older than the server remembers (58P01) is passed over by asking how full the queue is."""
    execute, asked = Listener._execute, []

    async def refusing(self: Listener, query: Any, params: Any = None, **named: Any) -> Any:
        asked.append(str(query))
        if "LISTEN" in str(query) and sum("LISTEN" in text for text in asked) == 1:
            query = "DO $$BEGIN RAISE 'could not access status of transaction' USING ERRCODE = '58P01'; END$$"
        return await execute(self, query, params, **named)

    monkeypatch.setattr(Listener, "_execute", refusing)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("counter", COUNTER)
        assert any("queue_usage" in text for text in asked)
        last = bump(db)
        query.wait_for(lambda df: df["n"][0] == last)
        assert query.status == "live"


@against("an error loses the batch")
def test_an_error_of_ours_while_hearing_loses_nothing(dsn, db, monkeypatch, caplog, broken):
    """What could not be decided refreshes, whatever else came in the batch."""
    break_engine(monkeypatch, broken)
    db.execute("CREATE TABLE others (id int)")
    verdict = Group.verdict

    def failing(self: Group, change: Any) -> Any:
        if self.spec.statement.text == COUNTER and self.refresh_count == 1:
            raise ZeroDivisionError("ours")
        return verdict(self, change)

    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query, other = engine.sub("counter", COUNTER), engine.sub("others", "SELECT id FROM others")
        monkeypatch.setattr(Group, "verdict", failing)
        with db.transaction():
            db.execute("INSERT INTO others VALUES (1)")
            last = bump(db)
        with noticed(broken):
            query.wait_for(lambda df: df["n"][0] == last, patience(broken))
            other.wait_for(lambda df: len(df) == 1)
            assert "ZeroDivisionError" in caplog.text


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have engines prove their connection five times a second, within 0.4 s."""
    pulse = Pulse(interval=0.2, deadline=0.4)
    monkeypatch.setattr(api, "EngineLoop", functools.partial(EngineLoop, pulse=pulse))


@against("judged by the clock")
def test_a_kernel_that_holds_the_interpreter_is_no_dead_server(dsn, db, quick, monkeypatch, broken):
    """A proof is judged by what has arrived, not by how long nobody could look."""
    break_engine(monkeypatch, broken)
    told: list[Any] = []
    held: list[bool] = []
    execute = Listener._execute

    def hold() -> None:
        ctypes.PyDLL(None).usleep(700_000)  # unlike CDLL it keeps the interpreter's lock
        held.append(True)

    async def held_up(self: Listener, query: Any, *rest: Any, **named: Any) -> Any:
        if "NOTIFY" in str(query) and len(held) < 3:
            asyncio.get_running_loop().call_soon(hold)  # when it has been sent
        return await execute(self, query, *rest, **named)

    with pgrt.Engine(dsn, throttle_ms=0, error_handler=lambda *args: told.append(args)) as engine:
        query = engine.sub("counter", COUNTER)
        monkeypatch.setattr(Listener, "_execute", held_up)
        wait_until(lambda: len(held) == 3 or told)
        with noticed(broken):
            last = bump(db)
            query.wait_for(lambda df: df["n"][0] == last, patience(broken))
            assert (query.status, engine._loop.runtime._attention._connections) == ("live", 1)
            assert told == []


def test_strangers_cannot_hold_other_queries_up(dsn, db, connect, make_role):
    """A role without any right that floods the channel delays no update beyond its second."""
    stranger = connect(make_role("stranger").conninfo(dsn))
    stop = threading.Event()

    def flood() -> None:
        number = 0
        while not stop.is_set():
            stranger.execute(STRANGERS, (number, number + 2_000))
            number += 2_000
            stop.wait(0.05)

    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        query = engine.sub("counter", COUNTER)
        thread = threading.Thread(target=flood)
        thread.start()
        try:
            for _ in range(20):
                last = bump(db)
                query.wait_for(lambda df: df["n"][0] == last)  # noqa: B023
                assert query.status == "live"
        finally:
            stop.set()
            thread.join()
