"""Keep a live query's parameters at the values of traits, such as those of widgets.

Who changes a trait only leaves its value here, and the status says from then on that the result is not
for it. The engine's loop subscribes with the newest values as the throttle says: the first change at
once, then at most one subscription an interval, one under way at a time. What is shown is replaced when
the new result is there. Where the new values fail, the old result stays with the error, and it is tried
again, later and later, until it works or other values are wanted.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .binding import Binding, Held, Source, check, source
from .engine.backoff import Backoff
from .engine.model import Status
from .engine.statement import parse
from .engine.subscription import Spec
from .engine.throttle import Action, Decision, Throttle
from .errors import PgrtError, QueryFailed, ServerUnavailable

if TYPE_CHECKING:
    from .engine.loop import EngineLoop
    from .live import LiveQuery

_TOGETHER_SECONDS = 0.02  # changes within it are one: a cell that sets two widgets means both
_PATIENCE_SECONDS = 1.0  # what a subscription is given whose values nobody wants any more
_RETRY_SECONDS = (1.0, 30.0)
_ON_ITS_WAY = "a parameter has another value, and its result is on its way"


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """Say what a live query follows, for one that differs in its parameters only."""

    subscription: object
    spec: Spec
    sql: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Say how things stand while what is shown is not what is wanted."""

    status: Status
    error: PgrtError | None
    message: str


