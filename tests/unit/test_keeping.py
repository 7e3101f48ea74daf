"""A result is read by what changed only where all changes since it was read are known."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pandas as pd

from pgrt_jupyter.engine.deltas import Base
from pgrt_jupyter.engine.keeping import FOLLOWED, FUTILE, REST, SMALL, VAIN, Keeping
from pgrt_jupyter.engine.model import Snapshot
from pgrt_jupyter.engine.outcomes import Kind, Outcome
from pgrt_jupyter.engine.patches import body
from pgrt_jupyter.engine.plans import Plan

BASE = Base(at="1:1:", body=body([], 0))


def plan(cost: float = 1.0) -> Plan:
    """Make a plan that costs so much."""
    return Plan(
        select="",
        columns=(),
        shown=0,
        places=(),
        followed=frozenset(),
        words="w",
        cost=cost,
    )


def outcome(
    kind: Kind = "full",
    *,
    replan: bool = False,
    cells: int = 0,
    in_vain: bool = False,
    seconds: float = 0.1,
) -> Outcome:
    """Make an outcome that found the result as it was, or one of so many values."""
    now = dt.datetime.now(dt.UTC)
    snapshot = Snapshot(
        version=1,
        frame=pd.DataFrame({"a": range(cells)}),
        columns=(),
        digest=b"",
        refreshed_at=now,
        truncated=False,
    )
    return Outcome(
        snapshot=snapshot if cells else None,
        difference=None,
        ran_at=now,
        base=BASE,
        kind=kind,
        replan=replan,
        in_vain=in_vain,
        seconds=seconds,
    )


def kept(asked: bool | None = True) -> Keeping:
    """Make one whose query has a plan and whose triggers write keys."""
    keeping = Keeping(asked)
    keeping.offer(plan(), "words")
    keeping.began([])
    return keeping


def test_what_is_read_while_keys_are_kept_can_be_brought_up_to_date() -> None:
    """The usual case."""
    keeping = kept()
    assert keeping.base(late=False) is None
    keeping.took(outcome(), keeping.stand)
    assert keeping.base(late=False) is BASE
    keeping.took(outcome("delta"), keeping.stand)
    assert keeping.base(late=False) is BASE
    assert dict(keeping.kinds) == {"full": 1, "delta": 1}


def test_a_late_run_reads_all() -> None:
    """Keys may have been forgotten."""
    keeping = kept()
    keeping.took(outcome(), keeping.stand)
    assert keeping.base(late=True) is None


def test_writers_in_flight_at_the_beginning_are_waited_for() -> None:
    """They may have found nobody asking: what is read while they write is no base."""
    keeping = Keeping(True)
    keeping.offer(plan(), "words")
    keeping.began(["1/1", "1/2"])
    keeping.took(outcome(), keeping.stand)
    keeping.ended(["1/2"])
    assert keeping.base(late=False) is None
    keeping.took(outcome(), keeping.stand)
    keeping.ended([])
    assert keeping.base(late=False) is None, "it was read while one of them wrote"
    keeping.took(outcome(), keeping.stand)
    assert keeping.base(late=False) is BASE


def test_a_gap_while_a_query_runs_counts() -> None:
    """What it read may lack a change that nobody wrote down."""
    keeping = kept()
    stand = keeping.stand
    keeping.gap()
    keeping.began([])
    keeping.took(outcome(), stand)
    assert keeping.base(late=False) is None


def test_a_gap_ends_what_was_known() -> None:
    """The next run reads all."""
    keeping = kept()
    keeping.took(outcome(), keeping.stand)
    keeping.gap()
    assert keeping.base(late=False) is None
    keeping.began([])
    assert keeping.base(late=False) is None


def test_beginning_again_forgets_nobody() -> None:
    """Keys that are held are held: who is in flight later has found them."""
    keeping = kept()
    keeping.took(outcome(), keeping.stand)
    keeping.began(["9/9"])
    assert keeping.base(late=False) is BASE


def test_plans_of_small_results_are_not_looked_for() -> None:
    """Unless the user asked, or a run took long: the server's estimate may be wrong."""
    keeping = Keeping(None)
    assert keeping.is_for_large
    assert not Keeping(True).is_for_large
    keeping.offer(None, SMALL)
    keeping.took(outcome(seconds=0.01), keeping.stand)
    assert not keeping.is_due
    keeping.took(outcome(seconds=5.0), keeping.stand)
    assert keeping.is_due
    assert not keeping.is_for_large
    keeping.offer(plan(), "words")
    assert not keeping.is_due


def test_a_query_that_cannot_have_a_plan_is_not_asked_about_again() -> None:
    """However long it takes."""
    keeping = Keeping(None)
    keeping.offer(None, "full: it has DISTINCT")
    keeping.took(outcome(seconds=5.0), keeping.stand)
    assert not keeping.is_due


def test_a_result_that_turns_out_small_is_read_whole() -> None:
    """Where neither the user nor the server's estimate says otherwise, writers are spared."""
    for asked, cost, dropped in ((None, 1.0, True), (None, 1e6, False), (True, 1.0, False)):
        keeping = Keeping(asked)
        keeping.offer(plan(cost), "words")
        keeping.began([])
        assert keeping.took(outcome(cells=12, seconds=0.01), keeping.stand) == dropped
        assert keeping.is_on != dropped


def test_a_plan_that_does_not_fit_is_given_up() -> None:
    """After two tries all is read, and why is said."""
    keeping = kept()
    for _ in range(2):
        keeping.offer(plan(), "words")
        keeping.took(outcome(replan=True), keeping.stand)
    keeping.offer(plan(), "words")
    assert keeping.plan is None
    assert "did not fit" in keeping.words


def run(keeping: Keeping, result: Outcome) -> bool:
    return keeping.took(replace(result, seconds=5.0), keeping.stand)


def test_keys_that_are_of_no_use_are_not_asked_for() -> None:
    """Writers are spared where most changes cannot be followed; it is tried again, less and less often."""
    keeping = Keeping(None)
    for rest in (REST, 2 * REST, 4 * REST):
        keeping.offer(plan(), "words")
        for _ in range(VAIN - 1):
            assert not run(keeping, outcome(in_vain=True))
        assert run(keeping, outcome(in_vain=True))
        assert (keeping.is_on, keeping.words) == (False, FUTILE)
        for _ in range(rest - 1):
            run(keeping, outcome())
            assert not keeping.is_due
        run(keeping, outcome())
        assert keeping.is_due
        assert not keeping.is_for_large


def test_some_changes_that_cannot_be_followed_do_no_harm() -> None:
    """Nor do runs that had no keys to go by, nor is it for us to say where the user asked for it."""
    keeping = Keeping(None)
    keeping.offer(plan(), "words")
    for _ in range(4 * FOLLOWED):
        for result in (outcome(), outcome(in_vain=True), outcome("delta")):
            run(keeping, result)
    assert keeping.is_on
    asked = kept(True)
    for _ in range(2 * FOLLOWED):
        run(asked, outcome(in_vain=True))
    assert asked.is_on


def test_a_plan_that_is_offered_ends_the_rest() -> None:
    """The tables are others now."""
    keeping = Keeping(None)
    keeping.offer(plan(), "words")
    for _ in range(VAIN):
        run(keeping, outcome(in_vain=True))
    keeping.offer(plan(), "words")
    for _ in range(2 * REST):
        run(keeping, outcome("delta"))
    assert keeping.is_on
    assert not keeping.is_due
