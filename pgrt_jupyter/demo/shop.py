"""Open the shop: find the one that `make demo` runs, or start one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files

import psycopg

from ..embedded import embedded_postgres


def open_shop(
    path: str | None = None, *, rate: float = 4.0, say: Callable[[str], None] = lambda step: None
) -> str:
    """Give the conninfo of a database with a shop in it that something is writing to.

    That is the server `PGRT_DSN` names if it has a shop already, as under `make demo`; else an
    embedded server of this process, where a simulator makes about `rate` changes a second.
    Nothing is created on a server that is not ours. `say` is told each step.
    """
    given = os.environ.get("PGRT_DSN")
    if given and _has_shop(given):
        say("The shop is open on the server that PGRT_DSN names.")
        return given
    say("Starting a PostgreSQL of its own …")
    conninfo = embedded_postgres(path)
    if not _has_shop(conninfo):
        say("Filling the shop with a week of orders …")
        create(conninfo)
    say(f"Letting customers in: about {rate:g} changes a second …")
    start_simulator(conninfo, rate)
    return conninfo


def create(conninfo: str) -> None:
    """Create the schema `shop` with a week of orders, in one transaction."""
    script = files(__package__).joinpath("shop.sql").read_bytes()
    with psycopg.connect(conninfo) as connection:
        connection.execute(script)


def start_simulator(conninfo: str, rate: float) -> subprocess.Popen[bytes]:
    """Let customers order in a process of their own, which ends with the server."""
    return subprocess.Popen(
        [sys.executable, "-m", f"{__package__}.simulator", "--rate", str(rate)],
        env={**os.environ, "PGRT_DSN": conninfo},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def _has_shop(conninfo: str) -> bool:
    with psycopg.connect(conninfo) as connection:
        row = connection.execute("SELECT to_regclass('shop.order_items') IS NOT NULL").fetchone()
    return row is not None and bool(row[0])
