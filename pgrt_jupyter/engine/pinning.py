"""Run statements of our own so that nobody else's functions or operators are found by their names.

A session looks names up in the user's search path, where another role may have put a better match for
`=` or `md5` than PostgreSQL's; it would run with the installing role's rights. READ COMMITTED, since a
serializable reader of `_pgrt.changes` could make a serializable writer fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from .connection import Connection

SEARCH_PATH = "pg_catalog, pg_temp"


@contextmanager
def pinned(connection: Connection) -> Iterator[None]:
    """Run the block in one transaction in which names are PostgreSQL's own."""
    connection.execute(
        b"BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL search_path = pg_catalog, pg_temp"
    )
    try:
        yield
    except BaseException:
        with suppress(psycopg.Error):
            connection.execute(b"ROLLBACK")
        raise
    connection.execute(b"COMMIT")
