"""A connection that breaks while it is being made is told once, by our error and by nothing else."""

from __future__ import annotations

import logging

import psycopg
import pytest

from pgrt_jupyter.config import resolve
from pgrt_jupyter.engine import frames
from pgrt_jupyter.engine.connection import connect
from pgrt_jupyter.engine.sessions import Sessions
from pgrt_jupyter.errors import PgrtError

from ..faults.proxy import Proxy, Way, target_of


def test_a_break_anywhere_in_the_preparation_logs_nothing(dsn, caplog):
    """What the driver logs would appear in whatever cell was run last."""
    caplog.set_level(logging.WARNING)
    broken = 0
    with Proxy(target_of(dsn)) as proxy:
        conninfo = resolve(proxy.conninfo(dsn))
        for count in range(100, 900, 15):
            proxy.cut_after(count, Way.UP)
            kept = Sessions()
            try:
                kept.run(conninfo, lambda connection: None)
            except (PgrtError, psycopg.Error):
                broken += 1
            kept.close()
    assert broken > 10
    assert caplog.records == []


@pytest.mark.every_server
def test_a_connection_has_the_settings_results_rely_on(dsn):
    """Every one of them."""
    connection = connect(resolve(dsn))
    try:
        for name, value in frames.SETTINGS:
            row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
            assert row is not None and row[0].startswith(value), name
    finally:
        connection.close()
