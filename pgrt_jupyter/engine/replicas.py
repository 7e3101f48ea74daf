"""Run queries on standbys without going back in time: only once they have replayed what was heard of.

A notification comes from the primary when a transaction has committed; a standby shows its rows when it
has replayed the commit. So the primary is asked how far its log is written, after the change was heard
and the writers in flight were looked up, and the run waits until the very session it uses has replayed
that far, on the timeline the primary is on. While it waits for long the query says that it is stale; its
first result does not wait for ever. Where several servers are named another one is tried then.

A session that is on no standby must be on the server that is listened to: of what happens on a standby that
somebody promoted, or on an old primary that came back, nothing is heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import psycopg

from ..config import Conninfo
from ..errors import EngineNotRunning, QueryFailed, ServerUnavailable
from .attention import Attention
from .connection import Connection, on_standby, server_of
from .group import Group
from .server import Server
from .sql import load
from .translation import translated

T = TypeVar("T")

PATIENCE = 5.0  # seconds until people are told, and until a first result comes as it is
_PAUSES = (0.002, 0.25)  # seconds between two looks: the first, and the longest
_CONFLICT = "40001"  # replaying removed rows that the query still needed
_TRIES = 5  # of a query that replaying cancelled


@dataclass(frozen=True, slots=True)
class _Written:
    """Say how far the primary's log is written."""

    position: int  # bytes
    timeline: int  # another one after each promotion; 0 where there is no primary to ask


class _Behind(Exception):
    """The session is on a standby that has not replayed enough, or it is not known how much that is."""

    def __init__(self, words: str = "") -> None:
        self.words = words  # for people; nothing while it is not known


class _Elsewhere(Exception):
    """The session is on a primary, and it is not the one that is listened to."""


class Replicas:
    """Know which connection strings lead to standbys; lives on the engine's loop."""

    def __init__(self, server: Server, attention: Attention) -> None:
        self._server = server
        self._attention = attention
        self._standbys: set[Conninfo] = set()

    async def run(self, group: Group, work: Callable[[Connection], T]) -> T:
        """Await `work(connection)` under the query's role, on a server that shows every change heard of.

        Raises what `work` raises, ServerUnavailable where only another server is to be had, and
        EngineNotRunning when the query is closed meanwhile.
        """
        if group.spec.conninfo == self._server.conninfo and self._attention.deaf_because:
            return await self._server.run(work)
        tries = _TRIES
        while True:
            try:
                return await self._run(group, work)
            except QueryFailed as error:
                tries -= 1
                if error.sqlstate != _CONFLICT or not tries:
                    raise

    async def _run(self, group: Group, work: Callable[[Connection], T]) -> T:
        """Wait for as long as the standby is behind; one that was promoted is not."""
        conninfo, began, pause = group.spec.conninfo, _now(), _PAUSES[0]
        epoch, written, moved = -1, None, began
        while not group.closed:
            patient = group.snapshot is not None or _now() - began <= PATIENCE
            leave = _now() - moved > PATIENCE and conninfo.names_several
            moved = _now() if leave else moved
            try:
                if conninfo in self._standbys and epoch != self._attention.epoch:
                    present = self._attention.epoch
                    epoch, written = present, await self._written()
                check = replace(self._check(), written=written, patient=patient, leave=leave)
                done = await self._server.run(partial(check, work), conninfo)
            except _Behind as behind:
                self._standbys.add(conninfo)
                if not behind.words:
                    continue
                self._wait_told(group, behind.words, _now() - began)
            except _Elsewhere:
                if _now() - began > PATIENCE:
                    raise ServerUnavailable(
                        f"The queries' server ({conninfo}) is a primary, but not the one that is heard.",
                        hint="it may be a standby that was promoted, or an old primary that came back.",
                    ) from None
            else:
                if patient:
                    group.doubts.behind = ""
                else:
                    group.doubts.behind = group.doubts.behind or "the replica has not caught up yet"
                    group.throttle.changed(_now())  # so that it runs once more, and then waits
                return done
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _PAUSES[1])
        raise EngineNotRunning("The live query is closed.")

    async def _written(self) -> _Written:
        """Ask the server that is listened to how far its log is written."""
        return await self._server.run(partial(self._check(), _position))

    def _check(self) -> _Check:
        return _Check(self._attention.server)

    def _wait_told(self, group: Group, words: str, waited: float) -> None:
        """Say, after a while, that what is shown is older than what was heard of."""
        if waited > PATIENCE and not group.doubts.behind:
            group.doubts.behind = words
            group.notify()


@dataclass(frozen=True, slots=True)
class _Check:
    """Do some work unless its session is on a server that lacks something; on a worker thread."""

    server: float  # that is listened to, by when it was started; 0 where none is
    written: _Written | None = None
    patient: bool = True  # work waits until nothing is lacking
    leave: bool = False  # a standby that lacks something, for another one

    def __call__(self, work: Callable[[Connection], T], connection: Connection) -> T:
        """Do it; raises _Behind and _Elsewhere."""
        if on_standby(connection):
            if self.patient:
                self._require_replayed(connection)
        else:
            self._require_ours(connection)
        return work(connection)

    def _require_ours(self, connection: Connection) -> None:
        """Leave a primary that is not listened to, and one that was a standby when it was chosen."""
        server = server_of(connection)
        if server.is_standby or (self.server and server.started != self.server):
            connection.close()
            raise _Elsewhere

    def _require_replayed(self, connection: Connection) -> None:
        if self.written is None:
            raise _Behind
        position, timeline = _replayed(connection)
        if not on_standby(connection):
            raise _Behind  # it has been promoted, which the server says with its first answer
        missing = self.written.position - position
        words = f"the replica is {missing:,} bytes of log behind" if missing > 0 else ""
        if not words and timeline and self.written.timeline not in (0, timeline):
            words = (
                f"the replica is on timeline {timeline} and the primary on {self.written.timeline}; "
                "with pg_read_all_stats the query's role sees sooner that it follows"
            )
        if words:
            if self.leave:
                connection.close()
            raise _Behind(words)


def _position(connection: Connection) -> _Written:
    """Read the primary's position; on a worker thread."""
    with translated():
        row = connection.execute(load("replica_written")).fetchone()
    if row is None or row[0] is None:
        return _Written(0, 0)
    return _Written(int(str(row[0])), int(str(row[1])))


def _replayed(connection: Connection) -> tuple[int, int]:
    """Read a standby's position and timeline, 0 where that may not be known; on a worker thread."""
    with translated():
        try:
            row = connection.execute(load("replica_followed")).fetchone()
        except psycopg.errors.InsufficientPrivilege:
            row = connection.execute(load("replica_replayed")).fetchone()
    position, *timeline = row or (0,)
    return int(str(position)), int(str(*timeline or (0,)))


def _now() -> float:
    return asyncio.get_running_loop().time()
