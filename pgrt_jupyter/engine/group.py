"""Hold the state of one query that subscriptions share: what it reads, when it ran, how it stands.

Owned by the engine's loop. Deciding is here; waiting and talking to the server is done by those that
`runtime` coordinates. It has many attributes, since whoever decides about a query finds all of it here.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ..errors import PermissionMissing, PgrtError, ServerUnavailable
from . import frames, watches
from .analysis import Analysed
from .backoff import Backoff
from .conditions import Conditions
from .families import Member
from .filters import Filter
from .interest import Need
from .keeping import Keeping
from .model import Snapshot, Status
from .notification import Change
from .outcomes import Backend, Difference, Outcome, Query
from .plans import Plan
from .progress import Progress
from .relevance import Verdict, by_default
from .status import Doubts, standing
from .subscription import Spec, State, Subscriber
from .throttle import Throttle
from .vigilance import Mode, Vigilance
from .watches import Watch

POLL_SECONDS = 10.0  # how often a query runs that cannot be watched


@dataclass(slots=True, eq=False)
class Group:
    """Hold one shared query."""

    spec: Spec
    analysed: Analysed
    rule: Filter | None
    families: Mapping[int, tuple[Member, ...]] = field(default_factory=dict)  # by relation
    watches: Mapping[int, Watch] = field(default_factory=dict)  # by oid of each member table
    members: tuple[Member, ...] = ()
    subscribers: dict[Subscriber, bool] = field(default_factory=dict)  # subscriber: paused
    intervals: dict[Subscriber, float] = field(default_factory=dict)  # where it is not the spec's
    throttle: Throttle = field(init=False)
    backoff: Backoff = field(default_factory=lambda: Backoff(1.0, 30.0))
    snapshot: Snapshot | None = None
    difference: Difference | None = None
    error: PgrtError | None = None
    refreshed_at: datetime | None = None
    refresh_count: int = 0
    covered: bool = False  # heard without a gap since the writers in flight were last looked up
    doubts: Doubts = field(default_factory=Doubts)  # about the result
    awaited: frozenset[str] = frozenset()  # writers in flight after whose end to run again
    unread: frozenset[str] = frozenset()  # writers in flight after whose end to read images again
    quiet: bool = False  # images of changes are written, and nobody is told
    news: bool = False  # a change was heard of after the last reading of images began
    reanalyse: bool = False
    closed: bool = False
    timer: asyncio.TimerHandle | None = None
    poll_timer: asyncio.TimerHandle | None = None
    next_run: list[asyncio.Future[None]] = field(default_factory=list)
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)  # a filter is asked in order
    conditions: Mapping[int, Conditions] = field(default_factory=dict)  # by relation, if attentive
    vigilance: Vigilance = field(default_factory=Vigilance)
    keeping: Keeping = field(init=False)
    told: bool = False  # of a change, since the last run, that conditions might have told apart
    questions: int = 0  # how many wait for the filter
    progress: Progress | None = None  # of who waits for the first result
    unanswered: bool = False  # the filter takes too long; changes refresh meanwhile

    def __post_init__(self) -> None:
        self.throttle = Throttle(self.spec.throttle_ms / 1000, random.random)
        self.keeping = Keeping(self.spec.incremental)

    @property
    def paused(self) -> bool:
        """Say whether nobody wants updates at the moment."""
        return bool(self.subscribers) and all(self.subscribers.values())

    def space(self) -> None:
        """Run as often as the most impatient subscriber wants; seconds."""
        usual = self.spec.throttle_ms / 1000
        wanted = [self.intervals.get(subscriber, usual) for subscriber in self.subscribers]
        self.throttle.interval = min(wanted, default=usual)

    @property
    def key(self) -> tuple[str, ...]:
        """Give the columns that identify a row of the result."""
        return self.analysed.dependencies.key if self.spec.key is None else self.spec.key

    def query(self, *, late: bool = False) -> Query:
        """Give what a run needs; `late`, keys of changed rows may have been forgotten."""
        keeping = self.keeping
        return Query(
            statement=self.spec.statement,
            select=self.analysed.select,
            parameter_types=self.analysed.dependencies.parameter_types,
            key=self.key,
            max_rows=self.spec.max_rows,
            dtype_backend=self.spec.dtype_backend,
            plan=keeping.plan if keeping.is_on else None,
            members={oid: [m.oid for m in found] for oid, found in self.families.items()},
            base=keeping.base(late=late or self.must_poll) if keeping.is_on else None,
            progress=self.progress,
        )

    @property
    def max_age(self) -> float | None:
        """Give the seconds after which to run without having heard anything; None: never."""
        if self.spec.max_age_ms is not None:
            return self.spec.max_age_ms / 1000
        return POLL_SECONDS if self.must_poll else None

    @property
    def must_poll(self) -> bool:
        """Say whether changes can happen that no trigger announces."""
        return bool(self.doubts.polls_because or self.analysed.dependencies.unwatchable)

    def watch(self, members: Mapping[int, tuple[Member, ...]]) -> None:
        """Take the families of the tables the query reads."""
        self.families = members
        relations = self.analysed.dependencies.relations
        self.watches = watches.find(relations, members, self._columns_besides)
        self.members = tuple({m.oid: m for found in members.values() for m in found}.values())

    def _columns_besides(self, relation: int) -> frozenset[str]:
        """Name the columns that the filter asks about, or the plan finds rows by."""
        asked = self.rule.columns(relation) if self.rule else set()
        return self.keeping.key_columns(relation).union(asked)

    def plan(self, plan: Plan | None, words: str) -> None:
        """Take the query's plan, or why there is none; the keys that a plan goes by are watched, too."""
        self.keeping.offer(plan, words)
        self.watch(self.families)
        self.covered = False

    def needs(self) -> list[Need]:
        """Say what to hear of now: nothing while the answer to a change is already due.

        Where images tell of every change, they go on: to let go of them would be a gap to make up for.
        """
        keeps, dirty = self.keeping.is_on, self.throttle.dirty
        if self.closed or self.paused or (dirty and not (self._keeps_images or keeps)):
            return []
        needs = []
        for watch in self.watches.values():
            rows = self.asks_about(watch.relation) or self._keeps_rows
            needs.append(
                Need(
                    family=watch.family,
                    tags=watch.watched.tags,
                    every_column=watch.watched.every_column or self.has_function,
                    rows=rows,
                    keys=keeps,
                    quiet=(keeps and dirty) or (rows and self.quiet),
                )
            )
        return needs

    def hears(self, needs: Collection[Need]) -> bool:
        """Say whether what is needed has changes announced, or their images read in rounds."""
        return bool(needs) and (self.quiet or not all(need.quiet for need in needs))

    @property
    def _keeps_rows(self) -> bool:
        """Say whether the plan needs whole rows as they were."""
        plan = self.keeping.plan if self.keeping.is_on else None
        return plan is not None and plan.by_groups

    def lose_track(self) -> None:
        """Read all of the result next time: what changed may not be known."""
        self.keeping.gap()
        self.covered = False

    def asks_about(self, relation: int) -> bool:
        """Say whether images of a relation's rows decide whether a change matters."""
        if self.rule is not None:
            return self.rule.concerns(relation)
        return self.attentive and relation in self.conditions

    @property
    def has_function(self) -> bool:
        """Say whether a function of the user's is asked about every change."""
        return self.rule is not None and self.rule.function is not None

    @property
    def looks_at_rows(self) -> bool:
        """Say whether images of any table's rows are asked for."""
        return any(self.asks_about(watch.relation) for watch in self.watches.values())

    @property
    def _keeps_images(self) -> bool:
        """Say whether images are written of whatever changes."""
        return all(self.asks_about(watch.relation) for watch in self.watches.values())

    @property
    def attentive(self) -> bool:
        """Say whether changed rows are looked at to see whether they can matter."""
        attentive = self.vigilance.mode is Mode.ATTENTIVE
        return self.rule is None and attentive and not self.keeping.is_on

    def verdict(self, change: Change) -> Verdict:
        """Decide about a notification; UNSURE here means: look at the row images, or ask the filter."""
        watch = self.watches[change.relation]
        if not self.asks_about(watch.relation) or (self.attentive and self.error is not None):
            return _refreshing(by_default(change, watch.watched))
        if not self.has_function:
            if by_default(change, watch.watched) is Verdict.IGNORE:
                return Verdict.IGNORE
            if self.throttle.dirty:
                return Verdict.REFRESH
        return Verdict.UNSURE if change.images else Verdict.REFRESH

    def note(self, change: Change) -> None:
        """Note a change that the query runs for: whether that was in vain is seen afterwards."""
        if self.attentive and self.asks_about(self.watches[change.relation].relation):
            self.looked(mattered=True)
        self.told = True

    def attend(self, conditions: Mapping[int, Conditions]) -> None:
        """Look at changed rows from now on; a run follows, since the keys to hold are others."""
        self.conditions = conditions
        if conditions:
            self.vigilance.attend()
            self.covered = False
        else:
            self.vigilance.give_up()

    def looked(self, *, mattered: bool) -> bool:
        """Note what looking at rows came to; True: it ends with a run for what may be on its way."""
        return self._ended(self.vigilance.weighed(mattered=mattered))

    def could_not_look(self) -> None:
        """Note that rows could not be looked at; a run follows."""
        self._ended(self.vigilance.failed())

    def _ended(self, ended: bool) -> bool:
        self.covered = self.covered and not ended
        return ended

    def forget_conditions(self) -> None:
        """Look at no rows until it is known anew what can be told about them; a run follows."""
        self.conditions, self.vigilance, self.told = {}, Vigilance(), False

    def succeeded(self, outcome: Outcome) -> None:
        """Take the outcome of a run; an equal result changes nothing but its age."""
        if self.told and not self.attentive:
            self.vigilance.ran(vain=outcome.snapshot is None)
        self.told = False
        self.refresh_count += 1
        self.refreshed_at = outcome.ran_at
        self.error = None
        self.backoff.reset()
        if outcome.snapshot is not None:
            self.snapshot, self.difference = outcome.snapshot, outcome.difference

    def failed(self, error: PgrtError) -> None:
        """Take a failure; the last good result stays, unless the role may no longer see it."""
        self.error = error
        self.lose_track()
        self.reanalyse = not isinstance(error, ServerUnavailable)
        if isinstance(error, PermissionMissing) and self.snapshot is not None:
            self.snapshot = _blank(self.snapshot, self.spec.dtype_backend)
            self.difference = None

    def state(self) -> State:
        """Put together what subscribers are told."""
        status, message = self._standing()
        return State(
            status=status,
            snapshot=self.snapshot,
            difference=self.difference,
            error=self.error,
            message=message,
            key=self.key,
            dependencies=self.analysed.dependencies,
            refreshed_at=self.refreshed_at,
            refresh_count=self.refresh_count,
            plan=self.keeping.words,
            refresh_kind=self.keeping.kind,
            refresh_kinds=dict(self.keeping.kinds),
        )

    def _standing(self) -> tuple[Status, str]:
        """Say how the query stands, and why."""
        if self.closed:
            return Status.CLOSED, ""
        if self.snapshot is None and self.error is None:
            return Status.STARTING, ""
        unwatchable = self.analysed.dependencies.unwatchable
        return standing(self.doubts, self.error, unwatchable, self.throttle.slow)

    def notify(self) -> None:
        """Tell every subscriber how things stand."""
        state = self.state()
        for subscriber in list(self.subscribers):
            subscriber.told(state)

    def cancel_timers(self) -> None:
        """Forget what was planned."""
        for timer in (self.timer, self.poll_timer):
            if timer is not None:
                timer.cancel()
        self.timer = self.poll_timer = None


def _refreshing(verdict: Verdict) -> Verdict:
    """Refresh when unsure."""
    return Verdict.IGNORE if verdict is Verdict.IGNORE else Verdict.REFRESH


def _blank(snapshot: Snapshot, backend: Backend) -> Snapshot:
    """Make the result without its rows."""
    return Snapshot(
        version=snapshot.version + 1,
        frame=frames.empty(snapshot.columns, dtype_backend=backend),
        columns=snapshot.columns,
        digest=b"",
        refreshed_at=snapshot.refreshed_at,
        truncated=False,
    )
