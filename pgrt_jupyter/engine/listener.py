"""Hear what triggers send, and say what is waited for, over one connection.

The connection that listens also holds the advisory locks that make triggers speak: when it dies, both
end together and the loss is noticed once. It is in autocommit mode, never in a transaction, and always
being read. It proves that it is alive by a notification to itself with a random token; a proof that
does not come back in time shuts the socket down from outside, so nothing can wait on it for ever.
Everything here runs on the engine's loop.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from ..config import Conninfo
from ..errors import PgrtError
from .notification import CHANNEL
from .sessions import unavailable
from .sql import load

_TRIES = 4  # for a key that a trigger happens to be trying
_SETTINGS = (
    ("idle_session_timeout", "0"),
    ("tcp_user_timeout", "30s"),
    ("client_connection_check_interval", "10s"),
)


class CannotListen(PgrtError):
    """Notifications do not arrive over this connection; live queries poll instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """Say how liveness is checked, in seconds."""

    interval: float = 10.0
    deadline: float = 5.0


class Listener:
    """Own the listening connection; a closed or lost one is replaced by a new Listener."""

    def __init__(
        self,
        conninfo: Conninfo,
        *,
        heard: Callable[[list[str]], None],
        lost: Callable[[str], None],
        pulse: Pulse,
    ) -> None:
        self._conninfo = conninfo
        self._heard = heard
        self._lost = lost
        self._pulse = pulse
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._turn = asyncio.Lock()
        self._pending: list[str] = []
        self._token: str | None = None
        self._answered = asyncio.Event()
        self._own = f"pgrt_{secrets.token_hex(16)}"
        self._beat: asyncio.Task[None] | None = None
        self._watched: int | None = None
        self._ended = False
        self.held: frozenset[int] = frozenset()

    @property
    def alive(self) -> bool:
        """Say whether the connection is open, as far as is known."""
        return self._connection is not None and not self._ended

    async def open(self) -> None:
        """Connect, LISTEN, and prove that notifications arrive.

        Raises ServerUnavailable, or CannotListen behind a pooler or on a standby.
        """
        failure = None
        try:
            self._connection = await psycopg.AsyncConnection.connect(
                self._conninfo.value, autocommit=True
            )
        except psycopg.Error as error:
            failure = unavailable(error, self._conninfo)
        if failure is not None or self._connection is None:
            raise failure or CannotListen() from None
        self._connection.add_notify_handler(self._notified)
        try:
            await self._prepare(self._connection)
        except psycopg.Error as error:
            failure = unavailable(error, self._conninfo)
        finally:
            if self._beat is None:
                await self.close()
        if failure is not None:
            raise failure from None

    async def _prepare(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Refuse what cannot work, LISTEN, and begin to check liveness."""
        ((pid, standby),) = await self._execute(load("listener_session"))
        if standby:
            raise CannotListen("The server is a read-only standby, where nothing can be heard.")
        if pid != connection.info.backend_pid:
            raise CannotListen(
                "A connection pooler in transaction mode is in between; it delivers no notifications.",
                hint="give start() a direct connection, and queries the pooled one as query_conninfo.",
            )
        for name, value in _SETTINGS:
            with suppress(psycopg.DatabaseError):
                setting = "SELECT pg_catalog.set_config(%s, %s, false)"
                await self._execute(setting, (name, value), optional=True)
        for channel in (CHANNEL, self._own):
            await self._execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        if not await self._prove():
            raise CannotListen(
                "A notification sent to ourselves did not arrive: something in between swallows them.",
                hint="give start() a direct connection to the server.",
            )
        self._beat = asyncio.create_task(self._keep_proving())

    async def hold(self, keys: Collection[int]) -> frozenset[int]:
        """Hold more keys; returns those that could not be had."""
        wanted = set(keys) - self.held
        for attempt in range(_TRIES):
            if not wanted:
                break
            if attempt:
                await asyncio.sleep(0.002 * attempt)
            rows = await self._execute(load("listener_hold"), {"keys": sorted(wanted)})
            got = {key for key, held in rows if held}
            self.held |= got
            wanted -= got
        return frozenset(wanted)

    async def release(self, keys: Collection[int]) -> None:
        """Stop holding some keys."""
        dropped = self.held.intersection(keys)
        if dropped:
            self.held -= dropped
            await self._execute(load("listener_release"), {"keys": sorted(dropped)})

    async def writers(self, relations: Iterable[int]) -> frozenset[str]:
        """List the transactions in flight that may have written to these relations."""
        rows = await self._execute(load("listener_writers"), {"oids": sorted(relations)})
        return frozenset(name for (name,) in rows)

    async def queue_usage(self) -> float:
        """Say how full the notification queue is, 0 to 1; asking also un-sticks a queue once full."""
        ((usage,),) = await self._execute("SELECT pg_catalog.pg_notification_queue_usage()")
        return float(usage)

    async def close(self) -> None:
        """Close the connection, which ends everything it holds."""
        self._ended = True
        if self._beat is not None:
            self._beat.cancel()
        self._unwatch()
        if self._connection is not None:
            self.cut()
            await self._connection.close()

    def cut(self) -> None:
        """Shut the socket down, so that whatever waits on it fails now."""
        with suppress(OSError, psycopg.Error):
            assert self._connection is not None
            wire = socket.socket(fileno=self._connection.pgconn.socket)
            try:
                wire.shutdown(socket.SHUT_RDWR)
            finally:
                wire.detach()

    async def _execute(
        self, query: Any, params: Any = None, *, optional: bool = False
    ) -> list[tuple[Any, ...]]:
        """Run one short statement; reading goes on in between, so no notification is left lying.

        A statement that fails ends the connection unless it is optional: what it was to hold or to
        look up is not known then, and starting anew runs every query again.
        """
        assert self._connection is not None
        loop = asyncio.get_running_loop()
        async with self._turn:
            self._unwatch()
            deadline = loop.call_later(self._pulse.deadline, self.cut)
            try:
                cursor = await self._connection.execute(query, params)
                return await cursor.fetchall() if cursor.description else []
            except psycopg.Error as error:
                if not optional or isinstance(error, psycopg.OperationalError):
                    self._end(str(error))
                raise
            finally:
                deadline.cancel()
                self._watch()
                loop.call_soon(self._deliver)

    def _watch(self) -> None:
        """Have the loop tell us when there is something to read."""
        if self._ended or self._connection is None or self._connection.closed:
            return
        self._watched = self._connection.pgconn.socket
        asyncio.get_running_loop().add_reader(self._watched, self._readable)

    def _unwatch(self) -> None:
        if self._watched is not None:
            asyncio.get_running_loop().remove_reader(self._watched)
            self._watched = None

    def _readable(self) -> None:
        """Take in everything that has arrived."""
        assert self._connection is not None
        pgconn = self._connection.pgconn
        try:
            pgconn.consume_input()
            while notification := pgconn.notifies():
                self._take(notification.relname.decode(), notification.extra)
        except psycopg.Error as error:
            self._end(str(error))
        self._deliver()

    def _notified(self, notification: psycopg.Notify) -> None:
        """Take one notification that came while a statement ran."""
        self._take(notification.channel, notification.payload.encode())

    def _take(self, channel: str, payload: bytes) -> None:
        """Keep a change for later, or note that our own token came back."""
        text = payload.decode("utf-8", "replace")
        if channel != self._own:
            self._pending.append(text)
        elif self._token is not None and secrets.compare_digest(
            text.encode(), self._token.encode()
        ):
            self._answered.set()

    def _deliver(self) -> None:
        """Hand over the whole batch."""
        if self._pending and not self._ended:
            batch, self._pending = self._pending, []
            self._heard(batch)

    async def _prove(self) -> bool:
        """Send a notification to ourselves and say whether it came back in time."""
        self._token = secrets.token_hex(16)
        self._answered.clear()
        notify = sql.SQL("NOTIFY {}, {}").format(
            sql.Identifier(self._own), sql.Literal(self._token)
        )
        await self._execute(notify)
        try:
            await asyncio.wait_for(self._answered.wait(), self._pulse.deadline)
        except TimeoutError:
            return False
        return True

    async def _keep_proving(self) -> None:
        """Check liveness for as long as the connection lasts."""
        while not self._ended:
            await asyncio.sleep(self._pulse.interval)
            try:
                if not await self._prove():
                    self._end("no answer to the heartbeat")
            except psycopg.Error as error:
                self._end(str(error))

    def _end(self, reason: str) -> None:
        """Report the loss once; before it has opened, `open` raises instead."""
        if self._ended:
            return
        self._ended = True
        self._unwatch()
        self.cut()
        lines = reason.strip().splitlines()
        if self._beat is not None:
            self._lost(lines[0] if lines else "connection lost")
