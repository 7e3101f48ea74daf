"""Measure what moves off the primary when queries run on one standby, or on two in turn."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg.conninfo import make_conninfo

from pgrt_jupyter.testing import wait_until

from ..faults.servers import Node
from .writing import rate_of

SECONDS = 12  # of the fixed load
ROUNDS = 2
KERNELS = 4
WRITES = 80  # a second, by four clients
BEATS = 5  # a second: rows whose way to a frame is timed
ORDERS = 100_000
WARMING = 3
SETUPS = {  # name: how many servers, whether anybody queries
    "1, nobody queries": (1, False),
    "1": (1, True),
    "2": (2, True),
    "3": (3, True),
}
OPTIONS = {
    "fsync": "on",
    "max_parallel_workers_per_gather": "0",  # so that a query costs the same each time
    "hot_standby_feedback": "on",
}

# None of them can be brought up to date by what changed: on the primary, too, all is read.
DASHBOARD = {
    "open": "SELECT count(*), sum(amount), max(amount) FROM orders WHERE status = 'open'",
    "median": "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY amount) FROM orders WHERE id % 3 = 0",
    "best": "SELECT DISTINCT ON (region) region, id, amount FROM orders WHERE amount > 5000"
    " ORDER BY region, amount DESC, id",
}
KERNEL = """
import json, sys
import pgrt_jupyter as pgrt
options = dict(throttle_ms=500, deliver="thread")
engine = pgrt.Engine(sys.argv[1], query_conninfo=sys.argv[2] or None, **options).start()
for name, sql in json.loads(sys.argv[3]).items():
    engine.sub(name, sql)
print("ready", flush=True)
for line in sys.stdin:
    print(sum(lq.refresh_count for lq in engine.subscriptions().values()), flush=True)
engine.shutdown()
"""


def test_servers(write_down: Callable[..., None], tmp_path: Path) -> None:
    """Give the same load to one, two and three servers, in turn; count where it lands."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in SETUPS}
    with ExitStack() as stack:
        primary = stack.enter_context(Node(options=OPTIONS))
        _fill(primary)
        nodes = [primary, *(stack.enter_context(primary.standby()) for _ in range(2))]
        for turn in range(ROUNDS):
            for name, (count, queried) in SETUPS.items():
                found[name].append(_measure(nodes, count, queried, tmp_path))
                print(f"round {turn + 1}/{ROUNDS}, {name}: {found[name][-1]}", flush=True)
    numbers = {name: _together(turns) for name, turns in found.items()}
    rows = [
        "| servers | CPU seconds per minute: primary | first standby | second standby | refreshes/s "
        "| commit to frame p50 | p95 | commit to standby p50 | p95 | writers at full speed | of 1 server |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, of in numbers.items():
        cells = [_cell(cpu, "{:.1f}") for cpu in of["cpu"]] + [f"{of['refreshes']:.1f}"]
        cells += [_cell(of[key], "{:.0f} ms") for key in ("p50", "p95", "lag50", "lag95")]
        ratio = of["rate"] / numbers["1"]["rate"]
        rows.append(f"| {name} | {' | '.join(cells)} | {of['rate']:,.0f}/s | {ratio:.2f} |")
    write_down("servers", "\n".join(rows), {"means": numbers, "rounds": found})


def _fill(primary: Node) -> None:
    """Make the tables, and measure nothing that the first reading of them costs."""
    primary.execute("CREATE TABLE beats (id int PRIMARY KEY, n int)")
    primary.execute("INSERT INTO beats VALUES (1, 0)")
    primary.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, region int, status text, amount int)"
        " WITH (fillfactor = 80)"
    )
    primary.execute(
        "INSERT INTO orders SELECT i, i % 20, (ARRAY['open', 'paid', 'sent'])[1 + i % 3], i % 10007"
        f" FROM generate_series(1, {ORDERS}) AS i"
    )
    primary.execute("VACUUM ANALYZE")


def _measure(nodes: Sequence[Node], count: int, queried: bool, folder: Path) -> dict[str, Any]:
    """Run so many of the servers: the fixed load first, then writers as fast as they can."""
    for node in nodes[1:]:
        if node in nodes[:count] and not node.running:
            node.start()
        elif node not in nodes[:count] and node.running:
            node.stop("fast")
    primary, standbys = nodes[0], nodes[1:count]
    for node in standbys:
        node.catch_up(primary)
    where = _conninfo(standbys) if standbys else ""
    pgbench = primary.bin_dir / "pgbench"
    with (
        _kernels(KERNELS * queried, primary.conninfo(), where) as kernels,
        _probe(primary, standbys, where, queried) as probe,
        _writers(pgbench, primary.conninfo(), folder),
    ):
        time.sleep(WARMING)
        cpu, runs, since = [_cpu(node) for node in nodes[:count]], _runs(kernels), time.time()
        time.sleep(SECONDS)
        took = time.time() - since
        spent = [_cpu(node) - before for node, before in zip(nodes, cpu, strict=False)]
        refreshes = (_runs(kernels) - runs) / took
        probe.stop(since)
        rate = rate_of(pgbench, primary.conninfo(), "orders", 4, folder, seconds=4)
    return {
        "cpu": [*(seconds * 60 / took for seconds in spent), *[None] * (len(nodes) - count)],
        "refreshes": refreshes,
        "frames": probe.frames,
        "lags": probe.lags,
        "rate": rate,
    }


def _conninfo(standbys: Sequence[Node]) -> str:
    """Name the standbys as `docs/replicas.md` says."""
    hosts, ports = (
        ",".join(map(str, one)) for one in zip(*(node.target for node in standbys), strict=True)
    )
    balanced = {"target_session_attrs": "standby", "load_balance_hosts": "random"}
    return make_conninfo(standbys[0].conninfo(), host=hosts, port=ports, **balanced)


