"""Measure many kernels with the same dashboard: connections, how runs spread, what writers feel."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from pgrt_jupyter.embedded import find_binaries, start_server

from .plotting import draw
from .writing import ROWS, rate_of

KERNELS = (1, 10, 50)
SECONDS = 6
WINDOW = 0.05  # seconds
IDLE_SECONDS = 95  # after which connections of a burst have been closed
CONNECTIONS = 400
OURS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgrt_jupyter'"

KERNEL = """
import json, resource, sys, time
import pgrt_jupyter as pgrt
times = []
engine = pgrt.Engine(sys.argv[1], throttle_ms=500, deliver="thread").start()
for name, sql in json.loads(sys.argv[2]).items():
    engine.sub(name, sql).observe(lambda change: times.append(time.time()), names="df")
print("ready", flush=True)
for line in sys.stdin:
    since = float(line)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    told = {"times": [t for t in times if t >= since], "megabytes": usage.ru_maxrss / 1024}
    print(json.dumps(told), flush=True)
engine.shutdown()
"""
DASHBOARD = {
    "by_status": "SELECT status, count(*), sum(amount) FROM live GROUP BY status",
    "newest": "SELECT * FROM live ORDER BY id DESC LIMIT 20",
    "largest": "SELECT * FROM live ORDER BY amount DESC, id LIMIT 20",
    "total": "SELECT count(*), max(amount) FROM live",
}


def test_many_kernels(write_down: Callable[..., None], tmp_path: Path) -> None:
    """Count what writers reach beside a table nobody watches, in turn, for more and more kernels."""
    server = start_server(options={"fsync": "on", "max_connections": str(CONNECTIONS)})
    try:
        numbers = {count: _measure(server.conninfo, count, tmp_path) for count in KERNELS}
    finally:
        server.stop()
    rows = [
        "| kernels | connections, busy | 95 s later | writers, of no trigger | refreshes/s "
        "| most in 50 ms, of all in a second | memory of one |",
        "|---|---|---|---|---|---|---|",
    ]
    for count, found in numbers.items():
        idle = found["idle"] if count == KERNELS[-1] else ""
        rows.append(
            f"| {count} | {found['busy']} | {idle} | {found['ratio']:.2f} "
            f"| {found['refreshes']:.0f} | {found['peak']:.0%} | {found['megabytes']:.0f} MB |"
        )
    write_down("kernels", "\n".join(rows), numbers)
    lines = {
        "writers, of no trigger": (KERNELS, [found["ratio"] for found in numbers.values()], "-"),
        "most refreshes in 50 ms, of all in a second": (
            KERNELS,
            [found["peak"] for found in numbers.values()],
            "--",
        ),
    }
    draw("kernels", lines, x="kernels with the same dashboard", y="share", log=False)


def _measure(conninfo: str, count: int, folder: Path) -> dict[str, Any]:
    """Run so many kernels while 16 writers write, in turn, where they look and where they do not."""
    pgbench = find_binaries() / "pgbench"
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for table in ("plain", "live"):
            connection.execute(f"DROP TABLE IF EXISTS {table}")
            connection.execute(
                f"CREATE TABLE {table} (id int PRIMARY KEY, status text, amount int)"
            )
            connection.execute(
                f"INSERT INTO {table} SELECT i, 'new', i FROM generate_series(1, {ROWS}) AS i"
            )
        connection.execute("VACUUM ANALYZE")
        with _kernels(conninfo, count) as kernels:
            rates: dict[str, list[float]] = {"plain": [], "live": []}
            times: list[float] = []
            for turn in range(3):
                for table in rates:
                    since = time.time()
                    rates[table].append(rate_of(pgbench, conninfo, table, 16, folder, SECONDS))
                    if table == "live":
                        told = [_ask(kernel, since) for kernel in kernels]
                        times += [t for one in told for t in one["times"]]
                    print(
                        f"{count} kernels, round {turn + 1}/3, {table}: {rates[table][-1]:,.0f}/s"
                    )
            busy = connection.execute(OURS).fetchone()
            time.sleep(IDLE_SECONDS if count == KERNELS[-1] else 0)
            idle = connection.execute(OURS).fetchone()
    medians = {table: statistics.median(found) for table, found in rates.items()}
    return {
        "rates": rates,
        "ratio": medians["live"] / medians["plain"],
        "busy": busy[0] if busy else 0,
        "idle": idle[0] if idle else 0,
        "refreshes": len(times) / (3 * SECONDS),
        "peak": _peak(times),
        "megabytes": statistics.median(one["megabytes"] for one in told),
    }


@contextmanager
def _kernels(conninfo: str, count: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Run processes that follow the dashboard."""
    command = [sys.executable, "-c", KERNEL, conninfo, json.dumps(DASHBOARD)]
    kernels = []
    for _ in range(count):
        kernels.append(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
        if len(kernels) % 4 == 0:
            _ready(kernels[-4:])
    _ready(kernels[len(kernels) - len(kernels) % 4 :])
    try:
        yield kernels
    finally:
        for kernel in kernels:
            assert kernel.stdin is not None
            kernel.stdin.close()
        for kernel in kernels:
            kernel.wait(30)


def _ready(kernels: list[subprocess.Popen[str]]) -> None:
    for kernel in kernels:
        assert kernel.stdout is not None
        assert kernel.stdout.readline() == "ready\n"


def _ask(kernel: subprocess.Popen[str], since: float) -> dict[str, Any]:
    """Ask a kernel when its results changed."""
    assert kernel.stdin is not None and kernel.stdout is not None
    kernel.stdin.write(f"{since}\n")
    kernel.stdin.flush()
    found: dict[str, Any] = json.loads(kernel.stdout.readline())
    return found


def _peak(times: list[float]) -> float:
    """Give the median, over the seconds, of the largest share that falls into one short window."""
    seconds: dict[int, list[float]] = {}
    for moment in times:
        seconds.setdefault(int(moment), []).append(moment)
    shares = []
    for found in seconds.values():
        most = max(sum(0 <= other - one < WINDOW for other in found) for one in found)
        shares.append(most / len(found))
    return statistics.median(shares) if shares else 0.0
