"""Hear what triggers send, and say what is waited for, over one connection.

The connection that listens also holds the advisory locks that make triggers speak: when it dies, both
end together and the loss is noticed once. It is in autocommit mode, never in a transaction, and always
being read. It proves that it is alive by a notification to itself (`proof`); a proof that does not come
back in time shuts the socket down from outside, so nothing can wait on it for ever. Everything here runs on
the engine's loop.

Longer than most files because whatever is said over this connection shares its turn, its deadline and its
reading, and whatever fails on it ends all of that.

Longer than most files because opening, reading, asking and ending one connection share its state, and the
order in which they do so is what keeps a change from being lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from ..config import Conninfo
from ..errors import PgrtError
from . import forks, proof
from .connection import cut
from .notification import CHANNEL
from .pinning import SEARCH_PATH
from .refusal import reason, too_old, unavailable
from .sql import load
from .workers import alone

_TRIES = 4  # for a key that a trigger happens to be trying
_POOLER_SECONDS = 2.0  # for a notification by way of a pooler that has answered everything else
_POOLED = "A connection pooler in transaction mode is in between; it delivers no notifications."
_DIRECT = "give start() a direct connection, and queries the pooled one as query_conninfo."
_SILENCE = "no answer in time"
_QUEUE_FULL = "54000"  # SQLSTATE of a NOTIFY that finds no room
_FORGOTTEN = "58P01"  # of a LISTEN that meets an entry whose transaction's status is gone
_DRAIN_SECONDS = 0.02
_SETTINGS = (
    ("search_path", SEARCH_PATH),
    ("idle_session_timeout", "0"),
    ("tcp_user_timeout", "30s"),
    ("client_connection_check_interval", "10s"),
)


class CannotListen(PgrtError):
    """Notifications do not arrive over this connection; live queries poll instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """Say how liveness is checked and how a lost connection is replaced, in seconds."""

    interval: float = 10.0  # between two proofs
    deadline: float = 5.0  # for an answer
    longest_wait: float = 30.0  # between two attempts to reconnect
    healthy_after: float = 10.0  # how long a connection must last before failures are forgotten
    hopeless_wait: float = 60.0  # the same where credentials are wrong or listening cannot work


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
        self._proof = proof.Proof()
        self._deadline: asyncio.TimerHandle
        self._beat: asyncio.Task[None] | None = None
        self._watched: int | None = None
        self._ended = False
        self.server = 0.0  # when the server was started, which tells it from others
        self.history = (0, 0)  # its cluster and timeline; nothing where that may not be known
        self.silent = False  # lost without a word: others that talk to the server may wait in vain
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
        filled = await self._filled()
        try:
            self._connection = await psycopg.AsyncConnection.connect(filled, autocommit=True)
            failure = too_old(self._connection.info.server_version, self._conninfo)
        except asyncio.CancelledError as error:
            error.with_traceback(None)  # whose frames would keep the half-made connection open
            raise
        except psycopg.Error as error:
            lost = error
            state = await alone(lambda: reason(lost, filled), "pgrt-probe")
            failure = unavailable(error, self._conninfo, state)
        if failure is not None or self._connection is None:
            self.close()
            raise failure or CannotListen() from None
        forks.remember(self._connection)
        self._connection.add_notify_handler(self._notified)
        try:
            await self._prepare(self._connection)
        except (psycopg.Error, TimeoutError) as error:
            failure = unavailable(error, self._conninfo)
        finally:
            if self._beat is None:
                self.close()
        if failure is not None:
            raise failure from None

    async def _filled(self) -> str:
        """Give the connection string with its password, for which a function may have to be waited."""
        if self._conninfo.ask is None:
            return self._conninfo.value
        return await alone(self._conninfo.filled, "pgrt-password")

    async def _prepare(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Refuse what cannot work, LISTEN, and begin to check liveness."""
        ((pid, standby, started),) = await self._execute(load("listener_session"))
        self.server = float(started)
        if standby:
            raise CannotListen("The server is a read-only standby, where nothing can be heard.")
        try:
            await self._listen(self._proof.channel)
            if pid != connection.info.backend_pid:
                await self._refuse_lent_session()
            for name, value in _SETTINGS:
                with suppress(psycopg.DatabaseError):
                    setting = "SELECT pg_catalog.set_config(%s, %s, false)"
                    await self._execute(setting, (name, value), optional=True)
            with suppress(psycopg.DatabaseError):
                (self.history,) = await self._execute(load("listener_history"), optional=True)
            await self._listen(CHANNEL)
            arrives = await self._prove()
        except psycopg.errors.ProgramLimitExceeded:
            raise CannotListen("The server's notification queue is full.") from None
        if not arrives:
            raise CannotListen(
                "A notification sent to ourselves did not arrive: something in between swallows them.",
                hint="give start() a direct connection to the server.",
            )
        self._beat = asyncio.create_task(self._keep_proving())

    async def _refuse_lent_session(self) -> None:
        """Refuse a session that a pooler lends for each transaction; what is set there meets others."""
        if not await self._prove_through_pooler():
            unlisten = sql.SQL("UNLISTEN {}").format(sql.Identifier(self._proof.channel))
            await self._execute(unlisten, optional=True)
            raise CannotListen(_POOLED, hint=_DIRECT)

    async def _listen(self, channel: str) -> None:
        """Listen on a channel, past an entry of the queue that is older than the server remembers."""
        statement = sql.SQL("LISTEN {}").format(sql.Identifier(channel))
        try:
            await self._execute(statement, optional=True)
        except psycopg.Error as error:
            if error.sqlstate != _FORGOTTEN:
                raise
            await self.queue_usage()  # which moves the queue's tail on
            await self._execute(statement)

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

    async def dispose(self) -> None:
        """Close a connection that was lost, when nobody waits on it any more."""
        async with self._turn:
            self.close()

    def close(self) -> None:
        """Close the connection, which ends everything it holds."""
        self._ended = True
        if self._beat is not None:
            self._beat.cancel()
        self._unwatch()
        if self._connection is not None:
            self.cut()
            self._connection.pgconn.finish()

    def cut(self) -> None:
        """Shut the socket down, so that whatever waits on it fails now."""
        if self._connection is not None:
            cut(self._connection)

    def _give_time(self) -> None:
        """Wait for an answer until the deadline."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._pulse.deadline
        self._deadline = loop.call_at(due, self._too_late, due)

    def _too_late(self, due: float) -> None:
        """Give up waiting for an answer; where nobody could look for it, first look for it."""
        if asyncio.get_running_loop().time() - due > proof.LATE:
            self._give_time()
            return
        self.silent = True
        self.cut()

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
            self._give_time()
            draining = asyncio.create_task(self._drain())
            try:
                cursor = await self._connection.execute(query, params)
                return await cursor.fetchall() if cursor.description else []
            except psycopg.Error as error:
                harmless = optional and (
                    error.sqlstate in (_QUEUE_FULL, _FORGOTTEN)
                    or not isinstance(error, psycopg.OperationalError)
                )
                if not harmless:
                    self._end(_SILENCE if self.silent else str(error))
                raise
            finally:
                self._deadline.cancel()
                draining.cancel()
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

    async def _drain(self) -> None:
        """Take in what the driver has read while a statement waits: a storm may last longer."""
        assert self._connection is not None
        while True:
            await asyncio.sleep(_DRAIN_SECONDS)
            while notification := self._connection.pgconn.notifies():
                self._take(notification.relname.decode(), notification.extra)
            self._deliver()

    def _notified(self, notification: psycopg.Notify) -> None:
        """Take one notification that came while a statement ran."""
        self._take(notification.channel, notification.payload.encode())

    def _take(self, channel: str, payload: bytes) -> None:
        """Keep a change for later, or note that our own token came back."""
        text = payload.decode("utf-8", "replace")
        if channel == self._proof.channel:
            self._proof.take(text)
        else:
            self._pending.append(text)

    def _deliver(self) -> None:
        """Hand over the whole batch."""
        if self._pending and not self._ended:
            batch, self._pending = self._pending, []
            self._heard(batch)

    async def _prove(self) -> bool:
        """Send a notification to ourselves and say whether it came back in time."""
        await self._execute(self._proof.anew(), optional=True)
        return await self._proof.is_answered(self._pulse.deadline)

    async def _prove_through_pooler(self) -> bool:
        """Say whether a notification arrives that another session sends while this one does nothing.

        That tells a session of our own from one that is lent for each transaction: in the latter our
        own notification may well come back, with the answer to NOTIFY.
        """
        notify = self._proof.anew()
        filled = await self._filled()
        async with await psycopg.AsyncConnection.connect(filled, autocommit=True) as other:
            async with asyncio.timeout(self._pulse.deadline):
                await other.execute(notify)
            return await self._proof.is_answered(min(self._pulse.deadline, _POOLER_SECONDS))

    async def _keep_proving(self) -> None:
        """Check liveness for as long as the connection lasts."""
        while not self._ended:
            await proof.rest(self._pulse.interval)
            try:
                if not await self._prove():
                    self.silent = True
                    self._end(_SILENCE)
            except psycopg.Error as error:
                if error.sqlstate != _QUEUE_FULL:  # the server answers; the audit has queries poll
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
