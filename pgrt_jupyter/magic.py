"""Offer `%%livequery`, `%livequery` and `%pgrt` in IPython and Jupyter.

`magic_options` reads their lines, `magic_errors` shows what went wrong, `completion` suggests.

Longer than most files because docstrings and traits here are the help that `%%livequery?` and `%config` show.
"""

from __future__ import annotations

import keyword
from typing import Any

import pandas as pd
import traitlets
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand

from . import api, completion, jupysql, trust, waiting
from .config import options, resolve
from .embedded import embedded_postgres
from .engine.interrupts import sheltered
from .engine.statement import parameter_names
from .errors import (
    ConfigurationError,
    EngineRunning,
    ServerUnavailable,
    UsageError,
)
from .listing import listing, status
from .live import LiveQuery
from .magic_errors import short_errors
from .magic_options import PGRT, SUBSCRIBE, TEND, Line, read
from .prompting import ask, can_ask
from .wording import plain

_HOW_TO_CONNECT = (
    "type `%pgrt connect --embedded` for a private local server, or `%pgrt connect "
    "postgresql://user@host/database`; a password goes into PGRT_DSN, PGPASSWORD or ~/.pgpass."
)


def load_ipython_extension(shell: Any) -> None:
    """Register the magics and their completion; a second time changes nothing."""
    if LiveQueryMagics.__name__ not in shell.magics_manager.registry:
        shell.register_magics(LiveQueryMagics)
    completion.install(shell.Completer)


def unload_ipython_extension(shell: Any) -> None:
    """Take the magics away; the engine and its live queries stay."""
    completion.remove(shell.Completer)
    ours = shell.magics_manager.registry.pop(LiveQueryMagics.__name__, None)
    if ours is None:
        return
    shell.configurables.remove(ours)
    for kind, names in ours.magics.items():
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)


