"""Live SQL for notebooks: queries on PostgreSQL whose DataFrames follow the database.

>>> import pgrt_jupyter as pgrt
>>> engine = pgrt.start("postgresql://localhost/shop")
>>> lq = pgrt.sub("pending", "SELECT id, amount FROM orders WHERE status = 'pending'")
>>> lq.df      # a pandas DataFrame, always current
>>> lq         # in a notebook: a live table

A change goes one way: `magic` or `api` → `live.LiveQuery` → the `engine` (see its docstring) → back to
`live`, where `succession` makes it the next `view`, through `delivery` to observers, and through `displays`,
`window`, `widget` or `plot`, and `js/` to browsers; other libraries' figures are driven by `link`. Where
parameters follow widgets (`binding`), `following` subscribes anew with their values. Where to connect is
found by `config`, with `urls` and `jupysql` for connections that others have; `waiting` says what a cell
waits for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import (
        Engine,
        destroy,
        embedded_postgres,
        result,
        shutdown,
        start,
        sub,
        subscriptions,
        unsub,
    )
    from .engine.model import TRACKED_COLUMNS, Delta
    from .errors import (
        CaptureFailed,
        ConfigurationError,
        EngineNotRunning,
        EngineRunning,
        FilterFailed,
        PasswordInCell,
        PermissionMissing,
        PgrtError,
        QueryFailed,
        QueryRefused,
        ServerUnavailable,
        SubscriptionNotFound,
        UsageError,
    )
    from .link import Link
    from .live import LiveQuery
    from .magic import load_ipython_extension, unload_ipython_extension
    from .plot.widget import LivePlot
    from .widget import LiveTable

__version__ = "0.1.0"

_HOMES = {
    "api": (
        "Engine",
        "destroy",
        "embedded_postgres",
        "result",
        "shutdown",
        "start",
        "sub",
        "subscriptions",
        "unsub",
    ),
    "engine.model": ("Delta", "TRACKED_COLUMNS"),
    "errors": (
        "CaptureFailed",
        "ConfigurationError",
        "EngineNotRunning",
        "EngineRunning",
        "FilterFailed",
        "PasswordInCell",
        "PermissionMissing",
        "PgrtError",
        "QueryFailed",
        "QueryRefused",
        "ServerUnavailable",
        "SubscriptionNotFound",
        "UsageError",
    ),
    "link": ("Link",),
    "live": ("LiveQuery",),
    "magic": ("load_ipython_extension", "unload_ipython_extension"),
    "plot.widget": ("LivePlot",),
    "widget": ("LiveTable",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "TRACKED_COLUMNS",
    "CaptureFailed",
    "ConfigurationError",
    "Delta",
    "Engine",
    "EngineNotRunning",
    "EngineRunning",
    "FilterFailed",
    "Link",
    "LivePlot",
    "LiveQuery",
    "LiveTable",
    "PasswordInCell",
    "PermissionMissing",
    "PgrtError",
    "QueryFailed",
    "QueryRefused",
    "ServerUnavailable",
    "SubscriptionNotFound",
    "UsageError",
    "destroy",
    "embedded_postgres",
    "load_ipython_extension",
    "result",
    "shutdown",
    "start",
    "sub",
    "subscriptions",
    "unload_ipython_extension",
    "unsub",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that importing the engine loads no Jupyter."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
