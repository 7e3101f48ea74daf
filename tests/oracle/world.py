"""Hold one example's database, roles, writers, engine and subscriptions, and what happened to them."""

from __future__ import annotations

import contextlib
import functools
import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

import pgrt_jupyter as pgrt
from pgrt_jupyter import api
from pgrt_jupyter.engine import audit, conditions, group, runs, vigilance
from pgrt_jupyter.engine.backoff import Backoff
from pgrt_jupyter.engine.listener import Pulse
from pgrt_jupyter.engine.loop import EngineLoop

from ..faults.proxy import Proxy
from . import catalog
from .catalog import Catalog
from .queries import Query
from .writes import Copy, Write

APPLICATION = "pgrt-test"
WRITERS = 3
CROWD = 4
PULSE = Pulse(interval=1.0, deadline=2.0, longest_wait=0.5, hopeless_wait=0.5)
AUDIT_SECONDS = 0.4
_LIMITS = "-c statement_timeout=5s -c lock_timeout=1s -c search_path=first,app,public"
_WRITER = "-c statement_timeout=10s -c lock_timeout=500ms -c search_path=first,app,public"


# How soon queries look at rows, and stop: runs after notifications, those in vain, readings that matter.
LOOKING = {
    "at once": (0, 0, 10**9),
    "to and fro": (1, 0, 1),
    "soon": (2, 1, 10**9),
    "never": (10**9, 10**9, 1),
}


@contextlib.contextmanager
def looking(how: str, count: Callable[[bool], object]) -> Iterator[None]:
    """Have queries look at changed rows sooner or later, and count what that came to."""
    matter = conditions.matter

    def counted(connection: Any, questions: Any) -> list[bool]:
        answers = matter(connection, questions)
        for answer in answers:
            count(answer)
        return answers

    with contextlib.ExitStack() as stack:
        names = ("RUNS", "VAIN", "READINGS")
        for name, value in (*zip(names, LOOKING[how], strict=True), ("_RELAPSES", 0)):
            stack.enter_context(mock.patch.object(vigilance, name, value))
        stack.enter_context(mock.patch.object(conditions, "matter", counted))
        yield


@contextlib.contextmanager
def short_times(audits: bool) -> Iterator[None]:
    """Have engines look after themselves within about a second; without audits for connections only."""
    seconds = AUDIT_SECONDS if audits else 600.0
    quick = functools.partial(EngineLoop, pulse=PULSE, audit_seconds=seconds)

    def capped(first: float, cap: float, **options: Any) -> Backoff:
        return Backoff(min(first, 0.2), min(cap, 0.5), **options)

    with contextlib.ExitStack() as stack:
        for owner, name, value in (
            (api, "EngineLoop", quick),
            (group, "Backoff", capped),
            (audit, "Backoff", capped),
            (runs, "_RETRY_CAP", 0.5),
            (group, "POLL_SECONDS", 0.5),
        ):
            stack.enter_context(mock.patch.object(owner, name, value))
        yield


def _address(conninfo: str) -> tuple[str, int] | str:
    """Give a server's host and port, or the path of its socket."""
    given = psycopg.conninfo.conninfo_to_dict(conninfo)
    host, port = str(given.get("host", "localhost")), int(given.get("port") or 5432)
    return f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)


class Cluster:
    """Hold a server and the roles that examples share."""

    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo
        token = secrets.token_hex(3)
        self.owner = f"oracle_owner_{token}"
        self.readers = (f"oracle_a_{token}", f"oracle_b_{token}")
        with self._admin() as admin:
            self.version = admin.info.server_version
            for role in (self.owner, *self.readers):
                admin.execute(
                    sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x'").format(sql.Identifier(role))
                )

    def _admin(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.conninfo, autocommit=True, application_name=APPLICATION)

    def create(self) -> str:
        """Make a database and give its conninfo."""
        name = f"pgrt_oracle_{secrets.token_hex(4)}"
        with self._admin() as admin:
            admin.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE template0 OWNER {}").format(
                    sql.Identifier(name), sql.Identifier(self.owner)
                )
            )
        return make_conninfo(self.conninfo, dbname=name)

    def drop(self, conninfo: str) -> None:
        """Drop a database of ours."""
        name = psycopg.conninfo.conninfo_to_dict(conninfo)["dbname"]
        with self._admin() as admin:
            admin.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(str(name)))
            )

    def close(self) -> None:
        """Drop the roles."""
        with self._admin() as admin:
            for role in (self.owner, *self.readers):
                admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@dataclass(slots=True)
