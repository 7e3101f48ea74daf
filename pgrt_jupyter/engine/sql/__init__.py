"""Load the SQL statements that live beside this file, one per file."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import LiteralString


@cache
def load(name: str) -> LiteralString:
    """Read `name.sql`; the files ship with the package, so their text counts as literal."""
    return files(__package__).joinpath(f"{name}.sql").read_text("utf-8")
