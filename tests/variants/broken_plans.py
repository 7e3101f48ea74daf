"""Ways to break the reading of what changed; see `broken`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pgrt_jupyter.engine import changed, deltas, merging, planned
from pgrt_jupyter.engine.changed import Changed
from pgrt_jupyter.engine.keeping import Keeping
from pgrt_jupyter.engine.outcomes import Outcome

from .broken import Patch, variant


@variant("incremental refresh")
def blind_writers_believed(patch: Patch) -> None:
    """Who was writing when keys were first asked for is taken to have written them down."""
    began = Keeping.began
    patch.setattr(Keeping, "began", lambda self, writers: began(self, []))


@variant("incremental refresh")
def gaps_not_noticed(patch: Patch) -> None:
    """What was read before nobody asked for keys for a while is brought up to date all the same."""

    def gap(self: Keeping) -> None:
        self._gaps += 1

    patch.setattr(Keeping, "gap", gap)


@variant("incremental refresh")
def marks_passed_over(patch: Patch) -> None:
    """A mark, which stands for rows that nobody wrote down, is not looked at."""
    taken = changed.changed

    def unmarked(found: Any) -> Changed:
        return replace(taken(found), marked=False)

    patch.setattr(changed, "changed", unmarked)


@variant("incremental refresh")
def keys_themselves_not_watched(patch: Patch) -> None:
    """An update of nothing but the primary key counts only if the query reads it."""
    patch.setattr(Keeping, "key_columns", lambda self, relation: frozenset())


@variant("incremental refresh")
def a_later_snapshot(patch: Patch) -> None:
    """The next run begins with a snapshot taken after the result was read, not the one it was read in."""
    whole = planned._whole

    def late(connection: Any, *arguments: Any) -> Outcome:
        import psycopg

        outcome = whole(connection, *arguments)
        with psycopg.connect(connection.info.dsn, application_name="pgrt-test") as other:
            row: Any = other.execute("SELECT pg_current_snapshot()::text").fetchone()
        assert outcome.base is not None
        return replace(outcome, base=replace(outcome.base, at=row[0]))

    patch.setattr(planned, "_whole", late)


@variant("incremental refresh")
def groups_as_they_are_now(patch: Patch) -> None:
    """The group that a row has left is not read anew."""
    patch.setattr(Changed, "before", lambda self, members: "[]")


@variant("incremental refresh")
def partners_as_they_are_now(patch: Patch) -> None:
    """Rows that showed a partner which is gone are not looked for."""
    where = deltas._Rows._where

    def unless_partner(self: Any, outputs: Any, keys: Any) -> Any:
        if any(place.outputs == outputs for place in self._plan.partners):
            return deltas.np.zeros(0, deltas.np.int64)
        return where(self, outputs, keys)

    patch.setattr(deltas._Rows, "_where", unless_partner)


@variant("incremental refresh")
def behind_the_limit_unknown(patch: Patch) -> None:
    """A row that leaves what LIMIT shows is not replaced."""
    patch.setattr(merging.Merge, "_within_limit", lambda self, *merged: merged)


@variant("incremental refresh")
def forgotten_keys_not_suspected(patch: Patch) -> None:
    """A run that comes after keys may have been deleted reads what is left of them."""
    base = Keeping.base
    patch.setattr(Keeping, "base", lambda self, *, late: base(self, late=False))