@magics_class
class LiveQueryMagics(Magics):
    """Defaults for `%%livequery`; what is None is left to the engine."""

    shell: Any
    throttle_ms = traitlets.Int(
        None, allow_none=True, min=0, help="At most one run per so many milliseconds."
    ).tag(config=True)
    max_rows = traitlets.Int(
        None, allow_none=True, min=1, help="Stop reading after so many rows, and say so."
    ).tag(config=True)
    height = traitlets.Int(
        None, allow_none=True, min=1, help="Greatest height of a table in CSS pixels."
    ).tag(config=True)
    persist = traitlets.Bool(
        False, help="Save the first rows with the notebook, for viewers without a kernel."
    ).tag(config=True)
    dtype_backend: Any = traitlets.Enum(
        ("pyarrow", "numpy_nullable"),
        "pyarrow",
        help="dtypes of an engine started by a magic, as in pandas' own parameter.",
    ).tag(config=True)

    @no_var_expand
    @cell_magic("livequery")  # type: ignore[arg-type]
    def subscribe(self, line: str, cell: str) -> None:
        """Make the query in this cell live, as a variable and a table.

            %%livequery NAME [options]
            SELECT … WHERE status = :status

        The notebook's variable NAME becomes a LiveQuery: `NAME.df` is the current result,
        `NAME.observe(handler, "df")` calls you when it changes. `:status` takes the value of the
        variable `status`, bound, never pasted; the value of a widget is followed. Running the cell
        again replaces the query and keeps the object, its observers and its tables.

            --throttle MS      at most one run per so many milliseconds
            --max-age MS       also run when the last run is older than this
            --refresh EXPR     when to run: a mapping like {"orders": {"status": "pending"}}, a
                               list of them, or a function (connection, df, change)
            --params EXPR      values for :name (a mapping) or $1, $2 (a sequence)
            --key COLS         columns that identify a row, separated by commas
            --max-rows N       stop reading after so many rows
            --incremental      read only what changed, even where the result is small
            --no-incremental   read the whole result each time
            --query CONNINFO   run this query as another role; without a password
            --height PX        greatest height of the table
            --persist          save the first rows with the notebook; else only names and counts
            --quiet            show no table

        EXPR is Python, evaluated in the notebook; quotes around it may be left out. Defaults are
        set by `%config LiveQueryMagics`. What is live can be tended:

            %livequery                  list it, with state and age
            %livequery NAME             give the LiveQuery
            %livequery --refresh NAME   run it now and wait
            %livequery --pause NAME     keep its result as it is
            %livequery --resume NAME    go on, catching up first
            %livequery --stop NAME      end it; the last result stays readable
        """
        with short_errors():
            given = read(line, SUBSCRIBE)
            name = _variable(given)
            sql = cell.rstrip()
            if not sql:
                raise UsageError("The query goes below the line with %%livequery.")
            asked = self._options(given, sql)
            if "quiet" in given.given:
                with waiting.hidden():
                    self._make_live(name, sql, asked, given)
            else:
                with waiting.replaced_by(lambda: self.shell.user_ns[name]):
                    self._make_live(name, sql, asked, given)

    @no_var_expand
    @line_magic("livequery")  # type: ignore[arg-type]
    def tend(self, line: str) -> LiveQuery | pd.DataFrame | None:
        with short_errors():
            given = read(line, TEND)
            if len(given.words) > 1 or (given.words and given.given):
                raise UsageError(
                    "%livequery takes one NAME; a query goes below a %%livequery line."
                )
            if given.words:
                return api.sub(given.text)
            for action, names in given.given.items():
                for name in names.replace(",", " ").split():
                    self._tend(action, api.sub(name))
            return None if given.given else self._list()

    tend.__doc__ = subscribe.__doc__  # `%%livequery?` shows the line magic's

    @no_var_expand
    @line_magic
    def pgrt(self, line: str) -> None:
        """Connect to a server, see how things stand, or end.

            %pgrt connect [CONNINFO] [--ask] [--query CONNINFO]
            %pgrt connect --embedded
            %pgrt connect --section NAME [--file PATH]
            %pgrt connect --jupysql
            %pgrt status
            %pgrt shutdown
            %pgrt destroy --yes

        CONNINFO is postgresql://user@host/database or host=… dbname=… user=…, never with a
        password: that belongs in PGRT_DSN, PGPASSWORD, ~/.pgpass or a service, or is asked for by
        --ask, as it is when the server wants one. Without CONNINFO the environment decides
        (PGRT_DSN, DATABASE_URL, PG*). --embedded starts a private local server; --section takes
        jupysql's connection of that name (~/.jupysql/connections.ini), --jupysql the one that
        `%sql` uses. --query names another role to run the queries. `shutdown` ends every live
        query; `destroy` drops what was installed in the database: the schema _pgrt and our triggers.
        """
        with short_errors():
            command, _, rest = line.strip().partition(" ")
            if command not in PGRT:
                raise UsageError(f"%pgrt is followed by one of: {', '.join(PGRT)}.")
            given = read(rest, PGRT[command])
            if given.words and command != "connect":
                raise UsageError(f"%pgrt {command} takes no more words.")
            getattr(self, f"_{command}")(given)

    # -- %%livequery

    def _make_live(self, name: str, sql: str, asked: dict[str, Any], given: Line) -> None:
        """Subscribe, and prepare the table that displaying the query shows."""
        with sheltered():
            query = self._engine().sub(name, sql, **asked)
            self._bind(name, query)
        height = given.number("height") or self.height
        if height is not None:
            query.own_table.height = height
        query.persist = "persist" in given.given or self.persist

    def _engine(self) -> api.Engine:
        """Give the engine that runs, or start one from the environment."""
        return api.default_engine() or self._start("", None)

    def _bind(self, name: str, query: LiveQuery) -> None:
        """Make the query a variable; what it was before, if it has ended, leaves no table behind."""
        before = self.shell.user_ns.get(name)
        self.shell.user_ns[name] = query
        if isinstance(before, LiveQuery) and before is not query:
            before.release()

    def _start(
        self, conninfo: Any, query: str | None, *, password: Any = None, query_password: Any = None
    ) -> api.Engine:
        """Start an engine; a password that the server wants, and nobody gave, is asked for."""
        try:
            return api.start(
                conninfo,
                query_conninfo=query,
                dtype_backend=self.dtype_backend,
                password=password,
                query_password=query_password,
            )
        except (ServerUnavailable, ConfigurationError) as error:
            wants = isinstance(error, ServerUnavailable) and error.needs_password
            if password is not None or not wants or not can_ask(self.shell):
                hint = f"{error.hint.rstrip('.')}. Or {_HOW_TO_CONNECT}"
                error.hint = hint.removeprefix(". Or ")
                raise
        return self._start(conninfo, query, password=ask(resolve(conninfo)))

    def _options(self, given: Line, sql: str) -> dict[str, Any]:
        """Turn what stands on the line into arguments of `sub`."""
        throttle, max_rows = given.number("throttle"), given.number("max-rows")
        key = [name.strip() for name in given.given.get("key", "").split(",")]
        return {
            "params": self._params(given, sql, _variable(given)),
            "refresh": self._evaluated("refresh", given),
            "throttle_ms": self.throttle_ms if throttle is None else throttle,
            "max_age_ms": given.number("max-age"),
            "key": key if any(key) else None,
            "max_rows": self.max_rows if max_rows is None else max_rows,
            "query_conninfo": _without_password(given.given.get("query")),
            "incremental": _incremental(given),
        }

    def _params(self, given: Line, sql: str, name: str) -> Any:
        """Give --params, or what the query's parameters follow, or the notebook's variables."""
        if "params" in given.given:
            return self._evaluated("params", given)
        running = api.subscriptions().get(name)
        space = {**self.shell.user_ns, **(running.followed if running is not None else {})}
        return {name: space[name] for name in parameter_names(sql) if name in space} or None

    def _evaluated(self, option: str, given: Line) -> Any:
        """Evaluate an option's expression in the notebook."""
        if option not in given.given:
            return None
        try:
            return self.shell.ev(given.given[option])
        except Exception as error:
            raise UsageError(f"--{option}: {type(error).__name__}: {error}") from error

    # -- %livequery

    def _tend(self, action: str, query: LiveQuery) -> None:
        getattr(query, "close" if action == "stop" else action)()
        print(f"{plain(query.name)}: {query.status}, {len(query.df)} rows, version {query.version}")

    def _list(self) -> pd.DataFrame | None:
        """Make a table of what is live; say how to begin when nothing is."""
        queries = list(api.subscriptions().values())
        if not queries:
            print("Nothing is live: `%%livequery NAME` above a query makes it so.")
            return None
        return listing(queries)

    # -- %pgrt

    def _connect(self, given: Line) -> None:
        conninfo, query = self._place(given), _without_password(given.given.get("query"))
        engine = api.default_engine()
        if engine is None:
            asked = _asked(conninfo, query) if "ask" in given.given else {}
            self._start(conninfo, query, **asked)
        elif (conninfo or query) and not _is_on(engine, conninfo, query):
            raise EngineRunning(
                f"Already connected to {engine._conninfo}.",
                hint="`%pgrt shutdown` ends that and its live queries.",
            )
        self._status(given)

    def _place(self, given: Line) -> Any:
        """Give what the line says about where to connect."""
        ways = [way for way in ("embedded", "section", "jupysql") if way in given.given]
        said = [*(["CONNINFO"] if given.words else []), *(f"--{way}" for way in ways)]
        if len(said) > 1:
            raise UsageError(f"Either {said[0]} or {said[1]}, not both.")
        if "file" in given.given and ways != ["section"]:
            raise UsageError("--file is the one that --section is in.")
        if "embedded" in ways:
            return embedded_postgres()
        if "jupysql" in ways:
            return jupysql.current()
        if "section" in ways:
            file = given.given.get("file") or jupysql.default_file(self.shell)
            return jupysql.section(given.given["section"], file)
        return _without_password(given.text) or ""

    def _status(self, given: Line) -> None:
        engine = api.default_engine()
        if engine is None:
            print("Not connected: `%pgrt connect` or a first `%%livequery` does that.")
            return
        print(status(engine))

    def _shutdown(self, given: Line) -> None:
        print("Every live query has ended." if api.shutdown() else "Nothing was running.")

    def _destroy(self, given: Line) -> None:
        if "yes" not in given.given:
            raise UsageError("This drops the schema _pgrt and our triggers: add --yes.")
        if api.default_engine() is not None:
            raise EngineRunning("Live queries are running.", hint="`%pgrt shutdown` ends them.")
        last = api._default  # the server we were on, not the environment's
        dropped = last.destroy() if last is not None else api.destroy()
        print("\n".join(["Dropped:", *dropped]) if dropped else "There was nothing to drop.")


