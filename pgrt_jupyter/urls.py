"""Take a connection as SQLAlchemy, or a driver, has it: URL text, URL, engine, connection.

SQLAlchemy is not imported: what has the parts of its URL is one. What cannot be carried over is left
out where it is the driver's own affair, and refused otherwise: an option that is lost in silence may
be the one that encrypts.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from psycopg import ProgrammingError, pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from . import trust
from .errors import ConfigurationError

Options = dict[str, Any]  # libpq's, by keyword

_DRIVER = re.compile(r"^(postgres(?:ql)?)\+(\w+)://", re.IGNORECASE)
_PARTS = ("drivername", "username", "password", "host", "port", "database", "query")
_OTHERS_NAMES = {"timeout": "connect_timeout", "ssl": "sslmode", "database": "dbname"}  # asyncpg's
_SPECIAL = re.compile(r"[\\ ]")
_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_OF_DRIVERS = frozenset(  # how a driver works, not where it leads to
    (
        *("autocommit", "context", "prepare_threshold", "row_factory", "cursor_factory"),
        *(
            "connection_factory",
            "connection_class",
            "record_class",
            "loop",
            "async_",
            "async_fallback",
        ),
        *("async_creator_fn", "prepared_statement_cache_size", "prepared_statement_name_func"),
        *("statement_cache_size", "max_cached_statement_lifetime", "max_cacheable_statement_size"),
        *("command_timeout", "executemany_mode", "executemany_batch_page_size"),
        *("executemany_values_page_size", "isolation_level", "use_native_hstore"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    """Hold the parts of a URL under SQLAlchemy's names."""

    drivername: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    host: str | None = None
    port: int | str | None = None
    database: str | None = None
    query: Mapping[str, Any] = field(default_factory=dict, repr=False)


def plain(text: str) -> str:
    """Write a URL that names a driver as libpq reads it; other text stays. Raises ProgrammingError."""
    found = _DRIVER.match(text)
    if found is None:
        return text
    place, _, query = text.partition("?")
    place = f"{found[1]}://{place[found.end() :]}"
    given = conninfo_to_dict(place)
    if trust.is_misread(place, given):
        raise ProgrammingError
    several: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        several.setdefault(name, []).append(value)
    try:
        given |= _translated({n: v if len(v) > 1 else v[0] for n, v in several.items()})
    except ConfigurationError:
        raise ProgrammingError from None  # a name may be part of a password here
    return make_conninfo("", **given)


def options(given: object) -> Options:
    """Give libpq's options for a URL, an engine or a connection; raises ConfigurationError."""
    if all(hasattr(given, part) for part in _PARTS):
        return _of_url(given)
    engine: Any = getattr(given, "sync_engine", None) or getattr(given, "engine", given)
    if all(hasattr(getattr(engine, "url", None), part) for part in _PARTS):
        return _of_url(engine.url) | _beyond_url(engine)
    if hasattr(getattr(given, "info", None), "backend_pid"):
        return _of_connection(given)
    raise ConfigurationError(
        f"A {type(given).__name__} is no connection.",
        hint="give a connection string, or SQLAlchemy's URL or engine.",
    )


def _of_url(url: Any) -> Options:
    """Read the parts of a URL."""
    backend = str(url.drivername).partition("+")[0]
    if backend not in ("postgresql", "postgres"):
        raise ConfigurationError(f"A live query needs PostgreSQL, and this is {backend}.")
    parts = {
        "host": url.host,
        "port": url.port,
        "user": url.username,
        "password": None if url.password is None else str(url.password),
        "dbname": url.database,
    }
    return {n: v for n, v in parts.items() if v not in (None, "")} | _translated(url.query)


def _beyond_url(engine: Any) -> Options:
    """Read `connect_args`, which an engine keeps nowhere but in the function that connects."""
    creator = engine.pool._creator
    if not str(getattr(creator, "__module__", "")).startswith("sqlalchemy."):
        raise ConfigurationError(
            "This engine connects by a function of its own (creator=), which its URL says nothing of.",
            hint="give a connection string, and password=function for a password that changes.",
        )
    return _translated(inspect.getclosurevars(creator).nonlocals.get("cparams", {}))


def _of_connection(connection: Any) -> Options:
    """Read where a driver's connection leads to, of psycopg or psycopg2."""
    info = connection.info
    found = info.get_parameters() if hasattr(info, "get_parameters") else info.dsn_parameters
    return {**found, "password": info.password} if info.password else dict(found)


def _translated(given: Mapping[str, Any]) -> Options:
    """Give the options of drivers under libpq's names; raises ConfigurationError for what has none."""
    found: Options = {}
    for name, value in given.items():
        if name == "host" and not isinstance(value, str):
            found |= _hosts(value)
        elif name == "server_settings" and isinstance(value, Mapping):
            found |= _settings(value)
        elif name in _OTHERS_NAMES and _OTHERS_NAMES[name] not in given:
            found[_OTHERS_NAMES[name]] = value
        elif name in _keywords():
            found[name] = value
        elif name not in _OF_DRIVERS:
            raise ConfigurationError(
                f"{name} is not an option of a connection to PostgreSQL.",
                hint="give a connection string of libpq's: host=… dbname=… user=… sslmode=…",
            )
    found = {n: v for n, v in found.items() if v is not None and v != ""}
    if "sslmode" in found and found["sslmode"] not in _MODES:
        raise ConfigurationError(
            "What this connection says of encryption cannot be carried over.",
            hint="give a connection string with sslmode=verify-full and, if need be, sslrootcert=…",
        )
    return found


def _hosts(places: Iterable[str]) -> Options:
    """Read several hosts, each perhaps with its port."""
    pairs = [place.rpartition(":") if ":" in place else (place, "", "") for place in places]
    hosts = {"host": ",".join(host for host, _, _ in pairs)}
    return hosts | (
        {"port": ",".join(port for _, _, port in pairs)} if any(p[2] for p in pairs) else {}
    )


def _settings(settings: Mapping[str, Any]) -> Options:
    """Read settings of the session as libpq passes them on."""
    escaped = (_SPECIAL.sub(r"\\\g<0>", f"{name}={value}") for name, value in settings.items())
    return {"options": " ".join(f"-c {setting}" for setting in escaped)}


@cache
def _keywords() -> frozenset[str]:
    """List the options that this libpq knows."""
    return frozenset(option.keyword.decode() for option in pq.Conninfo.get_defaults())
