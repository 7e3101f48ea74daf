"""Find out which server to talk to, and keep its password out of sight."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from . import trust
from .errors import ConfigurationError

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
# What libpq's own environment gives is not ours to replace.
_VARIABLES = {"connect_timeout": "PGCONNECT_TIMEOUT", "application_name": "PGAPPNAME"}
_UNREADABLE = (ProgrammingError, UnicodeError)  # the latter for what percent-encoding hides
_DRIVER = re.compile(r"^(postgres(?:ql)?)\+\w+://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Conninfo:
    """Hold a connection string; printing it shows neither the password nor the string itself."""

    value: str = field(repr=False)
    shown: str

    def __str__(self) -> str:
        return self.shown


def resolve(
    conninfo: str | Conninfo = "",
    environ: Mapping[str, str] = os.environ,
    *,
    to_primary: bool = False,
) -> Conninfo:
    """Take what was passed, else PGRT_DSN, else DATABASE_URL, else libpq's own defaults.

    `to_primary` looks for the primary where several hosts are named, unless target_session_attrs says
    otherwise: on a standby no notification is ever heard, and after a failover the first host may be one.
    Raises ConfigurationError when libpq cannot read it, without repeating it.
    """
    if isinstance(conninfo, Conninfo):
        return conninfo
    text = conninfo or environ.get("PGRT_DSN", "") or environ.get("DATABASE_URL", "")
    text = _DRIVER.sub(r"\1://", text)
    try:
        given = conninfo_to_dict(text)
    except _UNREADABLE:
        given = None
    if given is None or trust.is_misread(text, given):
        raise ConfigurationError(
            "The connection string cannot be read.",
            hint="write postgresql://user@host:5432/database or host=… dbname=… user=…; "
            "in a URL, characters like @ : / % and spaces must be percent-encoded.",
        )
    defaults = {
        name: value
        for name, value in _DEFAULTS.items()
        if name not in given and not environ.get(_VARIABLES.get(name, ""))
    }
    if to_primary and _needs_choice(given, environ):
        defaults["target_session_attrs"] = "primary"
    return Conninfo(make_conninfo(text, **defaults), _shown(given))


def _needs_choice(given: Mapping[str, object], environ: Mapping[str, str]) -> bool:
    """Say whether several servers are named and not which of them is meant."""
    hosts = given.get("host") or given.get("hostaddr") or environ.get("PGHOST", "")
    chosen = given.get("target_session_attrs") or environ.get("PGTARGETSESSIONATTRS")
    return "," in str(hosts) and not chosen


def has_password(conninfo: str) -> bool:
    """Say whether a connection string carries a password; one that cannot be read might."""
    try:
        given = conninfo_to_dict(_DRIVER.sub(r"\1://", conninfo))
    except _UNREADABLE:
        return True
    return not given.keys().isdisjoint(("password", "sslpassword"))


def options(conninfo: str | Conninfo) -> dict[str, object]:
    """Give the options of a connection string that can be read, without the defaults of ours."""
    value = conninfo.value if isinstance(conninfo, Conninfo) else _DRIVER.sub(r"\1://", conninfo)
    return dict(conninfo_to_dict(value))


def _shown(given: Mapping[str, object]) -> str:
    """Describe a server without its password or any option that might hold one."""
    names = ("service", "host", "port", "dbname", "user")
    shown = [f"{name}={given[name]}" for name in names if given.get(name) is not None]
    return " ".join(shown) or "libpq's defaults"
