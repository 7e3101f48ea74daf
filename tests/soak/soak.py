"""Run the soak: write, harm, wait, compare, and keep the numbers.

After each fault, and every so often without one, the writers pause and every live DataFrame must come to
equal a fresh run of its query under the same role. How long that took is kept; not getting there within
the bound is a mismatch.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from . import compare, faults, measure, schema
from .stage import Stage

_MARKERS = {live.name: live.throttle_ms / 1000 for live in schema.QUERIES if live.stream}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Say how long, how often and how much."""

    seconds: float
    seed: str
    kinds: tuple[str, ...]
    rate: float = 100.0  # writes a second
    scale: float = 1.0  # of pulse, audit and the faults' durations
    every: float = 60.0  # seconds from fault to fault
    trace: bool = False


@dataclass(slots=True, kw_only=True)
class Injected:
    """Record what one fault came to; times in seconds."""

    at: float
    kind: str
    lasted: float  # the cause
    detected: float | None  # from the beginning of the cause to the first status that is not live
    recovered: float | None  # from the end of the cause until everything is live and current
    converged: float | None  # from the pause of the writers until every frame was equal
    oldest: float  # the greatest age of a frame shown as live


@dataclass(slots=True)
class Result:
    """Hold everything the soak found."""

    plan: Plan
    injected: list[Injected] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    converged: list[float] = field(default_factory=list)
    compared: int = 0
    mismatches: int = 0
    seconds: float = 0.0
    writes: dict[str, Any] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)
    objects: list[dict[str, int]] = field(default_factory=list)
    heaps: list[dict[str, float]] = field(default_factory=list)
    memory: list[str] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        return bool(self.problems or self.mismatches)


