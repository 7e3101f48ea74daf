"""Read row images in rounds, so that a stream of changes costs its writers hardly any notification.

    state    heard of a change             an interval has passed
    LOUD     becomes QUIET, reads          -
    QUIET    it is in the next reading     reads; if that brought anything, QUIET for another interval;
                                           if not, becomes LOUD and reads once more

LOUD, triggers announce changes and write their images; QUIET, they write images only, and marks where there
are none. Nothing is lost between the two: images are asked for throughout, and whoever wrote before the
query was LOUD again either has committed, so that the last reading shows it, or is in flight, so that
images are read again when it has ended. A query's interval is that of its throttle.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from .asking import Asking
from .attention import Attention
from .group import Group

log = logging.getLogger("pgrt_jupyter")

LONGEST = 10.0  # seconds between two readings, whatever the throttle: images are not kept for ever


class Owner(Protocol):
    """What this part needs of the runtime."""

    def changed(self, group: Group) -> None:
        """Have the query run again."""


class Rounds:
    """Own the state of every query with a filter; lives on the engine's loop."""

    def __init__(self, asking: Asking, attention: Attention, owner: Owner) -> None:
        self._asking = asking
        self._attention = attention
        self._owner = owner
        self._following: dict[Group, asyncio.Task[None]] = {}

    def heard(self, group: Group) -> None:
        """Take a notification of a change that the query's filter may be asked about."""
        group.news = True
        if group not in self._following:
            task = asyncio.get_running_loop().create_task(self._follow(group))
            self._following[group] = task

    async def _follow(self, group: Group) -> None:
        """Stay with a query until nothing is new; if that fails, have it run with nothing missed."""
        try:
            while group.news and await self._be_quiet(group):
                await self._be_loud(group)
        except Exception:
            log.exception("reading row images failed; the query runs again")
            group.covered = False
            self._owner.changed(group)
        finally:
            group.quiet = False
            del self._following[group]

    async def _be_quiet(self, group: Group) -> bool:
        """Read until an interval brings nothing; False: images cannot be read, or nobody wants them."""
        group.quiet = True
        self._attention.settle_soon([group])
        found = await self._read(group)
        while found:
            await asyncio.sleep(min(group.throttle.interval, LONGEST))
            if group.closed or group.paused or not group.looks_at_rows:
                return False
            found = await self._read(group)
        return found is not None

    async def _be_loud(self, group: Group) -> None:
        """Have changes announced again, and read what was written before anybody could be told."""
        group.quiet = False
        await self._attention.arm(group)
        await self._read(group)

    async def _read(self, group: Group) -> bool | None:
        """Read, and say whether anything concerns the query; None: it could not be read."""
        group.news = False
        relations = await self._asking.read()
        return None if relations is None else not relations.isdisjoint(group.watches)

    def close(self) -> None:
        """Stop following."""
        for task in list(self._following.values()):
            task.cancel()
