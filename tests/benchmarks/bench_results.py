"""Measure how long results of 1,000 to 1,000,000 rows take to become DataFrames, beside other ways."""

from __future__ import annotations

import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from .plotting import draw

HERE = Path(__file__).parent
SIZES = (1_000, 10_000, 100_000, 1_000_000)
MILLION = SIZES[-1]
ROUNDS = {1_000: 2, 10_000: 2, 100_000: 2, MILLION: 2}
TURNS = {1_000: 15, 10_000: 9, 100_000: 3, MILLION: 3}
ONCE = {"fetchall", "read_sql"}  # take long: one turn a round for a million rows
WAYS = {
    "change": "live query, one row changed",
    "insert": "live query, one row more at the beginning",
    "first": "live query, first result",
    "adbc": "ADBC to ArrowDtype",
    "fetchall": "psycopg `fetchall`, DataFrame",
    "read_sql": "`pandas.read_sql`, SQLAlchemy and psycopg",
}
THEIRS = {"adbc", "fetchall", "read_sql"}
COLUMNS = """
    i::int8 AS id,
    CASE WHEN i % 50 <> 0 THEN (i::int8 * 7919 % 100003)::int4 END AS items,
    (i::int8 * 31 % 9000000 / 100.0)::numeric(12,2) AS amount,
    sqrt(i)::float8 AS weight,
    'Customer ' || (i::int8 * 7919 % 100003) AS customer,
    CASE WHEN i % 3 = 0 THEN 'note ' || i END AS note,
    timestamptz '2024-01-01 00:00Z' + i * interval '61.037 s' AS ordered_at,
    date '2024-01-01' + (i % 365)::int AS due,
    i % 2 = 0 AS paid,
    jsonb_build_object('n', i % 1000, 'tag', 'x' || i % 17) AS doc
"""


def fill(conninfo: str, rows: int) -> None:
    """Make a table of ten columns of the usual types, in place of the one another benchmark used."""
    table = f"result_{rows}"
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(f"DROP TABLE IF EXISTS {table}")
        connection.execute(
            f"CREATE TABLE {table} AS SELECT {COLUMNS} FROM generate_series(1, {rows}) AS i"
        )
        connection.execute(f"ALTER TABLE {table} ADD PRIMARY KEY (id)")
        connection.execute(f"VACUUM ANALYZE {table}")


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measures memory on Linux")
def test_results(durable: str, write_down: Callable[..., None]) -> None:
    """Time and memory by the number of rows; ways alternate, each time in a fresh process."""
    measured: dict[str, dict[str, dict[str, Any]]] = {}
    ways = [way for way in WAYS if _is_there(way)]
    for rows in SIZES:
        fill(durable, rows)
        found: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
        for number in range(ROUNDS[rows]):
            for way in ways:
                begun = time.monotonic()
                turns = 1 if rows == MILLION and way in ONCE else TURNS[rows]
                found[way].append(_measure(way, durable, rows, turns))
                took = time.monotonic() - begun
                print(f"{rows:,} rows, round {number + 1}: {way} in {took:.1f} s", flush=True)
        measured[str(rows)] = {way: _condensed(runs) for way, runs in found.items()}
    write_down("results", _table(measured[str(MILLION)]), measured)
    write_down("results_growth", _growth(measured), {})
    _plot(measured)


def _is_there(way: str) -> bool:
    module = {"adbc": "adbc_driver_postgresql", "read_sql": "sqlalchemy"}.get(way)
    return module is None or importlib.util.find_spec(module) is not None


def _measure(way: str, conninfo: str, rows: int, turns: int) -> dict[str, Any]:
    command = [sys.executable, HERE / "peers" / "reading.py", way, conninfo, str(rows), str(turns)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, timeout=300)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _condensed(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Give medians, the shortest time and the largest peak."""
    turns = [turn for run in runs for turn in run["runs"]]
    return {
        "median": statistics.median(seconds for seconds, _ in turns),
        "best": min(seconds for seconds, _ in turns),
        "cpu": statistics.median(cpu for _, cpu in turns),
        "extra": max(run["extra"] for run in runs),
        "size": runs[0]["size"],
        "turns": turns,
    }


def _table(measured: dict[str, dict[str, Any]]) -> str:
    """Write all of a million rows."""
    frame = measured["first"]["size"]
    lines = [
        "| 1,000,000 rows, 10 columns | median | best | to ours, best | CPU here | memory, frames |",
        "|---|---|---|---|---|---|",
    ]
    for way, one in measured.items():
        ratio = one["best"] / measured["change"]["best"]
        lines.append(
            f"| {WAYS[way]} | {one['median']:.2f} s | {one['best']:.2f} s | {ratio:.2f} "
            f"| {one['cpu']:.2f} s | {one['extra'] / frame:.1f} |"
        )
    return "\n".join([*lines, f"\nA frame is {frame / 1e6:.0f} MB of Arrow buffers."])


def _growth(measured: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Write the medians by the number of rows."""
    ways = list(measured[str(MILLION)])
    lines = [
        "| median by rows | " + " | ".join(f"{rows:,}" for rows in SIZES) + " |",
        "|---|" + "---|" * len(SIZES),
    ]
    for way in ways:
        cells = (f"{measured[str(rows)][way]['median'] * 1000:,.1f} ms" for rows in SIZES)
        lines.append(f"| {WAYS[way]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _plot(measured: dict[str, dict[str, dict[str, Any]]]) -> None:
    """Draw time by rows."""
    lines = {
        WAYS[way].replace("`", ""): (
            SIZES,
            [measured[str(rows)][way]["median"] for rows in SIZES],
            "--" if way in THEIRS else "-",
        )
        for way in measured[str(MILLION)]
    }
    draw("results", lines, x="rows of 10 columns", y="seconds, median")
