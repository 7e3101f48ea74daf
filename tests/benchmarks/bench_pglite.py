"""Measure one changed row under PGlite's live queries, in Node, beside a live query here."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from . import bench_results as _results

HERE = Path(__file__).parent
PACKAGE = "@electric-sql/pglite@0.5.16"
SIZES = {10_000: 9, 100_000: 2}  # rows: turns
WAYS = {
    "ours": "live query, PostgreSQL to DataFrame",
    "whole": "PGlite `live.query`, in Node",
    "incremental": "PGlite `live.incrementalQuery`, in Node",
}


@pytest.fixture
def pglite(tmp_path: Path) -> Callable[[int, int], dict[str, list[float]]]:
    """Give a function that measures PGlite; without Node or the package there is nothing to do."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("PGlite is left out: no Node.js")
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", tmp_path]
    if subprocess.run([*install, PACKAGE], timeout=120).returncode:
        pytest.skip(f"PGlite is left out: {PACKAGE} cannot be had")
    script = shutil.copy(HERE / "peers" / "pglite.mjs", tmp_path)  # modules are found beside it

    def measure(rows: int, turns: int) -> dict[str, list[float]]:
        command = ["node", script, _results.COLUMNS, str(rows), str(turns)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=120)
        found: dict[str, list[float]] = json.loads(done.stdout)
        return found

    return measure


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measured on Linux")
def test_pglite(durable: str, pglite: Any, write_down: Callable[..., None]) -> None:
    """From the commit's return to the new result, by the size of the result."""
    measured: dict[str, dict[int, list[float]]] = {way: {} for way in WAYS}
    _results.fill(durable, 1_000)  # to warm up with
    for rows, turns in SIZES.items():
        _results.fill(durable, rows)
        ours = _results._measure("change", durable, rows, turns)["runs"]
        measured["ours"][rows] = [seconds * 1000 for seconds, _ in ours]
        for way, times in pglite(rows, turns).items():
            measured[way][rows] = times
        print(f"{rows:,} rows: {[found[rows] for found in measured.values()]}", flush=True)
    lines = [
        "| one row changed, median by rows | " + " | ".join(f"{rows:,}" for rows in SIZES) + " |",
        "|---|" + "---|" * len(SIZES),
    ]
    for way, found in measured.items():
        cells = (f"{statistics.median(times):,.0f} ms" for times in found.values())
        lines.append(f"| {WAYS[way]} | " + " | ".join(cells) + " |")
    write_down("pglite", "\n".join(lines), measured)
