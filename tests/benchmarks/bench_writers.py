"""Measure what watching a table costs those who write to it: single-row updates, fsync on."""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Callable

import psycopg

import pgrt_jupyter as pgrt

SECONDS = 2.0
ROUNDS = 5
ROWS = 10_000
CASES = ("no trigger", "idle", "live", "live with a row filter", "NOTIFY on every commit")
QUERY = "SELECT status, count(*), sum(amount) FROM {} GROUP BY status"


def test_single_row_updates(durable: str, write_down: Callable[..., None]) -> None:
    """Count commits a second, all cases interleaved, at 1 and at 16 clients."""
    tables = {case: f"t{number}" for number, case in enumerate(CASES)}
    with psycopg.connect(durable, autocommit=True) as connection:
        for table in tables.values():
            connection.execute(
                f"CREATE TABLE {table} (id int PRIMARY KEY, status text, amount int)"
            )
            connection.execute(
                f"INSERT INTO {table} SELECT i, 'new', i FROM generate_series(1, {ROWS}) AS i"
            )
    with pgrt.Engine(durable) as installing:
        installing.sub("idle", QUERY.format(tables["idle"]))
    numbers: dict[str, dict[int, list[float]]] = {case: {1: [], 16: []} for case in CASES}
    with pgrt.Engine(durable, throttle_ms=500, deliver="thread") as engine:
        engine.sub("live", QUERY.format(tables["live"]))
        filtered = tables["live with a row filter"]
        engine.sub("filtered", QUERY.format(filtered), refresh={filtered: {"amount": -1}})
        for turn in range(ROUNDS):
            for clients in (1, 16):
                for case in CASES:
                    rate = _rate(durable, tables[case], clients, case.startswith("NOTIFY"))
                    numbers[case][clients].append(rate)
                    print(f"round {turn + 1}/{ROUNDS}, {clients} clients, {case}: {rate:.0f}/s")
    write_down("writers", _table(numbers), numbers)


def _rate(conninfo: str, table: str, clients: int, notify: bool) -> float:
    """Give the commits a second of so many clients."""
    stop = threading.Event()
    counts = [0] * clients
    update = f"UPDATE {table} SET amount = amount + 1 WHERE id = %s"

    def write(number: int) -> None:
        chance = random.Random(number)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            while not stop.is_set():
                with connection.pipeline():
                    if notify:
                        connection.execute("BEGIN")
                        connection.execute("NOTIFY every_commit")
                    connection.execute(update, (chance.randint(1, ROWS),), prepare=True)
                    if notify:
                        connection.execute("COMMIT")
                counts[number] += 1

    threads = [threading.Thread(target=write, args=(number,)) for number in range(clients)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    time.sleep(SECONDS)
    stop.set()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - begun)


def _table(numbers: dict[str, dict[int, list[float]]]) -> str:
    """Write medians, and their ratios to no trigger."""
    rows = [
        "| single-row updates | 1 client | ratio | 16 clients | ratio |",
        "|---|---|---|---|---|",
    ]
    medians = {
        c: {n: statistics.median(v) for n, v in found.items()} for c, found in numbers.items()
    }
    plain = medians["no trigger"]
    for case, found in medians.items():
        cells = [f"{found[n]:,.0f}/s | {found[n] / plain[n]:.2f}" for n in (1, 16)]
        rows.append(f"| {case} | {' | '.join(cells)} |")
    return "\n".join(rows)
