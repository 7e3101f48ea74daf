"""Measure the time from a commit to the DataFrame, beside the least that plain psycopg needs."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pandas as pd
import psycopg
import pyarrow as pa

import pgrt_jupyter as pgrt

ROUNDS = 300
ROWS = 100


def _exact(rows: list[Any], names: list[str]) -> pd.DataFrame:
    """Make the frame that the live query gives: exact types, backed by Arrow."""
    kinds = (pa.int32(), pa.string(), pa.decimal128(10, 2))
    columns = zip(names, zip(*rows, strict=True), kinds, strict=True)
    return pd.DataFrame(
        {
            name: pd.arrays.ArrowExtensionArray(pa.chunked_array([pa.array(column, kind)]))
            for name, column, kind in columns
        }
    )


def _plain(rows: list[Any], names: list[str]) -> pd.DataFrame:
    """Make the frame that is least work: numeric as Python objects."""
    return pd.DataFrame(rows, columns=names)


BARE = {"same": _exact, "plain": _plain}


def test_commit_to_frame(durable: str, write_down: Callable[..., None]) -> None:
    """Time one-row updates at throttle 0, alternating between the live query and the bare loop."""
    with psycopg.connect(durable, autocommit=True) as writer:
        for table in ("live", *BARE):
            writer.execute(
                f"CREATE TABLE {table} (id int PRIMARY KEY, status text, amount numeric(10,2))"
            )
            writer.execute(
                f"INSERT INTO {table} SELECT i, 'new', i FROM generate_series(1, {ROWS}) i"
            )
        with ExitStack() as stack:
            engine = stack.enter_context(pgrt.Engine(durable, throttle_ms=0, deliver="thread"))
            bare = {name: stack.enter_context(_bare(durable, name)) for name in BARE}
            query = engine.sub("live", "SELECT id, status, amount FROM live ORDER BY id")
            times: dict[str, list[float]] = {name: [] for name in ("live", *BARE)}
            for turn in range(ROUNDS):
                value = f"v{turn}"
                times["live"].append(
                    _timed(writer, "live", value, lambda v: query.df["status"].iloc[0] == v)
                )
                for name, shown in bare.items():
                    times[name].append(
                        _timed(
                            writer,
                            name,
                            value,
                            lambda v, shown=shown: shown["frame"]["status"].iloc[0] == v,
                        )
                    )
    write_down("latency", _table(times), times)


def _timed(
    writer: psycopg.Connection[Any], table: str, value: str, shows: Callable[[str], bool]
) -> float:
    """Give the milliseconds from the commit's return to the frame that shows it."""
    with writer.transaction():
        writer.execute(f"UPDATE {table} SET status = %s WHERE id = 1", (value,))
        if table in BARE:
            writer.execute(f"NOTIFY {table}")
    begun = time.perf_counter()
    while not shows(value):
        time.sleep(0.0001)
        assert time.perf_counter() - begun < 10
    taken = (time.perf_counter() - begun) * 1000
    time.sleep(0.005)  # both are at rest before the next round
    return taken


@contextmanager
def _bare(conninfo: str, name: str) -> Iterator[dict[str, Any]]:
    """Run the shortest loop that does the same: LISTEN, wait, fetchall, DataFrame."""
    shown: dict[str, Any] = {}
    with (
        psycopg.connect(conninfo, autocommit=True) as listening,
        psycopg.connect(conninfo, autocommit=True) as reading,
    ):

        def refresh() -> None:
            cursor = reading.execute(f"SELECT id, status, amount FROM {name} ORDER BY id")
            names = [column.name for column in cursor.description or ()]
            shown["frame"] = BARE[name](cursor.fetchall(), names)

        listening.execute(f"LISTEN {name}")
        refresh()

        def follow() -> None:
            for notification in listening.notifies():
                if notification.payload == "stop":
                    return
                refresh()

        thread = threading.Thread(target=follow)
        thread.start()
        yield shown
        reading.execute(f"NOTIFY {name}, 'stop'")
        thread.join()


def _table(times: dict[str, list[float]]) -> str:
    """Write the percentiles side by side."""

    def percentile(name: str, share: int) -> float:
        return statistics.quantiles(times[name], n=100)[share - 1]

    rows = [
        "| commit to frame | live query | bare psycopg, same frame | ratio | bare, plain frame | ratio |",
        "|---|---|---|---|---|---|",
    ]
    for share in (50, 95):
        live, same, plain = (percentile(name, share) for name in times)
        rows.append(
            f"| p{share} | {live:.2f} ms | {same:.2f} ms | {live / same:.2f} "
            f"| {plain:.2f} ms | {live / plain:.2f} |"
        )
    return "\n".join(rows)
