"""Write about so many times a second from several connections, in a process of its own.

Each writer has its own source of chance and counter of operations, so a seed gives the same operations
whatever the others do. A writer whose connection breaks opens another and goes on with the next
operation. An error that is not the connection's and not one concurrent writers give each other is
somebody's fault: it is reported, and fails the soak.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from random import Random
from typing import Any

import psycopg

from .ledger import Ledger
from .schema import STREAMS
from .writing import WEIGHTS

TICKS = 3.0  # a second, of each counter
_EXPECTED = ("08", "57P", "40001", "40P01", "55P03", "53300")  # SQLSTATE prefixes

_MERGING = ("merge_secrets", "several_tables")  # two MERGEs at once may both insert a key


@dataclass
class Shared:
    """Hold what the writers' threads share."""

    conninfo: str
    going: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    busy: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)

    def begin(self) -> bool:
        """Wait until writing is allowed; False at the end."""
        while not self.ended.is_set():
            if self.going.wait(0.5):
                with self.lock:
                    if self.going.is_set():
                        self.busy += 1
                        return True
        return False

    def finish(self, name: str, error: psycopg.Error | None) -> None:
        with self.lock:
            self.busy -= 1
            if error is None:
                self.counts[name] += 1
                return
            state = error.sqlstate or "lost"
            self.errors[f"{state} {name}"] += 1
            expected = (*_EXPECTED, "23505") if name in _MERGING else _EXPECTED
            if error.sqlstate is not None and not error.sqlstate.startswith(expected):
                self.unexpected.append(f"{name}: {type(error).__name__} {state}: {error}")


class Link:
    """Keep a connection, and get another when it breaks."""

    def __init__(self, shared: Shared, name: str) -> None:
        self._shared, self._name = shared, name
        self._connection: psycopg.Connection[Any] | None = None

    def get(self) -> psycopg.Connection[Any]:
        """Give an open connection, outside a transaction; raises psycopg.Error."""
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._shared.conninfo,
                autocommit=True,
                application_name=self._name,
                connect_timeout=5,
                prepare_threshold=None,  # tables are replaced under our feet
            )
        return self._connection

    def drop(self) -> None:
        """Give the connection up."""
        if self._connection is not None:
            self._connection.close()


def write(shared: Shared, number: int, seed: str, rate: float) -> None:
    """Write at random times, never faster to make up for a delay."""
    chance, link = Random(f"{seed}-writer-{number}"), Link(shared, "soak-writer")
    operations, weights = list(WEIGHTS), list(WEIGHTS.values())
    due = time.monotonic()
    while shared.begin():
        operation = chance.choices(operations, weights)[0]
        error = None
        try:
            operation(link.get(), Random(chance.random()))
        except psycopg.Error as raised:
            error = raised
            if isinstance(raised, psycopg.OperationalError) and raised.sqlstate is None:
                link.drop()
                shared.ended.wait(0.2)
        shared.finish(operation.__name__, error)
        now = time.monotonic()
        due = max(now, due + chance.expovariate(rate))
        shared.ended.wait(due - now)
    link.drop()


def tick(shared: Shared, stream: str, ledger: Ledger, rate: float) -> None:
    """Count up, and note in the ledger when each value was committed."""
    link, n = Link(shared, "soak-counter"), 1
    table, condition = STREAMS[stream]
    while shared.begin():
        error = None
        try:
            connection = link.get()
            connection.execute(f"UPDATE {table} SET tick = %s WHERE {condition}", (n,))
            if connection.execute(f"SELECT tick FROM {table} WHERE {condition}").fetchone() == (n,):
                ledger.committed(stream, n, time.monotonic())
                n += 1
        except psycopg.Error as raised:
            error = raised
            link.drop()
            shared.ended.wait(0.2)
        shared.finish(f"tick {stream}", error)
        shared.ended.wait(1 / rate)
    link.drop()


def main(pipe: Pipe, conninfo: str, ledger: Path, seed: str, rate: float, writers: int) -> None:
    """Serve the soak's requests until it closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    shared, book = Shared(conninfo), Ledger(ledger)
    each = max(0.5, (rate - TICKS * len(STREAMS)) / writers)
    threads = [
        threading.Thread(target=write, args=(shared, i, seed, each)) for i in range(writers)
    ] + [threading.Thread(target=tick, args=(shared, name, book, TICKS)) for name in STREAMS]
    for thread in threads:
        thread.start()
    try:
        while True:
            number, request = pipe.recv()
            pipe.send((number, _answer(shared, request)))
    except (EOFError, OSError):
        pass
    shared.ended.set()
    shared.going.set()
    for thread in threads:
        thread.join()


def _answer(shared: Shared, request: str) -> Any:
    """Resume, pause (and wait until nobody writes), or tell."""
    if request == "resume":
        shared.going.set()
    elif request == "pause":
        shared.going.clear()
        deadline = time.monotonic() + 60
        while shared.busy and time.monotonic() < deadline:
            time.sleep(0.005)
        return shared.busy == 0
    with shared.lock:
        return {
            "writes": sum(shared.counts.values()),
            "counts": dict(shared.counts),
            "errors": dict(shared.errors),
            "unexpected": list(shared.unexpected),
        }
