"""Keep listening: hold the locks that make triggers speak, and never lose a change in between.

A query is covered by three steps, in this order: hold the keys (from now on writers speak), look up the
writers in flight (they may have found nobody waiting), run. If there was such a writer, the query runs
once more when it has ended; nobody waits for anybody. When the connection is lost everything is stale
until it is back and every query has run again.

Longer than most files because covering a query and coming back after a loss share the listener, and each must
look, after every wait, whether the other has replaced it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Protocol

import psycopg

from ..config import Conninfo
from ..errors import PgrtError, ServerUnavailable
from . import interest
from .backoff import Backoff
from .group import Group
from .listener import CannotListen, Listener, Pulse
from .tasks import Tasks

log = logging.getLogger("pgrt_jupyter")

_FIRST_WAIT = 0.1  # seconds before the first attempt to reconnect
_CREDENTIALS = "28"  # SQLSTATE class: invalid authorization


class Owner(Protocol):
    """What this part needs of the runtime."""

    @property
    def groups(self) -> set[Group]:
        """Give every live query."""

    def changed(self, group: Group) -> None:
        """Have the query run again."""

    def read_images(self) -> None:
        """Read row images again."""

    def heard(self, payloads: list[str]) -> None:
        """Take a batch of notifications."""

    def doubt(self, *, silent: bool) -> None:
        """Trust no query connection any more that may have gone the same way."""

    def on_timeline(self, timeline: int) -> None:
        """Use no primary of an older timeline."""

    def regained(self) -> None:
        """Catch up: anything may have happened."""

    async def before_images(self) -> None:
        """Prepare to read row images; awaited before triggers are asked to write them."""

    def report(self, group: Group | None, error: PgrtError) -> None:
        """Tell the user about an error that did not stop a query."""

    def polls(self, group: Group, cause: str, message: str) -> None:
        """Have a query poll for a reason."""


class Attention:
    """Own the listener and its successors; lives on the engine's loop."""

    def __init__(self, conninfo: Conninfo, owner: Owner, pulse: Pulse) -> None:
        self._conninfo = conninfo
        self._owner = owner
        self._pulse = pulse
        self._listener: Listener | None = None
        self._turn = asyncio.Lock()
        self._ledger: interest.Ledger[Group] = interest.Ledger()
        self._changed: set[Group] = set()  # whose needs are to be asked for again
        self._uncovered: set[Group] = set()  # that poll because keys could not be had
        self._unkept: set[Group] = set()  # that do without keys of changed rows
        self._settling: asyncio.Task[None] | None = None
        self._unread_of: set[int] = set()  # relations whose writers are to be looked up together
        self._looking: asyncio.Task[frozenset[str]] | None = None
        self._tasks = Tasks()
        self._backoff = Backoff(_FIRST_WAIT, pulse.longest_wait)
        self._watcher: asyncio.Task[None] | None = None
        self._opened_at = 0.0
        self._closed = False
        self._connections = 0
        self._history = (0, 0)  # of the newest primary: its cluster, its timeline
        self.deaf_because = ""  # why notifications cannot arrive at all

    @property
    def listening(self) -> bool:
        """Say whether changes are being heard."""
        return self._listener is not None and self._listener.alive

    @property
    def server(self) -> float:
        """Say which server changes are heard from, by when it was started; 0 while none is."""
        return self._listener.server if self._listener is not None and self.listening else 0

    @property
    def patience(self) -> float:
        """Give the seconds within which silence is noticed."""
        return self._pulse.interval + self._pulse.deadline

    @property
    def epoch(self) -> int:
        """Number the time since the last connection was made; 0 while nothing can be known."""
        return self._connections if self.listening or self.deaf_because else 0

    async def open(self) -> None:
        """Start listening; raises ServerUnavailable. Where listening cannot work, says so and goes on."""
        try:
            await self._connect()
        except CannotListen as error:
            self._be_deaf(error)

    async def _connect(self) -> None:
        listener = Listener(
            self._conninfo, heard=self._owner.heard, lost=self._lost, pulse=self._pulse
        )
        await listener.open()
        self._refuse_older(listener)
        self._listener = listener
        self._connections += 1
        self._opened_at = asyncio.get_running_loop().time()
        self.deaf_because = ""

    def _refuse_older(self, listener: Listener) -> None:
        """Refuse a primary that another one has taken the place of: what is written there is gone."""
        (cluster, timeline), (known, newest) = listener.history, self._history
        if cluster == known and timeline < newest:
            listener.close()
            raise ServerUnavailable(
                f"The server is an old primary (timeline {timeline}, where {newest} has been heard)."
            )
        self._history = listener.history if cluster else self._history
        self._owner.on_timeline(self._history[1])

    def _be_deaf(self, error: CannotListen) -> None:
        """Poll, and try again now and then."""
        self._connections += 1
        self.deaf_because = error.message
        log.warning("pgrt_jupyter polls: %s", error)
        self._tasks.spawn(self._reconnect(self._pulse.hopeless_wait))

    async def cover(self, group: Group) -> None:
        """Make sure that no change from now on is missed; call before the query runs."""
        if group.covered or not self.listening:
            return
        listener = self._listener
        self._changed.add(group)
        await self.settle()
        if not self.listening or self._listener is not listener:
            return  # lost meanwhile: everything runs again after it
        try:
            writers = await self.look_up_writers(group)
        except psycopg.Error:
            return  # the loss has been reported
        same = self._listener is listener
        group.covered = same and not group.throttle.dirty and not group.paused
        if same and group.keeping.is_on and self._ledger.wants(group) and group not in self._unkept:
            group.keeping.began(writers)

    async def look_up_writers(self, group: Group) -> frozenset[str]:
        """Note who may have found nobody waiting; the query runs again when they have ended."""
        writers = await self._writers(group.watches)
        group.awaited |= writers
        return writers

    async def arm(self, group: Group) -> None:
        """Have changes announced again of which only images were written."""
        if not self.listening:
            return  # everything runs again when it is back
        self._changed.add(group)
        await self.settle()
        with suppress(psycopg.Error):  # the loss has been reported
            await self.look_up_unread(group)

    async def look_up_unread(self, group: Group) -> None:
        """Note who may have written without telling; images are read again when they have ended.

        Queries that ask at the same moment are answered together: to read once too often does no harm.
        """
        self._unread_of.update(group.watches)
        if self._looking is None:
            self._looking = self._tasks.spawn(self._look())
        writers = await asyncio.shield(self._looking)
        group.unread |= writers

    async def _look(self) -> frozenset[str]:
        """List who may have written to the tables of all who have asked by now."""
        await asyncio.sleep(0)
        relations, self._unread_of, self._looking = self._unread_of, set(), None
        return await self._writers(relations) if self.listening else frozenset()

    async def _writers(self, relations: Iterable[int]) -> frozenset[str]:
        """List who may have written to these tables and has not ended, and watch for their end."""
        assert self._listener is not None
        writers = await self._listener.writers(relations)
        if writers and (self._watcher is None or self._watcher.done()):
            self._watcher = self._tasks.spawn(self._watch_writers())
        return writers

    async def settle(self) -> None:
        """Hold exactly the keys that the queries' states ask for."""
        async with self._turn:
            while self._changed and await self._settle_once():
                pass  # somebody may have changed their mind meanwhile

    async def _settle_once(self) -> bool:
        """Say whether it could be done."""
        listener = self._listener  # while it is awaited it may be lost and replaced
        if listener is None or not listener.alive:
            return False
        self._take_needs()
        plan = self._ledger.plan()
        if self._ledger.wants_rows:
            await self._owner.before_images()
        try:
            refused = await listener.hold(plan.keys)
            await listener.release(listener.held - plan.keys.keys())
        except psycopg.Error:
            return False  # the loss has been reported
        uncovered = plan.uncovered | {plan.keys[key] for key in refused}
        self._tell_unkept(uncovered | plan.unkept)
        self._tell_uncovered(uncovered)
        return True

    def settle_soon(self, groups: Iterable[Group]) -> None:
        """Let go, without waiting, of what these queries do not ask for any more."""
        self._changed.update(groups)
        if self._settling is None or self._settling.done():
            self._settling = self._tasks.spawn(self.settle())

    def _take_needs(self) -> None:
        """Ask the queries whose state changed what they need."""
        changed, self._changed = self._changed, set()
        for group in changed:
            needs = group.needs()
            group.covered = group.covered and group.hears(needs)
            if not needs:
                group.keeping.gap()
            self._ledger.put(group, needs)

    def _tell_unkept(self, families: Collection[int]) -> None:
        """Have the queries read all of their results that cannot be told which rows changed."""
        unkept = set(self._ledger.who_wants(families)) if families else set()
        for group in unkept ^ self._unkept:
            group.lose_track()
        self._unkept = unkept

    def _tell_uncovered(self, families: Collection[int]) -> None:
        """Have the queries poll whose keys could not be had, and those no more whose keys could."""
        uncovered = set(self._ledger.who_wants(families)) if families else set()
        waiting = {g for g in self._uncovered if not g.closed and not self._ledger.wants(g)}
        for group in self._uncovered - uncovered - waiting:
            group.doubts.polls_because.pop("keys", None)
        for group in uncovered:
            self._owner.polls(group, "keys", "too many locks are held to wait for its changes")
        self._uncovered = uncovered | waiting

    async def _watch_writers(self) -> None:
        """Run queries, or read images, again when the writers they await have ended."""
        pause = 0.01
        while True:
            await asyncio.sleep(pause)
            waiting = [group for group in self._owner.groups if group.awaited or group.unread]
            if not waiting:
                return
            pause = min(pause * 1.5, 0.5)
            if not self.listening:
                return
            assert self._listener is not None
            relations = {oid for group in waiting for oid in group.watches}
            try:
                present = await self._listener.writers(relations)
            except psycopg.Error:
                return
            if any((group.awaited | group.unread) - present for group in waiting):
                pause = 0.01
            self._end_waiting(waiting, present)

    def _end_waiting(self, waiting: Iterable[Group], present: frozenset[str]) -> None:
        """Act for the queries whose writers are not all present any more."""
        for group in waiting:
            group.keeping.ended(present)
            if group.awaited - present:
                group.awaited &= present
                self._owner.changed(group)
            if group.unread - present:
                group.unread &= present
                self._owner.read_images()

    def _lost(self, reason: str) -> None:
        """Note that nothing is heard any more, and begin to mend it."""
        listener, self._listener = self._listener, None
        if listener is None or self._closed:
            return
        silent = listener.silent
        self._tasks.spawn(listener.dispose())
        self._owner.doubt(silent=silent)
        lost = ServerUnavailable(f"The connection was lost: {reason}; reconnecting.")
        self._owner.report(None, lost)
        loop = asyncio.get_running_loop()
        if loop.time() - self._opened_at >= self._pulse.healthy_after:
            self._backoff.reset()
        self._tell_outage(f"connection lost: {reason}")
        self._tasks.spawn(self._reconnect(self._backoff.next()))

    def _tell_outage(self, message: str) -> None:
        for group in self._owner.groups:
            group.lose_track()
            group.doubts.synced = False
            group.awaited = group.unread = frozenset()
            group.doubts.outage = message
            group.notify()

    async def _reconnect(self, delay: float) -> None:
        """Try until it works, for ever."""
        while not self._closed:
            await asyncio.sleep(delay)
            try:
                await self._connect()
            except CannotListen as error:
                if error.message != self.deaf_because:
                    self._connections += 1
                    self.deaf_because = error.message
                    self._owner.regained()
                delay = self._pulse.hopeless_wait
            except PgrtError as error:
                delay = self._failed_again(error)
            except Exception as error:  # no descriptor or thread to be had; it must not end here
                why = f"No connection can be made: {type(error).__name__}"
                delay = self._failed_again(ServerUnavailable(why))
            else:
                self._owner.regained()
                return

    def _failed_again(self, error: PgrtError) -> float:
        """Say for people why there is no connection yet, and give the seconds until the next attempt."""
        delay = self._backoff.next()
        if (error.sqlstate or "").startswith(_CREDENTIALS):
            delay = self._pulse.hopeless_wait
        told = " ".join(str(error).splitlines()) if error.sqlstate else error.message
        self.deaf_because = ""  # so that all is caught up with when it answers again
        self._tell_outage(
            f"reconnecting, attempt {self._backoff.attempts}, next in {delay:.2g} s: {told}"
        )
        return delay

    async def queue_usage(self) -> float:
        """Say how full the notification queue is, 0 to 1."""
        return await self._listener.queue_usage() if self._listener is not None else 0.0

    def close(self) -> None:
        """Stop listening; every lock is gone with the connection."""
        self._closed = True
        self._tasks.close()
        if self._listener is not None:
            self._listener.close()
