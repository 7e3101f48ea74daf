"""Keep what fault tests measured, and write the table of `README.md`."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).parent / "README.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Hold the times an engine looks after itself by, in seconds."""

    interval: float
    deadline: float
    longest_wait: float
    connect: float

    @property
    def silence(self) -> float:
        """Give the longest time until silence is noticed."""
        return self.interval + self.deadline


PRODUCTION = Timing(interval=10, deadline=5, longest_wait=30, connect=5)
SHORT = Timing(interval=0.3, deadline=0.7, longest_wait=0.5, connect=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Hold one fault's measurements."""

    fault: str  # its number in the order of the table, as in "A07"
    what: str
    how: str
    detected: float | None  # seconds from the fault to another state than `live`; None: not needed
    recovered: float | None  # seconds from the end of the fault to every row shown and `live`
    lost: int
    said: str
    bound: str = ""  # with production times


rows: list[Row] = []


def record(row: Row) -> None:
    """Keep a row for the table."""
    rows.append(row)


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} s"


def write() -> None:
    """Write the table; what stands above its mark in the file stays."""
    mark = "<!-- measured: everything below is written by the tests -->\n"
    head = README.read_text("utf-8").partition(mark)[0] if README.exists() else ""
    lines = [
        f"{len(rows)} faults, updates lost: {sum(row.lost for row in rows)}. "
        f"{os.cpu_count()} CPUs, {platform.system()}, Python {platform.python_version()}.",
        "",
        "| | fault | injected by | noticed after | recovered after | updates lost | state shown "
        "| with production times |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: row.fault):
        number = row.fault[0] + row.fault[1:].lstrip("0")
        cells = [number, row.what, row.how, _seconds(row.detected), _seconds(row.recovered)]
        lines.append("| " + " | ".join([*cells, str(row.lost), row.said, row.bound]) + " |")
    README.write_text(head + mark + "\n" + "\n".join(lines) + "\n", "utf-8")
