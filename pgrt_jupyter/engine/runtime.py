"""Coordinate: hear a change, decide, wait, run, tell.

Everything here runs on the engine's loop, which owns all state; what blocks goes to worker threads.
`loop` is the door for other threads.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar

import psycopg

from ..config import Conninfo
from ..errors import (
    CaptureFailed,
    ConfigurationError,
    EngineNotRunning,
    PermissionMissing,
    PgrtError,
    QueryFailed,
)
from . import analysis, capture, filters, refresh
from .asking import Asking
from .attention import Attention
from .audit import Audit
from .group import Group, Spec, Subscriber, shared
from .listener import Pulse
from .model import Operation
from .notification import Change, Unreadable, decode
from .relevance import Verdict
from .sessions import Sessions, translated
from .throttle import Action, Decision
from .workers import Workers

log = logging.getLogger("pgrt_jupyter")
T = TypeVar("T")

_READ_ONLY_OR_DENIED = ("25006", "42501")  # analysis needs a temporary function


class Runtime:
    """Own every group of one engine."""

    def __init__(
        self,
        conninfo: Conninfo,
        *,
        pool_size: int,
        pulse: Pulse,
        audit_seconds: float,
        report: Callable[[Group | None, PgrtError], None],
    ) -> None:
        self.groups: set[Group] = set()
        self.unreadable = 0  # notifications that none of our triggers sent
        self._by_spec: dict[tuple[Any, ...], Group] = {}
        self._by_member: dict[int, set[Group]] = {}
        self._conninfo = conninfo
        self._report = report
        self._sessions = Sessions()
        self._workers = Workers(pool_size, "pgrt-worker")
        self._attention = Attention(conninfo, self, pulse)
        self._asking = Asking(conninfo, self._sessions, self._workers, self)
        self._audit = Audit(self, self._attention, self._asking, audit_seconds)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def open(self) -> None:
        """Begin to listen; raises ServerUnavailable."""
        await self._attention.open()
        self._spawn(self._audit.run())

    # -- subscriptions

    async def subscribe(self, spec: Spec, subscriber: Subscriber) -> Group:
        """Make a query live and run it once; raises what is wrong with it, and then nothing is left."""
        if self._closed:
            raise EngineNotRunning
        group = self._by_spec.get(shared(spec))
        if group is not None and not group.closed and group.error is None and group.snapshot:
            return await self._join(group, subscriber)
        group = await self._analysed_group(spec)
        group.subscribers[subscriber] = False
        self._register(group)
        try:
            await self.ensure_capture(group)
            await self.run_now(group)
            if group.error is not None:
                raise group.error
        except BaseException:
            self._forget(group)
            raise
        return group

    async def _join(self, group: Group, subscriber: Subscriber) -> Group:
        """Share a query that runs; it runs once more, so that what was committed before is in it."""
        group.subscribers[subscriber] = False
        self._space(group)
        try:
            await self.run_now(group)
            if group.error is not None:
                raise group.error
        except BaseException:
            self.unsubscribe(group, subscriber)
            raise
        return group

    async def _analysed_group(self, spec: Spec) -> Group:
        """Analyse a query and check its key and its filter."""
        analysed = await self.analyse(spec)
        relations, columns = analysed.dependencies.relations, analysed.dependencies.columns
        _check_key(spec.key, [column.name for column in columns])
        with translated(spec.statement):
            rule = await self.on_server(
                partial(
                    filters.compile_filter,
                    refresh=spec.refresh,
                    relations=relations,
                    columns=columns,
                ),
                spec.conninfo,
            )
        return Group(spec=spec, analysed=analysed, rule=rule)

    async def analyse(self, spec: Spec) -> analysis.Analysed:
        """Analyse under the query's role; where that may not, under the installing one, same names."""
        work = partial(analysis.analyse, statement=spec.statement)
        with translated(spec.statement):
            try:
                return await self.on_server(work, spec.conninfo)
            except psycopg.Error as error:
                if error.sqlstate not in _READ_ONLY_OR_DENIED:
                    raise
                if spec.conninfo.value == self._conninfo.value:
                    raise
            path = await self.on_server(analysis.search_path, spec.conninfo)
            return await self.on_server(partial(work, search_path=path))

    def unsubscribe(self, group: Group, subscriber: Subscriber) -> None:
        """Let go of a query; the last subscriber ends it."""
        group.subscribers.pop(subscriber, None)
        group.intervals.pop(subscriber, None)
        if not group.subscribers:
            self._forget(group)
        elif group.paused:
            self._rest(group)
        else:
            self._space(group)

    def pause(self, group: Group, subscriber: Subscriber, paused: bool) -> None:
        """Stop or go on running a query that only this subscriber wants."""
        if subscriber not in group.subscribers:
            return
        was, group.subscribers[subscriber] = group.paused, paused
        if group.paused:
            self._rest(group)
        elif was:
            self.changed(group)
        group.notify()

    def _rest(self, group: Group) -> None:
        """Plan nothing and wait for nothing while nobody wants updates."""
        group.cancel_timers()
        self._attention.settle_soon()

    def set_throttle(self, group: Group, subscriber: Subscriber, milliseconds: int) -> None:
        """Change one subscriber's interval; it counts for a run that waits already."""
        if subscriber in group.subscribers:
            group.intervals[subscriber] = milliseconds / 1000
            self._space(group)

    def _space(self, group: Group) -> None:
        """Have a run that waits wait for as long as its subscribers want now."""
        group.space()
        if group.timer is not None:
            group.timer.cancel()
            group.timer = None
        self._act(group, group.throttle.decide(self._now()))

    def _register(self, group: Group) -> None:
        self.groups.add(group)
        self._by_spec[shared(group.spec)] = group

    def _forget(self, group: Group) -> None:
        group.closed = True
        group.cancel_timers()
        self.groups.discard(group)
        for found in self._by_member.values():
            found.discard(group)
        if self._by_spec.get(shared(group.spec)) is group:
            del self._by_spec[shared(group.spec)]
        for future in group.next_run:
            future.cancel()
        self._attention.settle_soon()

    # -- capture

    async def ensure_capture(self, group: Group) -> bool:
        """See to it that every table the query reads is watched, or that the query polls.

        Says whether triggers were missing, or tables have joined, so that a change may have been missed.
        """
        oids = [relation.oid for relation in group.analysed.dependencies.relations]
        before = set(group.watches)
        with translated(group.spec.statement):
            group.watch(await self.on_server(partial(capture.families, oids=oids)))
            for found in self._by_member.values():
                found.discard(group)  # a partition may have left
            for member in group.watches:
                self._by_member.setdefault(member, set()).add(group)
            done = await self.on_server(partial(capture.complete, members=group.members))
        group.covered = group.covered and set(group.watches) == before
        self._tell_problems(group, done.problems)
        return bool(done.installed) or set(group.watches) != before

    def _tell_problems(self, group: Group, problems: Sequence[CaptureFailed]) -> None:
        """Have the query poll where it cannot be told of changes."""
        if any(problem.is_busy for problem in problems):
            self._audit.soon()
        for cause, message in (
            ("capture", "; ".join(str(problem) for problem in problems)),
            ("deaf", self._attention.deaf_because),
        ):
            if message:
                self.polls(group, cause, message)
            else:
                group.polls_because.pop(cause, None)

    def polls(self, group: Group, cause: str, message: str) -> None:
        """Have a query poll for a reason, told once."""
        if group.polls_because.get(cause) != message:
            group.polls_because[cause] = message
            log.warning("A live query polls every %g s: %s", group.max_age or 0, message)
            self._plan_poll(group)
            group.notify()

    # -- hearing

    def heard(self, payloads: list[str]) -> None:
        """Take a whole batch of notifications, then act."""
        due: set[Group] = set()
        images = False
        for payload in set(payloads):
            change = decode(payload)
            if isinstance(change, Unreadable):
                self.unreadable += 1
                continue
            for group in self._by_member.get(change.relation, ()):
                verdict = group.verdict(change)
                if verdict is Verdict.REFRESH:
                    due.add(group)
                images = images or self._needs_images(group, change, verdict)
        for group in due:
            self.changed(group)
        if images:
            self._asking.read_soon()
        if any(group.throttle.dirty for group in due):
            self._attention.settle_soon()

    def _needs_images(self, group: Group, change: Change, verdict: Verdict) -> bool:
        """Say whether the filter is to be asked about row images; a truncate has none."""
        if group.rule is None or group.rule.function is None:
            return verdict is Verdict.UNSURE
        if change.operation is Operation.TRUNCATE:
            self._asking.ask_about_truncate(group, change.relation)
            return False
        return change.images

    async def before_images(self) -> None:
        """Note from when on images are to be read."""
        await self._asking.begin()

    def regained(self) -> None:
        """Catch up after an outage: check the triggers and run everything."""
        self._asking.restart()
        for group in self.groups:
            group.outage = ""
            self._spawn(self._catch_up(group))

    async def _catch_up(self, group: Group) -> None:
        try:
            await self.ensure_capture(group)
        except (PgrtError, psycopg.Error) as error:
            log.info("checking triggers failed, the audit will do it: %s", error)
        self.changed(group)

    def report(self, group: Group | None, error: PgrtError) -> None:
        """Tell the user about an error that did not stop a query."""
        self._report(group, error)

    # -- running

    def changed(self, group: Group) -> None:
        """Have a query run as soon as its throttle lets it."""
        if not group.closed:
            self._act(group, group.throttle.changed(self._now()))

    async def run_now(self, group: Group) -> None:
        """Run a query as soon as possible and wait until a run that began after this call has ended."""
        if group.closed:
            raise EngineNotRunning("The live query is closed.")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        group.next_run.append(future)
        self._act(group, group.throttle.forced(self._now()), even_paused=True)
        await future

    def _act(self, group: Group, decision: Decision, *, even_paused: bool = False) -> None:
        """Do what the throttle decided."""
        if group.closed or (group.paused and not even_paused):
            return
        if decision.action is Action.START:
            self._start(group)
        elif decision.action is Action.WAIT and group.timer is None:
            loop = asyncio.get_running_loop()
            group.timer = loop.call_at(decision.at, self._due, group)

    def _due(self, group: Group) -> None:
        group.timer = None
        self._act(group, group.throttle.decide(self._now()))

    def _start(self, group: Group) -> None:
        if group.timer is not None:
            group.timer.cancel()
            group.timer = None
        group.throttle.started(self._now())
        waiting, group.next_run = group.next_run, []
        self._spawn(self._run(group, waiting))

    async def _run(self, group: Group, waiting: list[asyncio.Future[None]]) -> None:
        """Cover, run, publish; then whatever the throttle says."""
        epoch = self._attention.epoch
        try:
            if group.reanalyse:
                await self.reanalyse(group)
            await self._attention.cover(group)
            work = partial(refresh.run, query=group.query, previous=group.snapshot)
            group.succeeded(await self.on_server(work, group.spec.conninfo))
            group.synced = group.synced or epoch == self._attention.epoch != 0
        except PgrtError as error:
            await self._add_grants(group, error)
            self._failed(group, error)
        except Exception as error:
            failure = QueryFailed(f"The result could not be read: {error}")
            failure.__cause__ = error
            self._failed(group, failure)
        finally:
            decision = group.throttle.finished(self._now())
            if not group.closed:
                group.notify()
                self._plan_poll(group)
            for future in waiting:
                if not future.done():
                    future.set_result(None)
        self._act(group, decision, even_paused=bool(group.next_run))

    async def _add_grants(self, group: Group, error: PgrtError) -> None:
        """Say in the hint which GRANT statements would help."""
        if not isinstance(error, PermissionMissing):
            return
        work = partial(analysis.missing_grants, oids=group.analysed.dependencies.named)
        try:
            grants = await self.on_server(work, group.spec.conninfo)
        except (PgrtError, psycopg.Error):
            return
        if grants:
            error.hint = f"ask for: {' '.join(grants)}"

    def _failed(self, group: Group, error: PgrtError) -> None:
        """Keep the last result, tell, and try again by itself."""
        news = str(error) != str(group.error)
        group.failed(error)
        if news and group.snapshot is not None:
            self._report(group, error)

    async def reanalyse(self, group: Group) -> None:
        """Find out anew what a query depends on, after its tables changed."""
        group.analysed = await self.analyse(group.spec)
        group.covered = False
        await self.ensure_capture(group)
        group.reanalyse = False

    def _plan_poll(self, group: Group) -> None:
        """Plan the next run that no notification asks for."""
        if group.poll_timer is not None:
            group.poll_timer.cancel()
            group.poll_timer = None
        delay = group.max_age
        if group.error is not None:
            delay = min(group.backoff.next(), delay or 30.0)
        if delay is not None and not group.closed and not group.paused:
            loop = asyncio.get_running_loop()
            group.poll_timer = loop.call_later(delay, self.changed, group)

    # -- helpers

    async def on_server(self, work: Callable[[Any], T], conninfo: Conninfo | None = None) -> T:
        """Do blocking work with a connection on a worker thread."""
        target = conninfo or self._conninfo
        return await self._workers.run(lambda: self._sessions.run(target, work))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """End every query and give everything back."""
        self._closed = True
        for group in list(self.groups):
            group.closed = True
            group.cancel_timers()
            group.notify()
        self._asking.close()
        for task in list(self._tasks):
            task.cancel()
        await self._attention.close()

    def stop_workers(self, timeout: float) -> None:
        """Cancel what still runs on the server and end the threads; blocks, so not on the loop."""
        self._sessions.cancel()
        self._workers.stop(timeout)
        self._sessions.close()


def _check_key(key: Sequence[str] | None, columns: Sequence[str]) -> None:
    """Refuse a key that the result does not carry."""
    missing = [name for name in key or () if name not in columns]
    if missing:
        raise ConfigurationError(
            f"key names the column {missing[0]!r}, which the result does not have.",
            hint=f"it has {', '.join(columns)}.",
        )
