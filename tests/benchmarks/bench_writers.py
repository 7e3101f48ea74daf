"""Measure what watching a table costs those who write to it: single rows and many, fsync on."""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

import pgrt_jupyter as pgrt
from pgrt_jupyter.embedded import find_binaries

from .plotting import draw
from .writing import ROWS, SECONDS, rate_of

ROUNDS = 4
CLIENTS = (1, 4, 16)
IDLE, LIVE, FILTERED = "idle", "live", "live with a row filter"
INCREMENTAL = "live, incremental"
EMPTY = "a trigger that does nothing"
COMMITS, ROW_BY_ROW = "NOTIFY on every commit", "NOTIFY for every row"
CASES = ("no trigger", EMPTY, IDLE, LIVE, INCREMENTAL, FILTERED, COMMITS, ROW_BY_ROW)
TABLES = {case: f"t{number}" for number, case in enumerate(CASES)}
QUERY = "SELECT status, count(*), sum(amount) FROM {} GROUP BY status"
PART = "SELECT count(*), sum(amount) FROM {} WHERE kind = 7"  # of a hundred kinds

MANY_CASES = tuple(case for case in CASES if case != COMMITS)
STATEMENTS = {
    "INSERT": "INSERT INTO {} SELECT i, 'new', i, i % 100 FROM generate_series(1, 100000) AS i",
    "UPDATE": "UPDATE {} SET amount = amount + 1",
    "DELETE": "DELETE FROM {}",
}

Numbers = dict[str, dict[str, list[float]]]  # case: what was measured: values

# What an application does by hand, and what libraries do that send rows.
TRIGGERS = f"""
CREATE FUNCTION keep_still() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER keep_still_i AFTER INSERT ON {TABLES[EMPTY]} REFERENCING NEW TABLE AS n
  FOR EACH STATEMENT EXECUTE FUNCTION keep_still();
CREATE TRIGGER keep_still_u AFTER UPDATE ON {TABLES[EMPTY]} REFERENCING OLD TABLE AS o NEW TABLE AS n
  FOR EACH STATEMENT EXECUTE FUNCTION keep_still();
CREATE TRIGGER keep_still_d AFTER DELETE ON {TABLES[EMPTY]} REFERENCING OLD TABLE AS o
  FOR EACH STATEMENT EXECUTE FUNCTION keep_still();
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN PERFORM pg_notify('bench', TG_OP); RETURN NULL; END $$;
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON {TABLES[COMMITS]}
  FOR EACH STATEMENT EXECUTE FUNCTION tell();
CREATE FUNCTION tell_row() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN PERFORM pg_notify('bench', to_json(COALESCE(NEW, OLD))::text); RETURN NULL; END $$;
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON {TABLES[ROW_BY_ROW]}
  FOR EACH ROW EXECUTE FUNCTION tell_row();
"""


