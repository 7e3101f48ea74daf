"""Offer the verbs: an `Engine` and the module-level functions of one default engine.

Longer than most files because every signature stands here twice, once for each, with its docstring.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from . import binding, embedded, trust, waiting
from .config import Conninfo, Password, options, resolve
from .delivery import Deliver, Delivery
from .engine import forks, removal
from .engine.connection import connect
from .engine.group import Group
from .engine.interrupts import turn, whole
from .engine.loop import FORKED, EngineLoop
from .engine.model import Refresh, ResultColumn
from .engine.outcomes import Backend
from .engine.progress import Progress
from .engine.statement import parameter_names, parse
from .engine.subscription import Spec
from .engine.translation import translated
from .errors import (
    ConfigurationError,
    EngineNotRunning,
    EngineRunning,
    PgrtError,
    SubscriptionNotFound,
)
from .live import ErrorHandler, LiveQuery, _Subscription, handle
from .preheated import wait_for_visitor
from .wording import for_log, log

Params = Mapping[str, Any] | Sequence[Any] | None

_PEER_SECONDS = 2.0

_running: set[Engine] = set()
_default: Engine | None = None
_warned: set[str] = set()  # of links that others can read
_lock = threading.RLock()


class Engine:
    """Keep live queries on one database; its verbs may be called from any thread.

    One engine thread, one listening connection, at most `pool_size` query connections per role.
    `throttle_ms` is the default of its queries. Observers run where `deliver` says: on the kernel's "main"
    loop, on a "thread" of the engine's, or ("auto") on the loop where there is one. `dtype_backend` is
    pandas' own parameter. `error_handler(error, query_or_None)` is called where observers run; without one
    errors are logged, by class and SQLSTATE, to the logger `pgrt_jupyter`.
    """

    def __init__(
        self,
        conninfo: Any = "",
        *,
        query_conninfo: Any = None,
        throttle_ms: int = 500,
        pool_size: int = 4,
        error_handler: ErrorHandler | None = None,
        deliver: Deliver = "auto",
        dtype_backend: Literal["pyarrow", "numpy_nullable"] = "pyarrow",
        password: Password = None,
        query_password: Password = None,
    ) -> None:
        if dtype_backend not in ("pyarrow", "numpy_nullable"):
            raise ConfigurationError(
                f"dtype_backend={dtype_backend!r}: use 'pyarrow' or 'numpy_nullable'."
            )
        self._conninfo = resolve(conninfo, to_primary=True, password=password)
        self._query_conninfo = (
            resolve(query_conninfo, password=query_password) if query_conninfo else self._conninfo
        )
        self._throttle_ms = _whole("throttle_ms", throttle_ms, 0)
        self._pool_size = _whole("pool_size", pool_size, 1)
        self._error_handler = error_handler or _log_error
        self._deliver = deliver
        self._dtype_backend: Backend = dtype_backend
        self._queries: dict[str, LiveQuery] = {}
        self._turn = threading.RLock()  # of start and sub, which may take long
        self._lock = threading.RLock()
        self._loop: EngineLoop | None = None
        self._delivery: Delivery | None = None
        self._ended_because = ""

    @property
    def running(self) -> bool:
        """Say whether the engine has been started and not shut down."""
        return self._loop is not None

    @property
    def server(self) -> str:
        """Say which server, database and role this is, as the server sees it where it can be asked."""
        loop = self._loop
        if loop is None:
            return str(self._conninfo)
        try:
            return loop.call(loop.runtime.peer, timeout=_PEER_SECONDS)
        except (PgrtError, TimeoutError):
            return str(self._conninfo)

    @property
    def unreadable(self) -> int:
        """Count the notifications on our channel that none of our triggers sent."""
        return self._loop.runtime.unreadable if self._loop is not None else 0

    @property
    def notes(self) -> tuple[str, ...]:
        """Say what in the server's settings makes the triggers felt by writers, known after a `sub`."""
        return (self._loop.runtime.notes or ()) if self._loop is not None else ()

    def start(self) -> Engine:
        """Connect and begin to listen; an engine that runs stays as it is. Raises ServerUnavailable."""
        wait_for_visitor()
        with turn(self._turn):
            if self._loop is None:
                for conninfo in (self._conninfo, self._query_conninfo):
                    _warn_if_open(conninfo)
                delivery = Delivery(self._deliver)
                loop = EngineLoop(self._conninfo, pool_size=self._pool_size, report=self._report)
                try:
                    loop.start()
                except BaseException:
                    delivery.stop()
                    raise
                with self._lock:
                    self._loop, self._delivery = loop, delivery
                    self._ended_because = ""
                    _running.add(self)
        return self

    def sub(
        self,
        name: str,
        sql: str | None = None,
        params: Params = None,
        *,
        refresh: Refresh = None,
        throttle_ms: int | None = None,
        max_age_ms: int | None = None,
        key: str | Sequence[str] | None = None,
        max_rows: int | None = None,
        query_conninfo: Any = None,
        error_handler: ErrorHandler | None = None,
        incremental: bool | None = None,
    ) -> LiveQuery:
        """Make a query live under a name and return it with its first result.

        Without `sql`, give the running subscription of that name, or raise SubscriptionNotFound.
        Under a name that is taken the query is replaced and the object, its observers and its
        tables stay; in a program that serves several tenants the name must carry the tenant. Raises
        ConfigurationError, QueryRefused, QueryFailed, PermissionMissing or ServerUnavailable, and
        then whatever was running is as it was.

        - `params`: a mapping for `:name`, a sequence for `$1`, `$2`; always bound, never pasted.
        - `refresh`: when to run; None for any change of what the query reads, else a mapping
          `{"orders": {"status": "pending"}}`, a list of them, or a function `(connection, df, change)`.
        - `throttle_ms`: at most one run per interval; 0 for no waiting, None for the engine's.
        - `max_age_ms`: also run when the last run is older; where something cannot be watched, how often
          to poll, otherwise every 10 s.
        - `key`: columns that identify a row; the primary key where the result carries it.
        - `max_rows`: stop reading there, and say so in `truncated`.
        - `incremental`: whether only what changed is read, where the query allows it (`LiveQuery.plan`);
          by default where the result is large or takes long.
        - `query_conninfo`, `error_handler`: this query's own, in place of the engine's.
        """
        if sql is None:
            return self._found(name)
        if not isinstance(name, str) or not name:
            raise ConfigurationError("A subscription's name is a non-empty string.")
        throttle = self._throttle_ms if throttle_ms is None else throttle_ms
        params, followed = binding.split(params, parameter_names(sql))
        spec = Spec(
            statement=parse(sql, params),
            conninfo=resolve(query_conninfo) if query_conninfo else self._query_conninfo,
            refresh=refresh,
            throttle_ms=_whole("throttle_ms", throttle, 0),
            max_age_ms=None if max_age_ms is None else _whole("max_age_ms", max_age_ms, 1),
            key=_names(key),
            max_rows=None if max_rows is None else _whole("max_rows", max_rows, 1),
            dtype_backend=self._dtype_backend,
            incremental=_answer("incremental", incremental),
        )
        handler = error_handler or self._error_handler
        return self._subscribe(name, spec, (sql, params), handler, followed)

    def _subscribe(
        self,
        name: str,
        spec: Spec,
        source: tuple[str, Params],
        handler: ErrorHandler,
        followed: Mapping[str, binding.Source],
    ) -> LiveQuery:
        """Have the query run, and only then let its object follow it."""
        loop, delivery = self._parts()
        with turn(self._turn):
            query = self._queries.get(name) or LiveQuery(name, loop, delivery, handler)
            subscription = _Subscription(query)
            progress = Progress()
            with waiting.shown(lambda: _told(name, progress)) as look:
                group = loop.call(
                    loop.runtime.subscribe, spec, subscription, progress, meanwhile=look
                )
            with self._lock:
                if self._loop is not loop:  # shut down meanwhile
                    raise EngineNotRunning(self._ended_because)
                query.attach(group, subscription, *source, followed=followed)
                query._error_handler = handler
                query._on_close = self._closed
                query.throttle_ms = spec.throttle_ms
                self._queries[name] = query
        return query

    @whole
    def unsub(self, name: str) -> bool:
        """End a subscription and say whether there was one; its object keeps the last df."""
        query = self._queries.get(name)
        if query is None:
            return False
        query.close()
        return True

    def subscriptions(self) -> dict[str, LiveQuery]:
        """Give the running subscriptions by name."""
        return dict(self._queries)

    @whole
    def shutdown(self) -> bool:
        """End every subscription and close every connection; say whether the engine was running.

        What was installed in the database stays; it is silent while nobody waits.
        """
        with self._lock:
            loop, delivery = self._loop, self._delivery
            if loop is None or delivery is None:
                return False
            self._loop = self._delivery = None
            _running.discard(self)
            for query in list(self._queries.values()):
                query.close()
        loop.close()
        delivery.stop()
        return True

    def destroy(self) -> list[str]:
        """Drop everything of ours from the database and say what; raises EngineRunning."""
        if any(engine._conninfo == self._conninfo for engine in _running):
            raise EngineRunning
        return _destroy(self._conninfo)

    def __enter__(self) -> Engine:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.shutdown()

    def __reduce__(self) -> Any:
        """Refuse to be copied or pickled; raises TypeError."""
        raise TypeError("An engine has threads and connections: start another one instead.")

    def __repr__(self) -> str:
        state = "running" if self.running else "not running"
        return f"Engine({self._conninfo}, {state}, {len(self._queries)} subscriptions)"

    def _parts(self) -> tuple[EngineLoop, Delivery]:
        if self._loop is None or self._delivery is None:
            raise EngineNotRunning(self._ended_because)
        return self._loop, self._delivery

    def _abandon(self) -> None:
        """Let go, in a forked child, of what belongs to the parent."""
        if self._loop is not None:
            self._loop.abandon()
        for query in self._queries.values():
            query.abandon()
        self._loop = self._delivery = None
        self._queries = {}
        self._turn, self._lock = threading.RLock(), threading.RLock()
        self._ended_because = FORKED

    def _found(self, name: str) -> LiveQuery:
        if self._ended_because:
            raise EngineNotRunning(self._ended_because)
        if name in self._queries:
            return self._queries[name]
        known = ", ".join(sorted(self._queries)) or "none"
        raise SubscriptionNotFound(
            f"No subscription has the name {name!r}.", hint=f"running subscriptions: {known}."
        )

    def _closed(self, query: LiveQuery) -> None:
        if self._queries.get(query.name) is query:
            del self._queries[query.name]

    def _report(self, group: Group | None, error: PgrtError) -> None:
        """Hand an error to the queries it is about, or to the engine's handler; on the engine's loop."""
        if group is not None:
            for subscriber in list(group.subscribers):
                cast(_Subscription, subscriber).query.fail(error)
        elif self._delivery is not None:
            self._delivery.call(lambda: handle(self._error_handler, error, None))


