"""The locks an engine holds cover everything it waits for, and are few."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgrt_jupyter.engine import interest
from pgrt_jupyter.engine.interest import (
    EVERY_COLUMN,
    IMAGES,
    RELATION,
    ROWS,
    WHOLE,
    Need,
    key,
    plan,
    tag,
)

NEEDS = st.lists(
    st.builds(
        Need,
        family=st.integers(1, 12),
        tags=st.frozensets(st.integers(16, 60), max_size=30),
        every_column=st.booleans(),
        rows=st.booleans(),
        keys=st.booleans(),
        quiet=st.booleans(),
    ),
    max_size=30,
)


def test_a_query_holds_the_relation_and_its_columns() -> None:
    """The quick check and each column the query reads, and nothing else."""
    found = plan([Need(family=7, tags=frozenset({20, 21}))])
    assert set(found.keys) == {key(7, RELATION), key(7, 20), key(7, 21)}
    assert set(found.keys.values()) == {7}


def test_queries_on_one_family_share_keys() -> None:
    """What two queries want is held once."""
    found = plan([Need(family=7, tags=frozenset({20})), Need(family=7, tags=frozenset({20, 21}))])
    assert set(found.keys) == {key(7, RELATION), key(7, 20), key(7, 21)}


def test_every_column_needs_no_single_ones() -> None:
    """Whoever wants any column holds one key for all of them."""
    found = plan([Need(family=7, tags=frozenset({20, 21})), Need(family=7, every_column=True)])
    assert set(found.keys) == {key(7, RELATION), key(7, EVERY_COLUMN)}


def test_row_images_are_asked_for_only_by_who_filters() -> None:
    """The key for images is held when a query has a filter."""
    assert key(7, ROWS) in plan([Need(family=7, rows=True)]).keys
    assert key(7, ROWS) not in plan([Need(family=7)]).keys


def test_images_alone_are_asked_for_by_keys_of_their_own() -> None:
    """A query that is quiet holds nothing that has changes announced."""
    found = plan([Need(family=7, tags=frozenset({20}), rows=True, quiet=True)])
    assert set(found.keys) == {key(7, ROWS), key(7, IMAGES + 20), key(7, IMAGES + WHOLE)}


def test_columns_give_way_separately_for_images() -> None:
    """Who wants images of any column and word of one holds both keys, and no others."""
    needs = [
        Need(family=7, tags=frozenset({20})),
        Need(family=7, tags=frozenset({20}), every_column=True, rows=True, quiet=True),
    ]
    kept = {key(7, IMAGES + subject) for subject in (RELATION, EVERY_COLUMN, WHOLE)}
    assert set(plan(needs).keys) == {key(7, RELATION), key(7, 20)} | kept


def test_primary_keys_are_asked_for_by_a_key_of_their_own() -> None:
    """Who wants keys of changed rows has the columns' changes written down, and no whole rows."""
    found = plan([Need(family=7, tags=frozenset({20}), keys=True, quiet=True)])
    kept = {key(7, IMAGES + subject) for subject in (RELATION, 20, interest.KEYS)}
    assert set(found.keys) == kept


def test_primary_keys_give_way_before_notifications_do() -> None:
    """Where keys of locks run out, families do without primary keys, and say so, before any polls."""
    found = plan([Need(family=family, keys=True) for family in range(1, 31)])
    assert len(found.keys) <= interest.LIMIT
    assert not found.uncovered
    assert all(key(family, RELATION) in found.keys for family in range(1, 31))
    kept = {f for f in range(1, 31) if key(f, IMAGES + interest.KEYS) in found.keys}
    assert kept.isdisjoint(found.unkept) and kept | found.unkept == set(range(1, 31))
    assert kept


def test_nothing_wanted_nothing_held() -> None:
    """Without queries there are no keys."""
    found = plan([])
    assert (dict(found.keys), found.uncovered) == ({}, frozenset())


def test_columns_give_way_when_keys_run_out() -> None:
    """Beyond the limit the family with most columns waits for any column instead."""
    needs = [
        Need(family=1, tags=frozenset(range(20, 60))),
        Need(family=2, tags=frozenset(range(20, 60))),
        Need(family=3, tags=frozenset({20})),
    ]
    found = plan(needs)
    assert len(found.keys) <= interest.LIMIT
    assert key(1, EVERY_COLUMN) in found.keys
    assert key(3, 20) in found.keys
    assert not found.uncovered


def test_families_beyond_the_limit_are_named() -> None:
    """What cannot be covered is said, so that it polls."""
    found = plan([Need(family=family) for family in range(1, 101)])
    assert len(found.keys) == interest.LIMIT
    assert found.uncovered == frozenset(range(65, 101))


@settings(deadline=None)
@given(NEEDS)
def test_every_need_is_covered_or_named(needs: list[Need]) -> None:
    """For each thing wanted a key is held that makes triggers tell of it, within the limit."""
    found = plan(needs)
    assert len(found.keys) <= interest.LIMIT
    for need in needs:
        if need.family in found.uncovered:
            continue
        for half in ([] if need.quiet else [0]) + ([IMAGES] if need.rows else []):
            assert key(need.family, half + RELATION) in found.keys
            every = key(need.family, half + EVERY_COLUMN) in found.keys
            assert every or not need.every_column
            assert every or all(
                key(need.family, half + number) in found.keys for number in need.tags
            )


@settings(deadline=None)
@given(NEEDS, st.randoms())
def test_the_order_of_queries_does_not_matter(needs: list[Need], chance: object) -> None:
    """Equal needs lead to equal keys, so that settling twice changes nothing."""
    shuffled = list(needs)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert plan(needs) == plan(shuffled)


@settings(deadline=None)
@given(st.text(max_size=63))
def test_a_columns_tag_leaves_the_reserved_numbers_free(name: str) -> None:
    """Tags are 31 bits and never mean RELATION, EVERY_COLUMN or ROWS."""
    assert 16 <= tag(name) < 2**31


@settings(deadline=None)
@given(st.integers(1, 2**32 - 1), st.integers(16, 2**31 - 1))
def test_a_trigger_finds_a_columns_key_by_adding(family: int, number: int) -> None:
    """The key of a column is the relation's key plus its tag, without overflow."""
    assert key(family, RELATION) + number == key(family, number)
    assert key(family, ROWS) + number == key(family, IMAGES + number)
    assert -(2**63) <= key(family, number) < 2**63


@pytest.mark.parametrize(
    ("name", "number"), [("id", tag("id")), ("Id", tag("Id")), ("größe", tag("größe"))]
)
def test_tags_tell_names_apart(name: str, number: int) -> None:
    """Names that differ only in case have tags of their own."""
    others = {"id", "Id", "größe", "status"} - {name}
    assert number not in {tag(other) for other in others}


def test_keys_do_not_change_between_versions() -> None:
    """Installed triggers and newer engines agree: the numbers are part of the contract."""
    assert (tag("id"), key(16384, RELATION)) == (627131719, 6153236509236396032)
