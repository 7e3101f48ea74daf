"""Attempts after failures are spaced out further and further, up to a cap."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pgrt_jupyter.engine.backoff import Backoff


def longest(low: float, high: float) -> float:
    """Stand for chance at its upper end."""
    return high


def shortest(low: float, high: float) -> float:
    """Stand for chance at its lower end."""
    return low


def test_waits_double_up_to_the_cap() -> None:
    """Each failure doubles the wait until the cap holds it."""
    backoff = Backoff(0.5, 5.0, uniform=longest)
    assert [backoff.next() for _ in range(6)] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_chance_takes_at_most_half() -> None:
    """Jitter spreads attempts over the second half of a step."""
    backoff = Backoff(1.0, 30.0, uniform=shortest)
    assert [backoff.next() for _ in range(3)] == [0.5, 1.0, 2.0]


def test_success_starts_over() -> None:
    """After a reset the first wait comes first again."""
    backoff = Backoff(1.0, 30.0, uniform=longest)
    backoff.next()
    backoff.next()
    backoff.reset()
    assert (backoff.attempts, backoff.next()) == (0, 1.0)


def test_years_of_failures_do_no_harm() -> None:
    """A wait never overflows, however many attempts failed."""
    backoff = Backoff(1.0, 30.0, uniform=longest)
    backoff.attempts = 10**6
    assert backoff.next() == 30.0


@settings(deadline=None)
@given(st.floats(0.001, 10.0), st.floats(10.0, 100.0), st.integers(1, 50))
def test_a_wait_is_between_half_the_first_step_and_the_cap(
    first: float, cap: float, failures: int
) -> None:
    """Real chance stays within its bounds."""
    backoff = Backoff(first, cap)
    waits = [backoff.next() for _ in range(failures)]
    assert all(first / 2 <= wait <= cap for wait in waits)