def start(
    conninfo: Any = "",
    *,
    query_conninfo: Any = None,
    throttle_ms: int = 500,
    pool_size: int = 4,
    error_handler: ErrorHandler | None = None,
    deliver: Deliver = "auto",
    dtype_backend: Literal["pyarrow", "numpy_nullable"] = "pyarrow",
    password: Password = None,
    query_password: Password = None,
) -> Engine:
    """Start the default engine, or give the one that runs.

    `conninfo` is a libpq string or URL, or an engine or URL of SQLAlchemy's; empty means PGRT_DSN,
    DATABASE_URL, then libpq's own environment. It is the role that installs triggers and listens;
    `query_conninfo` the one that runs queries. `password` and `query_password` are theirs: text, or a
    function without arguments that is called on a thread of ours for each new connection.
    Raises ConfigurationError or ServerUnavailable.
    """
    global _default
    wait_for_visitor()
    with turn(_lock):
        if _default is None or not _default.running:
            engine = Engine(
                conninfo,
                query_conninfo=query_conninfo,
                throttle_ms=throttle_ms,
                pool_size=pool_size,
                error_handler=error_handler,
                deliver=deliver,
                dtype_backend=dtype_backend,
                password=password,
                query_password=query_password,
            )
            _default = engine.start()
        return _default


