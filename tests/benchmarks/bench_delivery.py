"""Measure what one changed row costs the kernel beyond the query, and how much of it the main loop.

An asyncio loop stands in for the kernel's; a view is spoken for as in `bench_table`.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import comm
import psycopg
import pytest
from comm.base_comm import BaseComm

import pgrt_jupyter as pgrt
from pgrt_jupyter import content, delivery, widget
from pgrt_jupyter.engine import frames, refresh

SIZES = (10_000, 100_000, 1_000_000)
ROUNDS = 9
WINDOW = 60
VIEWER = "b"


def _sibling(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fill = _sibling("bench_results").fill


class Wire(BaseComm):
    """Write messages as a kernel does, for nobody."""

    def publish_msg(self, msg_type: str, data: Any = None, **_: Any) -> None:
        json.dumps(data, default=str)


class Clock:
    """Add up the time of some functions, by name."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    def around(self, name: str, function: Callable[..., Any], now: Callable[[], float]) -> Any:
        """Wrap a function, so that each call is counted."""

        def timed(*arguments: Any, **options: Any) -> Any:
            begun = now()
            try:
                return function(*arguments, **options)
            finally:
                self.spent[name] = self.spent.get(name, 0.0) + now() - begun

        return timed


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Count the query's share by the CPU time of the process, and shares of the rest by their thread's."""
    found = Clock()
    for name in ("describe", "fetch", "parse"):
        function = getattr(frames, name)
        monkeypatch.setattr(frames, name, found.around("query", function, time.process_time))
    for module, name, label in ((refresh.diff, "delta", "delta"), (content, "display", "table")):
        function = getattr(module, name)
        monkeypatch.setattr(module, name, found.around(label, function, time.thread_time))
    monkeypatch.setattr(comm, "create_comm", lambda **options: Wire(**options))
    return found


@pytest.fixture
def loop(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[asyncio.AbstractEventLoop]:
    """Run a loop as the kernel's main one, and count what this package has it do."""
    loop = asyncio.new_event_loop()
    soon = loop.call_soon_threadsafe

    def counted(callback: Any, *arguments: Any, **options: Any) -> Any:
        if str(getattr(callback, "__module__", "")).startswith("pgrt_jupyter"):
            callback = clock.around("main loop", callback, time.thread_time)
            callback = clock.around("passing", callback, time.perf_counter)
        return soon(callback, *arguments, **options)

    loop.call_soon_threadsafe = counted  # type: ignore[method-assign]
    kernel = SimpleNamespace(io_loop=SimpleNamespace(asyncio_loop=loop))
    monkeypatch.setattr(delivery, "kernel_loop", lambda: loop)
    monkeypatch.setattr(widget, "_kernel", lambda: kernel)
    yield loop
    loop.close()


def test_delivery(
    durable: str, clock: Clock, loop: asyncio.AbstractEventLoop, write_down: Callable[..., None]
) -> None:
    """CPU time from a commit to the pushed message and the observers, by the size of the result."""
    measured = {}
    for rows in SIZES:
        fill(durable, rows)
        measured[rows] = loop.run_until_complete(_updates(durable, rows, clock))
        print(f"{rows:,} rows: {measured[rows][-1]}", flush=True)
    write_down("delivery", _table(measured), measured)


async def _updates(conninfo: str, rows: int, clock: Clock) -> list[dict[str, float]]:
    """Change one shown row again and again, and give the milliseconds of each."""
    with (
        pgrt.Engine(conninfo, throttle_ms=0, deliver="main") as engine,
        psycopg.connect(conninfo, autocommit=True) as writer,
    ):
        query = engine.sub("result", f"SELECT * FROM result_{rows} ORDER BY id")
        told: list[str] = []
        query.observe(lambda change: told.append(change["name"]), ["df", "delta"])
        table = query.table()
        sent, say = _viewed(table)
        say = clock.around("main loop", say, time.thread_time)
        say("hello", start=rows // 2, count=WINDOW, anchor=None, revision=0)
        found = []
        for turn in range(ROUNDS + 1):
            while not sent:  # the first window
                await asyncio.sleep(0.01)
            say("ack", of=sent[-1])
            await asyncio.sleep(0.2)
            sent.clear()
            told.clear()
            clock.spent.clear()
            begun = time.process_time()
            writer.execute(
                f"UPDATE result_{rows} SET items = {turn} WHERE id = %s",  # type: ignore[arg-type]
                (rows // 2 + 10,),
            )
            while not (sent and len(told) == 2):
                await asyncio.sleep(0.01)
            say("ack", of=sent[-1])
            whole = time.process_time() - begun
            assert query.delta is not None
            assert len(query.delta.updated) == 1
            found.append({**clock.spent, "beyond the query": whole - clock.spent["query"]})
        table.close()
        return [{name: spent * 1000 for name, spent in one.items()} for one in found[1:]]


def _viewed(table: Any) -> tuple[list[int], Any]:
    """Give the numbers of what a view is sent, and a function that says something for it."""
    sent: list[int] = []
    send = table.send

    def noted(message: dict[str, Any], buffers: Any = None) -> None:
        send(message, buffers)
        sent.append(message["seq"])

    def say(kind: str, **fields: Any) -> None:
        table._receive(table, {"type": kind, "seq": 1, "viewer": VIEWER, **fields}, [])

    table.send = noted
    return sent, say


def _table(measured: dict[int, list[dict[str, float]]]) -> str:
    """Write the medians."""
    names = ("beyond the query", "delta", "table", "main loop", "passing")
    heads = (
        "beyond the query",
        "of it `delta`",
        "of it the table's rows",
        "of it on the main loop",
        "as it passes there",
    )
    lines = ["| rows | query | " + " | ".join(heads) + " |", "|---|---|" + "---|" * len(heads)]
    for rows, turns in measured.items():
        cells = (
            f"{statistics.median(turn[name] for turn in turns):.1f} ms"
            for name in ("query", *names)
        )
        lines.append(f"| {rows:,} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
