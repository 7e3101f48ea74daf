"""Sum up a soak, for people in Markdown and for programs in JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

from .measure import Slope, slope
from .soak import Injected, Result

_WARM_UP = 0.2  # of the time, and at most ten minutes
_MEASURES = (
    *("rss", "uss", "arrow", "threads", "fds"),
    *("locks", "queue", "images", "images MB", "backend uss", "xmin age"),
)


def slopes(result: Result) -> dict[str, Slope]:
    """Fit lines through what must be flat, after the warm-up."""
    start = min(_WARM_UP * result.seconds, 600)
    found = {}
    for name in ("rss", "uss", "backend uss"):
        points = [
            (s["at"], s[name]) for s in result.samples if name in s and s.get("at", 0) >= start
        ]
        fitted = slope(points)
        if fitted is not None:
            found[name] = fitted
    for name in ("malloc", "arrow", "python blocks"):
        points = [(heap["at"], heap[name]) for heap in result.heaps if heap["at"] >= start]
        fitted = slope(points)
        if fitted is not None:
            found[f"in use: {name}"] = fitted
    return found


def markdown(result: Result) -> str:
    """Write the summary."""
    plan, told, writes = result.plan, result.told, result.writes
    verdict = "FAILED" if result.failed else "passed"
    parts = [
        f"## Soak {verdict}: {result.seconds / 60:.1f} minutes, seed {plan.seed}\n",
        f"{writes.get('writes', 0)} writes ({writes.get('writes', 0) / max(result.seconds, 1):.0f}/s),"
        f" {told.get('runs', 0)} runs, {told.get('updates', 0)} updates,"
        f" {told.get('messages', 0)} messages to browsers, {len(result.injected)} faults,"
        f" {result.compared} comparisons with a fresh run, {result.mismatches} mismatches,"
        f" {len(result.problems)} problems.\n",
        *(f"- {problem}" for problem in result.problems[:50]),
        "\n### Faults\n",
        _fault_table(result.injected),
        "\n### Memory after the warm-up\n",
        "In MB an hour; Python's blocks in thousands.\n",
        *(f"- {name}: {fitted}" for name, fitted in slopes(result).items()),
        "\n### Maxima\n",
        _maxima(result.samples),
        "\n### Age of frames shown as live\n",
        _ages(told.get("ages", {})),
        "\n### Objects that became more\n",
        _growth(result.objects),
        f"\nSubscriptions changed: {told.get('churned')}\n\nErrors told to users: {told.get('errors')}",
        f"\nWriters' errors: {writes.get('errors')}\n\nThreads: {told.get('threads')}",
        *result.memory,
    ]
    return "\n".join(parts)


def _fault_table(injected: list[Injected]) -> str:
    lines = [
        "| fault | times | lasted s | detected s | recovered s | equal s | oldest live s |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in sorted({one.kind for one in injected}):
        of_kind = [one for one in injected if one.kind == kind]
        cells = [
            _spread(getattr(one, name) for one in of_kind)
            for name in ("lasted", "detected", "recovered", "converged", "oldest")
        ]
        lines.append(f"| {kind} | {len(of_kind)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(values: Iterable[float | None]) -> str:
    """Give the median and the greatest."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    return f"{median(known):.2f}, {max(known):.2f}" if len(known) > 1 else f"{known[0]:.2f}"


def _maxima(samples: list[dict[str, Any]]) -> str:
    found = [
        f"- {name}: {max(known):.4g} (first {known[0]:.4g}, last {known[-1]:.4g})"
        for name in _MEASURES
        if (known := [sample[name] for sample in samples if name in sample])
    ]
    applications: dict[str, int] = {}
    for sample in samples:
        for name, count in sample.get("connections", {}).items():
            applications[name] = max(count, applications.get(name, 0))
    return "\n".join([*found, f"- connections: {applications}"])


def _ages(histogram: dict[float, int]) -> str:
    whole, sofar, lines = sum(histogram.values()), 0, []
    for step, count in histogram.items():
        sofar += count
        if count:
            lines.append(f"- at most {step} s: {100 * sofar / whole:.3f} %")
    return "\n".join(lines)


def _growth(objects: list[dict[str, int]]) -> str:
    """Compare the counts of the first and the last quarter of the comparisons."""
    if len(objects) < 4:
        return "- too few comparisons"
    quarter = max(1, len(objects) // 4)
    first, last = objects[quarter : 2 * quarter], objects[-quarter:]

    def typical(found: list[dict[str, int]], name: str) -> float:
        return median(counts.get(name, 0) for counts in found)

    names = {name for counts in objects for name in counts}
    growth = {name: typical(last, name) - typical(first, name) for name in names}
    grown = sorted(growth.items(), key=lambda item: -item[1])[:8]
    return "\n".join(f"- {name}: {count:+.0f}" for name, count in grown if count > 0) or "- none"


def save(result: Result, path: Path) -> None:
    """Write everything as JSON."""
    found = {**dataclasses.asdict(result), "failed": result.failed}
    found["slopes"] = {name: dataclasses.asdict(line) for name, line in slopes(result).items()}
    found["told"]["ages"] = {str(k): v for k, v in result.told.get("ages", {}).items()}
    path.write_text(json.dumps(found, indent=1, default=str, allow_nan=False))