def default_engine() -> Engine | None:
    """Give the default engine, if it runs."""
    return _default if _default is not None and _default.running else None


def sub(
    name: str,
    sql: str | None = None,
    params: Params = None,
    *,
    refresh: Refresh = None,
    throttle_ms: int | None = None,
    max_age_ms: int | None = None,
    key: str | Sequence[str] | None = None,
    max_rows: int | None = None,
    query_conninfo: Any = None,
    error_handler: ErrorHandler | None = None,
    incremental: bool | None = None,
) -> LiveQuery:
    """Make a query live on the default engine; see `Engine.sub`. Raises EngineNotRunning as well."""
    engine = default_engine()
    if engine is None:
        if _default is not None and _default._ended_because:
            raise EngineNotRunning(_default._ended_because)
        if sql is None:
            raise SubscriptionNotFound(
                f"No subscription has the name {name!r}: no engine is running."
            )
        raise EngineNotRunning
    return engine.sub(
        name,
        sql,
        params,
        refresh=refresh,
        throttle_ms=throttle_ms,
        max_age_ms=max_age_ms,
        key=key,
        max_rows=max_rows,
        query_conninfo=query_conninfo,
        error_handler=error_handler,
        incremental=incremental,
    )


def unsub(name: str) -> bool:
    """End a subscription of the default engine; say whether there was one."""
    engine = default_engine()
    return engine.unsub(name) if engine is not None else False


