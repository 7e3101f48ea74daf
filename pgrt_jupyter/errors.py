"""Everything this package raises.

PgrtError
├── ConfigurationError      what was passed cannot be used
│   ├── PasswordInCell      a password was typed where it would be saved
│   └── UsageError          the line of a magic cannot be read
├── EngineNotRunning        a verb needs an engine and none runs
├── EngineRunning           destroy while an engine of this process runs
├── SubscriptionNotFound    no subscription of that name
├── QueryRefused            not one read-only statement; nothing was executed
├── QueryFailed             the server refused or aborted the query
│   └── PermissionMissing   the role lacks a privilege; says which GRANT helps
├── ServerUnavailable       no usable connection
├── CaptureFailed           triggers could not be installed; the subscription polls
└── FilterFailed            a `refresh` function or predicate raised; the query was refreshed

The docstring of a class is its default message.
"""

from __future__ import annotations


class PgrtError(Exception):
    """Something went wrong in pgrt_jupyter."""

    def __init__(self, message: str = "", *, sqlstate: str | None = None, hint: str = "") -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.sqlstate = sqlstate
        self.hint = hint
        super().__init__(self.message)

    def __str__(self) -> str:
        state = f" [SQLSTATE {self.sqlstate}]" if self.sqlstate else ""
        hint = f"\nHint: {self.hint}" if self.hint else ""
        return f"{self.message}{state}{hint}"

    def _render_traceback_(self) -> list[str]:
        """Say in IPython what is wrong and in which line of whose cell, whatever `%xmode` is.

        IPython's own tracebacks may show the values of variables, a connection string among them.
        """
        from .magic_errors import lines, whereabouts

        return [*lines(self), *whereabouts(self.__traceback__)]


class ConfigurationError(PgrtError, ValueError):
    """An argument cannot be used as it was given."""


class PasswordInCell(ConfigurationError):
    """A password in a cell is saved with the notebook and its history."""

    def __init__(self) -> None:
        super().__init__(
            hint="put it in the environment (PGPASSWORD or PGRT_DSN), in ~/.pgpass, in a "
            "pg_service.conf entry (service=NAME), have `%pgrt connect --ask` ask for it, or set "
            "PGRT_DSN from getpass.getpass()."
        )


class UsageError(ConfigurationError):
    """The line of a magic cannot be read."""


class EngineNotRunning(PgrtError, RuntimeError):
    """No engine is running: call pgrt_jupyter.start(conninfo) first."""


class EngineRunning(PgrtError, RuntimeError):
    """An engine is running: call shutdown() before destroy()."""


class SubscriptionNotFound(PgrtError, KeyError):
    """No subscription has that name."""

    __str__ = PgrtError.__str__


class QueryRefused(PgrtError, ValueError):
    """A live query is one read-only statement: SELECT, WITH, VALUES or TABLE."""


class QueryFailed(PgrtError):
    """The server could not run the query.

    `position` is the 1-based character in the query text the server points at, or None.
    """

    def __init__(
        self,
        message: str = "",
        *,
        sqlstate: str | None = None,
        hint: str = "",
        detail: str = "",
        position: int | None = None,
        text: str = "",
    ) -> None:
        super().__init__(message, sqlstate=sqlstate, hint=hint)
        self.detail = detail
        self.position = position
        self.text = text


class PermissionMissing(QueryFailed):
    """The role lacks a privilege."""


class ServerUnavailable(PgrtError, ConnectionError):
    """The PostgreSQL server cannot be reached."""

    def __init__(
        self,
        message: str = "",
        *,
        sqlstate: str | None = None,
        hint: str = "",
        needs_password: bool = False,
    ) -> None:
        super().__init__(message, sqlstate=sqlstate, hint=hint)
        self.needs_password = needs_password  # it asked for one, and there was none


class CaptureFailed(PgrtError):
    """The triggers that announce changes could not be installed; the query polls instead."""

    @property
    def is_busy(self) -> bool:
        """Say whether the table was only locked by others, so that trying again helps."""
        return self.sqlstate in ("55P03", "40P01", "XX000")


class FilterFailed(PgrtError):
    """A refresh filter raised; the query was refreshed instead."""