@pytest.fixture
def watched(durable: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """Give a connection to tables that differ only by who waits for their changes."""
    with psycopg.connect(durable, autocommit=True) as connection:
        for table in TABLES.values():
            connection.execute(f"DROP TABLE IF EXISTS {table}")
            connection.execute(
                f"CREATE TABLE {table} (id int PRIMARY KEY, status text, amount int, kind int)"
            )
        connection.execute("DROP FUNCTION IF EXISTS tell, tell_row, keep_still")
        connection.execute(TRIGGERS)
        with pgrt.Engine(durable) as installing:
            installing.sub("idle", QUERY.format(TABLES[IDLE]))
        with _listening(durable), pgrt.Engine(durable, throttle_ms=500, deliver="thread") as engine:
            engine.sub("live", QUERY.format(TABLES[LIVE]))
            rows = f"SELECT id, status, amount FROM {TABLES[INCREMENTAL]}"
            engine.sub("incremental", rows, incremental=True)
            filtered = TABLES[FILTERED]
            engine.sub("filtered", PART.format(filtered), refresh={filtered: {"kind": 7}})
            yield connection


@contextmanager
def _listening(conninfo: str) -> Iterator[None]:
    """Have somebody take what the hand-made triggers send."""
    stop = threading.Event()

    def listen() -> None:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute("LISTEN bench")
            while not stop.is_set():
                for _ in connection.notifies(timeout=0.2):
                    pass

    thread = threading.Thread(target=listen)
    thread.start()
    yield
    stop.set()
    thread.join()


def test_single_row_updates(
    durable: str,
    watched: psycopg.Connection[tuple[object, ...]],
    write_down: Callable[..., None],
    tmp_path: Path,
) -> None:
    """Count commits a second, all cases interleaved, at 1 and at 16 clients."""
    pgbench = find_binaries() / "pgbench"
    for table in TABLES.values():
        watched.execute(f"INSERT INTO {table} SELECT i, 'new', i, i % 100 FROM {_series(ROWS)}")
    watched.execute("VACUUM ANALYZE")
    numbers: Numbers = {case: {f"{n} clients": [] for n in CLIENTS} for case in CASES}
    for turn in range(ROUNDS):
        for clients in CLIENTS:
            for case in CASES:
                if pgbench.exists():
                    rate = rate_of(pgbench, durable, TABLES[case], clients, tmp_path)
                else:
                    rate = _threads(durable, TABLES[case], clients)
                numbers[case][f"{clients} clients"].append(rate)
                print(f"round {turn + 1}/{ROUNDS}, {clients} clients, {case}: {rate:,.0f}/s")
    write_down("writers", _rates(numbers), numbers)
    medians = _medians(numbers)
    lines = {
        case: (CLIENTS, [medians[case][f"{n} clients"] for n in CLIENTS], "-") for case in CASES
    }
    draw("writers", lines, x="clients", y="commits a second, median")


def test_many_rows_in_one_statement(
    watched: psycopg.Connection[tuple[object, ...]], write_down: Callable[..., None]
) -> None:
    """Time statements over 100,000 rows; row by row only once, since that takes long."""
    numbers: Numbers = {case: {kind: [] for kind in STATEMENTS} for case in MANY_CASES}
    for turn in range(ROUNDS):
        for case in MANY_CASES:
            if case == ROW_BY_ROW and turn:
                continue
            for kind, statement in STATEMENTS.items():
                time.sleep(0.7)  # who was told waits for the next change again
                begun = time.perf_counter()
                watched.execute(statement.format(TABLES[case]))
                numbers[case][kind].append(time.perf_counter() - begun)
            watched.execute(f"VACUUM {TABLES[case]}")
            took = ", ".join(f"{k} {v[-1]:.2f} s" for k, v in numbers[case].items())
            print(f"round {turn + 1}/{ROUNDS}, {case}: {took}")
    write_down("writers_many", _times(numbers), numbers)


def _series(count: int) -> str:
    return f"generate_series(1, {count}) AS i"


def _threads(conninfo: str, table: str, clients: int) -> float:
    """Give the commits a second of threads of this process, which bounds them."""
    stop = threading.Event()
    counts = [0] * clients
    update = f"UPDATE {table} SET amount = amount + 1 WHERE id = %s"

    def write(number: int) -> None:
        chance = random.Random(number)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            while not stop.is_set():
                connection.execute(update, (chance.randint(1, ROWS),), prepare=True)
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


def _rates(numbers: Numbers) -> str:
    """Write medians, and their ratios to no trigger."""
    rows = [
        "| single-row updates | 1 client | ratio | 4 clients | ratio | 16 clients | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    medians = _medians(numbers)
    plain = medians["no trigger"]
    for case, found in medians.items():
        cells = [f"{rate:,.0f}/s | {rate / plain[name]:.2f}" for name, rate in found.items()]
        rows.append(f"| {case} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _times(numbers: Numbers) -> str:
    """Write medians, and how many times as long as with no trigger they are."""
    rows = [
        "| 100,000 rows a statement | INSERT | times | UPDATE | times | DELETE | times |",
        "|---|---|---|---|---|---|---|",
    ]
    medians = _medians(numbers)
    plain = medians["no trigger"]
    for case, found in medians.items():
        cells = [
            f"{took * 1000:,.0f} ms | {took / plain[kind]:.2f}" for kind, took in found.items()
        ]
        rows.append(f"| {case} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _medians(numbers: Numbers) -> dict[str, dict[str, float]]:
    """Reduce each list to its median."""
    return {c: {n: statistics.median(v) for n, v in found.items()} for c, found in numbers.items()}
