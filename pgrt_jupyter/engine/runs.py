"""Run queries when their throttles say so, one run of a query at a time, and tell what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import psycopg

from ..errors import EngineNotRunning, PgrtError, QueryFailed, ServerUnavailable
from . import refresh
from .attention import Attention
from .group import Group
from .preparation import Preparation
from .replicas import Replicas
from .server import Server
from .throttle import Action, Decision
from .translation import translate

_RETRY_CAP = 30.0  # seconds between tries of a query that fails


class Runs:
    """Start runs and plan the next; lives on the engine's loop."""

    def __init__(
        self,
        server: Server,
        attention: Attention,
        preparation: Preparation,
        report: Callable[[Group, PgrtError], None],
        is_late: Callable[[float, float], bool],
    ) -> None:
        self._is_late = is_late  # whether what was heard of then may be forgotten now
        self._lend = server.lend
        self._replicas = Replicas(server, attention)
        self._conninfo = server.conninfo
        self._attention = attention
        self._preparation = preparation
        self._report = report
        self._tasks: dict[asyncio.Task[None], Group] = {}

    def changed(self, group: Group) -> None:
        """Have a query run as soon as its throttle lets it."""
        if not group.closed:
            group.keeping.heard = group.keeping.heard or _now()
            self._act(group, group.throttle.changed(_now()))

    async def at_once(self, group: Group) -> None:
        """Run a query as soon as possible and wait until a run that began after this call has ended.

        Raises what the run came to.
        """
        if group.closed:
            raise EngineNotRunning("The live query is closed.")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        group.next_run.append(future)
        self._act(group, group.throttle.forced(_now()), even_paused=True)
        await future
        if group.error is not None:
            raise group.error

    def space(self, group: Group) -> None:
        """Have a run that waits wait for as long as its subscribers want now."""
        group.space()
        _cancel_timer(group)
        self._act(group, group.throttle.decide(_now()))

    def plan_poll(self, group: Group) -> None:
        """Plan the next run that no notification asks for."""
        if group.poll_timer is not None:
            group.poll_timer.cancel()
            group.poll_timer = None
        if (
            group.doubts.outage
            and isinstance(group.error, ServerUnavailable)
            and self._is_own(group)
        ):
            return  # everything runs again once the listener has got through
        delay = group.max_age
        if group.error is not None:
            delay = min(group.backoff.next(), delay or _RETRY_CAP)
        if delay is not None and not group.closed and not group.paused:
            loop = asyncio.get_running_loop()
            group.poll_timer = loop.call_later(delay, self.changed, group)

    def end(self, group: Group) -> None:
        """Stop a query's run, on the server too; nobody wants what it would come to."""
        for task, running in list(self._tasks.items()):
            if running is group:
                task.cancel()

    def close(self) -> None:
        """Stop every run."""
        for task in list(self._tasks):
            task.cancel()

    def _act(self, group: Group, decision: Decision, *, even_paused: bool = False) -> None:
        """Do what the throttle decided."""
        if group.closed or (group.paused and not even_paused):
            return
        if decision.action is Action.START:
            self._start(group)
        elif decision.action is Action.WAIT and group.timer is None:
            group.timer = asyncio.get_running_loop().call_at(decision.at, self._due, group)

    def _due(self, group: Group) -> None:
        group.timer = None
        self._act(group, group.throttle.decide(_now()))

    def _start(self, group: Group) -> None:
        _cancel_timer(group)
        group.throttle.started(_now())
        waiting, group.next_run = group.next_run, []
        task = asyncio.get_running_loop().create_task(self._run(group, waiting))
        self._tasks[task] = group
        task.add_done_callback(self._tasks.pop)

    async def _run(self, group: Group, waiting: list[asyncio.Future[None]]) -> None:
        """Cover, run, publish; then whatever the throttle says.

        In one piece: whatever it comes to, the same has to follow, in the same order.
        """
        epoch, late = self._attention.epoch, self._be_patient(group)
        try:
            if group.reanalyse:
                await self._preparation.again(group)
            if not group.covered:
                # What the listener is doing for everybody is not cut off with one query's run.
                await asyncio.shield(self._attention.cover(group))
            await self._read(group, whole=bool(waiting))
            if _may_be_improved(group):
                late.cancel()
                late = self._be_patient(group)
                self._answered(group, epoch)
                group.notify()  # nobody need wait for what makes later runs cheaper
                await self._improve(group)
        except PgrtError as error:
            await self._preparation.add_grants(group, error)
            self._failed(group, error)
        except psycopg.Error as error:  # while its connection was made ready
            self._failed(group, translate(error, group.spec.statement))
        except Exception as error:
            failure = QueryFailed(
                f"The result could not be read: {str(error) or type(error).__name__}"
            )
            failure.__cause__ = error
            self._failed(group, failure)
        finally:
            late.cancel()
            self._answered(group, epoch)
            decision = group.throttle.finished(_now())
            if not group.closed:
                group.notify()
                self.plan_poll(group)
            for future in waiting:
                if not future.done():
                    future.set_result(None)
        self._act(group, decision, even_paused=bool(group.next_run))

    async def _read(self, group: Group, *, whole: bool) -> None:
        """Run the query, as far as it changed where that is known; whole where somebody asked for a run."""
        keeping, began = group.keeping, _now()
        heard, keeping.heard = keeping.heard or began, None
        stand = keeping.stand
        query = group.query(late=whole or self._is_late(heard, began))
        if not self._is_own(group):
            query = replace(query, lend=self._lend)
        work = partial(refresh.run, query=query, previous=group.snapshot)
        outcome = await self._replicas.run(group, work)
        if outcome.replan:
            group.reanalyse = True
            self.changed(group)
        if keeping.took(outcome, stand):
            group.covered = False
            self._attention.settle_soon([group])
        group.succeeded(outcome)

    async def _improve(self, group: Group) -> None:
        """Find out how the result is brought up to date by what changed, or which rows can matter."""
        if group.keeping.is_due:
            await self._preparation.plan(group)
        if group.vigilance.is_due and not group.keeping.is_on:
            await self._preparation.attend(group)
            if not group.covered:
                self.changed(group)

    def _answered(self, group: Group, epoch: int) -> None:
        """Note that there is an answer, or an error, to what was asked then."""
        group.doubts.overdue = ""
        if not isinstance(group.error, ServerUnavailable):
            group.doubts.synced = group.doubts.synced or epoch == self._attention.epoch != 0

    def _be_patient(self, group: Group) -> asyncio.TimerHandle:
        """Have it told, after a while, that there is none."""
        patience = self._attention.patience
        return asyncio.get_running_loop().call_later(patience, _tell_overdue, group, patience)

    def _is_own(self, group: Group) -> bool:
        """Say whether a query connects just as the listener does."""
        return group.spec.conninfo == self._conninfo

    def _failed(self, group: Group, error: PgrtError) -> None:
        """Keep the last result, tell once, and try again by itself."""
        # An outage has been told of once, for all queries; of several servers each has words of its own.
        doubts = group.doubts
        told = doubts.outage or not doubts.synced or isinstance(group.error, ServerUnavailable)
        known = isinstance(error, ServerUnavailable) and told
        news = str(error) != str(group.error) and not known
        group.failed(error)
        if news and group.snapshot is not None:
            self._report(group, error)


def _may_be_improved(group: Group) -> bool:
    """Say whether it is time to find out how later runs take less."""
    keeping = group.keeping
    return keeping.is_due or (group.vigilance.is_due and not keeping.is_on)


def _cancel_timer(group: Group) -> None:
    """Forget the run that waits for its throttle."""
    if group.timer is not None:
        group.timer.cancel()
        group.timer = None


def _tell_overdue(group: Group, seconds: float) -> None:
    """Say that a run does not end: what it was to answer is not in the result that is shown."""
    group.doubts.overdue = f"the query has been running for more than {seconds:g} s"
    group.notify()


def _now() -> float:
    return asyncio.get_running_loop().time()
