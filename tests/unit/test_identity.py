"""Rows keep their numbers from result to result."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgrt_jupyter.identity import Identities, identify

KEY = ("k",)


def numbers(identities: Identities) -> list[int]:
    return identities.of(np.arange(len(identities.frame))).tolist()


def frame(keys: list[object], value: int = 0) -> pd.DataFrame:
    return pd.DataFrame({"k": keys, "v": value})


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.integers(0, 12), unique=True), min_size=1, max_size=6))
def test_a_key_keeps_its_number(results: list[list[int]]) -> None:
    """Through any series of results: as long as a key is there its number is the same, and a key
    that comes gets one that nobody had."""
    identities: Identities | None = None
    known: dict[int, int] = {}
    given_out: set[int] = set()
    for keys in results:
        next_number = identities.next if identities else 0
        identities = identify(identities, frame([*keys]), KEY)
        now = dict(zip(keys, numbers(identities), strict=True))
        for key, number in now.items():
            if key in known:
                assert number == known[key]
            else:
                assert number not in given_out
                assert next_number <= number < identities.next
        assert identities.next - next_number == len(set(now) - set(known))
        for number in [*given_out, *now.values(), 10**9]:
            place = identities.position(number)
            assert (numbers(identities)[place] if place >= 0 else None) == (
                number if number in now.values() else None
            )
        wanted = np.array(sorted(given_out | set(now.values())), np.int64)
        assert identities.positions(wanted).tolist() == list(range(len(keys)))
        known, given_out = now, given_out | set(now.values())


def test_the_same_rows_cost_no_memory() -> None:
    """While keys stay where they are, numbers are not written out."""
    first = identify(None, frame([*range(1000)]), KEY)
    second = identify(first, frame([*range(1000)], value=1), KEY)
    assert second.numbers is None
    assert second.line is first.line


@pytest.mark.parametrize("keys", [[1, 1], [1, None]])
def test_a_key_that_is_none_is_not_trusted(keys: list[object]) -> None:
    """NULL or a key that appears twice: rows are known by their places, until it is well again."""
    good = identify(None, frame([1, 2]), KEY)
    bad = identify(good, frame(keys), KEY)
    assert (bad.keyed, numbers(bad), bad.next) == (False, [0, 1], 2)
    assert bad.line is not good.line
    again = identify(bad, frame([1, 2]), KEY)
    assert again.keyed
    assert again.line not in (good.line, bad.line)


def test_another_key_begins_anew() -> None:
    """What had a number under the old key may be another row."""
    first = identify(None, frame([1, 2]), KEY)
    other = identify(first, frame([1, 2]).rename(columns={"k": "id"}), ("id",))
    assert other.line is not first.line
    assert numbers(other) == [2, 3]


def test_without_a_key_rows_are_known_by_their_places() -> None:
    """A longer result has new rows at its end."""
    first = identify(None, frame([5, 6]), ())
    second = identify(first, frame([9, 5, 6]), ())
    assert (second.keyed, numbers(second), second.next) == (False, [0, 1, 2], 3)
    assert second.line is first.line
    assert second.position(3) == -1
