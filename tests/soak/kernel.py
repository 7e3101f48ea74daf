"""Keep the live queries, in a process of its own, as a notebook's kernel does; answer the soak's questions.

Nothing here compares with the database: the soak runs the queries itself and compares digests.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import signal
import sys
import threading
import time
import tracemalloc
import weakref
from collections import Counter
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa

import pgrt_jupyter as pgrt
from pgrt_jupyter import api
from pgrt_jupyter.engine.listener import Pulse
from pgrt_jupyter.engine.loop import EngineLoop

from . import canonical, heap
from .churn import Churn
from .ledger import Ledger
from .observer import Observer
from .schema import OWNER, QUERIES, Live
from .settings import Settings
from .viewer import Browser


class Kernel:
    """Own the engine and everything that looks at it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._errors: Counter[str] = Counter()
        self._updates: Counter[str] = Counter()
        self._digests: dict[str, tuple[Any, str]] = {}
        self.problems: list[str] = []  # each fails the soak
        pulse = Pulse(interval=settings.interval, deadline=settings.deadline)
        api.EngineLoop = functools.partial(  # type: ignore[assignment,misc]
            EngineLoop, pulse=pulse, audit_seconds=settings.audit
        )
        self.engine = pgrt.Engine(
            settings.conninfo,
            query_conninfo=settings.query_conninfos[OWNER],
            error_handler=self._handle,
        ).start()
        self.texts: dict[str, str] = {}
        for live in QUERIES:
            self.subscribe(live)
        self._browsers = [
            Browser(self.engine.sub(name), Random(f"{settings.seed}-{name}"))
            for name in ("open", "big")
        ]
        bound = settings.interval + settings.deadline + 5.0
        self.observer = Observer(self.engine, Ledger(settings.ledger), bound)
        self.churn = Churn(self, Random(f"{settings.seed}-churn"), settings.churn)

    def subscribe(self, live: Live, text: str = "") -> None:
        """Make a query live, or change it; observers stay with the name."""
        known = live.name in self.engine.subscriptions()
        query = self.engine.sub(
            live.name,
            text or live.sql,
            live.params,
            refresh=live.refresh,
            throttle_ms=live.throttle_ms,
            max_rows=live.max_rows,
            query_conninfo=self._settings.query_conninfos[live.role],
        )
        self.texts[live.name] = text or live.sql
        if not known:
            query.observe(lambda change: self._updates.update([live.name]), "df")
            if live.name in ("open", "secrets_alpha", "days"):
                query.observe(lambda change: None, "delta")

    def _handle(self, error: pgrt.PgrtError, query: Any) -> None:
        self._errors[f"{type(error).__name__}: {str(error)[:80]}"] += 1

    # -- what the soak asks

    def state(self) -> dict[str, tuple[str, str]]:
        """Give status and text of every query there is."""
        found = self.engine.subscriptions()
        return {name: (query.status, self.texts[name]) for name, query in found.items()}

    def digests(self, names: list[str]) -> dict[str, str]:
        """Give digests of the frames shown now."""
        return {name: self._digest(name) for name in names if name in self.engine.subscriptions()}

    def _digest(self, name: str) -> str:
        frame = self.engine.sub(name).df
        known = self._digests.get(name)
        if known is None or known[0]() is not frame:
            said = canonical.digest(canonical.rows(frame))
            known = self._digests[name] = (weakref.ref(frame), said)
        return known[1]

    def rows(self, name: str) -> list[tuple[str | None, ...]]:
        """Give a frame's rows as text, to say how it differs."""
        frame = self.engine.sub(name).df
        return [tuple(map(canonical.text, row)) for row in canonical.rows(frame)]

    def standing(self, name: str) -> str:
        """Say in words how a query stands."""
        query = self.engine.sub(name)
        return f"{query._standing()}, {query._group.throttle if query._group else None}"

    def screens(self) -> bool:
        """Say whether the browsers show what the frames say."""
        return all(browser.shows_the_result() for browser in self._browsers)

    def drain(self) -> dict[str, Any]:
        """Give what happened since the last time this was asked."""
        problems = self.problems + self.observer.take_problems()
        for browser in self._browsers:
            problems += browser.faults
            browser.faults = []
        self.problems = []
        return {
            "problems": problems,
            "transitions": self.observer.take_transitions(),
            "ages": self.observer.ages(),
            "errors": dict(self._errors),
            "updates": sum(self._updates.values()),
            "runs": sum(query.refresh_count for query in self.engine.subscriptions().values()),
            "messages": sum(browser.messages for browser in self._browsers),
            "churned": dict(self.churn.done),
            "threads": dict(Counter(thread.name for thread in threading.enumerate())),
            "arrow": pa.total_allocated_bytes(),
            "unreadable": self.engine._loop.runtime.unreadable if self.engine._loop else 0,
        }

    def objects(self) -> dict[str, int]:
        """Count live objects by type: what grows from hour to hour is a leak."""
        gc.collect()
        found = Counter(type(thing).__name__ for thing in gc.get_objects())
        found["asyncio tasks"] = len(asyncio.all_tasks(self.engine._loop._loop))  # type: ignore[union-attr]
        return dict(found.most_common(60))

    def heap(self) -> dict[str, float]:
        """Say how much is really in use: what was freed may stay with the allocators for a while."""
        gc.collect()
        return {
            "python blocks": sys.getallocatedblocks() / 1000,
            "malloc": heap.in_use() / heap.MB,
            "arrow": pa.total_allocated_bytes() / heap.MB,
        }

    def memory(self) -> list[str]:
        """List where the most memory came from, if that is being traced."""
        if not tracemalloc.is_tracing():
            return []
        found = tracemalloc.take_snapshot().statistics("lineno")
        return [str(line) for line in found[:25]]

    def hold(self, still: bool) -> None:
        """Keep subscriptions as they are, or let them change."""
        self.churn.hold(still)

    def allow(self, seconds: float) -> None:
        """Let results be older by so much from now on: what is going on cannot be noticed sooner."""
        self.observer.allow(seconds)

    def close(self) -> None:
        """End everything; what is left afterwards is a leak."""
        self.churn.stop()
        self.observer.stop()
        for browser in self._browsers:
            browser.stop()
        self.engine.shutdown()


