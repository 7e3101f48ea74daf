"""Run the oracle for about a minute, and show that it fails on engines that are broken.

    PGRT_ORACLE_SEED=1234 pytest tests/oracle       begin with that example
    PGRT_ORACLE_SECONDS=600 pytest tests/oracle -s  go on for longer

The seeds of `make test` are fixed, so that its time is known; `make soak` draws new ones.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from pgrt_jupyter.engine import capture, preparation, trigger
from pgrt_jupyter.engine.capture import Completion
from pgrt_jupyter.engine.families import Member
from pgrt_jupyter.engine.listener import Listener
from pgrt_jupyter.engine.runtime import Runtime

from . import machine

SEED = int(os.environ.get("PGRT_ORACLE_SEED", "1"))
SECONDS = float(os.environ.get("PGRT_ORACLE_SECONDS", "25"))
SECONDS_ON_THE_OLDEST = 8.0
QUIET = 5.0  # seconds after which a broken engine is taken not to converge
TRIES = 12  # examples within which a broken engine has to be found out


@pytest.mark.every_server
def test_live_queries_equal_fresh_runs_whatever_happened(
    server: str, request: pytest.FixtureRequest
) -> None:
    """Random schemas, queries, writers and faults end in frames that a fresh run confirms."""
    parameters = getattr(request.node, "callspec", None)
    oldest = parameters is not None and parameters.params.get("server") == "oldest"
    seconds, seed = (SECONDS_ON_THE_OLDEST, SEED + 1_000) if oldest else (SECONDS, SEED)
    tally = machine.run(server, seconds, seed)
    print(tally.coverage.report())
    assert tally.comparisons > 0


# -- a harness that cannot fail proves nothing. The races of single writers, which chance meets too
# seldom, have their own broken variants in tests/integration/test_interleavings.py.


async def _nobody_waits(self: Listener, keys: Any) -> frozenset[int]:
    """Leave out saying that somebody waits."""
    return frozenset()


def _nothing_after_an_outage(self: Runtime) -> None:
    """Leave out the runs after a lost connection."""
    for group in self.groups:
        group.doubts.outage = ""
        group.doubts.synced = True
        group.notify()


_complete = capture.complete


def _no_truncate_trigger(connection: Any, members: Any, progress: Any = None) -> Completion:
    """Leave out what tells of TRUNCATE."""
    done = _complete(connection, members)
    for member in members:
        connection.execute(_WITHOUT_TRUNCATE.format(member.oid))
    return done


_WITHOUT_TRUNCATE = """
DO $$ BEGIN
  IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = {0} AND tgname = '_pgrt_truncate') THEN
    EXECUTE format('DROP TRIGGER _pgrt_truncate ON %s', {0}::regclass);
  END IF;
END $$
"""


def _is_complete_without_truncate(connection: Any, member: Member) -> bool:
    """Be content with the other triggers."""
    found = dict(member.triggers)
    return "_pgrt_insert" in found and member.source == trigger.body(connection, member)


BROKEN: dict[str, list[tuple[Any, str, Any]]] = {
    "nobody waits": [(Listener, "hold", _nobody_waits)],
    "no runs after an outage": [(Runtime, "regained", _nothing_after_an_outage)],
    "no TRUNCATE trigger": [
        (preparation.capture, "complete", _no_truncate_trigger),
        (capture, "is_complete", _is_complete_without_truncate),
    ],
}


@pytest.mark.parametrize("broken", sorted(BROKEN))
def test_a_broken_engine_is_found_out(
    broken: str, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one step left out the oracle reports a mismatch within a few examples."""
    for owner, name, replacement in BROKEN[broken]:
        monkeypatch.setattr(owner, name, replacement)
    with pytest.raises(machine.Mismatch):
        calm = broken != "no runs after an outage"
        machine.run(server, 120.0, SEED, examples=TRIES, within=QUIET, calm=calm)
