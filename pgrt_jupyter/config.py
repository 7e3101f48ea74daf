"""Find out which server to talk to, and keep its password out of sight."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import version

from . import trust, urls
from .errors import ConfigurationError, ServerUnavailable

Password = str | Callable[[], str] | None  # a function is asked for each new connection

APPLICATION_NAME = "pgrt_jupyter"

# A dead peer is noticed within about a minute by TCP itself; the listener's own heartbeat is quicker.
_DEFAULTS: Mapping[str, str | int] = {
    "application_name": APPLICATION_NAME,
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
_BALANCES = version() >= 160_000  # whether libpq knows load_balance_hosts
# What libpq's own environment gives is not ours to replace.
_VARIABLES = {"connect_timeout": "PGCONNECT_TIMEOUT", "application_name": "PGAPPNAME"}
_UNREADABLE = (ProgrammingError, UnicodeError)  # the latter for what percent-encoding hides


@dataclass(frozen=True, slots=True)
class Conninfo:
    """Hold a connection string; printing it shows neither the password nor the string itself."""

    value: str = field(repr=False)
    shown: str
    ask: Callable[[], str] | None = field(default=None, repr=False, compare=False)  # for a password

    def __str__(self) -> str:
        return self.shown

    @property
    def names_several(self) -> bool:
        """Say whether it leads to one of several servers."""
        given = conninfo_to_dict(self.value)
        return "," in str(
            given.get("host") or given.get("hostaddr") or os.environ.get("PGHOST", "")
        )

    def filled(self) -> str:
        """Give the string with the password of this moment; a function for it may take its time.

        Raises ServerUnavailable, without what the function raised: that may quote the password.
        """
        if self.ask is None:
            return self.value
        failed = ""
        try:
            return make_conninfo(self.value, password=_text(self.ask()))
        except Exception as error:
            failed = type(error).__name__
        raise ServerUnavailable(
            f"No password for {self.shown}: the function that gives it failed with {failed}.",
            hint="it takes no argument, returns text, and may be called on any thread.",
        )


def resolve(
    conninfo: object = "",
    environ: Mapping[str, str] = os.environ,
    *,
    to_primary: bool = False,
    password: Password = None,
) -> Conninfo:
    """Take what was passed, else PGRT_DSN, else DATABASE_URL, else libpq's own defaults.

    What is passed is a connection string, or a URL, an engine or a connection of SQLAlchemy's.
    `to_primary` looks for the primary where several hosts are named, unless target_session_attrs says
    otherwise: on a standby no notification is ever heard, and after a failover the first host may be one.
    Raises ConfigurationError when libpq cannot read it, without repeating it.
    """
    if isinstance(conninfo, Conninfo):
        return conninfo
    given = _given(conninfo, environ) if isinstance(conninfo, str) else urls.options(conninfo)
    if isinstance(password, str):
        given["password"] = password
    elif password is not None and not callable(password):
        raise ConfigurationError("password is text, or a function that returns it.")
    defaults = {
        name: value
        for name, value in _DEFAULTS.items()
        if name not in given and not environ.get(_VARIABLES.get(name, ""))
    }
    if to_primary and _needs_choice(given, environ):
        defaults["target_session_attrs"] = "primary"
        chosen = given.get("load_balance_hosts") or environ.get("PGLOADBALANCEHOSTS")
        if _BALANCES and not chosen:
            # An old primary that came back unaware would be found first each time.
            defaults["load_balance_hosts"] = "random"
    value = _made({**given, **defaults})
    return Conninfo(value, _shown(given), password if callable(password) else None)


def _given(text: str, environ: Mapping[str, str]) -> urls.Options:
    """Read a connection string; raises ConfigurationError without repeating it."""
    text = text or environ.get("PGRT_DSN", "") or environ.get("DATABASE_URL", "")
    try:
        text = urls.plain(text)
        given = conninfo_to_dict(text)
    except _UNREADABLE:
        given = None
    if given is None or trust.is_misread(text, given):
        raise ConfigurationError(
            "The connection string cannot be read.",
            hint="write postgresql://user@host:5432/database or host=… dbname=… user=…; "
            "in a URL, characters like @ : / % and spaces must be percent-encoded.",
        )
    return dict(given)


def _made(given: Mapping[str, object]) -> str:
    """Write a connection string; raises ConfigurationError without any value."""
    try:
        if not any("\x00" in str(value) for value in given.values()):  # libpq reads up to it
            return make_conninfo("", **given)  # type: ignore[arg-type]
    except (*_UNREADABLE, ValueError):
        pass
    raise ConfigurationError("An option of the connection has a value that it cannot have.")


def _text(password: object) -> str:
    """Require a password to be text, whole: libpq would read it up to a NUL character."""
    if not isinstance(password, str) or "\x00" in password:
        raise TypeError
    return password


def _needs_choice(given: Mapping[str, object], environ: Mapping[str, str]) -> bool:
    """Say whether several servers are named and not which of them is meant."""
    hosts = given.get("host") or given.get("hostaddr") or environ.get("PGHOST", "")
    chosen = given.get("target_session_attrs") or environ.get("PGTARGETSESSIONATTRS")
    return "," in str(hosts) and not chosen


def has_password(conninfo: str) -> bool:
    """Say whether a connection string carries a password; one that cannot be read might."""
    try:
        given = conninfo_to_dict(urls.plain(conninfo))
    except _UNREADABLE:
        return True
    return not given.keys().isdisjoint(("password", "sslpassword"))


def options(conninfo: str | Conninfo) -> dict[str, object]:
    """Give the options of a connection string that can be read, without the defaults of ours."""
    value = conninfo.value if isinstance(conninfo, Conninfo) else urls.plain(conninfo)
    return dict(conninfo_to_dict(value))


def _shown(given: Mapping[str, object]) -> str:
    """Describe a server without its password or any option that might hold one."""
    names = ("service", "host", "port", "dbname", "user")
    shown = [f"{name}={given[name]}" for name in names if given.get(name) is not None]
    return " ".join(shown) or "libpq's defaults"
