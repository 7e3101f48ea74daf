"""Measure what is saved where a hundredth of the changes of a table matters to a query.

The same random single-row updates at a fixed rate, once with every notification answered by a run and once
as it is, beginning with what it takes to find out that runs are in vain.
"""

from __future__ import annotations

import itertools
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

import pgrt_jupyter as pgrt
from pgrt_jupyter.engine import vigilance

CUSTOMERS, ROWS = 100, 100_000
MINE = 42
QUERY = "SELECT count(*) AS n, max(n) AS last FROM bought WHERE customer = $1"
PER_SECOND, SECONDS = 100, 20.0
_VALUES = itertools.count(1)  # none twice, or there is no change
TICK = 0.01  # seconds, of a process's times in /proc


@pytest.mark.parametrize("index", [True, False], ids=["by index", "by scan"])
def test_a_hundredth_of_the_changes_matters(
    durable: str, write_down: Callable[..., None], monkeypatch: pytest.MonkeyPatch, index: bool
) -> None:
    """Count runs, their cost, and the time to the frame for the changes that matter."""
    with psycopg.connect(durable, autocommit=True) as writer:
        writer.execute("CREATE TABLE bought (id int PRIMARY KEY, customer int, n int)")
        writer.execute(
            f"INSERT INTO bought SELECT i, i % {CUSTOMERS}, 0 FROM generate_series(1, {ROWS}) AS i"
        )
        if index:
            writer.execute("CREATE INDEX ON bought (customer)")
        writer.execute("VACUUM ANALYZE bought")
        with monkeypatch.context() as patch:
            patch.setattr(vigilance, "RUNS", 10**9)
            off = _measured(durable, writer, "every change runs the query")
        on = _measured(durable, writer, "rows are looked at")
        writer.execute("DROP TABLE bought")
    name = "relevance" if index else "relevance_scan"
    write_down(name, _table(off, on), {"off": off, "on": on})


def _measured(conninfo: str, writer: psycopg.Connection[Any], told: str) -> dict[str, Any]:
    """Write at a fixed rate and note what that came to."""
    chance, waits, commits, mattered = random.Random(1), [], [], 0
    with pgrt.Engine(conninfo, throttle_ms=0, deliver="thread") as engine:
        query = engine.sub("mine", QUERY, [MINE])
        time.sleep(1)
        runs, server, own = query.refresh_count, _server_seconds(writer), time.process_time()
        begun = said = time.perf_counter()
        for turn in range(1, int(PER_SECOND * SECONDS) + 1):
            number, value = chance.randrange(ROWS) + 1, next(_VALUES)
            started = time.perf_counter()
            writer.execute("UPDATE bought SET n = %s WHERE id = %s", (value, number))
            committed = time.perf_counter()
            commits.append((committed - started) * 1000)
            if number % CUSTOMERS == MINE:
                mattered += 1
                while query.df["last"].iloc[0] < value:
                    time.sleep(0.0005)
                    assert time.perf_counter() - committed < 10
                waits.append((time.perf_counter() - committed) * 1000)
            if committed - said > 5:
                said = committed
                print(f"{told}: {turn} changes, {query.refresh_count - runs} runs", flush=True)
            time.sleep(max(0.0, begun + turn / PER_SECOND - time.perf_counter()))
        lasted = time.perf_counter() - begun
        time.sleep(1)
        return {
            "changes": turn,
            "mattered": mattered,
            "runs": query.refresh_count - runs,
            "server": (_server_seconds(writer) - server) / lasted,
            "own": (time.process_time() - own) / lasted,
            "commit": statistics.median(commits),
            "frame": statistics.median(waits),
        }


def _server_seconds(connection: psycopg.Connection[Any]) -> float:
    """Sum the processor time of the server's processes, those that have ended included."""
    backend = connection.info.backend_pid
    parent = int(_stat(backend)[1])
    total = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (found := _stat(int(entry.name))):
            if int(entry.name) == parent:
                total += sum(map(int, found[11:15]))
            elif int(found[1]) == parent:
                total += sum(map(int, found[11:13]))
    return total * TICK


def _stat(pid: int) -> list[str]:
    """Read what follows a process's name in its stat; nothing when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:
        return []


def _table(off: dict[str, Any], on: dict[str, Any]) -> str:
    changes, mattered = on["changes"], on["mattered"]
    saved = 1 - on["runs"] / off["runs"]
    shown = [
        f"{changes:,} updates at {PER_SECOND} a second, {mattered} of them matter",
        "",
        "| | every change runs the query | rows are looked at |",
        "|---|---|---|",
        f"| runs | {off['runs']:,} | {on['runs']:,} ({saved:.1%} saved) |",
        f"| change that matters to frame, p50 | {off['frame']:.1f} ms | {on['frame']:.1f} ms |",
        f"| server's CPU, writing included | {off['server']:.1%} | {on['server']:.1%} |",
        f"| this process's CPU, writing included | {off['own']:.1%} | {on['own']:.1%} |",
        f"| an update's commit, p50 | {off['commit']:.2f} ms | {on['commit']:.2f} ms |",
    ]
    return "\n".join(shown)
