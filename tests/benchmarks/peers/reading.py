"""Read one table into a DataFrame in one way, again and again; print what it took as JSON.

A process of its own for each way: `reading.py WAY CONNINFO ROWS TURNS`. Memory is the peak of resident
memory in the first turn, beyond what was resident after the same with few rows; of a change it includes
the result before it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pandas as pd
import psycopg
from psycopg.conninfo import conninfo_to_dict

import pgrt_jupyter as pgrt

Turn = Callable[[int], tuple[float, float, Any]]  # rows: seconds, seconds of CPU, the frame


def uri(conninfo: str, scheme: str) -> str:
    """Write a conninfo as a URI, with the socket's folder as a parameter."""
    given = conninfo_to_dict(conninfo)
    name, database = quote(str(given.pop("user"))), quote(str(given.pop("dbname")))
    return f"{scheme}://{name}@/{database}?{urlencode(given)}"


def query(rows: int) -> str:
    """Give the query; sorted, so that every result has one order."""
    return f"SELECT * FROM result_{rows} ORDER BY id"


def timed(read: Callable[[int], Any]) -> Turn:
    """Measure a plain read."""

    def turn(rows: int) -> tuple[float, float, Any]:
        begun, cpu = time.perf_counter(), time.process_time()
        frame = read(rows)
        return time.perf_counter() - begun, time.process_time() - cpu, frame

    return turn


@contextmanager
def fetchall(conninfo: str) -> Iterator[Turn]:
    """Fetch with psycopg, and make a DataFrame of the rows."""
    with psycopg.connect(conninfo, autocommit=True) as connection:

        def read(rows: int) -> pd.DataFrame:
            cursor = connection.execute(query(rows))  # type: ignore[call-overload]
            names = [column.name for column in cursor.description or ()]
            return pd.DataFrame(cursor.fetchall(), columns=names)

        yield timed(read)


@contextmanager
def read_sql(conninfo: str) -> Iterator[Turn]:
    """Use pandas.read_sql with SQLAlchemy and psycopg."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(uri(conninfo, "postgresql+psycopg"))
    with engine.connect() as connection:
        yield timed(lambda rows: pd.read_sql(sqlalchemy.text(query(rows)), connection))
    engine.dispose()


@contextmanager
def adbc(conninfo: str) -> Iterator[Turn]:
    """Use ADBC, and its Arrow table as columns of a DataFrame; `numeric` is text in it."""
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(uri(conninfo, "postgresql")) as connection:

        def read(rows: int) -> pd.DataFrame:
            with connection.cursor() as cursor:
                cursor.execute(query(rows))
                return cursor.fetch_arrow_table().to_pandas(types_mapper=pd.ArrowDtype)

        yield timed(read)


@contextmanager
def first(conninfo: str) -> Iterator[Turn]:
    """Subscribe to a live query, from the call to its return with the first result."""
    with pgrt.Engine(conninfo, throttle_ms=0, deliver="thread") as engine:

        def turn(rows: int) -> tuple[float, float, Any]:
            begun, cpu = time.perf_counter(), time.process_time()
            live = engine.sub("result", query(rows))
            frame = live.df
            taken = time.perf_counter() - begun, time.process_time() - cpu, frame
            live.close()
            return taken

        yield turn


@contextmanager
def _written(conninfo: str, write: str) -> Iterator[Turn]:
    """Write one row under a live query, from the commit's return to its new DataFrame."""
    live: dict[int, Any] = {}
    with (
        pgrt.Engine(conninfo, throttle_ms=0, deliver="thread") as engine,
        psycopg.connect(conninfo, autocommit=True) as writer,
    ):

        def turn(rows: int) -> tuple[float, float, Any]:
            if rows not in live:
                live[rows] = engine.sub(f"of {rows}", query(rows))
            one = live[rows]
            version, cpu = one.version, time.process_time()
            writer.execute(write.format(rows=rows))  # type: ignore[arg-type]
            begun = time.perf_counter()
            while one.version == version:
                time.sleep(0.0005)
            return time.perf_counter() - begun, time.process_time() - cpu, one.df

        yield turn


def change(conninfo: str) -> Any:
    """Change a row in the middle."""
    middle = "UPDATE result_{rows} SET items = coalesce(items, 0) + 1 WHERE id = {rows} / 2"
    return _written(conninfo, middle)


def insert(conninfo: str) -> Any:
    """Insert a row before all others."""
    return _written(conninfo, "INSERT INTO result_{rows} SELECT min(id) - 1 FROM result_{rows}")


WAYS = {f.__name__: f for f in (change, insert, first, adbc, fetchall, read_sql)}


def resident(field: str) -> int:
    """Read VmRSS or VmHWM, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0


def size(frame: pd.DataFrame) -> int:
    """Sum Arrow's buffers; 0 where a column has none."""
    if not all(isinstance(dtype, pd.ArrowDtype) for dtype in frame.dtypes):
        return 0
    return sum(frame[name].array.__arrow_array__().nbytes for name in frame)


def main(way: str, conninfo: str, rows: int, turns: int) -> None:
    """Measure one way."""
    with WAYS[way](conninfo) as turn:
        turn(1_000)
        Path("/proc/self/clear_refs").write_text("5")  # begin the peak anew
        before = resident("VmRSS")
        if way in ("change", "insert"):
            turn(rows)  # its first result, the time of which `first` measures
        seconds, cpu, frame = turn(rows)
        extra = resident("VmHWM") - before
        runs = [(seconds, cpu)]
        held = size(frame)
        del frame
        runs += [turn(rows)[:2] for _ in range(turns - 1)]
    print(json.dumps({"runs": runs, "extra": extra, "size": held}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
