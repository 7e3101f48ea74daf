"""Write with PostgreSQL's own benchmark program."""

from __future__ import annotations

import re
import statistics
import subprocess
from pathlib import Path

ROWS = 10_000  # of a table that is written to
SECONDS = 3  # the first of them does not count: sessions load what the others have


def rate_of(
    program: Path, conninfo: str, table: str, clients: int, folder: Path, seconds: int = SECONDS
) -> float:
    """Give the commits a second of so many clients of pgbench that update rows by their key."""
    script = folder / f"{table}.sql"
    script.write_text(
        f"\\set id random(1, {ROWS})\nUPDATE {table} SET amount = amount + 1 WHERE id = :id;\n"
    )
    options = ["-n", "-M", "prepared", "-P", "1", "-c", str(clients), "-j", str(min(clients, 2))]
    done = subprocess.run(
        [program, *options, "-T", str(seconds), "-f", script, conninfo],
        capture_output=True,
        text=True,
        check=True,
    )
    return statistics.mean(map(float, re.findall(r"s, ([\d.]+) tps", done.stderr)[1:]))
