"""Look at the rows that attentive queries were told of, and run those to which one matters.

The queries of a role are asked about in one go. Where that fails each is asked about alone, and the one
that fails again runs, like any query whose change could not be decided.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Protocol

from ..config import Conninfo
from . import conditions
from .conditions import Question
from .group import Group
from .images import Stored
from .server import Server
from .tasks import Tasks

_Asked = list[tuple[Group, Question]]


class Owner(Protocol):
    """What this part needs of the runtime."""

    def changed(self, group: Group) -> None:
        """Have the query run again."""


class Weighing:
    """Own the looking at rows; lives on the engine's loop."""

    def __init__(self, server: Server, owner: Owner) -> None:
        self._server = server
        self._owner = owner
        self._tasks = Tasks()

    def put(self, groups: Collection[Group], stored: Sequence[Stored]) -> None:
        """Have each attentive query's conditions looked at for the rows that concern it."""
        by_role: dict[Conninfo, _Asked] = {}
        rows: dict[int, list[Stored]] = {}
        for row in stored:
            rows.setdefault(row.relation, []).append(row)
        for group in groups:
            questions = _questions(group, rows)
            if any(row.is_mark for question in questions for row in question.rows):
                group.looked(mattered=True)
                self._owner.changed(group)
            if group.throttle.dirty:
                continue  # a run is due already
            asked = by_role.setdefault(group.spec.conninfo, [])
            asked += [(group, question) for question in questions]
        for conninfo, asked in by_role.items():
            if asked:
                self._tasks.spawn(self._weigh(conninfo, asked))

    def give_up(self, groups: Collection[Group]) -> None:
        """Have queries run: what changed could not be read."""
        for group in groups:
            group.could_not_look()
            self._owner.changed(group)

    async def _weigh(self, conninfo: Conninfo, asked: _Asked) -> None:
        """Look, and have the queries run to which something matters."""
        work = partial(conditions.matter, questions=[question for _, question in asked])
        groups = {group: False for group, _ in asked}
        try:
            answers = await self._server.run(work, conninfo)
        except Exception:  # whatever it is, the query runs
            if len(groups) == 1:
                self.give_up(groups)
            for group in groups if len(groups) > 1 else ():
                await self._weigh(conninfo, [one for one in asked if one[0] is group])
            return
        for (group, _), matters in zip(asked, answers, strict=True):
            groups[group] = groups[group] or matters
        for group, matters in groups.items():
            ended = group.looked(mattered=matters)
            if matters or ended:
                self._owner.changed(group)

    def close(self) -> None:
        """Stop looking."""
        self._tasks.close()


def _questions(group: Group, rows: Mapping[int, Sequence[Stored]]) -> list[Question]:
    """Ask about the rows of the tables a query reads.

    Which columns changed is not looked at: the trigger compared them byte for byte, and images show neither
    -0 nor the blanks of a json.
    """
    watched = ((group.watches.get(member), found) for member, found in rows.items())
    return [
        Question(group.conditions[watch.relation], tuple(found))
        for watch, found in watched
        if watch is not None and watch.relation in group.conditions
    ]
