"""Measure what must not grow: memory, threads, descriptors, connections, locks, rows of ours."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil
import psycopg

from .harm_processes import listener_query
from .stage import Stage

MB = 1024 * 1024


def kernel(stage: Stage) -> dict[str, float]:
    """Measure the engine's process."""
    process = psutil.Process(stage.kernel.pid)
    found = {"threads": process.num_threads(), "fds": process.num_fds()}
    memory = process.memory_full_info()
    return {**found, "rss": memory.rss / MB, "uss": memory.uss / MB}


def server(stage: Stage) -> dict[str, Any]:
    """Measure what the engine holds on the server; nothing while that cannot be reached."""
    try:
        with psycopg.connect(stage.conninfo(), autocommit=True, connect_timeout=2) as connection:
            return _server(connection)
    except psycopg.OperationalError:
        return {}


def _server(connection: psycopg.Connection[Any]) -> dict[str, Any]:
    connection.execute("SET statement_timeout = '2s'")
    applications = dict(
        connection.execute(
            "SELECT application_name, count(*) FROM pg_stat_activity"
            " WHERE datname = 'soak' GROUP BY 1 ORDER BY 1"
        ).fetchall()
    )
    locks, usage, oldest = connection.execute(
        "SELECT (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'),"
        " pg_notification_queue_usage(),"
        " (SELECT max(age(backend_xmin)) FROM pg_stat_activity WHERE application_name = 'pgrt_jupyter')"
    ).fetchone() or (0, 0.0, 0)
    found: dict[str, Any] = {
        "connections": applications,
        "locks": locks,
        "queue": usage,
        "xmin age": oldest or 0,
    }
    with suppress(psycopg.Error):
        ((found["images"], size),) = connection.execute(
            "SELECT count(*), pg_total_relation_size('_pgrt.changes') FROM _pgrt.changes"
        ).fetchall()
        found["images MB"] = size / MB
    pids = connection.execute(listener_query()).fetchall()
    if pids:
        with suppress(psutil.Error):
            found["backend uss"] = psutil.Process(pids[0][0]).memory_full_info().uss / MB
    return found


@dataclass(frozen=True, slots=True)
class Slope:
    """Hold a line through measurements: per hour, with the half width of its 95 % interval."""

    per_hour: float
    margin: float
    points: int

    def __str__(self) -> str:
        return f"{self.per_hour:+.1f} ± {self.margin:.1f} ({self.points} points)"


def slope(samples: Sequence[tuple[float, float]], *, block: float = 60.0) -> Slope | None:
    """Fit a line through the medians of blocks of seconds, which depend little on each other.

    Memory that is reused goes up and down with every large result; a leak lifts the medians.
    """
    blocks: dict[int, list[float]] = {}
    for at, value in samples:
        blocks.setdefault(int(at // block), []).append(value)
    points = [(index * block, sorted(found)[len(found) // 2]) for index, found in blocks.items()]
    count = len(points)
    if count < 3:
        return None
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    rise = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    rest = sum((y - mean_y - rise * (x - mean_x)) ** 2 for x, y in points)
    error = math.sqrt(rest / (count - 2) / spread)
    student = 1.96 + 2.4 / (count - 2)  # close to the 97.5 % quantile of Student's distribution
    return Slope(rise * 3600, student * error * 3600, count)


def sample(stage: Stage, began: float) -> dict[str, Any]:
    """Measure everything once."""
    with suppress(psutil.Error):
        return {"at": round(time.monotonic() - began, 1), **kernel(stage), **server(stage)}
    return {}
