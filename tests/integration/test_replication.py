"""Hear of rows that logical replication writes."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

import pgrt_jupyter as pgrt
from pgrt_jupyter.embedded import start_server


@pytest.fixture
def replicated() -> Iterator[tuple[str, str]]:
    """Give the conninfos of a publishing and a subscribing database, with one table between them."""
    server = start_server(options={"wal_level": "logical"})
    there = make_conninfo(server.conninfo, dbname="there")
    try:
        with (
            psycopg.connect(server.conninfo, autocommit=True) as origin,
            psycopg.connect(server.conninfo, autocommit=True) as other,
        ):
            origin.execute("CREATE DATABASE there")
            origin.execute("CREATE TABLE orders (id int PRIMARY KEY, status text)")
            origin.execute("CREATE PUBLICATION p FOR TABLE orders")
            other.execute("SELECT pg_create_logical_replication_slot('s', 'pgoutput')")
        with psycopg.connect(there, autocommit=True) as target:
            target.execute("CREATE TABLE orders (id int PRIMARY KEY, status text)")
            target.execute(
                psycopg.sql.SQL(
                    "CREATE SUBSCRIPTION sub CONNECTION {} PUBLICATION p"
                    " WITH (create_slot = false, slot_name = 's')"
                ).format(server.conninfo)
            )
        yield server.conninfo, there
    finally:
        server.stop()


def test_rows_from_logical_replication_are_heard(replicated: tuple[str, str]) -> None:
    """Inserts, updates and deletes that arrive by replication refresh the query like local ones."""
    here, there = replicated
    with pgrt.Engine(there, throttle_ms=0) as engine, psycopg.connect(here, autocommit=True) as w:
        query = engine.sub("orders", "SELECT id, status FROM orders ORDER BY id")
        assert query.status == "live"
        w.execute("INSERT INTO orders VALUES (1, 'new'), (2, 'new')")
        query.wait_for(lambda df: len(df) == 2)
        w.execute("UPDATE orders SET status = 'done' WHERE id = 1")
        query.wait_for(lambda df: list(df["status"]) == ["done", "new"])
        w.execute("DELETE FROM orders WHERE id = 2")
        query.wait_for(lambda df: len(df) == 1)
        w.execute("TRUNCATE orders")
        query.wait_for(lambda df: len(df) == 0)
