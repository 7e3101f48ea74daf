"""Measure many live queries in one kernel: 1,000 over 20 tables, one of which is concerned."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

import pgrt_jupyter as pgrt

from .plotting import draw

TABLES, ROWS, GROUPS = 20, 1_000, 50  # a query reads one group of one table
QUERY = "SELECT id, n FROM t{} WHERE k = $1 ORDER BY id"
ROUNDS = 40
COUNTS = (20, 100, 1_000)
IDLE_SECONDS = 40.0  # more than one audit


def test_many_subscriptions(durable: str, write_down: Callable[..., None]) -> None:
    """Time subscribing, idleness, and a change that concerns one of them, beside one alone."""
    with psycopg.connect(durable, autocommit=True) as writer, _tables(writer):
        alone = _latency_alone(durable, writer)
        numbers = {count: _measure(durable, writer, count) for count in COUNTS}
    rows = [
        "| live queries | subscribing all | commit to frame of the one concerned, p50 | of one alone "
        "| idle CPU |",
        "|---|---|---|---|---|",
        f"| 1 | | {alone:.1f} ms | 1.0 | |",
    ]
    for count, found in numbers.items():
        rows.append(
            f"| {count:,} | {found['subscribing']:.1f} s | {found['among']:.1f} ms "
            f"| {found['among'] / alone:.1f} | {found['idle']:.2%} |"
        )
    write_down("many", "\n".join(rows), {"alone": alone, **numbers})
    lines = {
        "one of them is concerned: commit to frame, ms": (
            [1, *COUNTS],
            [alone, *(found["among"] for found in numbers.values())],
            "-",
        ),
        "subscribing, ms each": (
            COUNTS,
            [found["subscribing"] / count * 1000 for count, found in numbers.items()],
            "--",
        ),
    }
    draw("many", lines, x="live queries in one kernel", y="milliseconds, median")


def _measure(conninfo: str, writer: psycopg.Connection[Any], count: int) -> dict[str, float]:
    """Follow so many queries."""
    with pgrt.Engine(conninfo, throttle_ms=0, deliver="thread") as engine:
        begun = time.perf_counter()
        queries = [
            engine.sub(f"q{number}", QUERY.format(number % TABLES), [number // TABLES])
            for number in range(count)
        ]
        subscribing = time.perf_counter() - begun
        among = _latency(writer, queries[count // 2], (count // 2) % TABLES)
        time.sleep(1)
        idle = _idle_share()
    print(f"{count} queries: {subscribing:.1f} s, {among:.1f} ms, idle {idle:.2%}")
    return {"subscribing": subscribing, "idle": idle, "among": among}


@contextmanager
def _tables(writer: psycopg.Connection[Any]) -> Iterator[None]:
    for number in range(TABLES):
        writer.execute(f"CREATE TABLE t{number} (id int PRIMARY KEY, k int, n int)")
        writer.execute(
            f"INSERT INTO t{number} SELECT i, i % {GROUPS}, 0 FROM generate_series(1, {ROWS}) AS i"
        )
        writer.execute(f"CREATE INDEX ON t{number} (k)")
    yield
    for number in range(TABLES):
        writer.execute(f"DROP TABLE t{number}")


def _latency_alone(conninfo: str, writer: psycopg.Connection[Any]) -> float:
    with pgrt.Engine(conninfo, throttle_ms=0, deliver="thread") as engine:
        return _latency(writer, engine.sub("alone", QUERY.format(0), [1]), 0)


def _latency(writer: psycopg.Connection[Any], query: pgrt.LiveQuery, table: int) -> float:
    """Give the median milliseconds from a commit to the frame that shows it."""
    number = int(query.df["id"].iloc[0])
    times = []
    for turn in range(1, ROUNDS + 1):
        writer.execute(f"UPDATE t{table} SET n = %s WHERE id = %s", (turn, number))
        begun = time.perf_counter()
        while query.df["n"].iloc[0] != turn:
            time.sleep(0.0001)
            assert time.perf_counter() - begun < 10
        times.append((time.perf_counter() - begun) * 1000)
        time.sleep(0.1)
    return statistics.median(times)


def _idle_share() -> float:
    """Give the share of one processor that this process takes while nothing happens."""
    begun, used = time.perf_counter(), time.process_time()
    time.sleep(IDLE_SECONDS)
    return (time.process_time() - used) / (time.perf_counter() - begun)
