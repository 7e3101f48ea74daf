"""Keep a DataFrame of one query fresh for so many seconds, by polling or live; print the CPU time as JSON.

`following.py poll|live CONNINFO SQL SECONDS`; says "ready" when it begins.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

import pgrt_jupyter as pgrt

sys.path.insert(0, str(Path(__file__).parent))
from reading import uri

EVERY = 0.5  # seconds


def during(seconds: float, work: Callable[[], object]) -> float:
    """Do some work each half second, and give the CPU time of this process."""
    time.sleep(1)
    print("ready", flush=True)
    begun, cpu = time.monotonic(), time.process_time()
    turn = 0
    while (now := time.monotonic()) < begun + seconds:
        work()
        turn += 1
        time.sleep(max(0.0, begun + turn * EVERY - now))
    return time.process_time() - cpu


def poll(conninfo: str, sql: str, seconds: float) -> float:
    """Read it again each half second."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(uri(conninfo, "postgresql+psycopg"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        return during(seconds, lambda: pd.read_sql(sqlalchemy.text(sql), connection))


def live(conninfo: str, sql: str, seconds: float) -> float:
    """Subscribe, at the default throttle of half a second."""
    with pgrt.Engine(conninfo, deliver="thread") as engine:
        query = engine.sub("followed", sql)
        return during(seconds, lambda: query.df)


if __name__ == "__main__":
    way = {"poll": poll, "live": live}[sys.argv[1]]
    print(json.dumps(way(sys.argv[2], sys.argv[3], float(sys.argv[4]))))
