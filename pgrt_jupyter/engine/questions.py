"""Put questions about changed rows to a query's filter, on a thread where the user's code may wait."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import psycopg

from ..errors import FilterFailed
from . import filters, frames
from .group import Group
from .model import RowChange
from .relevance import Verdict

# The change, the relation as the query reads it, and its columns that may have changed unseen.
Question = tuple[RowChange, int, Collection[str]]
Answer = tuple[Verdict, FilterFailed | None]


def answers(
    group: Group, questions: Sequence[Question], connection: psycopg.Connection[Any] | None
) -> Answer:
    """Ask about each change, whatever the others' answers are."""
    assert group.rule is not None and group.snapshot is not None
    frame = group.snapshot.frame
    own = frames.own(frame)  # the user's code may change it

    @cache
    def values(name: str) -> Collection[Any]:
        return filters.values_of(frame, name)

    verdict, failure = Verdict.IGNORE, None
    for change, member, vague in questions:
        watch = group.watches[member]
        try:
            with _looking(connection):
                reads = (watch.relation, watch.watched)
                answer = filters.ask(group.rule, change, *reads, vague, own, values, connection)
        except BaseException as error:  # what ends a program ends no thread of ours
            failure = FilterFailed(
                f"The refresh filter raised {type(error).__name__}; the query was refreshed."
            )
            failure.__cause__ = error
            answer = Verdict.UNSURE
        if answer is not Verdict.IGNORE:
            verdict = answer
    return verdict, failure


@contextmanager
def _looking(connection: psycopg.Connection[Any] | None) -> Iterator[None]:
    """Let a function read, and undo what it set: the connection serves queries afterwards."""
    if connection is None:
        yield
        return
    connection.execute(b"BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY")
    try:
        yield
    finally:
        with suppress(psycopg.Error):
            connection.execute(b"ROLLBACK")