def _variable(given: Line) -> str:
    """Give the name that the query and the variable will have."""
    name = " ".join(given.words)
    if not name:
        raise UsageError("%%livequery NAME [options]: the name is missing.")
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError("%%livequery NAME: NAME becomes a variable, so it must be a Python name.")
    return name


def _incremental(given: Line) -> bool | None:
    """Say whether only what changed is to be read; None: as it pays."""
    if {"incremental", "no-incremental"} <= given.given.keys():
        raise UsageError("--incremental and --no-incremental exclude each other.")
    return (
        True if "incremental" in given.given else False if "no-incremental" in given.given else None
    )


def _without_password(conninfo: str | None) -> str | None:
    """Refuse a connection string that should not be in a cell."""
    if not conninfo:
        return None
    if conninfo[0] in "${":
        raise UsageError("Variables are not expanded here: use pgrt_jupyter.start(conninfo).")
    resolve(conninfo)
    trust.check_cell(options(conninfo))
    return conninfo


def _asked(conninfo: Any, query: str | None) -> dict[str, str]:
    """Ask for the passwords of the roles on a line."""
    asked = {"password": ask(resolve(conninfo))}
    return asked | ({"query_password": ask(resolve(query))} if query else {})


def _is_on(engine: api.Engine, conninfo: Any, query: str | None) -> bool:
    """Ask whether an engine uses these servers and roles; passwords do not count."""
    pairs = ((conninfo, engine._conninfo), (query, engine._query_conninfo))
    return all(resolve(text).shown == used.shown for text, used in pairs if text)
