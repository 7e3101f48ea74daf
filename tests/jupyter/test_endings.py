"""However a process or a kernel ends, it ends quickly and quietly, and the server is clean."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from pgrt_jupyter.testing import wait_until

SESSIONS = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name = 'pgrt_jupyter'"
)
LOCKS = (
    "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database"
    " WHERE locktype = 'advisory' AND datname = current_database()"
)
QUERY = "SELECT id, n FROM numbers ORDER BY id"


@pytest.fixture
def db(connect: Callable[..., Any]) -> Any:
    """Give a connection to a database with a table of one number."""
    connection = connect()
    connection.execute("CREATE TABLE numbers (id int PRIMARY KEY, n int)")
    connection.execute("INSERT INTO numbers VALUES (1, 1)")
    return connection


def is_clean(db: Any) -> bool:
    """Say whether nothing of ours is left on the server, and nobody is waited for."""
    return db.execute(SESSIONS).fetchone() == db.execute(LOCKS).fetchone() == (0,)


# -- interpreters

PROGRAM = """
    import asyncio, threading, time
    import psycopg, pgrt_jupyter as pgrt
    S = {dsn!r}
    engine = pgrt.start(S, throttle_ms=0)
    q = pgrt.sub("q", "SELECT id, n FROM numbers ORDER BY id")

    def write():
        with psycopg.connect(S, autocommit=True, application_name="pgrt-test") as connection:
            connection.execute("UPDATE numbers SET n = n + 1")

    at = threading.Event()

    def stay(*ignored):
        at.set()
        time.sleep(120)
"""
RUNNING = """
    def try_it():
        try:
            pgrt.sub("slow", "SELECT pg_sleep(119)::text")
        except pgrt.EngineNotRunning:
            pass
    threading.Thread(target=try_it, daemon=True).start()
    with psycopg.connect(S, autocommit=True, application_name="pgrt-test") as c:
        busy = "SELECT FROM pg_stat_activity WHERE query ~ 'pg_sleep.119' AND state = 'active'"
        while len(c.execute(busy).fetchall()) < 2: time.sleep(0.01)
"""
ASYNC = """
    async def main():
        deltas = q.updates()
        lq = await asyncio.to_thread(engine.sub, "mine", "SELECT n FROM numbers")
        await asyncio.to_thread(write)
        assert len((await anext(deltas)).updated) == 1
        await asyncio.to_thread(lq.wait_for, lambda df: df["n"][0] == 2)
        engine.sub("blocking", "SELECT 1 AS one")
    asyncio.run(main())
