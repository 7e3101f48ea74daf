"""Stand between an engine and its server as a bad network does.

    with Proxy(("127.0.0.1", 5432)) as proxy:        or Proxy("/run/postgresql/.s.PGSQL.5432")
        engine = pgrt.Engine(proxy.conninfo(dsn))    the same database, through the proxy
        proxy.black_hole()                           swallow both ways: ACKs go on, nothing else does
        proxy.heal()                                 what was swallowed arrives late, as after packet loss

Faults, each in effect when its call returns and until `heal()`:

    black_hole(way)      bytes are taken and held; a close is held, too; new connections are accepted
    deaf()               new connections are accepted and never answered; those that exist go on
    delay(s, jitter)     every piece arrives later by `s` ± `jitter` seconds, never out of order
    trickle(rate)        at most `rate` bytes a second on each connection and way
    cut_after(n, way)    each connection is reset after `n` more bytes, in the middle of a message
    slam()               new connections are reset at once
    refuse()             nothing listens on the port any more; the port stays ours
    reset()              every connection is reset (RST, no FIN); not a state, so nothing to heal
    sever()              refuse() and reset(): the cable is out
    drop_held()          what was swallowed is lost for good: those connections are reset
    drop_stranded()      ends what strand() began: those connections are reset
    strand()             every connection there is swallows all from now on, even after heal()

`way` is Way.UP (to the server), Way.DOWN (to the client) or Way.BOTH. `point_at(target)` sends new
connections to another server. `accepted` counts connections since the start, `open` those there are now.
Every method may be called from any thread; `close()` leaves no socket and no thread.
"""

from __future__ import annotations

import asyncio
import enum
import os
import random
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from psycopg.conninfo import conninfo_to_dict, make_conninfo

T = TypeVar("T")
Target = tuple[str, int] | str  # host and port, or the path of a unix socket
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER 0: closing sends RST
_PIECE = 65536


class Way(enum.Flag):
    """Name the directions a fault concerns."""

    UP = enum.auto()  # from the client to the server
    DOWN = enum.auto()  # from the server to the client
    BOTH = UP | DOWN


@dataclass(slots=True)
class Weather:
    """Hold the fault of one direction."""

    held: bool = False
    seconds: float = 0.0
    jitter: float = 0.0
    rate: float | None = None
    cut_after: int | None = None


@dataclass(slots=True)
class Stream:
    """Hold one direction of one connection: what came in and has not gone out."""

    pieces: deque[tuple[float, bytes | None]] = field(default_factory=deque)  # None: closed
    news: asyncio.Event = field(default_factory=asyncio.Event)
    last: float = 0.0  # when the newest piece is due
    budget: int | None = None  # bytes until the cut