class Soak:
    """Conduct one soak on a stage."""

    def __init__(self, stage: Stage, plan: Plan, say: Callable[[str], None]) -> None:
        self._stage, self._plan, self._say = stage, plan, say
        self._began = time.monotonic()
        self.result = Result(plan)
        self._transitions: list[tuple[float, str, str]] = []
        self._oldest = 0.0
        self._ages: dict[str, float] = {}
        self._measured = self._told = self._compared_at = self._allowed_until = 0.0
        # Whatever cannot be noticed sooner is found by the audit, or after a failed query's longest wait.
        self._bound = (30 + 10 + 5) * plan.scale + 45

    def run(self) -> Result:
        """Go on until the time is over; the result is complete even after an interrupt."""
        try:
            self._go_on()
        except KeyboardInterrupt:
            self._say("interrupted")
        except (EOFError, OSError, TimeoutError) as error:
            self.result.problems.append(f"a process of the soak failed: {error!r}")
        self._end()
        return self.result

    def _go_on(self) -> None:
        deck = self._deck()
        self._quiesce()
        due = self._now() + self._plan.every / 2
        while self._now() < self._plan.seconds or not self.result.injected:
            if self._now() >= due:
                due = max(due + self._plan.every, self._now())
                self._harm(next(deck), Random(f"{self._plan.seed}-{len(self.result.injected)}"))
            elif self._now() - self._compared_at >= 2 * self._plan.every:
                self._quiesce()
            self._look()
            time.sleep(min(0.25, self._plan.every / 10))
        self._quiesce()

    def _deck(self) -> Any:
        """Give kinds of faults in a random order, each as often as the others."""
        chance = Random(f"{self._plan.seed}-faults")
        while True:
            yield from chance.sample(self._plan.kinds, len(self._plan.kinds))

    def _now(self) -> float:
        return time.monotonic() - self._began

    # -- looking

    def _look(self) -> None:
        """Take what happened, measure now and then, and tell how it goes."""
        told = self._stage.kernel.ask("drain")
        self._problems(told.pop("problems"))
        self._transitions += told.pop("transitions")
        ages = told.pop("ages")
        if self._allowed_until and time.monotonic() > self._allowed_until:
            self._allowed_until = 0.0
            self._stage.kernel.ask("allow", 0.0)
        self._ages = ages["now"]
        self._oldest = max([self._oldest, *ages["oldest"].values()])
        self.result.told = {**told, "ages": ages["histogram"]}
        if self._now() - self._measured >= 5:
            self._measured = self._now()
            sample = measure.sample(self._stage, self._began)
            self.result.samples.append({**sample, "arrow": told["arrow"] / measure.MB})
        if self._now() - self._told >= 10:
            self._told = self._now()
            self._tell()

    def _problems(self, found: list[str]) -> None:
        for problem in found:
            self._say(f"PROBLEM {problem}")
        self.result.problems += found

    def _tell(self) -> None:
        self._count_writes()
        sample = self.result.samples[-1] if self.result.samples else {}
        self._say(
            f"{self._now():6.0f} s  {self.result.writes['writes']} writes, {self.result.told['runs']} runs,"
            f" {len(self.result.injected)} faults, {self.result.compared} comparisons,"
            f" {self.result.mismatches} mismatches, {len(self.result.problems)} problems,"
            f" RSS {sample.get('rss', 0):.0f} MB"
        )

    def _count_writes(self) -> None:
        known = len(self.result.writes.get("unexpected", ()))
        self.result.writes = self._stage.writers.ask("tell")
        self._problems(
            [f"a write failed: {text}" for text in self.result.writes["unexpected"][known:]]
        )

    # -- harming

    def _harm(self, kind: str, chance: Random) -> None:
        fault = faults.KINDS[kind]
        self._look()
        self._transitions.clear()
        self._oldest = 0.0
        # Only the audit looks for lost triggers; while its own installation waits for a busy table, again.
        if fault.unannounced:
            extra = 30 * self._plan.scale * 2
            self._stage.kernel.ask("allow", extra)
            self._allowed_until = time.monotonic() + 2 * extra
        began = time.monotonic()
        certain = faults.inject(self._stage, fault, chance)
        ended = time.monotonic()
        if certain:
            self._await_detection(kind, began, ended)
        recovered = self._await_recovery(ended)
        converged = self._quiesce()
        self._look()
        noticed = [
            at - began for at, _, status in self._transitions if status not in ("live", "paused")
        ]
        injected = Injected(
            at=round(began - self._began, 1),
            kind=kind,
            lasted=ended - began,
            detected=min(noticed, default=None),
            recovered=recovered,
            converged=converged,
            oldest=self._oldest,
        )
        self.result.injected.append(injected)
        self._say(f"{self._now():6.0f} s  {describe(injected)}")

    def _await_detection(self, kind: str, began: float, ended: float) -> None:
        bound = ended + self._stage.noticed + 10
        while not any(status != "live" for at, _, status in self._transitions if at >= began):
            if time.monotonic() > bound:
                self._problems([f"{kind} went unnoticed"])
                return
            self._look()
            time.sleep(0.05)

    def _await_recovery(self, ended: float) -> float | None:
        """Wait until everything is live and current, while writing goes on."""
        while time.monotonic() < ended + self._bound:
            self._look()
            states = self._stage.kernel.ask("state")
            live = all(status in ("live", "paused") for status, _ in states.values())
            if live and all(self._ages.get(n, 0) <= 2 * s + 2 for n, s in _MARKERS.items()):
                return time.monotonic() - ended
            time.sleep(0.05)
        states = {name: status for name, (status, _) in self._stage.kernel.ask("state").items()}
        self._problems([f"no recovery within {self._bound:.0f} s: {states}, ages {self._ages}"])
        return None

    def _quiesce(self) -> float | None:
        """Pause the writers and wait until everything shown is right; give the seconds that took."""
        if not self._stage.writers.ask("pause"):
            self._problems(["the writers do not pause: something keeps a write waiting"])
        self._stage.kernel.ask("hold", True)
        found = compare.compare(self._stage, self._bound, self._look)
        self._problems(found.problems)
        for text in found.mismatches:
            self._say(f"MISMATCH {text}")
        self.result.mismatches += len(found.mismatches)
        self.result.compared += found.compared
        self.result.objects.append(self._stage.kernel.ask("objects"))
        self.result.heaps.append({"at": self._now(), **self._stage.kernel.ask("heap")})
        self._stage.kernel.ask("hold", False)
        self._stage.writers.ask("resume")
        self._compared_at = self._now()
        if found.mismatches:
            return None
        self.result.converged.append(found.seconds)
        return found.seconds

    def _end(self) -> None:
        """Close the engine and see what it leaves."""
        self.result.seconds = self._now()
        try:
            self._look()
            self._count_writes()
            self.result.memory = self._stage.kernel.ask("memory")
            self._stage.kernel.ask("close")
            left = self._stage.kernel.answer(0)
            if left:
                self._problems([f"threads survived: {left}"])
            count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgrt_jupyter'"
            deadline = time.monotonic() + 10
            while (found := self._stage.execute(count)[0][0]) and time.monotonic() < deadline:
                time.sleep(0.1)
            if found:
                self._problems([f"{found} connections survived"])
        except (EOFError, OSError, TimeoutError) as error:
            self._problems([f"the engine's process failed at the end: {error!r}"])


def describe(injected: Injected) -> str:
    """Say in a line what a fault came to."""

    def seconds(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f} s"

    return (
        f"{injected.kind} for {seconds(injected.lasted)}: detected {seconds(injected.detected)},"
        f" recovered {seconds(injected.recovered)}, equal {seconds(injected.converged)},"
        f" oldest live {seconds(injected.oldest)}"
    )
