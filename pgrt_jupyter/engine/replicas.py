"""Run queries on standbys without going back in time: only once they have replayed what was heard of.

A notification comes from the primary when a transaction has committed; a standby shows its rows when it
has replayed the commit. So the primary is asked how far its log is written, after the change was heard
and the writers in flight were looked up, and the run waits until the very session it uses has replayed
that far. While it waits for long the query says that it is stale; its first result does not wait for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from ..config import Conninfo
from ..errors import EngineNotRunning, QueryFailed
from .attention import Attention
from .connection import Connection
from .group import Group
from .server import Server
from .sql import load
from .translation import translated

T = TypeVar("T")

PATIENCE = 5.0  # seconds until people are told, and until a first result comes as it is
_PAUSES = (0.002, 0.25)  # seconds between two looks: the first, and the longest
_CONFLICT = "40001"  # replaying removed rows that the query still needed
_TRIES = 5  # of a query that replaying cancelled


class _Behind(Exception):
    """The session is on a standby that has not replayed enough, or it is not known how much that is."""

    def __init__(self, missing: int | None) -> None:
        self.missing = missing  # bytes


class Replicas:
    """Know which connection strings lead to standbys; lives on the engine's loop."""

    def __init__(self, server: Server, attention: Attention) -> None:
        self._server = server
        self._attention = attention
        self._standbys: set[Conninfo] = set()

    async def run(self, group: Group, work: Callable[[Connection], T]) -> T:
        """Await `work(connection)` under the query's role, on a server that shows every change heard of.

        Raises what `work` raises, and EngineNotRunning when the query is closed meanwhile.
        """
        if group.spec.conninfo == self._server.conninfo:
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
        epoch, written = -1, None
        while not group.closed:
            if conninfo in self._standbys and epoch != self._attention.epoch:
                epoch, written = self._attention.epoch, await self._written()
            patient = group.snapshot is not None or _now() - began <= PATIENCE
            try:
                done = await self._server.run(partial(_caught_up, written, patient, work), conninfo)
            except _Behind as behind:
                self._standbys.add(conninfo)
                if behind.missing is not None:
                    self._wait_told(group, behind.missing, _now() - began)
                    await asyncio.sleep(pause)
                    pause = min(pause * 1.5, _PAUSES[1])
                continue
            if patient:
                group.doubts.behind = ""
            else:
                group.doubts.behind = group.doubts.behind or "the replica has not caught up yet"
                group.throttle.changed(_now())  # so that it runs once more, and then waits
            return done
        raise EngineNotRunning("The live query is closed.")

    async def _written(self) -> int:
        """Ask the primary how far its log is written; 0 where there is no primary to ask."""
        return await self._server.run(_position)

    def _wait_told(self, group: Group, missing: int, waited: float) -> None:
        """Say, after a while, that what is shown is older than what was heard of."""
        if waited > PATIENCE and not group.doubts.behind:
            group.doubts.behind = f"the replica is {missing:,} bytes of log behind"
            group.notify()


def _position(connection: Connection) -> int:
    """Read the primary's position; on a worker thread."""
    with translated():
        row = connection.execute(load("replica_written")).fetchone()
    return int(str(row[0])) if row is not None and row[0] is not None else 0


def _caught_up(
    written: int | None, patient: bool, work: Callable[[Connection], T], connection: Connection
) -> T:
    """Do the work unless the session is on a standby that lacks something; on a worker thread."""
    if connection.info.parameter_status("in_hot_standby") == "on" and patient:
        if written is None:
            raise _Behind(None)
        with translated():
            row = connection.execute(load("replica_replayed")).fetchone()
        missing = written - int(str(row[0])) if row is not None else 0
        if missing > 0:
            raise _Behind(missing)
    return work(connection)


def _now() -> float:
    return asyncio.get_running_loop().time()