@contextmanager
def _kernels(count: int, conninfo: str, where: str) -> Iterator[list[subprocess.Popen[str]]]:
    """Run processes that follow the dashboard."""
    command = [sys.executable, "-c", KERNEL, conninfo, where, json.dumps(DASHBOARD)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    kernels = [subprocess.Popen(command, **pipes) for _ in range(count)]
    try:
        for kernel in kernels:
            assert kernel.stdout is not None
            assert kernel.stdout.readline() == "ready\n"
        yield kernels
    finally:
        for kernel in kernels:
            kernel.communicate(timeout=30)


def _runs(kernels: Sequence[subprocess.Popen[str]]) -> int:
    """Count the runs of all queries so far."""
    for kernel in kernels:
        assert kernel.stdin is not None
        kernel.stdin.write("\n")
        kernel.stdin.flush()
    return sum(int(kernel.stdout.readline()) for kernel in kernels if kernel.stdout is not None)


@contextmanager
def _writers(pgbench: Path, conninfo: str, folder: Path) -> Iterator[None]:
    """Update orders at a fixed rate until the measuring at full speed begins."""
    script = folder / "fixed.sql"
    script.write_text(
        f"\\set id random(1, {ORDERS})\nUPDATE orders SET amount = amount + 1 WHERE id = :id;\n"
    )
    options = ["-n", "-M", "prepared", "-c", "4", "-R", str(WRITES), "-T", str(WARMING + SECONDS)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([pgbench, *options, "-f", script, conninfo], **quiet):
        yield


class _Beats:
    """Time rows on their way from the commit to standbys and to a frame of a process of its own."""

    def __init__(self, primary: Node, standbys: Sequence[Node], kernel: Any) -> None:
        self.frames: list[float] = []  # ms
        self.lags: list[float] = []  # ms
        self._primary, self._standbys, self._kernel = primary, standbys, kernel
        self._committed: dict[int, float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with ExitStack() as stack:
            writer = stack.enter_context(self._primary.connect())
            readers = [stack.enter_context(standby.connect()) for standby in self._standbys]
            number = 0
            while not self._ended.wait(1 / BEATS):
                number += 1
                writer.execute("UPDATE beats SET n = %s", (number,))
                self._committed[number] = time.time()
                for reader in readers:
                    _wait_for(reader, number)
                if readers:
                    self.lags.append((time.time() - self._committed[number]) * 1000)

    def stop(self, since: float) -> None:
        """Write no more, and work out what was written since a moment."""
        self._ended.set()
        self._thread.join()
        self.lags = self.lags[-SECONDS * BEATS :]
        if self._kernel is None:
            return
        shown, _ = self._kernel.communicate(timeout=30)
        first: dict[int, float] = {}
        for line in shown.splitlines():
            n, at = line.split()
            first.setdefault(int(n), float(at))
        for number, at in self._committed.items():
            seen = [moment for n, moment in first.items() if n >= number]
            if at >= since and seen:
                self.frames.append(max(0.0, min(seen) - at) * 1000)


def _wait_for(reader: psycopg.Connection[Any], number: int) -> None:
    shown = lambda: reader.execute("SELECT n FROM beats").fetchone() >= (number,)  # noqa: E731
    wait_until(shown, 30)


PROBE = """
import sys, time
import pgrt_jupyter as pgrt
options = dict(throttle_ms=0, deliver="thread")
with pgrt.Engine(sys.argv[1], query_conninfo=sys.argv[2] or None, **options) as engine:
    beats = engine.sub("beats", "SELECT n FROM beats")
    show = lambda change: print(change.new["n"].iloc[0], time.time(), flush=True)
    beats.observe(show, names="df")
    print(0, time.time(), flush=True)
    sys.stdin.read()
"""


@contextmanager
def _probe(primary: Node, standbys: Sequence[Node], where: str, queried: bool) -> Iterator[_Beats]:
    """Write beats, and have them shown."""
    kernel = None
    if queried:
        command = [sys.executable, "-c", PROBE, primary.conninfo(), where]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        kernel = subprocess.Popen(command, **pipes)
        assert kernel.stdout is not None
        kernel.stdout.readline()
    beats = _Beats(primary, standbys, kernel)
    try:
        yield beats
    finally:
        beats.stop(time.time())


def _cpu(node: Node) -> float:
    """Give the CPU seconds of all processes of a server, those that have ended included."""
    postmaster = psutil.Process(node.pid)
    spent = postmaster.cpu_times()
    total = spent.user + spent.system + spent.children_user + spent.children_system
    for child in postmaster.children():
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue  # it has just ended, and is missing for once
        total += times.user + times.system
    return total


def _together(turns: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Put the rounds of one set-up together: times of all of them, means of the rest."""
    frames = sorted(ms for turn in turns for ms in turn["frames"])
    lags = sorted(ms for turn in turns for ms in turn["lags"])
    cpu = zip(*(turn["cpu"] for turn in turns), strict=True)
    return {
        "cpu": [None if None in of else statistics.mean(of) for of in cpu],
        "refreshes": statistics.mean(turn["refreshes"] for turn in turns),
        "rate": statistics.mean(turn["rate"] for turn in turns),
        "p50": _at(frames, 0.5),
        "p95": _at(frames, 0.95),
        "lag50": _at(lags, 0.5),
        "lag95": _at(lags, 0.95),
    }


def _at(values: Sequence[float], share: float) -> float | None:
    return values[int(len(values) * share)] if values else None


def _cell(value: float | None, how: str) -> str:
    return "" if value is None else how.format(value)
