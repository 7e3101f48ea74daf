"""Which queries there are, and which of them watch a table."""

from __future__ import annotations

from typing import Any, cast

from pgrt_jupyter.engine.group import Group
from pgrt_jupyter.engine.roster import Roster


class Watching:
    """Stand for a group that watches one table."""

    def __init__(self, relation: int) -> None:
        self.watches = {relation: None}


def group(relation: int) -> Group:
    return cast(Group, cast(Any, Watching(relation)))


def test_a_group_is_found_by_the_table_it_watches() -> None:
    """A change finds whom it concerns."""
    roster, known = Roster(), group(7)
    roster.groups.add(known)
    roster.index(known)
    assert list(roster.watching(7)) == [known]
    assert list(roster.watching(8)) == []


def test_a_group_that_has_ended_is_not_indexed_again() -> None:
    """Its tables may still have been looked up when it ended; its result must not stay in memory."""
    roster = Roster()
    roster.index(group(7))
    assert list(roster.watching(7)) == []


def test_a_table_that_nobody_watches_any_more_is_forgotten() -> None:
    """Tables that are made anew each night do not pile up."""
    roster, known = Roster(), group(7)
    roster.groups.add(known)
    roster.index(known)
    known.watches = cast(Any, {8: None})
    roster.index(known)
    assert list(roster._by_member) == [8]
