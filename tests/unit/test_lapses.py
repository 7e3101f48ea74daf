"""What was kept for a process that did not run may be gone."""

from __future__ import annotations

import pytest

from pgrt_jupyter.engine.lapses import LAPSE, TICK, Lapses


@pytest.fixture
def lapses():
    awake = Lapses()
    awake.ticked(100.0)
    return awake


def test_an_answer_in_time_is_not_late(lapses):
    assert not lapses.is_late(101.0, 101.5)


def test_an_answer_that_took_long_is_late(lapses):
    """Whoever reads was busy."""
    lapses.ticked(100.0 + LAPSE)
    assert lapses.is_late(101.0, 102.0 + LAPSE)


def test_what_is_heard_after_a_sleep_is_late_before_and_after_the_next_sign_of_life(lapses):
    """Nobody can say how long it has been waiting."""
    woken = 100.0 + 10 * LAPSE
    assert lapses.is_late(woken, woken)
    lapses.ticked(woken)
    assert lapses.is_late(woken + 0.1, woken + 0.2)
    later = woken + 2 * TICK
    lapses.ticked(later)
    assert not lapses.is_late(later, later + 0.1)


def test_before_the_first_sign_of_life_everything_is_late():
    assert Lapses().is_late(1.0, 1.0)
