"""Compare every DataFrame with a fresh run of its query under the same role, once nobody writes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import canonical, schema
from .stage import Stage

_BY_NAME = {live.name: live for live in schema.QUERIES}
_SCREENS = 15.0  # seconds a browser may take after its kernel


@dataclass(slots=True)
class Comparison:
    """Hold what a comparison came to."""

    seconds: float = 0.0  # until every frame was right
    compared: int = 0
    mismatches: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def compare(stage: Stage, bound: float, look: Callable[[], None]) -> Comparison:
    """Wait up to `bound` seconds until everything shown is right; `look` is called meanwhile."""
    began = time.monotonic()
    states = stage.kernel.ask("state")
    fresh = {name: canonical.digest(_fresh(stage, name, states[name][1])) for name in states}
    wrong = set(fresh)
    while wrong and time.monotonic() < began + bound:
        wrong = _wrong(stage, fresh, wrong)
        look()
        if wrong:
            time.sleep(0.05)
    found = Comparison(seconds=time.monotonic() - began, compared=len(fresh))
    wrong |= _wrong(stage, fresh, set(fresh))  # what was right stays right
    found.mismatches = [_describe(stage, name) for name in sorted(wrong)]
    deadline = time.monotonic() + _SCREENS
    while not wrong and not stage.kernel.ask("screens"):
        if time.monotonic() > deadline:
            found.problems.append("a browser shows something else than the frame")
            break
        time.sleep(0.1)
    return found


def _wrong(stage: Stage, fresh: dict[str, str], names: set[str]) -> set[str]:
    """Name the queries that show another result, or say that theirs is not to be trusted."""
    shown = stage.kernel.ask("digests", sorted(names))
    states = stage.kernel.ask("state")
    return {
        name
        for name in names
        if shown.get(name) != fresh[name] or states[name][0] not in ("live", "paused")
    }


def _fresh(stage: Stage, name: str, text: str) -> list[tuple[Any, ...]]:
    """Run a query under its role, past the engine and the bad networks."""
    live = _BY_NAME[name]
    for parameter in live.params or {}:
        text = text.replace(f":{parameter}", f"%({parameter})s")
    with stage.connect(live.role) as connection:
        connection.execute("SET default_transaction_read_only = on")
        rows = connection.execute(text, live.params).fetchall()
    return rows[: live.max_rows]


def _describe(stage: Stage, name: str) -> str:
    """Say how a frame differs from a fresh run."""
    status, text = stage.kernel.ask("state")[name]
    shown = stage.kernel.ask("rows", name)
    fresh = [tuple(map(canonical.text, row)) for row in _fresh(stage, name, text)]
    pairs = zip([*shown, None], [*fresh, None], strict=False)
    first = next(((i, a, b) for i, (a, b) in enumerate(pairs) if a != b), "none any more")
    return (
        f"{name} ({status}): {len(shown)} rows shown, {len(fresh)} fresh, first difference (row, shown,"
        f" fresh) {first}; {stage.kernel.ask('standing', name)}; {text}"
    )
