"""At most one run starts per interval, and no stream of changes can put a run off."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgrt_jupyter.engine.throttle import Action, Decision, IllegalEvent, Throttle
from pgrt_jupyter.testing import FakeClock

NOTHING = Decision(Action.NOTHING)


def ran(interval: float = 1.0, *, started: float = 100.0, took: float = 0.0) -> Throttle:
    """Make a throttle that has had one run."""
    throttle = Throttle(interval)
    throttle.changed(started)
    throttle.started(started)
    throttle.finished(started + took)
    return throttle


def test_the_first_change_runs_at_once() -> None:
    """Nothing ran yet, so nothing is waited for."""
    assert Throttle(1.0).changed(5.0) == Decision(Action.START, 5.0)


def test_a_change_after_a_quiet_interval_runs_at_once() -> None:
    """A run that began an interval ago holds nobody up."""
    assert ran().changed(101.0) == Decision(Action.START, 101.0)


def test_a_change_within_the_interval_waits_for_its_end() -> None:
    """The interval counts from the start of the last run."""
    assert ran(took=0.2).changed(100.5) == Decision(Action.WAIT, 101.0)


def test_more_changes_do_not_restart_the_interval() -> None:
    """However many changes come, the time to run stays."""
    throttle = ran()
    times = {throttle.changed(100.0 + step / 100).at for step in range(100)}
    assert times == {101.0}


def test_when_the_time_has_come_the_run_starts() -> None:
    """A waiting change becomes a run at the end of the interval."""
    throttle = ran()
    throttle.changed(100.5)
    assert throttle.decide(100.9).action is Action.WAIT
    assert throttle.decide(101.0) == Decision(Action.START, 101.0)


def test_with_no_change_nothing_is_due() -> None:
    """Time alone runs nothing."""
    assert ran().decide(1000.0) == NOTHING


def test_a_change_during_a_run_waits_for_its_end() -> None:
    """One run at a time: the change is remembered, and answered after the run."""
    throttle = Throttle(0.0)
    throttle.changed(1.0)
    throttle.started(1.0)
    assert throttle.changed(1.5) == NOTHING
    assert throttle.finished(2.0) == Decision(Action.START, 2.0)


def test_a_change_during_a_run_keeps_the_interval() -> None:
    """What changed during a run is answered at the end of the interval, not at once."""
    throttle = Throttle(10.0)
    throttle.changed(0.0)
    throttle.started(0.0)
    throttle.changed(1.0)
    assert throttle.finished(2.0) == Decision(Action.WAIT, 10.0)


def test_a_change_before_a_run_is_answered_by_it() -> None:
    """A run that began after the change leaves nothing to do."""
    throttle = Throttle(0.0)
    throttle.changed(1.0)
    throttle.changed(1.1)
    throttle.started(1.2)
    assert throttle.finished(2.0) == NOTHING


def test_a_forced_run_does_not_wait_for_the_interval() -> None:
    """Somebody who asks gets a run now."""
    assert ran().forced(100.1) == Decision(Action.START, 100.1)


def test_a_forced_run_waits_for_the_run_under_way() -> None:
    """Even who asks gets one run at a time."""
    throttle = Throttle(60.0)
    throttle.changed(0.0)
    throttle.started(0.0)
    assert throttle.forced(1.0) == NOTHING
    assert throttle.finished(2.0) == Decision(Action.START, 2.0)


def test_a_forced_run_is_forced_once() -> None:
    """After the forced run the interval holds again."""
    throttle = ran()
    throttle.forced(100.1)
    throttle.started(100.1)
    throttle.finished(100.2)
    assert throttle.changed(100.3) == Decision(Action.WAIT, 101.1)


def test_no_interval_means_no_waiting() -> None:
    """Zero runs at once, every time."""
    assert ran(0.0).changed(100.0) == Decision(Action.START, 100.0)


def test_a_shorter_interval_holds_from_the_next_decision() -> None:
    """The interval may be changed while a change waits."""
    throttle = ran(60.0)
    throttle.changed(101.0)
    throttle.interval = 1.0
    assert throttle.decide(101.0).action is Action.START


def test_starting_twice_is_illegal() -> None:
    """A second run cannot start, and what was known stays known."""
    throttle = Throttle(1.0)
    throttle.changed(0.0)
    throttle.started(0.0)
    throttle.changed(0.1)
    with pytest.raises(IllegalEvent):
        throttle.started(0.2)
    assert (throttle.running, throttle.dirty) == (True, True)
    assert throttle.finished(0.3) == Decision(Action.WAIT, 1.0)


def test_finishing_without_a_run_is_illegal() -> None:
    """A run that did not start cannot end, and what was known stays known."""
    throttle = ran()
    throttle.changed(100.5)
    with pytest.raises(IllegalEvent):
        throttle.finished(100.6)
    assert (throttle.running, throttle.dirty) == (False, True)
    assert throttle.decide(100.6) == Decision(Action.WAIT, 101.0)


def simulate(interval: float, gaps: list[float], took: float) -> tuple[list[float], float]:
    """Play changes at given distances to runs of one length; return the starts and the last change."""
    clock, throttle = FakeClock(), Throttle(interval)
    starts: list[float] = []
    due: float | None = None
    ends: float | None = None
    now = 0.0
    changes = []
    for gap in gaps:
        now += gap
        changes.append(now)
    agenda = list(changes)
    while agenda or due is not None or ends is not None:
        moments = [
            moment for moment in (agenda[0] if agenda else None, due, ends) if moment is not None
        ]
        clock.now = min(moments)
        if ends is not None and ends <= clock.now:
            ends = None
            decision = throttle.finished(clock.now)
        elif due is not None and due <= clock.now:
            due = None
            decision = throttle.decide(clock.now)
        else:
            agenda.pop(0)
            decision = throttle.changed(clock.now)
        if decision.action is Action.START:
            throttle.started(clock.now)
            starts.append(clock.now)
            ends, due = clock.now + took, None
        elif decision.action is Action.WAIT:
            due = decision.at
    return starts, changes[-1]


GAPS = st.lists(st.floats(0.001, 3.0), min_size=1, max_size=40)


@settings(deadline=None)
@given(st.floats(0.0, 2.0), GAPS, st.floats(0.0, 3.0))
def test_the_last_change_is_always_answered(
    interval: float, gaps: list[float], took: float
) -> None:
    """Whatever the timing, a run starts at or after the last change."""
    starts, last = simulate(interval, gaps, took)
    assert starts[-1] >= last


@settings(deadline=None)
@given(st.floats(0.0, 2.0), GAPS, st.floats(0.0, 3.0))
def test_runs_are_an_interval_apart(interval: float, gaps: list[float], took: float) -> None:
    """Whatever the timing, runs keep their distance and never overlap."""
    starts, _ = simulate(interval, gaps, took)
    least = max(interval, took)
    assert all(later - sooner >= least - 1e-9 for sooner, later in pairwise(starts))


def test_a_steady_stream_never_starves() -> None:
    """Changes that come ten times per interval get a run in every interval."""
    starts, _ = simulate(1.0, [0.1] * 200, 0.01)
    assert len(starts) == pytest.approx(20, abs=2)
    assert max(b - a for a, b in pairwise(starts)) < 1.01


def test_a_run_longer_than_its_interval_is_slow() -> None:
    """What is said goes by the last run and the interval of now; without an interval nothing is slow."""
    assert ran(took=0.9).slow == ""
    slow = ran(took=1.5)
    assert slow.slow == "the last run took 1.5 s, longer than the interval of 1 s"
    slow.interval = 2.0
    assert slow.slow == ""
    assert ran(0.0, took=1.5).slow == ""


@pytest.mark.parametrize(("chance", "due"), [(0.0, 11.0), (0.5, 11.05), (1.0, 11.1)])
def test_intervals_differ_by_chance(chance: float, due: float) -> None:
    """Engines that heard of the same change run again at different moments, at most a tenth later."""
    throttle = Throttle(1.0, lambda: chance)
    throttle.changed(10.0)
    throttle.started(10.0)
    throttle.changed(10.1)
    assert throttle.finished(10.2) == Decision(Action.WAIT, pytest.approx(due))
