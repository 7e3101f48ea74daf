"""Open a simulated world: find the one that is served already, or start one."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files

import psycopg

from ..embedded import embedded_postgres

Say = Callable[[str], None]


def quiet(step: str) -> None:
    """Keep a step to oneself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Describe a world, which lives in the schema of its name."""

    name: str
    mark: str  # a relation that is there once the world is
    step: Callable[[psycopg.Connection, random.Random], object]  # does one thing, in a transaction
    rate: float  # steps a second
    regular: bool  # steps come at equal intervals, not by chance
    title: str  # of the dashboard, within a sentence
    filling: str  # what is said while it is created
    starting: str  # what is said when its steps begin; `{rate}` is how many


def open_world(
    world: World, path: str | None = None, *, rate: float | None = None, say: Say = quiet
) -> str:
    """Give the conninfo of a database with that world in it, which something is writing to.

    That is the server `PGRT_DSN` names if it has one already, as under `make demo`; else an
    embedded server of this process, where a simulator makes about `rate` steps a second.
    Nothing is created on a server that is not ours. `say` is told each step.
    """
    given = os.environ.get("PGRT_DSN")
    if given and _has(world, given):
        say(f"The server that PGRT_DSN names has {world.title} already.")
        return given
    say("Starting a PostgreSQL of its own …")
    conninfo = embedded_postgres(path)
    if not _has(world, conninfo):
        say(world.filling)
        create(world, conninfo)
    rate = world.rate if rate is None else rate
    say(world.starting.format(rate=f"{rate:g}"))
    start_simulator(world, conninfo, rate)
    return conninfo


def create(world: World, conninfo: str) -> None:
    """Create the world's schema and its past, in one transaction."""
    script = files(__package__).joinpath(f"{world.name}.sql").read_bytes()
    with psycopg.connect(conninfo) as connection:
        connection.execute(script)


def start_simulator(world: World, conninfo: str, rate: float) -> subprocess.Popen[bytes]:
    """Let the world go on in a process of its own, which ends with the server."""
    simulator = [sys.executable, "-m", f"{__package__}.simulator"]
    return subprocess.Popen(
        [*simulator, world.name, "--rate", str(rate)],
        env={**os.environ, "PGRT_DSN": conninfo},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def _has(world: World, conninfo: str) -> bool:
    with psycopg.connect(conninfo) as connection:
        row = connection.execute(
            "SELECT to_regclass(%s) IS NOT NULL", [f"{world.name}.{world.mark}"]
        ).fetchone()
    return row is not None and bool(row[0])