"""
ENDS = {
    "with a live query": "",
    "with two engines": "other = pgrt.Engine(S).start(); other.sub('x', 'SELECT 1')",
    "by an error": "raise SystemExit(3)",
    "with a run in progress": RUNNING,
    "with an observer asleep": "import logging; logging.disable(); q.observe(stay, 'df'); write(); at.wait()",
    "with a filter asleep": f"pgrt.sub('f', {QUERY!r}, refresh=stay); write(); at.wait()",
    "after asyncio": ASYNC,
}


@pytest.mark.parametrize("what", ENDS)
def test_an_interpreter_ends(what: str, dsn: str, db: Any) -> None:
    """No noise, no hang, nothing left, with every warning on."""
    program = textwrap.dedent(PROGRAM.format(dsn=dsn)) + textwrap.dedent(ENDS[what])
    ran = subprocess.run(
        [sys.executable, "-W", "always", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (3 if "error" in what else 0, "", "")
    wait_until(lambda: is_clean(db))


# -- kernels

BUSY = {
    "nothing": "",
    "a query": (
        "import threading\n"
        "threading.Thread(target=pgrt.sub, args=('slow', 'SELECT pg_sleep(118)::text'), daemon=True)"
        ".start()"
    ),
    "a filter": (
        f"pgrt.sub('f', {QUERY!r}, refresh=lambda *a: time.sleep(118))\n"
        "c = psycopg.connect(os.environ['PGRT_DSN'], autocommit=True)\n"
        "c.execute('UPDATE numbers SET n = n + 1'); c.close()\n"
        "while not any(t.name == 'pgrt-filter' for t in threading.enumerate()): time.sleep(0.01)"
    ),
}


@pytest.fixture
def live(kernel: Any, db: Any) -> Any:
    """Give a kernel with a live query."""
    kernel.run("import os, threading, time, psycopg, pgrt_jupyter as pgrt")
    kernel.run(f"%%livequery numbers --throttle 0\n{QUERY}")
    return kernel


@pytest.mark.parametrize("busy", BUSY)
def test_a_kernel_restarts(live: Any, db: Any, busy: str) -> None:
    """Before Jupyter loses its patience; what runs on the server is cancelled there."""
    live.run(BUSY[busy])
    if busy == "a query":
        asleep = "SELECT FROM pg_stat_activity WHERE query ~ 'pg_sleep.118' AND state = 'active'"
        wait_until(lambda: len(db.execute(asleep).fetchall()) == 2)
    before = psutil.Process(live.manager.provisioner.pid)
    began = time.monotonic()
    live.manager.request_shutdown()
    before.wait(30)
    # Without a signal: ours took its time, and Jupyter's own end comes on top.
    assert time.monotonic() - began < 15
    wait_until(lambda: is_clean(db))
    live.manager.restart_kernel(now=True)
    live.client.wait_for_ready(timeout=60)
    live.run("%load_ext pgrt_jupyter")
    live.run(f"%%livequery numbers --throttle 0\n{QUERY}")
    db.execute("UPDATE numbers SET n = 5")
    live.run("numbers.wait_for(lambda df: df['n'][0] == 5)")


def test_our_part_of_the_end_is_short(dsn: str, db: Any) -> None:
    """Whatever is under way, `shutdown` returns within the time Jupyter gives, with a run to cancel."""
    import threading

    import pgrt_jupyter as pgrt

    asked = threading.Event()

    def stay(*_ignored: object) -> bool:
        asked.set()
        time.sleep(4)
        return False

    engine = pgrt.Engine(dsn, throttle_ms=0).start()
    engine.sub("f", QUERY, refresh=stay)
    slow = "SELECT id, pg_sleep(CASE WHEN n > 1 THEN 117 ELSE 0 END)::text FROM numbers"
    engine.sub("slow", slow)
    engine.sub("seen", QUERY).observe(lambda change: time.sleep(4), "df")
    db.execute("UPDATE numbers SET n = 2")
    asleep = "SELECT FROM pg_stat_activity WHERE query ~ 'THEN 117' AND state = 'active'"
    wait_until(lambda: len(db.execute(asleep).fetchall()) == 2)
    assert asked.wait(10)
    began = time.monotonic()
    engine.shutdown()
    assert time.monotonic() - began < 2.5
    wait_until(lambda: is_clean(db), 2.0)


def test_a_killed_kernel(live: Any, db: Any) -> None:
    """SIGKILL in the middle of a long query: the server ends it, and triggers are silent again."""
    live.run(BUSY["a query"])
    asleep = "SELECT FROM pg_stat_activity WHERE query ~ 'pg_sleep.118' AND state = 'active'"
    wait_until(lambda: len(db.execute(asleep).fetchall()) == 2)
    live.manager.signal_kernel(signal.SIGKILL)
    wait_until(lambda: db.execute(LOCKS).fetchone() == (0,))
    wait_until(lambda: is_clean(db), 30)
    db.execute("LISTEN pgrt")
    db.execute("UPDATE numbers SET n = 3")
    assert list(db.notifies(timeout=0.2, stop_after=1)) == []


PARENT = """
import os, sys, time
from jupyter_client.manager import KernelManager
manager = KernelManager(kernel_name="python3")
manager.start_kernel()
client = manager.blocking_client()
client.start_channels()
client.wait_for_ready(timeout=60)
for cell in ("%load_ext pgrt_jupyter", "%%livequery numbers\\nSELECT id, n FROM numbers"):
    assert client.execute_interactive(cell, timeout=60, output_hook=lambda m: None)
print(manager.provisioner.pid, flush=True)
time.sleep(600)
"""


def test_the_server_of_kernels_dies(dsn: str, db: Any) -> None:
    """A kernel whose parent was killed notices, ends, and is gone from the database."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PGRT_DSN": dsn},
    )
    assert parent.stdout is not None
    kernel = psutil.Process(int(parent.stdout.readline()))
    try:
        assert db.execute(SESSIONS).fetchone()[0] > 0
        parent.kill()
        parent.wait()
        kernel.wait(30)
        wait_until(lambda: is_clean(db))
    finally:
        parent.kill()
        parent.stdout.close()
        if kernel.is_running():
            kernel.kill()