class Link:
    """Carry one connection."""

    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter, *, deaf: bool) -> None:
        self._proxy = proxy
        self._writers = {Way.DOWN: client}
        self._deaf = deaf
        self.stranded = False
        self.streams = {Way.UP: Stream(), Way.DOWN: Stream()}
        for way, stream in self.streams.items():
            stream.budget = proxy.weather[way].cut_after
        self.task: asyncio.Task[None] | None = None

    @property
    def holds(self) -> bool:
        """Say whether something is waiting that a fault keeps back."""
        return any(stream.pieces for stream in self.streams.values())

    async def run(self, reader: asyncio.StreamReader) -> None:
        """Carry bytes both ways until either side closes."""
        tasks = [asyncio.create_task(self._take(reader, Way.UP))]
        try:
            while self._deaf or self.stranded or self._proxy.weather[Way.UP].held:
                await self._proxy.changed()
            answers, server = await self._proxy.dial()
            self._writers[Way.UP] = server
            tasks.append(asyncio.create_task(self._take(answers, Way.DOWN)))
            carrying = {asyncio.create_task(self._give(way)) for way in self.streams}
            tasks += carrying
            done, _ = await asyncio.wait(carrying, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except OSError:
            self._abort()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for writer in self._writers.values():
                writer.close()

    def undeafen(self) -> None:
        """Answer after all."""
        self._deaf = False

    def wake(self) -> None:
        """Look at the weather again."""
        for way, stream in self.streams.items():
            stream.budget = self._proxy.weather[way].cut_after
            stream.news.set()

    def reset(self) -> None:
        """Break the connection on both sides with RST."""
        self._abort()
        if self.task is not None:
            self.task.cancel()

    def _abort(self) -> None:
        for writer in self._writers.values():
            with suppress(OSError):
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, _RESET
                )
            writer.transport.abort()

    async def _take(self, reader: asyncio.StreamReader, way: Way) -> None:
        """Read whatever comes, so that the sender's kernel sees it acknowledged."""
        stream, now = self.streams[way], asyncio.get_running_loop().time
        while True:
            try:
                data = await reader.read(_PIECE)
            except OSError:
                data = b""
            weather = self._proxy.weather[way]
            due = now() + weather.seconds + random.uniform(-1, 1) * weather.jitter
            stream.last = max(due, stream.last)
            stream.pieces.append((stream.last, data or None))
            stream.news.set()
            if not data:
                return

    async def _give(self, way: Way) -> None:
        """Pass on what is due as the weather lets it."""
        stream, loop = self.streams[way], asyncio.get_running_loop()
        while True:
            while not stream.pieces or self.stranded or self._proxy.weather[way].held:
                stream.news.clear()
                await stream.news.wait()
            due, data = stream.pieces[0]
            if (wait := due - loop.time()) > 0:
                await asyncio.sleep(wait)
                continue
            if data is None:
                return
            await self._write(way, stream)

    async def _write(self, way: Way, stream: Stream) -> None:
        """Pass on one piece, or the part of it that may go now."""
        due, data = stream.pieces.popleft()
        assert data is not None
        size, rate = len(data), self._proxy.weather[way].rate
        if rate is not None:
            size = min(size, max(1, int(rate / 20)))
        if stream.budget is not None:
            size = min(size, stream.budget)
            stream.budget -= size
        if data[size:]:
            stream.pieces.appendleft((due, data[size:]))
        writer = self._writers[way]
        writer.write(data[:size])
        await writer.drain()
        if stream.budget == 0:
            raise ConnectionResetError
        if rate is not None:
            await asyncio.sleep(size / rate)