def _catch(kernel: list[Kernel], log: Path) -> None:
    """Have whatever nobody caught fail the soak."""

    class Fail(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if kernel:
                kernel[0].problems.append(f"logged by {record.name}: {record.getMessage()}")

    def raised(arguments: threading.ExceptHookArgs) -> None:
        logging.getLogger("soak").error("a thread died", exc_info=arguments.exc_value)

    threading.excepthook = raised
    form = "%(asctime)s %(levelname)s %(name)s %(message)s"
    logging.basicConfig(filename=log, level=logging.INFO, format=form)
    logging.getLogger().addHandler(Fail(level=logging.ERROR))


def main(pipe: Pipe, settings: Settings) -> None:
    """Serve the soak's requests until it closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if settings.trace:
        tracemalloc.start(8)
    kernels: list[Kernel] = []
    _catch(kernels, settings.log)
    kernels.append(Kernel(settings))
    try:
        pipe.send((0, "ready"))
        while True:
            number, verb, *arguments = pipe.recv()
            pipe.send((number, getattr(kernels[0], verb)(*arguments)))
            if verb == "close":
                break
    except (EOFError, OSError):
        sys.exit(1)
    deadline = time.monotonic() + 5
    while (left := _left()) and time.monotonic() < deadline:
        time.sleep(0.05)
    pipe.send((0, left))


def _left() -> list[str]:
    """Name the threads that should have ended."""
    return [
        thread.name
        for thread in threading.enumerate()
        if thread is not threading.main_thread() and thread.name.startswith(("pgrt", "soak"))
    ]
