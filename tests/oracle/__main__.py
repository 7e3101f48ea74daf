"""Run the oracle for as long as wanted: `python -m tests.oracle --minutes 60 [--seed N]`."""

from __future__ import annotations

import argparse
import os
import random
import sys

from pgrt_jupyter.embedded import start_server

from . import machine


def main() -> int:
    """Start a server, run, and say what was found; 1 when there was a mismatch."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracle")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=None, help="the first example's seed")
    parser.add_argument("--examples", type=int, default=None, help="at most so many")
    parser.add_argument("--shrink", action="store_true", help="shrink the example of --seed")
    parser.add_argument("--go-on", action="store_true", help="go on after a mismatch")
    parser.add_argument("--bin-dir", default=None, help="another PostgreSQL's programs")
    chosen = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if chosen.seed is None else chosen.seed
    server = None
    conninfo = os.environ.get("PGRT_TEST_DSN", "")
    if not conninfo:
        from pathlib import Path

        server = start_server(bin_dir=Path(chosen.bin_dir) if chosen.bin_dir else None)
        conninfo = server.conninfo
    try:
        if chosen.shrink:
            print(machine.shrink(conninfo, str(seed), progress=_say) or "no failure")
            return 0
        tally = machine.run(
            conninfo,
            chosen.minutes * 60,
            seed,
            progress=_say,
            examples=chosen.examples,
            go_on=chosen.go_on,
        )
    except machine.Mismatch as found:
        _say(f"MISMATCH {found}")
        return 1
    finally:
        if server is not None:
            server.stop()
    _say(f"{tally}\n{tally.coverage.report()}")
    return 1 if tally.mismatches else 0


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