class Proxy:
    """Listen on a port of 127.0.0.1 and pass everything on to `target`, unless told to misbehave."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._loop = asyncio.SelectorEventLoop()
        self._ended = False
        self._links: set[Link] = set()
        self._server: _Door | None = None
        self._slams = self._deaf = False
        self._news = asyncio.Event()
        self.weather = {Way.UP: Weather(), Way.DOWN: Weather()}
        self.accepted = 0
        # A bound socket that does not listen keeps the port ours while connections are refused.
        self._place = _bound(0)
        self.port: int = self._place.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="faults-proxy", daemon=True)
        self._thread.start()
        self._do(self._listen)

    # -- where

    def conninfo(self, dsn: str) -> str:
        """Give `dsn` with this proxy as its address."""
        given = conninfo_to_dict(dsn)
        given.pop("hostaddr", None)
        return make_conninfo(**{**given, "host": "127.0.0.1", "port": self.port})

    def point_at(self, target: Target) -> None:
        """Send new connections to another server."""
        self._target = target

    @property
    def open(self) -> int:
        """Count the connections there are now."""
        return len(self._links)

    # -- faults

    def black_hole(self, way: Way = Way.BOTH) -> None:
        """Take everything and forward nothing."""
        self._change(way, lambda weather: setattr(weather, "held", True))

    def deaf(self) -> None:
        """Accept new connections and never answer them."""
        self._do(lambda: setattr(self, "_deaf", True))

    def delay(self, seconds: float, jitter: float = 0.0, way: Way = Way.BOTH) -> None:
        """Have every piece arrive later."""

        def late(weather: Weather) -> None:
            weather.seconds, weather.jitter = seconds, jitter

        self._change(way, late)

    def trickle(self, rate: float, way: Way = Way.BOTH) -> None:
        """Pass on at most `rate` bytes a second on each connection."""
        self._change(way, lambda weather: setattr(weather, "rate", rate))

    def cut_after(self, count: int, way: Way = Way.DOWN) -> None:
        """Reset each connection after `count` more bytes."""
        self._change(way, lambda weather: setattr(weather, "cut_after", count))

    def slam(self) -> None:
        """Reset new connections at once."""
        self._do(lambda: setattr(self, "_slams", True))

    def refuse(self) -> None:
        """Stop listening."""
        self._do(self._deafen)

    def reset(self) -> None:
        """Reset every connection."""
        self._do(lambda: [link.reset() for link in list(self._links)])

    def sever(self) -> None:
        """Refuse new connections and reset those there are."""
        self.refuse()
        self.reset()

    def drop_held(self) -> None:
        """Reset the connections whose bytes were swallowed."""
        self._do(lambda: [link.reset() for link in list(self._links) if link.holds])

    def strand(self) -> None:
        """Have every connection swallow all for good, as a middlebox does that forgot them."""
        self._do(lambda: [setattr(link, "stranded", True) for link in self._links])

    def drop_stranded(self) -> None:
        """Reset the connections that swallow all."""
        self._do(lambda: [link.reset() for link in list(self._links) if link.stranded])

    def heal(self) -> None:
        """End every fault; what was held goes on its way."""
        self._do(self._mend)

    def close(self) -> None:
        """Reset every connection and end the thread."""
        if self._ended:
            return
        self._do(self._deafen)
        self.reset()
        self._ended = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._place.close()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # -- on the proxy's own loop

    async def dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the server; raises OSError."""
        if isinstance(self._target, str):
            return await asyncio.open_unix_connection(self._target)
        return await asyncio.open_connection(*self._target)

    async def changed(self) -> None:
        """Wait until the weather changes."""
        self._news.clear()
        await self._news.wait()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self._loop.close()

    def _do(self, function: Callable[[], T]) -> None:
        """Run a function on the loop and wait for its end."""
        done = threading.Event()
        failures: list[BaseException] = []

        def call() -> None:
            try:
                function()
            except BaseException as error:
                failures.append(error)
            finally:
                done.set()

        self._loop.call_soon_threadsafe(call)
        done.wait()
        if failures:
            raise failures[0]

    def _change(self, way: Way, change: Callable[[Weather], None]) -> None:
        def apply() -> None:
            for one in way:
                change(self.weather[one])
            self._wake()

        self._do(apply)

    def _mend(self) -> None:
        for way in Way.BOTH:
            self.weather[way] = Weather()
        self._slams = self._deaf = False
        for link in self._links:
            link.undeafen()
        self._wake()
        self._listen()

    def _wake(self) -> None:
        self._news.set()
        for link in self._links:
            link.wake()

    def _listen(self) -> None:
        if self._server is not None:
            return
        door = _bound(self.port)
        door.listen(100)
        door.setblocking(False)
        self._server = _Door(self._loop, door, self._arrived)

    def _deafen(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _arrived(self, client: socket.socket) -> None:
        self.accepted += 1
        if self._slams:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            client.close()
            return
        self._loop.create_task(self._carry(client))

    async def _carry(self, client: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=client)
        link = Link(self, writer, deaf=self._deaf)
        link.task = asyncio.current_task()
        self._links.add(link)
        try:
            await link.run(reader)
        finally:
            self._links.discard(link)


class _Door:
    """Accept connections on a loop; closing is at once, unlike an asyncio.Server's."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        door: socket.socket,
        arrived: Callable[[socket.socket], None],
    ) -> None:
        self._loop, self._door, self._arrived = loop, door, arrived
        loop.add_reader(door, self._accept)

    def _accept(self) -> None:
        with suppress(BlockingIOError, ConnectionError):
            while True:
                client, _ = self._door.accept()
                client.setblocking(False)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._arrived(client)

    def close(self) -> None:
        self._loop.remove_reader(self._door)
        self._door.close()


def _bound(port: int) -> socket.socket:
    """Give a socket bound to a port of 127.0.0.1; 0 takes a free one."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound


def target_of(dsn: str) -> Target:
    """Give the address a conninfo leads to."""
    given = conninfo_to_dict(dsn)
    host, port = str(given.get("host") or "127.0.0.1"), str(given.get("port") or "5432")
    if host.startswith("/"):
        return os.path.join(host, f".s.PGSQL.{port}")
    return host, int(port)
