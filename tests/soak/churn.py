"""Change subscriptions as people do who edit and run cells again, faults or not."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pgrt_jupyter as pgrt

from .schema import QUERIES

if TYPE_CHECKING:
    from .kernel import Kernel

_BY_NAME = {live.name: live for live in QUERIES}
log = logging.getLogger("soak")


class Churn:
    """Do one thing after another at random times on a thread of its own."""

    def __init__(self, kernel: Kernel, chance: Random, period: float) -> None:
        self._kernel, self._chance, self._period = kernel, chance, period
        self.done: Counter[str] = Counter()
        self._ended = threading.Event()
        self._free = threading.Lock()
        self._things = (
            self._run_again,
            self._run_again_changed,
            self._end_and_begin,
            self._pause_and_resume,
            self._refresh,
            self._another_throttle,
            self._another_table,
        )
        self._thread = threading.Thread(target=self._go_on, name="soak-churn", daemon=True)
        self._thread.start()

    def hold(self, still: bool) -> None:
        """Keep still until told otherwise; returns when nothing is under way."""
        if still:
            if not self._free.acquire(timeout=90):
                raise TimeoutError("a call of a subscription's method does not return")
        else:
            self._free.release()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _go_on(self) -> None:
        while not self._ended.wait(self._chance.expovariate(1 / self._period)):
            thing = self._chance.choice(self._things)
            while not self._free.acquire(timeout=0.5):
                if self._ended.is_set():
                    return
            try:
                self._try(thing.__name__.strip("_"), thing)
            finally:
                self._free.release()

    def _try(self, name: str, thing: object) -> None:
        try:
            thing()  # type: ignore[operator]
        except (pgrt.PgrtError, TimeoutError) as error:  # a fault may be going on
            log.info("%s: %s", name, error)
            name = f"{name} ({type(error).__name__})"
        except Exception:
            log.exception("%s failed", name)
        self.done[name] += 1

    def _run_again(self) -> None:
        name = self._chance.choice(["open", "tick_orders", "big", "few"])
        self._kernel.subscribe(_BY_NAME[name])

    def _run_again_changed(self) -> None:
        live = _BY_NAME["changing"]
        self._kernel.subscribe(live, self._chance.choice([live.sql, *live.others]))

    def _end_and_begin(self) -> None:
        live = _BY_NAME[self._chance.choice(["coming", "open_shared", "open_alpha", "pending"])]
        self._kernel.engine.unsub(live.name)
        self._kernel.subscribe(live)

    def _pause_and_resume(self) -> None:
        query = self._kernel.engine.subscriptions().get("capped")
        if query is not None:
            query.pause()
            self._ended.wait(self._chance.uniform(0.1, 2))
            query.resume()

    def _refresh(self) -> None:
        name = self._chance.choice(["regions", "days", "big"])
        self._kernel.engine.sub(name).refresh(timeout=10)

    def _another_throttle(self) -> None:
        self._kernel.engine.sub("parameters").throttle_ms = self._chance.choice([0, 100, 500, 900])

    def _another_table(self) -> None:
        self._kernel.engine.sub("days").table().close()
