"""Look now and then at what nobody announces: DDL, lost triggers, new partitions, lost privileges.

Also retries installations that found their table busy, forgets old row images, closes connections that are
not needed any more, and looks how full the server's notification queue is: triggers stay silent above one
half, so queries poll then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import psycopg

from ..errors import PgrtError
from . import analysis, capture
from .backoff import Backoff

if TYPE_CHECKING:
    from .asking import Asking
    from .attention import Attention
    from .group import Group
    from .preparation import Preparation
    from .runtime import Runtime
    from .server import Server

log = logging.getLogger("pgrt_jupyter")

_RETRY_SECONDS = 1.0  # first wait for a busy table
_IDLE_SECONDS = 60.0  # after which a connection that a burst of runs needed is closed
_QUEUE_FULL = 0.5  # the trigger's own limit


class Audit:
    """Repeat a set of checks; lives on the engine's loop."""

    def __init__(
        self,
        runtime: Runtime,
        server: Server,
        preparation: Preparation,
        attention: Attention,
        asking: Asking,
        seconds: float,
    ) -> None:
        self._runtime = runtime
        self._server = server
        self._preparation = preparation
        self._attention = attention
        self._asking = asking
        self._seconds = seconds
        self._wake = asyncio.Event()
        self._retry = Backoff(_RETRY_SECONDS, seconds)

    def soon(self) -> None:
        """Look again shortly: a table was busy, or looking failed."""
        self._wake.set()

    async def run(self) -> None:
        """Check for as long as the engine runs; a failing check is tried again."""
        while True:
            await self._pause()
            if not self._attention.listening:
                continue
            try:
                await self.check()
            except (PgrtError, psycopg.Error) as error:
                log.info("audit failed, it will be repeated: %s", error)
                self.soon()

    async def _pause(self) -> None:
        """Wait for the period, or, while tables are busy, a growing part of it."""
        try:
            async with asyncio.timeout(self._seconds):
                await self._wake.wait()
        except TimeoutError:
            self._retry.reset()
            return
        self._wake.clear()
        await asyncio.sleep(self._retry.next())

    async def check(self) -> None:
        """Do all checks once."""
        self._server.tidy(_IDLE_SECONDS)
        await self._check_queue()
        marked = await self._asking.marked()
        groups = list(self._runtime.groups)
        oids = {oid for group in groups for oid in group.analysed.fingerprint}
        found = await self._server.run(partial(analysis.fingerprint, oids=oids))
        for group in groups:
            if marked.intersection(group.watches):
                group.lose_track()
                self._runtime.changed(group)
        await self._check_definitions([group for group in groups if not group.closed], found)
        await self._asking.prune()

    async def _check_definitions(self, groups: Sequence[Group], found: Mapping[int, str]) -> None:
        """Analyse queries again where a definition changed, and complete the triggers of the others."""
        redefined = {
            group
            for group in groups
            if any(found.get(oid) != text for oid, text in group.analysed.fingerprint.items())
        }
        for group in redefined:
            group.reanalyse = True
        same = [group for group in groups if group not in redefined]
        for group in redefined | await self._preparation.ensure_captures(same):
            self._runtime.changed(group)

    async def _check_queue(self) -> None:
        """Have everything poll while triggers keep silent because the queue is too full."""
        full = await self._attention.queue_usage() > _QUEUE_FULL
        message = "the server's notification queue is more than half full"
        if full and (holder := await self._server.run(capture.queue_holder)):
            message += f"; {holder}"
        for group in list(self._runtime.groups):
            if full:
                self._runtime.polls(group, "queue", message)
            elif group.doubts.polls_because.pop("queue", None):
                self._runtime.changed(group)
