"""Decide which connection options a cell may carry, and whether a link is open to others.

A cell is saved, sent to others and run by them. So it may name a server, a role and settings that the
role could make itself, but no secret, no file of the machine it happens to run on, and nothing that
makes libpq write one.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping

from .errors import ConfigurationError, PasswordInCell

_SECRETS = (
    "password",
    "sslpassword",
    "oauth_client_secret",
    "scram_client_key",
    "scram_server_key",
)
_FOR_CELLS = frozenset(
    (
        *("host", "hostaddr", "port", "dbname", "user", "service", "options"),
        *("application_name", "fallback_application_name", "client_encoding", "connect_timeout"),
        *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
        *("tcp_user_timeout", "target_session_attrs", "load_balance_hosts"),
        *("sslmode", "sslnegotiation", "sslsni", "sslcertmode", "channel_binding", "gssencmode"),
        *("require_auth", "requirepeer", "min_protocol_version", "max_protocol_version"),
        *("ssl_min_protocol_version", "ssl_max_protocol_version"),
    )
)
_ENCRYPTED = ("require", "verify-ca", "verify-full")


def check_cell(given: Mapping[str, object]) -> None:
    """Refuse options that do not belong in a cell; raises PasswordInCell or ConfigurationError."""
    if not given.keys().isdisjoint(_SECRETS):
        raise PasswordInCell
    of_system = given.get("sslrootcert") == "system"  # no file, but whom the machine trusts
    for name in sorted(given.keys() - _FOR_CELLS - ({"sslrootcert"} if of_system else set())):
        raise ConfigurationError(
            f"{name} is not taken from a cell, which others may run on their machines.",
            hint="put the whole connection string into PGRT_DSN, or the option into a service "
            "of pg_service.conf (service=NAME).",
        )


def is_misread(text: str, given: Mapping[str, object]) -> bool:
    """Say whether libpq took part of a password for something else, which then would be shown.

    In a URL a character like @ or / in a password ends it too early unless it is percent-encoded.
    """
    ports = [port.strip() for port in str(given.get("port") or "").split(",")]
    path = text.partition("://")[2].partition("?")[0].partition("/")[2]
    return (
        "@" in str(given.get("host") or "").partition("/")[0]
        or not all(port.isdecimal() for port in ports if port)
        or ("://" in text and "@" in path)
    )


def is_open(given: Mapping[str, object], environ: Mapping[str, str] = os.environ) -> bool:
    """Say whether what is sent can be read on the way: another machine, and encryption not required."""
    mode = str(given.get("sslmode") or environ.get("PGSSLMODE") or "prefer")
    hosts = given.get("hostaddr") or given.get("host") or environ.get("PGHOST") or ""
    return mode not in _ENCRYPTED and any(map(_is_elsewhere, str(hosts).split(",")))


def _is_elsewhere(host: str) -> bool:
    host = host.strip()
    if not host or host[0] in "/@" or host == "localhost":
        return False
    try:
        return not ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return True