class Following:
    """Lead one live query from values to values; what is not said to be on the loop is for any thread."""

    def __init__(self, query: LiveQuery, loop: EngineLoop) -> None:
        self._find = weakref.ref(query)  # what a widget holds must not keep a query that has ended
        self._loop = loop
        self._lock = threading.RLock()  # of the four that follow; reading a trait may set another
        self._held: dict[str, Held] = {}
        self._wanted: dict[str, Any] = {}  # what is not shown yet
        self._failure: PgrtError | None = None
        self._is_told = False  # somebody was told of a failure since it last worked
        # Of the loop:
        self._throttle = Throttle(0.0)
        self._backoff = Backoff(*_RETRY_SECONDS)
        self._task: asyncio.Task[None] | None = None
        self._began = 0.0
        self._under_way: Mapping[str, Any] = {}  # the values of the task, where there is one
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def _basis(self) -> tuple[LiveQuery, Basis] | None:
        """Give the query and what it follows at the moment; None when it has ended."""
        query = self._find()
        basis = query.basis() if query is not None else None
        return (query, basis) if query is not None and basis is not None else None

    def _restate(self) -> None:
        """Have the query say anew how things stand."""
        if (query := self._find()) is not None:
            query.restate()

    def bind(self, given: Mapping[str, Any], sql: str) -> Binding:
        """Have parameters follow traits, or take values; raises ConfigurationError before it does."""
        sources = {name: source(value) for name, value in given.items()}
        check(given, sql)
        binding = Binding(self)
        for name, found in sources.items():
            held = Held(self, binding, name, found)
            with self._lock:
                before, self._held[name] = self._held.get(name), held
            if before is not None:
                before.release()
            if found is not None:
                found.owner.observe(held, found.name)
            self.want(held, given[name])
        return binding

    def sources(self) -> dict[str, Source]:
        """Give what the parameters follow, by name."""
        with self._lock:
            return {n: held.source for n, held in self._held.items() if held.source is not None}

    def held_by(self, binding: Binding) -> tuple[str, ...]:
        """Give the parameters that a binding holds."""
        with self._lock:
            return tuple(name for name, held in self._held.items() if held.binding is binding)

    def want(self, held: Held, value: Any = None) -> None:
        """Take the newest value of a trait, or a plain one."""
        found = self._basis()
        if found is None:
            return
        name, shown = held.parameter, found[1].params.get(held.parameter)
        with self._lock:
            if self._held.get(name) is not held:
                return
            # Read here, where one waits for the other, so that the last to come has the newest.
            value = value if held.source is None else held.source.value
            if name not in self._wanted and _is_same(value, shown):
                return
            self._wanted[name] = value
        self._restate()
        self._loop.post(self._heard)

    def end(self, names: tuple[str, ...] | None = None) -> None:
        """Follow no more, and forget what is not shown yet: of some parameters, or of all."""
        with self._lock:
            gone = [n for n in self._held if names is None or n in names]
            held = [self._held.pop(name) for name in gone]
            waited = [self._wanted.pop(name, None) for name in gone]
            if waited and not self._wanted:
                self._failure, self._is_told = None, False
        for one in held:
            one.release()
        if held:
            self._restate()
            self._loop.post(self._dropped)

    def begin_anew(self) -> None:
        """Want nothing but what is shown from now on: it is another query."""
        with self._lock:
            self._wanted = {}
            self._failure, self._is_told = None, False
        self._loop.post(self._dropped)

    def carry_over(self, followed: Mapping[str, Source], sql: str) -> None:
        """Follow these and nothing else; what was followed already stays with its binding."""
        with self._lock:
            held = dict(self._held)
        stays = [n for n, one in followed.items() if n in held and held[n].follows(one)]
        self.end(tuple(name for name in held if name not in stays))
        self.bind({name: one for name, one in followed.items() if name not in stays}, sql)
        for name in stays:
            self.want(held[name])

    def abandon(self) -> None:
        """Follow no more in a forked child, where a thread that is not there may hold the lock."""
        self._lock = threading.RLock()
        self.end()

    def standing(self) -> Standing | None:
        """Say how things stand where what is shown is not what is wanted."""
        with self._lock:
            failure, waits = self._failure, bool(self._wanted)
        if not waits:
            return None
        if failure is None:
            return Standing(status=Status.STALE, error=None, message=_ON_ITS_WAY)
        lost = isinstance(failure, ServerUnavailable)
        status = Status.STALE if lost else Status.ERROR
        return Standing(status=status, error=failure, message=str(failure))

    def go_on(self) -> None:
        """Subscribe if that is due: the query was paused."""
        if self.standing() is not None:
            self._loop.post(self._heard)

    def is_answered(self) -> None:
        """Try again at once what failed for want of a server: there is one; on the loop."""
        if isinstance(self._failure, ServerUnavailable) and "again" in self._timers:
            self._forget("again")
            self._changed()

    # -- on the loop

    def _heard(self) -> None:
        """Wait a moment for what else changes."""
        self._plan("together", _TOGETHER_SECONDS, self._changed)

    def _changed(self) -> None:
        """Subscribe when it is time; what is under way for other values is not waited for long."""
        if self._task is not None:
            if self._is_under_way():
                return
            left = self._began + _PATIENCE_SECONDS - _now()
            self._plan("patience", max(0.0, left), self._give_up)
        self._act(self._throttle.changed(_now()))

    def _is_under_way(self) -> bool:
        """Say whether the values that are wanted are those of the task."""
        with self._lock:
            wanted, going = self._wanted, self._under_way
            return wanted.keys() == going.keys() and all(wanted[n] is going[n] for n in wanted)

    def _act(self, decision: Decision) -> None:
        query = self._find()
        if query is None:
            return
        self._throttle.interval = query.throttle_ms / 1000
        if decision.action is Action.START and not query.is_resting:
            self._start()
        elif decision.action is Action.WAIT:
            self._plan("interval", decision.at - _now(), self._due)

    def _due(self) -> None:
        self._act(self._throttle.decide(_now()))

    def _start(self) -> None:
        self._forget("interval", "again")
        self._began = _now()
        self._throttle.started(self._began)
        with self._lock:
            self._under_way = dict(self._wanted)
        self._task = asyncio.get_running_loop().create_task(self._go(self._under_way))
        self._task.add_done_callback(self._ended)

    async def _go(self, wanted: Mapping[str, Any]) -> None:
        """Subscribe with some values and have the query move over."""
        found = self._basis()
        if found is None or not wanted:
            return
        query, basis = found
        values = {**basis.params, **wanted}
        try:
            if all(_is_same(value, basis.params.get(name)) for name, value in wanted.items()):
                self._arrived(wanted)
                self._restate()
                return
            spec = replace(
                basis.spec,
                statement=parse(basis.sql, values),
                throttle_ms=query.throttle_ms,
            )
            await query.move(basis, spec, values, lambda: self._arrived(wanted))
        except PgrtError as error:
            self._failed(error, wanted)
        except Exception as error:
            failure = QueryFailed(f"The query could not be run with these values: {error}")
            failure.__cause__ = error
            self._failed(failure, wanted)

    def _arrived(self, values: Mapping[str, Any]) -> None:
        """Note what is shown from now on."""
        with self._lock:
            for name, value in values.items():
                if name in self._wanted and self._wanted[name] is value:
                    del self._wanted[name]
            self._failure, self._is_told = None, False
        self._backoff.reset()

    def _failed(self, error: PgrtError, values: Mapping[str, Any]) -> None:
        """Keep what is shown, tell of the first failure, and try again by itself."""
        with self._lock:
            if not self._wanted.keys() & values.keys():
                return  # it was closed meanwhile
            tell, self._is_told = not self._is_told, True
            self._failure = error
        self._restate()
        if tell and (query := self._find()) is not None:
            query.fail(error)
        self._plan("again", self._backoff.next(), self._changed)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        self._forget("patience")
        self._act(self._throttle.finished(_now()))

    def _give_up(self) -> None:
        """Stop what is under way: newer values are wanted."""
        with self._lock:
            self._under_way = {}  # what is wanted is to be asked for again, even if it is the same
        if self._task is not None:
            self._task.cancel()

    def _dropped(self) -> None:
        """Stop what is under way, since some of its values are not wanted any more."""
        with self._lock:
            waits = bool(self._wanted)
        self._give_up()
        if waits:
            self._heard()
        else:
            self._backoff.reset()
            self._forget(*self._timers)

    def _plan(self, name: str, seconds: float, function: Any) -> None:
        """Have something done later, unless that is planned already."""

        def act() -> None:
            del self._timers[name]
            function()

        if name not in self._timers:
            self._timers[name] = asyncio.get_running_loop().call_later(seconds, act)

    def _forget(self, *names: str) -> None:
        for name in names:
            if name in self._timers:
                self._timers.pop(name).cancel()


def _is_same(one: Any, other: Any) -> bool:
    """Say whether two values are certainly the same; what cannot be compared is not."""
    try:
        return type(one) is type(other) and bool(one == other) and repr(one) == repr(other)
    except Exception:
        return False


def _now() -> float:
    return asyncio.get_running_loop().time()
