"""A query looks at rows where that saves runs, and stops where it does not."""

from __future__ import annotations

import pytest

from pgrt_jupyter.engine.vigilance import FAILURES, READINGS, RUNS, VAIN, Mode, Vigilance


@pytest.fixture
def vigilance():
    return Vigilance()


def run(vigilance, times, *, vain):
    for _ in range(times):
        vigilance.ran(vain=vain)


def test_a_query_starts_plain(vigilance):
    """Nothing is known yet that would pay for looking at rows."""
    assert vigilance.mode is Mode.PLAIN
    assert not vigilance.is_due


def test_runs_in_vain_make_it_due(vigilance):
    """Eight of the last ten found nothing new."""
    run(vigilance, RUNS - VAIN, vain=False)
    run(vigilance, VAIN - 1, vain=True)
    assert not vigilance.is_due
    run(vigilance, 1, vain=True)
    assert vigilance.is_due
    vigilance.attend()
    assert vigilance.mode is Mode.ATTENTIVE
    assert not vigilance.is_due


def test_only_the_last_runs_count(vigilance):
    """A query whose changes matter now stays plain, whatever was."""
    run(vigilance, 3 * VAIN, vain=True)
    run(vigilance, RUNS - VAIN + 1, vain=False)
    assert not vigilance.is_due


def test_rows_that_matter_end_it(vigilance):
    """More than half of the last twenty readings; the run that follows is asked for once."""
    vigilance.attend()
    ended = [vigilance.weighed(mattered=number % 2 == 0) for number in range(READINGS)]
    assert not any(ended)
    assert vigilance.weighed(mattered=True) is False
    assert vigilance.weighed(mattered=True) is True
    assert vigilance.mode is Mode.PLAIN
    assert vigilance.weighed(mattered=True) is False


def test_trying_anew_takes_twice_as_long(vigilance):
    """A table that is written in turns does not make the query change its mind with each."""
    vigilance.attend()
    for _ in range(READINGS):
        vigilance.weighed(mattered=True)
    run(vigilance, 2 * VAIN - 1, vain=True)
    assert not vigilance.is_due
    run(vigilance, 2 * RUNS - 2 * VAIN + 1, vain=True)
    assert vigilance.is_due


def test_failures_end_it_for_good(vigilance):
    """Three in a row; one that is followed by a look does not count."""
    vigilance.attend()
    for _ in range(FAILURES - 1):
        assert not vigilance.failed()
    vigilance.weighed(mattered=False)
    for _ in range(FAILURES - 1):
        assert not vigilance.failed()
    assert vigilance.failed()
    assert vigilance.mode is Mode.NEVER
    run(vigilance, RUNS, vain=True)
    assert not vigilance.is_due


def test_what_cannot_be_looked_at_is_not_tried_again(vigilance):
    """Nothing is known about the rows of such a query."""
    run(vigilance, RUNS, vain=True)
    vigilance.give_up()
    assert vigilance.mode is Mode.NEVER
    assert not vigilance.is_due
