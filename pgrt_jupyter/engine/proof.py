"""Prove that notifications arrive, by one to ourselves that carries a token nobody else knows.

A proof that is late because nobody could look for it is not late; a machine that was suspended asks at once.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import suppress

from psycopg import sql

LATE = 0.1  # seconds by which a timer is late when the loop itself was held up
_LOOK_SECONDS = 1.0  # how often to look whether the machine was suspended
_NAP = 0.5  # seconds of sleep that are none of the clocks' inaccuracy


class Proof:
    """Own one listener's channel to itself; lives on the engine's loop."""

    def __init__(self) -> None:
        self.channel = f"pgrt_{secrets.token_hex(16)}"
        self.token: str | None = None
        self.answered = asyncio.Event()

    def anew(self) -> sql.Composed:
        """Write the statement that sends a new token."""
        self.token = secrets.token_hex(16)
        self.answered.clear()
        return sql.SQL("NOTIFY {}, {}").format(
            sql.Identifier(self.channel), sql.Literal(self.token)
        )

    def take(self, text: str) -> None:
        """Take what came over the channel: anybody may send there."""
        if self.token is not None and secrets.compare_digest(text.encode(), self.token.encode()):
            self.answered.set()

    async def is_answered(self, seconds: float) -> bool:
        """Say whether the token comes back in time; time in which nobody could look does not count."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + seconds
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):  # `wait_for` may pass a cancellation over
                    await self.answered.wait()
            if self.answered.is_set() or loop.time() - due < LATE:
                return self.answered.is_set()


async def rest(seconds: float) -> None:
    """Wait for the next proof; after a suspended machine has woken up it is due at once."""
    loop = asyncio.get_running_loop()
    due, asleep = loop.time() + seconds, _time_asleep()
    while (left := due - loop.time()) > 0 and _time_asleep() - asleep < _NAP:
        await asyncio.sleep(min(left, _LOOK_SECONDS))


def _time_asleep() -> float:
    """Give the seconds this machine has been suspended, which the loop's clock leaves out."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
