"""Coordinate: subscribe, hear a change, decide, have the query run, tell.

Everything here runs on the engine's loop, which owns all state; what blocks goes to worker threads.
`loop` is the door for other threads.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import psycopg

from ..config import Conninfo
from ..errors import CaptureFailed, EngineNotRunning, PgrtError
from . import capture, connection
from .asking import Asking
from .attention import Attention
from .audit import Audit
from .group import Group
from .listener import Pulse
from .model import Operation
from .notification import Change, Unreadable, decode
from .preparation import Preparation
from .progress import Progress
from .relevance import Verdict
from .roster import Roster
from .rounds import Rounds
from .runs import Runs
from .server import Server
from .subscription import Spec, Subscriber
from .tasks import Tasks

log = logging.getLogger("pgrt_jupyter")


class Runtime:
    """Put the parts of one engine together."""

    def __init__(
        self,
        conninfo: Conninfo,
        *,
        pool_size: int,
        pulse: Pulse,
        audit_seconds: float,
        report: Callable[[Group | None, PgrtError], None],
    ) -> None:
        self.unreadable = 0  # notifications that none of our triggers sent
        self.notes: tuple[str, ...] | None = None  # what in the server's settings writers may feel
        self.report = report  # tells users about an error that did not stop the engine
        self._server = Server(conninfo, pool_size)
        self._roster = Roster()
        self._preparation = Preparation(self._server, self._roster, self)
        self._attention = Attention(conninfo, self, pulse)
        self._asking = Asking(self._server, self)
        self._runs = Runs(
            self._server, self._attention, self._preparation, report, self._asking.is_late
        )
        self._rounds = Rounds(self._asking, self._attention, self)
        self._audit = Audit(
            self, self._server, self._preparation, self._attention, self._asking, audit_seconds
        )
        self._tasks = Tasks()
        self._closed = False

    @property
    def groups(self) -> set[Group]:
        """Give every live query."""
        return self._roster.groups

    async def open(self) -> None:
        """Begin to listen; raises ServerUnavailable."""
        await self._attention.open()
        self._tasks.spawn(self._audit.run())

    async def peer(self) -> str:
        """Say who is at the other end; raises ServerUnavailable."""
        return await self._server.run(connection.peer)

    # -- subscriptions

    async def subscribe(
        self, spec: Spec, subscriber: Subscriber, progress: Progress | None = None
    ) -> Group:
        """Make a query live and run it once; raises what is wrong with it, and then nothing is left.

        A query that runs already is shared; it too runs once more, so that what was committed
        before this call is in its result.
        """
        if self._closed:
            raise EngineNotRunning
        shared = self._roster.to_share(spec)
        group = shared or await self._preparation.group(spec)
        group.subscribers[subscriber] = False
        group.progress = progress
        try:
            if shared is None:
                self._roster.add(group)
                await self._preparation.begin_capture(group)
                await self._preparation.plan(group)
                await self._caution()
            else:
                self._runs.space(group)
            if progress is not None:
                progress.doing = "running the query"
            await self._runs.at_once(group)
        except BaseException:
            self.unsubscribe(group, subscriber)
            raise
        finally:
            group.progress = None
        return group

    async def _caution(self) -> None:
        """Tell once what in the server's settings makes our triggers felt by writers."""
        if self.notes is not None:
            return
        self.notes = ()
        try:
            self.notes = await self._server.run(capture.cautions)
        except (PgrtError, psycopg.Error) as error:
            log.info("the server's settings could not be read: %s", error)
        for note in self.notes:
            log.warning("%s", note)

    def unsubscribe(self, group: Group, subscriber: Subscriber) -> None:
        """Let go of a query; the last subscriber ends it."""
        group.subscribers.pop(subscriber, None)
        group.intervals.pop(subscriber, None)
        if not group.subscribers:
            self._forget(group)
        elif group.paused:
            self._rest(group)
        else:
            self._runs.space(group)

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

    async def run_now(self, group: Group) -> None:
        """Run a query and wait; raises what the run came to."""
        await self._runs.at_once(group)

    def set_throttle(self, group: Group, subscriber: Subscriber, milliseconds: int) -> None:
        """Change one subscriber's interval; it counts for a run that waits already."""
        if subscriber in group.subscribers:
            group.intervals[subscriber] = milliseconds / 1000
            self._runs.space(group)

    def _rest(self, group: Group) -> None:
        """Plan nothing and wait for nothing while nobody wants updates."""
        group.cancel_timers()
        self._attention.settle_soon([group])

    def _forget(self, group: Group) -> None:
        """End a query that nobody subscribes to."""
        group.closed = True
        self._roster.remove(group)
        for future in group.next_run:
            future.cancel()
        self._runs.end(group)
        self._rest(group)

    # -- hearing

    def heard(self, payloads: list[str]) -> None:
        """Take a whole batch of notifications, then act; whatever goes wrong in it, nothing is lost."""
        try:
            self._hear(payloads)
        except Exception:
            log.exception("acting on notifications failed; every query runs again")
            for group in list(self.groups):
                self.changed(group)

    def _hear(self, payloads: list[str]) -> None:
        """Decide about each notification, then act."""
        due: set[Group] = set()
        asked: set[Group] = set()
        for payload in set(payloads):
            change = decode(payload)
            if isinstance(change, Unreadable):
                self.unreadable += 1
                continue
            for group in self._roster.watching(change.relation):
                if change.operation is None:
                    group.lose_track()  # the trigger that could not tell may have written nothing
                verdict = group.verdict(change)
                if verdict is Verdict.REFRESH:
                    group.note(change)
                    due.add(group)
                if verdict is not Verdict.IGNORE and self._asks(group, change):
                    asked.add(group)
        for group in due:
            self.changed(group)
        for group in asked:
            self._rounds.heard(group)
        if waiting := [group for group in due if group.throttle.dirty]:
            self._attention.settle_soon(waiting)

    def _asks(self, group: Group, change: Change) -> bool:
        """Say whether images are to be read for a query; a truncate has none to show to a function."""
        if not group.asks_about(group.watches[change.relation].relation):
            return False
        if group.has_function and change.operation is Operation.TRUNCATE:
            self._asking.ask_about_truncate(group, change.relation)
        return True

    def changed(self, group: Group) -> None:
        """Have a query run as soon as its throttle lets it."""
        self._runs.changed(group)

    # -- what the parts need of the whole

    def polls(self, group: Group, cause: str, message: str) -> None:
        """Have a query poll for a reason, told once."""
        if group.doubts.polls_because.get(cause) != message:
            group.doubts.polls_because[cause] = message
            log.warning("A live query polls every %g s: %s", group.max_age or 0, message)
            self._runs.plan_poll(group)
            group.notify()

    def told_problems(self, group: Group, problems: Sequence[CaptureFailed]) -> None:
        """Have a query poll where it cannot be told of changes."""
        if any(problem.is_busy for problem in problems):
            self._audit.soon()
        for cause, message in (
            ("capture", "; ".join(str(problem) for problem in problems)),
            ("deaf", self._attention.deaf_because),
        ):
            if message:
                self.polls(group, cause, message)
            else:
                group.doubts.polls_because.pop(cause, None)

    def read_images(self) -> None:
        """Read what those wrote who have ended meanwhile."""
        self._asking.read_soon()

    async def before_images(self) -> None:
        """Note from when on images are to be read."""
        await self._asking.begin()

    def doubt(self, *, silent: bool) -> None:
        """Trust no query connection any more that may have gone the way of the listener's."""
        self._server.doubt(silent=silent)

    def on_timeline(self, timeline: int) -> None:
        """Use no primary of an older timeline than that of the one that is heard."""
        self._server.timeline = timeline

    def regained(self) -> None:
        """Catch up after an outage: check the triggers and run everything."""
        self._asking.restart()
        for group in self.groups:
            group.doubts.outage = ""
            self._tasks.spawn(self._catch_up(group))

    async def _catch_up(self, group: Group) -> None:
        try:
            # It may be another server than the one that was lost.
            if await self._preparation.is_redefined(group):
                group.reanalyse = True
            else:
                await self._preparation.ensure_capture(group)
        except Exception as error:  # whatever it is, the query runs again
            log.info("checking triggers failed, the audit will do it: %s", error)
        self.changed(group)

    # -- the end

    def close(self) -> None:
        """End every query and stop listening; a second time nothing happens."""
        if self._closed:
            return
        self._closed = True
        for group in list(self.groups):
            group.closed = True
            group.cancel_timers()
            group.notify()
        self._rounds.close()
        self._asking.close()
        self._runs.close()
        self._tasks.close()
        self._attention.close()

    def stop_workers(self, timeout: float) -> None:
        """Cancel what still runs on the server and end the threads; blocks, so not on the loop."""
        self._server.stop(timeout)
