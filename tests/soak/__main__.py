"""Soak the engine: `python -m tests.soak --minutes 60 [--seed S] [--json FILE]`.

Exits with 1 on any mismatch or violation. The same seed gives the same faults and writes, as far as
timing allows.
"""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
from pathlib import Path


def main() -> int:
    """Read the command line, run, and report."""
    # Not above: the processes of the soak load this module, too, and need none of it.
    from . import report
    from .faults import KINDS
    from .schema import BIG_ROWS
    from .soak import Plan, Soak
    from .stage import Stage

    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", default=secrets.token_hex(4))
    parser.add_argument("--json", type=Path, help="write everything there")
    parser.add_argument("--every", type=float, default=60.0, help="seconds from fault to fault")
    parser.add_argument("--rate", type=float, default=100.0, help="writes a second")
    parser.add_argument("--rows", type=int, default=BIG_ROWS, help="of the largest result")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="of pulse, audit and faults; 1 is production"
    )
    parser.add_argument("--faults", default=",".join(KINDS), help="kinds, separated by commas")
    parser.add_argument("--trace", action="store_true", help="say where memory comes from")
    parser.add_argument("--log", type=Path, help="keep the engine's log there")
    given = parser.parse_args()
    kinds = tuple(name for name in given.faults.split(",") if name)
    if unknown := set(kinds) - KINDS.keys():
        parser.error(f"no such faults: {', '.join(unknown)}; there are {', '.join(KINDS)}")
    plan = Plan(
        seconds=given.minutes * 60,
        seed=given.seed,
        kinds=kinds,
        rate=given.rate,
        scale=given.scale,
        every=given.every,
        trace=given.trace,
    )
    for number in (signal.SIGINT, signal.SIGTERM):  # nohup and CI's cancel: sum up what there is
        signal.signal(number, signal.default_int_handler)
    _say(f"seed {plan.seed}, {given.minutes:g} minutes, a fault every {plan.every:g} s")
    with Stage(
        plan.seed,
        scale=plan.scale,
        rate=plan.rate,
        rows=given.rows,
        log=given.log,
        trace=plan.trace,
    ) as stage:
        result = Soak(stage, plan, _say).run()
        if result.failed and given.log is None:
            _say(f"the end of the engine's log:\n{''.join(stage.log.open().readlines()[-40:])}")
    print(report.markdown(result), flush=True)
    if given.json is not None:
        report.save(result, given.json)
    return int(result.failed)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
