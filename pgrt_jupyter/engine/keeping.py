"""Know whether a query may be read by what changed of it, and since when all changes are known.

    kept    triggers have been asked for keys without a gap, so that whoever writes leaves them
    blind   writers who were in flight when that began: they may have found nobody asking
    base    a result that was read when nobody was blind any more; what changed since is all written down

A gap of any kind (the connection was lost, triggers were put back, nobody wanted updates) ends all three, and
the next run reads the whole result. So does a run that comes so late that keys may have been forgotten.

Having keys written costs writers about as much as a notification, so, unless the user says otherwise, a small
result is read whole each time, and so is one whose changes mostly cannot be followed (they are of too many
rows, say): that is tried again later, each time after twice as many runs.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection

from .deltas import Base
from .outcomes import Kind, Outcome
from .plans import CELLS, Plan, is_large

SECONDS = 0.25  # a run that takes longer is worth avoiding, even on a busy machine
FOLLOWED = 10  # runs that had keys to go by, of which so many
VAIN = 8  # must have read all nevertheless
REST = 20  # runs until it is tried again, at first
_TRIES = 2  # of a plan that does not fit
_RELAPSES = 6  # beyond which trying anew takes no longer
SMALL = "full: the result is small, reading all of it takes no longer"
FUTILE = "full: most of its last changes could not be followed; that is tried again after a while"


class Keeping:
    """Hold this for one query; owned by the engine's loop."""

    def __init__(self, asked: bool | None) -> None:
        self.plan: Plan | None = None
        self.words = "full: not run yet"  # for people: how the query is read, and why
        self.kind: Kind | None = None  # of the last update
        self.kinds: Counter[str] = Counter(full=0, delta=0)  # of runs
        self.heard: float | None = None  # when the first change came that no run has answered
        self.is_due = False  # a plan is worth looking for, contrary to what was expected
        self._asked = asked
        self._kept = False
        self._blind: frozenset[str] = frozenset()
        self._base: Base | None = None
        self._gaps = 0
        self._unfit = 0
        self._vain: deque[bool] = deque(maxlen=FOLLOWED)
        self._relapses = 0
        self._rest = 0  # runs until a plan is looked for again

    @property
    def is_on(self) -> bool:
        """Say whether keys of changed rows are wanted."""
        return self.plan is not None

    @property
    def is_for_large(self) -> bool:
        """Say whether a plan is wanted only where the server expects the query to be costly."""
        return self._asked is None and not self.is_due

    def offer(self, plan: Plan | None, words: str) -> None:
        """Take the plan of a query, or why there is none."""
        self.gap()
        if plan is not None and self._unfit >= _TRIES:
            plan, words = None, "full: its plan did not fit what the server answered"
        self.plan, self.words, self.is_due = plan, words, False
        self._rest = 0

    def key_columns(self, relation: int) -> frozenset[str]:
        """Name the columns by which the plan finds rows of a relation again."""
        places = (*self.plan.places, *self.plan.partners) if self.plan is not None else ()
        return frozenset(n for place in places if place.relation == relation for n in place.key)

    def began(self, writers: Collection[str]) -> None:
        """Note that keys are asked for, and who was writing then."""
        if not self._kept:
            self._kept, self._blind = True, frozenset(writers)

    def ended(self, present: Collection[str]) -> None:
        """Note which writers are still there."""
        self._blind = self._blind.intersection(present)

    def gap(self) -> None:
        """Note that changes may be unknown."""
        self._kept, self._blind, self._base = False, frozenset(), None
        self._gaps += 1

    @property
    def stand(self) -> tuple[int, bool]:
        """Say what to compare with after a run, and whether all changes after it will be known."""
        return self._gaps, self._kept and not self._blind

    def base(self, *, late: bool) -> Base | None:
        """Give what a run may begin with."""
        return None if late or not self.stand[1] else self._base

    def took(self, outcome: Outcome, stand: tuple[int, bool]) -> bool:
        """Take what a run came to; says whether keys were wanted, and are not any more."""
        self.kinds[outcome.kind] += 1
        if outcome.snapshot is not None:
            self.kind = outcome.kind
        self._base = outcome.base if stand == (self._gaps, True) else None
        self._unfit += outcome.replan
        if self._asked is not None:
            return False
        if self._rest:
            self._rest -= 1
            self.is_due = not self._rest
            return False
        if self._is_futile(outcome):
            self.offer(None, FUTILE)
            self._rest = REST * 2**self._relapses
            self._relapses = min(self._relapses + 1, _RELAPSES)
            return True
        if outcome.kind == "delta":
            return False
        size = outcome.snapshot.frame.size if outcome.snapshot is not None else 0
        pays = outcome.seconds > SECONDS or size > CELLS
        self.is_due = pays and self.words == SMALL
        if pays or not size or self.plan is None or is_large(self.plan.cost, 0):
            return False
        self.offer(None, SMALL)
        return True

    def _is_futile(self, outcome: Outcome) -> bool:
        """Note whether a run went by keys, and say whether having them written is of little use."""
        if outcome.kind == "delta" or outcome.in_vain:
            self._vain.append(outcome.in_vain)
        if sum(self._vain) < VAIN:
            return False
        self._vain.clear()
        return True
