"""Measure what keeping a DataFrame fresh costs server and client, by polling and by a live query."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

HERE = Path(__file__).parent
ROWS = 10_000
SECONDS = 15
PER_MINUTE = 60 / SECONDS
TICK = os.sysconf("SC_CLK_TCK")
SQL = "SELECT * FROM polled ORDER BY id"
ARMS = {"poll": "`pandas.read_sql` each 500 ms", "live": "live query"}

_spec = importlib.util.spec_from_file_location("bench_results", HERE / "bench_results.py")
assert _spec is not None
assert _spec.loader is not None
_results = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_results)

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads CPU times on Linux"),
    pytest.mark.skipif(importlib.util.find_spec("sqlalchemy") is None, reason="no SQLAlchemy"),
]


def test_polling(durable: str, write_down: Callable[..., None]) -> None:
    """CPU time per minute, on a table that nobody changes and with a change each second."""
    _results.fill(durable, ROWS)
    measured: dict[str, dict[str, tuple[float, float]]] = {arm: {} for arm in ARMS}
    with psycopg.connect(durable, autocommit=True) as writer:
        writer.execute(f"ALTER TABLE result_{ROWS} RENAME TO polled")
        for name, changes in (("idle", False), ("1 change/s", True)):
            for arm in ARMS:
                measured[arm][name] = _follow(arm, durable, writer, changes)
                print(f"{name}, {arm}: {measured[arm][name]}", flush=True)
    lines = [
        "| CPU seconds per minute | idle: server | client | 1 change/s: server | client |",
        "|---|---|---|---|---|",
    ]
    for arm, found in measured.items():
        cells = " | ".join(f"{server:.2f} | {client:.2f}" for server, client in found.values())
        lines.append(f"| {ARMS[arm]} | {cells} |")
    write_down("polling", "\n".join(lines), measured)


def _follow(
    arm: str, conninfo: str, writer: psycopg.Connection, changes: bool
) -> tuple[float, float]:
    """Run one arm; give CPU seconds per minute of the server and of the client."""
    command = [sys.executable, HERE / "peers" / "following.py", arm, conninfo, SQL, str(SECONDS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "ready\n"
        begun = _server_cpu(writer)
        over = threading.Event()
        writing = threading.Thread(target=_write, args=(writer, over))
        if changes:
            writing.start()
        time.sleep(SECONDS)
        over.set()
        if changes:
            writing.join()
        server = _server_cpu(writer) - begun
        spent: float = json.loads(client.stdout.read())
    assert client.returncode == 0
    return server * PER_MINUTE, spent * PER_MINUTE


def _write(writer: psycopg.Connection, over: threading.Event) -> None:
    while not over.wait(1):
        writer.execute("UPDATE polled SET items = coalesce(items, 0) + 1 WHERE id = 5000")


def _server_cpu(writer: psycopg.Connection) -> float:
    """Add up the CPU seconds of the postmaster, of its children, and of those that have ended."""
    postmaster = _stat(writer.info.backend_pid)[1]
    processes = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    ticks = sum(_stat(postmaster)[11:15])  # of children that ended, too
    for process in processes:
        try:
            stat = _stat(process)
        except OSError:
            continue  # it has just ended
        if stat[1] == postmaster:
            ticks += sum(stat[11:13])
    return ticks / TICK


def _stat(process: int) -> list[int]:
    """Read /proc/PID/stat behind the name, from the state on; see proc(5)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    return [0, *map(int, fields[1:])]
