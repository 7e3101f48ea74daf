"""Measure what bringing a result up to date costs, by its size and by what changed, beside reading all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import pandas as pd
import psycopg
import pytest

import pgrt_jupyter as pgrt

from . import bench_results as _results
from .plotting import draw

SIZES = (10_000, 100_000, 1_000_000)
CHANGES = (1, 10, 100, 1_000)
TURNS = 30
PARTNERS = 10_000
ROWS, JOIN, GROUPS = "rows, sorted", "join with 10,000 rows", "1,000 groups"
QUERIES = {
    ROWS: "SELECT * FROM result_{rows} ORDER BY id",
    JOIN: (
        "SELECT r.*, p.name FROM result_{rows} AS r"
        " JOIN partner AS p ON p.id = coalesce(r.items, 0) % 10000"
    ),
    GROUPS: (
        "SELECT items % 1000 AS kind, count(*), sum(amount) FROM result_{rows} GROUP BY items % 1000"
    ),
}
SHOWN = {True: "what changed", False: "all of it"}

Connection = psycopg.Connection[Any]
Times = dict[str, list[float]]


@pytest.fixture(scope="module")
def filled(durable: str) -> str:
    """Give the conninfo of a database with results of all sizes and partners to join."""
    for rows in SIZES:
        _results.fill(durable, rows)
    with psycopg.connect(durable, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS partner")
        connection.execute(
            "CREATE TABLE partner AS SELECT i AS id, 'partner ' || i AS name"
            f" FROM generate_series(0, {PARTNERS - 1}) AS i"
        )
        connection.execute("ALTER TABLE partner ADD PRIMARY KEY (id)")
        for rows in SIZES:
            connection.execute(f"CREATE INDEX ON result_{rows} ((items % 1000))")
        connection.execute("VACUUM ANALYZE")
    return durable


def test_one_row(filled: str, write_down: Callable[..., None]) -> None:
    """From the commit's return to `lq.df`, one row changed, by the size of the table."""
    found: dict[str, Times] = {}
    with (
        psycopg.connect(filled, autocommit=True) as writer,
        pgrt.Engine(filled, throttle_ms=0, deliver="thread") as engine,
    ):
        for rows in SIZES:
            for name, text in QUERIES.items():
                for way, shown in SHOWN.items():
                    turns = TURNS if way or rows < SIZES[-1] else 5
                    lq = engine.sub("followed", text.format(rows=rows), incremental=way)
                    times = [_one(lq, writer, rows, [turn]) for turn in range(turns)]
                    found.setdefault(f"{name}: {shown}", {})[str(rows)] = times
                    print(f"{rows:,} rows, {name}, {shown}: {_ms(times)}; {dict(lq.refresh_kinds)}")
                    lq.close()
        polled = {str(rows): [_poll(filled, rows) for _ in range(2)] for rows in SIZES}
        found["polling: one `pandas.read_sql` of the rows"] = polled
    write_down("incremental", _table(found, [str(rows) for rows in SIZES], "{:,} rows"), found)
    lines = {
        name: (SIZES, [1000 * statistics.median(times[str(n)]) for n in SIZES], style)
        for name, times in found.items()
        for style in ("-" if "what changed" in name else "--",)
    }
    draw("incremental", lines, x="rows", y="ms from commit to frame, median")


def test_many_rows(filled: str, write_down: Callable[..., None]) -> None:
    """The same, by how many of a million rows one statement changes."""
    rows = SIZES[-1]
    found: dict[str, Times] = {shown: {} for shown in SHOWN.values()}
    with (
        psycopg.connect(filled, autocommit=True) as writer,
        pgrt.Engine(filled, throttle_ms=0, deliver="thread") as engine,
    ):
        for way, shown in SHOWN.items():
            lq = engine.sub("followed", QUERIES[ROWS].format(rows=rows), incremental=way)
            for count in CHANGES:
                times = [
                    _one(lq, writer, rows, range(turn * count, (turn + 1) * count))
                    for turn in range(9 if way else 3)
                ]
                found[shown][str(count)] = times
                print(f"{count:,} rows changed, {shown}: {_ms(times)}; {dict(lq.refresh_kinds)}")
            lq.close()
    columns = [str(count) for count in CHANGES]
    write_down("incremental_many", _table(found, columns, "{:,} changed"), found)


def _one(lq: pgrt.LiveQuery, writer: Connection, rows: int, numbers: Any) -> float:
    """Change rows here and there, and wait for the result."""
    time.sleep(0.05)
    version = lq.version
    ids = [number * 7919 % rows + 1 for number in numbers]
    update = f"UPDATE result_{rows} SET amount = amount + 1, weight = 0 WHERE id = ANY (%s)"
    writer.execute(update, (ids,), prepare=True)
    begun = time.perf_counter()
    while lq.version == version:
        time.sleep(0.0002)
        assert time.perf_counter() - begun < 60
    return time.perf_counter() - begun


def _poll(conninfo: str, rows: int) -> float:
    """Read all by what most use."""
    sqlalchemy = pytest.importorskip("sqlalchemy")
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(conninfo)
    )
    with engine.connect() as connection:
        begun = time.perf_counter()
        pd.read_sql(sqlalchemy.text(QUERIES[ROWS].format(rows=rows)), connection)
        return time.perf_counter() - begun


def _ms(times: list[float]) -> str:
    ordered = sorted(times)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return f"p50 {1000 * statistics.median(times):,.1f} ms, p95 {1000 * p95:,.1f} ms"


def _table(found: dict[str, Times], columns: list[str], head: str) -> str:
    """Write medians."""
    lines = ["| median | " + " | ".join(head.format(int(c)) for c in columns) + " |"]
    lines.append("|---|" + "---|" * len(columns))
    for name, times in found.items():
        cells = (f"{1000 * statistics.median(times[c]):,.1f} ms" for c in columns)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
