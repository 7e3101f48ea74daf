"""Connections are kept while they are needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgrt_jupyter.config import resolve
from pgrt_jupyter.engine.sessions import Sessions
from pgrt_jupyter.testing import wait_until

OURS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
OURS += " AND application_name = 'pgrt_jupyter'"


def test_what_a_burst_needed_is_closed_but_for_one(dsn: str, connect: Callable[..., Any]) -> None:
    """The one used last stays; what is in use, or was a moment ago, is left alone."""
    db, sessions, conninfo = connect(), Sessions(), resolve(dsn)

    def count() -> int:
        return int(db.execute(OURS).fetchone()[0])

    def nested(depth: int) -> list[int]:
        def work(connection: Any) -> list[int]:
            sessions.tidy(0)
            return [connection.info.backend_pid, *(nested(depth - 1) if depth else [])]

        return sessions.run(conninfo, work)

    pids = nested(3)
    assert len(set(pids)) == count() == 4
    sessions.tidy(60)
    assert count() == 4
    sessions.tidy(0)
    wait_until(lambda: count() == 1)
    assert nested(0) == [pids[0]]
    sessions.close()
    wait_until(lambda: count() == 0)


def test_one_of_several_servers_is_chosen_again_after_a_while(
    dsn: str, connect: Callable[..., Any]
) -> None:
    """The last connection, too: the server it leads to may have been the only one that was up."""
    db, sessions, once = connect(), Sessions(), resolve(dsn)
    host = conninfo_to_dict(dsn)["host"]
    several = resolve(make_conninfo(dsn, host=f"{host},{host}"))
    pid = lambda connection: connection.info.backend_pid  # noqa: E731
    first, second = sessions.run(once, pid), sessions.run(several, pid)
    sessions.tidy(0, lifetime=60)
    assert (sessions.run(once, pid), sessions.run(several, pid)) == (first, second)
    sessions.tidy(60, lifetime=0)
    wait_until(lambda: db.execute(OURS).fetchone() == (1,))
    assert sessions.run(once, pid) == first
    sessions.close()
    wait_until(lambda: db.execute(OURS).fetchone() == (0,))