def subscriptions() -> dict[str, LiveQuery]:
    """Give the default engine's subscriptions by name."""
    engine = default_engine()
    return engine.subscriptions() if engine is not None else {}


def shutdown() -> bool:
    """End the default engine; say whether it was running."""
    engine = default_engine()
    return engine.shutdown() if engine is not None else False


def destroy(conninfo: Any = "") -> list[str]:
    """Drop everything of ours from a database and say what; raises EngineRunning."""
    if _running:
        raise EngineRunning
    return _destroy(resolve(conninfo, to_primary=True))


def embedded_postgres(path: str | None = None) -> str:
    """Give the conninfo of a private local server, started on first use; `path` keeps its data."""
    return embedded.embedded_postgres(path)


def result(name: str) -> ResultColumn:
    """Stand, in a refresh mapping, for the values of a column of the current result."""
    return ResultColumn(name)


def _destroy(conninfo: Conninfo) -> list[str]:
    """Drop everything of ours over a connection made for it."""
    with translated():
        connection = connect(conninfo)
        try:
            return removal.uninstall(connection)
        finally:
            connection.close()


def _warn_if_open(conninfo: Conninfo) -> None:
    """Say once that what is sent to a server can be read, or its place be taken, on the way."""
    if conninfo.shown not in _warned and trust.is_open(options(conninfo)):
        _warned.add(conninfo.shown)
        log.warning(
            "%s is another machine, and encryption is not required: add sslmode=verify-full, or "
            "sslmode=require at least.",
            conninfo,
        )


def _log_error(error: PgrtError, query: LiveQuery | None) -> None:
    """Log an error, without what may be a row's value; the default error handler."""
    log.error("%s: %s", query.name if query is not None else "engine", for_log(error))


def _told(name: str, progress: Progress) -> str:
    """Say in words how far a first result is."""
    rows = f", {progress.rows:,} rows so far" if progress.rows else ""
    return f"{name}: {progress.doing}{rows}"


def _names(key: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Take a key given as one name or several."""
    if key is None:
        return None
    return (key,) if isinstance(key, str) else tuple(key)


def _whole(name: str, value: int, least: int) -> int:
    """Check a number that came from outside."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"{name}={value!r}: a whole number of at least {least} is needed.")
    return value


def _answer(name: str, value: bool | None) -> bool | None:
    """Check a yes or no that came from outside."""
    if value is not None and not isinstance(value, bool):
        raise ConfigurationError(f"{name}={value!r}: True, False or None is needed.")
    return value


def _abandon_all() -> None:
    """Let go, in a forked child, of every engine of the parent; the default one says why it is gone."""
    global _lock
    _lock = threading.RLock()
    for engine in list(_running):
        engine._abandon()
    _running.clear()


forks.in_child(_abandon_all)


@atexit.register
def _shut_down_all() -> None:
    """End every engine before the interpreter goes."""
    for engine in list(_running):
        engine.shutdown()