class Live:
    """Hold one subscription as the oracle knows it."""

    query: Query
    lq: Any
    role: str
    conninfo: str  # straight to the server
    paused: bool = False
    stamp: int = -1
    went_back: str = ""
    raising: list[Any] = field(default_factory=list)

    def look(self, frame: Any) -> None:
        """Note a frame; one whose clock stands earlier than another's before it went back."""
        if "stamp" in frame.columns and len(frame):
            now = int(frame["stamp"].max())
            if now < self.stamp:
                self.went_back = f"a frame of clock {now} came after one of {self.stamp}"
            self.stamp = max(self.stamp, now)


class World:
    """Own everything of one example; use as a context manager."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        as_owner: bool,
        audits: bool,
        networked: bool = False,
        looking: str = "never",
    ) -> None:
        self.cluster = cluster
        self.version = cluster.version
        self.as_owner = as_owner
        self.audits = audits
        self.networked = networked
        self.looking = looking
        self.looked: list[bool] = []  # at rows: whether they mattered
        self.network: Proxy | None = None
        self.began = time.monotonic()
        self.events: deque[str] = deque(maxlen=400)
        self.lives: dict[str, Live] = {}
        self.heals: dict[str, Callable[[], None]] = {}  # by fault: what ends it
        self.barriers: set[str] = set()  # faults that keep the engine from the server
        self.engine: pgrt.Engine
        self.others: list[pgrt.Engine] = []
        self.ticks: list[tuple[float, int]] = [(time.monotonic(), 0)]
        self.failures: list[str] = []  # found outside of comparisons
        self._catalog = Catalog(())

    # -- life

    def __enter__(self) -> World:
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(short_times(self.audits))
        self._stack.enter_context(looking(self.looking, self.looked.append))
        self._stack.enter_context(self._watching_for_crashes())
        try:
            self._connect()
        except BaseException:
            self._stack.close()
            raise
        return self

    def _connect(self) -> None:
        if self.networked:
            self.network = Proxy(_address(self.cluster.conninfo))
            self._stack.callback(self.network.close)
        self.dsn = self.cluster.create()
        self._stack.callback(self.cluster.drop, self.dsn)
        owner = self.as_role(self.cluster.owner)
        self.admin = self._open(self.dsn, _WRITER)
        self.owner = self._open(owner, _WRITER)
        self.writers = [self._open(owner, _WRITER) for _ in range(WRITERS)]
        self.stranger = self._open(self.as_role(self.cluster.readers[1]), _WRITER)
        self.crowd = [self._open(owner, _WRITER) for _ in range(CROWD)]

    def __exit__(self, *exception: object) -> None:
        try:
            for heal in list(self.heals.values()):
                with contextlib.suppress(Exception):
                    heal()
            for engine in (*self.others, *([self.engine] if hasattr(self, "engine") else [])):
                engine.shutdown()
        finally:
            self._stack.close()

    def start(self) -> None:
        """Start the engine and the control subscription."""
        conninfo = self.as_role(self.cluster.owner) if self.as_owner else self.dsn
        self.engine = self.new_engine(conninfo, self._told)
        self.control = self.engine.sub("control", "SELECT at FROM control.clock", throttle_ms=0)

    def new_engine(self, conninfo: str, error_handler: Callable[..., object]) -> pgrt.Engine:
        """Start an engine that waits for nobody for ever."""
        return pgrt.Engine(
            self.route(make_conninfo(conninfo, options=_LIMITS)),
            deliver="thread",
            error_handler=error_handler,
        ).start()

    def _open(self, conninfo: str, options: str) -> psycopg.Connection[Any]:
        connection = psycopg.connect(
            make_conninfo(conninfo, options=options), autocommit=True, application_name=APPLICATION
        )
        self._stack.callback(connection.close)
        return connection

    def route(self, conninfo: str) -> str:
        """Lead an engine through the network that can break, where there is one."""
        return self.network.conninfo(conninfo) if self.network is not None else conninfo

    def as_role(self, role: str) -> str:
        """Give the conninfo of a role; empty is the superuser."""
        return make_conninfo(self.dsn, user=role, password="x") if role else self.dsn

    # -- what happened

    def note(self, text: str) -> None:
        """Keep an event for the report."""
        line = " ".join(text.split("\n"))
        self.events.append(f"{time.monotonic() - self.began:8.3f} {line[:400]}")

    def _told(self, error: Exception, query: Any) -> None:
        self.note(f"told {getattr(query, 'name', 'engine')}: {error!r}")
        cause = error.__cause__
        expected = (psycopg.Error, pgrt.PgrtError, LookupError, type(None))
        if not isinstance(cause, expected):
            self.failures.append(f"the engine tripped over {cause!r}")

    @contextlib.contextmanager
    def _watching_for_crashes(self) -> Iterator[None]:
        """Take for a failure what nobody expected: an error in a task or a thread of the engine."""
        owner = self

        class Handler(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                owner.note(f"log {record.getMessage()}")
                if record.name == "asyncio" and record.levelno >= logging.ERROR:
                    text = logging.Formatter().format(record)
                    owner.failures.append(f"an error nobody took: {text}")
                if "reading what changed failed" in record.msg and record.levelno >= logging.ERROR:
                    owner.failures.append(f"a delta failed: {record.getMessage()}")

        handler = Handler()
        names = ("asyncio", "pgrt_jupyter")
        before = threading.excepthook
        threading.excepthook = lambda a: self.failures.append(f"thread {a.thread}: {a.exc_value!r}")
        for name in names:
            logging.getLogger(name).addHandler(handler)
        propagating = logging.getLogger("pgrt_jupyter").propagate
        logging.getLogger("pgrt_jupyter").propagate = False
        try:
            yield
        finally:
            threading.excepthook = before
            logging.getLogger("pgrt_jupyter").propagate = propagating
            for name in names:
                logging.getLogger(name).removeHandler(handler)

    # -- acts

    def catalog(self) -> Catalog:
        """Read the schema as it is, or, while a table of it is locked, as it was."""
        with contextlib.suppress(psycopg.errors.LockNotAvailable):
            self._catalog = catalog.read(self.admin)
        return self._catalog

    def execute(self, connection: psycopg.Connection[Any], write: Write) -> psycopg.Error | None:
        """Run one statement; what the server refuses is an answer, not a failure."""
        shown = write if isinstance(write, str) else f"{write.statement} <- {write.rows!r}"
        error: psycopg.Error | None = None
        try:
            if isinstance(write, Copy):
                with connection.cursor().copy(write.statement.encode()) as copy:
                    copy.write(write.rows)
            else:
                connection.execute(write.encode(), prepare=False)
        except psycopg.Error as raised:
            error = raised
        self.note(
            f"{shown[:400]}{f'  -- {error.sqlstate} {str(error).splitlines()[0][:120]}' if error else ''}"
        )
        self._blame(shown, error)
        return error

    def _blame(self, shown: str, error: psycopg.Error | None) -> None:
        """Notice a write that fails because of what is installed."""
        if error is None or "_pgrt" in shown:
            return
        context = f"{error} {error.diag.context or ''}"
        if "_pgrt." in context or "capture_" in context:
            self.failures.append(f"a write failed in our trigger: {shown[:300]}: {context}")

    def define(self, statements: list[str]) -> psycopg.Error | None:
        """Run statements as one transaction of the tables' owner, or of the superuser."""
        error = self.execute(self.owner, "BEGIN")
        for statement in statements:
            error = self.execute(self.owner, statement)
            if error is not None:
                self.execute(self.owner, "ROLLBACK")
                return error
        return self.execute(self.owner, "COMMIT")

    def tick(self) -> int:
        """Move the clock that never goes back; gives what it shows."""
        at = self.ticks[-1][1] + 1
        self.admin.execute("UPDATE control.clock SET at = %s", (at,))
        self.ticks.append((time.monotonic(), at))
        return at

    def subscribe(self, name: str, query: Query, role: str) -> None:
        """Subscribe, or subscribe anew under a name that is taken."""
        conninfo = make_conninfo(self.as_role(role), options=_LIMITS)
        self.note(
            f"sub {name} as {role or 'the engine'} {query.options} {query.params}: {query.sql}"
        )
        options = dict(query.options)
        if role:
            options["query_conninfo"] = self.route(conninfo)
        else:
            conninfo = make_conninfo(
                self.as_role(self.cluster.owner) if self.as_owner else self.dsn, options=_LIMITS
            )
        lq = self.engine.sub(name, query.sql, query.params, **options)
        known = self.lives.get(name)
        live = Live(query=query, lq=lq, role=role, conninfo=conninfo)
        if known is not None and known.lq is lq:
            live.stamp, live.raising = known.stamp, known.raising
        else:
            lq.observe(
                lambda change: self.lives[name].look(change["new"]) if name in self.lives else None,
                "df",
            )
            lq.observe(lambda change: self.note(f"{name} is {change['new']}"), "status")
        self.lives[name] = live

    def pids(self) -> list[int]:
        """List the server processes of engines in this database."""
        rows = self.admin.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'pgrt_jupyter'"
            " AND datname = current_database() ORDER BY backend_start"
        ).fetchall()
        return [pid for (pid,) in rows]

    def leave(self, name: str) -> None:
        """End a subscription."""
        self.note(f"unsub {name}")
        self.engine.unsub(name)
        self.lives.pop(name, None)

    def commit_all(self, rng: Any) -> None:
        """End what writers have open."""
        for number, writer in enumerate(self.writers):
            if writer.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                word = rng.choice(["COMMIT", "COMMIT", "ROLLBACK"])
                self.note(f"writer {number}:")
                self.execute(writer, word)
