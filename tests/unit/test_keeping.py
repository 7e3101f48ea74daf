"""A result is read by what changed only where all changes since it was read are known."""

from __future__ import annotations

import datetime as dt

from pgrt_jupyter.engine.deltas import Base
from pgrt_jupyter.engine.keeping import Keeping
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
        rows=1,
    )


def outcome(kind: Kind = "full", *, replan: bool = False) -> Outcome:
    """Make an outcome that found the result as it was."""
    now = dt.datetime.now(dt.UTC)
    return Outcome(snapshot=None, difference=None, ran_at=now, base=BASE, kind=kind, replan=replan)


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
    keeping.took(outcome(), keeping.stand, 0.1)
    assert keeping.base(late=False) is BASE
    keeping.took(outcome("delta"), keeping.stand, 0.1)
    assert keeping.base(late=False) is BASE
    assert dict(keeping.kinds) == {"full": 1, "delta": 1}


def test_a_late_run_reads_all() -> None:
    """Keys may have been forgotten."""
    keeping = kept()
    keeping.took(outcome(), keeping.stand, 0.1)
    assert keeping.base(late=True) is None


def test_writers_in_flight_at_the_beginning_are_waited_for() -> None:
    """They may have found nobody asking: what is read while they write is no base."""
    keeping = Keeping(True)
    keeping.offer(plan(), "words")
    keeping.began(["1/1", "1/2"])
    keeping.took(outcome(), keeping.stand, 0.1)
    keeping.ended(["1/2"])
    assert keeping.base(late=False) is None
    keeping.took(outcome(), keeping.stand, 0.1)
    keeping.ended([])
    assert keeping.base(late=False) is None, "it was read while one of them wrote"
    keeping.took(outcome(), keeping.stand, 0.1)
    assert keeping.base(late=False) is BASE


def test_a_gap_while_a_query_runs_counts() -> None:
    """What it read may lack a change that nobody wrote down."""
    keeping = kept()
    stand = keeping.stand
    keeping.gap()
    keeping.began([])
    keeping.took(outcome(), stand, 0.1)
    assert keeping.base(late=False) is None


def test_a_gap_ends_what_was_known() -> None:
    """The next run reads all."""
    keeping = kept()
    keeping.took(outcome(), keeping.stand, 0.1)
    keeping.gap()
    assert keeping.base(late=False) is None
    keeping.began([])
    assert keeping.base(late=False) is None


def test_beginning_again_forgets_nobody() -> None:
    """Keys that are held are held: who is in flight later has found them."""
    keeping = kept()
    keeping.took(outcome(), keeping.stand, 0.1)
    keeping.began(["9/9"])
    assert keeping.base(late=False) is BASE


def test_small_results_are_read_whole_unless_asked_otherwise() -> None:
    """By default what costs the server little has no keys written."""
    assert not kept(None).is_on
    assert kept(True).is_on
    assert not kept(False).is_on
    keeping = Keeping(None)
    keeping.offer(plan(cost=1e6), "words")
    assert keeping.is_on


def test_a_run_that_takes_long_turns_it_on() -> None:
    """The server's estimate may be wrong; keys have to be asked for then."""
    keeping = kept(None)
    assert keeping.took(outcome(), keeping.stand, 5.0)
    assert keeping.is_on
    assert keeping.base(late=False) is None
    assert not keeping.took(outcome(), keeping.stand, 5.0)


def test_a_plan_that_does_not_fit_is_given_up() -> None:
    """After two tries all is read, and why is said."""
    keeping = kept()
    for _ in range(2):
        keeping.offer(plan(), "words")
        keeping.took(outcome(replan=True), keeping.stand, 0.1)
    keeping.offer(plan(), "words")
    assert keeping.plan is None
    assert "did not fit" in keeping.told
