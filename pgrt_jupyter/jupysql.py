"""Find the connections that jupysql has: in its file, and in the kernel.

jupysql is not imported. A section of its file, `~/.jupysql/connections.ini` unless its magic says
otherwise, holds the parts of one URL: drivername, username, password, host, port, database, query.
"""

from __future__ import annotations

import ast
import configparser
import dataclasses
import sys
from pathlib import Path
from typing import Any

from .errors import ConfigurationError, UsageError
from .urls import Url

_FILE = "~/.jupysql/connections.ini"
_PARTS = tuple(part.name for part in dataclasses.fields(Url))


def section(name: str, file: str) -> Url:
    """Read a connection from the file; raises ConfigurationError, without what stands there."""
    path = Path(file).expanduser()
    parser = configparser.ConfigParser()
    failure = None
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
        if name in parser:
            return _url(dict(parser.items(name)), name, file)
        known = ", ".join(parser.sections()) or "none"
        failure = ConfigurationError(
            f"{file} has no section {name!r}.", hint=f"there are: {known}."
        )
    except OSError as error:
        failure = ConfigurationError(f"{file} cannot be opened: {error.strerror}.")
    except (configparser.Error, UnicodeError):
        failure = ConfigurationError(
            f"{file} cannot be read.", hint="it has sections like [shop]; a % is written %%."
        )
    raise failure  # here, where it carries no error that quotes the file


def current() -> Any:
    """Give the connection that `%sql` uses in this kernel; raises UsageError where there is none."""
    manager = getattr(sys.modules.get("sql.connection"), "ConnectionManager", None)
    found = getattr(manager, "current", None)
    if found is None:
        raise UsageError("jupysql has no connection in this kernel: `%sql URL` makes one.")
    return getattr(found, "connection_sqlalchemy", None) or getattr(found, "_connection", found)


def default_file(shell: Any) -> str:
    """Say which file jupysql reads in this kernel."""
    magics = shell.magics_manager.registry.get("SqlMagic")
    return str(getattr(magics, "dsn_filename", _FILE))


def _url(parts: dict[str, Any], name: str, file: str) -> Url:
    """Check what a section says."""
    try:
        query = ast.literal_eval(parts.pop("query", "{}"))
        if isinstance(query, dict):
            return Url(**parts, query=query)
    except (ValueError, SyntaxError, TypeError):
        pass
    raise ConfigurationError(
        f"The section {name!r} of {file} cannot be read.",
        hint=f"it has drivername and, of these, what is needed: {', '.join(_PARTS[1:])}; the query "
        "is written like {'sslmode': 'require'}.",
    )
