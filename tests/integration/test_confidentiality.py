"""A role sees through us what its own SELECT returns, and whoever listens sees no value at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pandas as pd
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

import pgrt_jupyter as pgrt
from pgrt_jupyter import api
from pgrt_jupyter.engine.listener import Pulse
from pgrt_jupyter.engine.loop import EngineLoop
from pgrt_jupyter.engine.notification import CHANNEL
from pgrt_jupyter.testing import wait_until

CANARY = "c4n4ry"
Connection = psycopg.Connection[Any]


def rows(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    """List a frame's rows."""
    return list(frame.itertuples(index=False, name=None))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have engines look after themselves several times a second."""
    loop = partial(EngineLoop, pulse=Pulse(interval=0.1, deadline=3.0), audit_seconds=0.2)
    monkeypatch.setattr(api, "EngineLoop", loop)


@pytest.fixture
def db(connect: Callable[..., Any]) -> Connection:
    """Give a connection to a database where each tenant owns some rows."""
    connection: Connection = connect()
    connection.execute(
        "CREATE TABLE notes (id int PRIMARY KEY, tenant text, v text);"
        "INSERT INTO notes VALUES (1, 'one', 'a'), (2, 'two', 'b'), (3, 'one', 'c')"
    )
    return connection


@pytest.fixture
def engine(dsn: str, db: Connection, quick: None) -> Iterator[pgrt.Engine]:
    """Give a running engine that looks after itself often."""
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        yield engine


@pytest.fixture
def reader(make_role: Callable[..., Any], dsn: str) -> Callable[..., str]:
    """Give a function that makes a role, does some statements about it, and gives its conninfo."""

    def make(db: Connection, *statements: str, **options: str) -> str:
        role = make_role("reader")
        for statement in statements:
            db.execute(sql.SQL(statement).format(role=sql.Identifier(role.name)))
        return make_conninfo(role.conninfo(dsn), **options)

    return make


# -- what strangers can see


@pytest.mark.every_server
def test_no_channel_and_no_catalog_shows_a_value(
    engine: pgrt.Engine, db: Connection, reader: Callable[..., str], connect: Callable[..., Any]
) -> None:
    """With a canary in every column, key, filter and parameter, a stranger finds it nowhere."""
    stranger = connect(reader(db))
    listener = engine._parts()[0].runtime._attention._listener
    assert listener is not None
    stranger.execute(f"LISTEN {CHANNEL}")
    stranger.execute(sql.SQL("LISTEN {}").format(sql.Identifier(listener._proof.channel)))
    db.execute(
        "CREATE TYPE mood AS ENUM ('c4n4ry', 'other');"
        "CREATE TABLE birds (k text PRIMARY KEY, t text, j json, b bytea, a text[], m mood, x int)"
    )
    query = "SELECT * FROM birds WHERE t <> $1"
    plain = engine.sub("plain", query, [CANARY + "parameter"])
    engine.sub("rule", query, [""], refresh={"birds": {"t": CANARY, "m": CANARY}})
    insert = (
        "INSERT INTO birds SELECT 'c4n4ry' || n, 'c4n4ry', '\"c4n4ry\"', 'c4n4ry', '{c4n4ry}', 'c4n4ry', n"
        " FROM generate_series(1, %s) AS n"
    )
    for count in (1, 3, 150):
        db.execute(insert, (count,))
        plain.wait_for(lambda df, count=count: len(df) == count)
        db.execute("UPDATE birds SET t = 'c4n4ry' || x, k = 'c4n4ry' || k")
        db.execute("UPDATE birds SET j = to_json('c4n4ry'::text || x) WHERE x = 1")
        db.execute("DELETE FROM birds")
        plain.wait_for(lambda df: df.empty)
    db.execute(insert, (1,))
    for broken in ("DROP FUNCTION _pgrt.image(record)", "ALTER TABLE birds RENAME t TO renamed"):
        db.execute(broken)
        db.execute("UPDATE birds SET x = x + 1")
    db.execute("SELECT pg_notify(%s, 'end 1')", (CHANNEL,))
    heard: list[str] = []
    for notification in stranger.notifies(timeout=10):
        heard.append(notification.payload)
        if notification.payload == "end 1":
            break
    assert len(heard) > 5
    assert CANARY not in " ".join(heard)
    for statement in (
        "SELECT string_agg(p::text, '') FROM pg_proc AS p WHERE prosrc LIKE '%pgrt%'",
        "SELECT string_agg(t::text, '') FROM pg_trigger AS t",
        "SELECT string_agg(l::text, '') FROM pg_locks AS l",
        "SELECT string_agg(a::text, '') FROM pg_stat_activity AS a",
        "SELECT string_agg(d::text, '') FROM pg_description AS d WHERE description LIKE 'pgrt%'",
    ):
        ((text,),) = stranger.execute(statement.encode()).fetchall()
        assert text
        assert CANARY not in text


def test_what_others_hear_is_that_a_table_changed(
    engine: pgrt.Engine, db: Connection, reader: Callable[..., str], connect: Callable[..., Any]
) -> None:
    """The pulse of a table can be seen by all who may connect: the README says so."""
    stranger = connect(reader(db))
    stranger.execute(f"LISTEN {CHANNEL}")
    engine.sub("notes", "SELECT id FROM notes")
    db.execute("DELETE FROM notes WHERE id = 1")
    ((oid,),) = db.execute("SELECT 'notes'::regclass::oid").fetchall()
    (heard,) = stranger.notifies(timeout=10, stop_after=1)
    assert heard.payload == f"{oid} D *"


# -- rows of others

NOTES = "SELECT id, v FROM notes ORDER BY id"


@pytest.mark.every_server
def test_each_setting_sees_its_own_rows(
    engine: pgrt.Engine, db: Connection, reader: Callable[..., str]
) -> None:
    """Policies that ask for a setting hold per subscription: no run is shared between settings."""
    db.execute(
        "ALTER TABLE notes ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY p ON notes USING (tenant = current_setting('app.tenant', true))"
    )
    conninfo = reader(db, "GRANT SELECT ON notes TO {role}")
    one, two, none = (
        engine.sub(
            f"of {tenant}",
            NOTES,
            query_conninfo=make_conninfo(conninfo, options=f"-c app.tenant={tenant}"),
        )
        for tenant in ("one", "two", "nobody")
    )
    assert (rows(one.df), rows(two.df), rows(none.df)) == ([(1, "a"), (3, "c")], [(2, "b")], [])
    db.execute("UPDATE notes SET v = v || '!'")
    two.wait_for(lambda df: rows(df) == [(2, "b!")])
    one.wait_for(lambda df: rows(df) == [(1, "a!"), (3, "c!")])
    db.execute("DELETE FROM notes WHERE id = 3")
    one.wait_for(lambda df: rows(df) == [(1, "a!")])
    none.refresh()
    assert (rows(two.df), rows(none.df)) == ([(2, "b!")], [])
    db.execute("UPDATE notes SET tenant = 'one'")
    one.wait_for(lambda df: rows(df) == [(1, "a!"), (2, "b!")])
    two.wait_for(lambda df: df.empty)


def test_a_query_cannot_change_what_another_sees(
    dsn: str, db: Connection, reader: Callable[..., str], quick: None
) -> None:
    """A setting made by a query ends with it, though the same connection serves the next."""
    db.execute(
        "ALTER TABLE notes ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY p ON notes USING (tenant = current_setting('app.tenant', true))"
    )
    conninfo = reader(db, "GRANT SELECT ON notes TO {role}", options="-c app.tenant=one")
    with pgrt.Engine(dsn, query_conninfo=conninfo, throttle_ms=0, pool_size=1) as engine:
        lq = engine.sub("mine", NOTES)
        engine.sub("thief", "SELECT set_config('app.tenant', 'two', false) AS v")
        asked = engine.sub(
            "asked", NOTES, refresh=lambda c, df, change: bool(c.execute("SET app.tenant = 'two'"))
        )
        db.execute("UPDATE notes SET v = 'x'")
        lq.wait_for(lambda df: rows(df) == [(1, "x"), (3, "x")])
        asked.wait_for(lambda df: rows(df) == [(1, "x"), (3, "x")])


def test_identical_queries_are_shared_within_a_role_only(
    engine: pgrt.Engine, db: Connection, reader: Callable[..., str]
) -> None:
    """Same text, same parameters: one run for one role, two for two."""
    grant = "GRANT SELECT ON notes TO {role}"
    first, second = reader(db, grant), reader(db, grant)
    for name, role in (("one", first), ("again", first), ("other", second)):
        engine.sub(name, NOTES, query_conninfo=role)
    groups = engine._parts()[0].runtime.groups
    assert sorted(len(group.subscribers) for group in groups) == [1, 2]


def test_a_name_taken_over_by_another_role_shows_that_roles_rows(
    engine: pgrt.Engine, db: Connection, reader: Callable[..., str]
) -> None:
    """Subscribing again under a name with another role leaves nothing of the first role's rows."""
    db.execute(
        "ALTER TABLE notes ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON notes USING (v = current_user)"
    )
    first, second = (reader(db, "GRANT SELECT ON notes TO {role}") for _ in range(2))
    db.execute("UPDATE notes SET v = %s", (psycopg.conninfo.conninfo_to_dict(first)["user"],))
    lq = engine.sub("mine", "SELECT id FROM notes", query_conninfo=first)
    assert len(lq.df) == 3
    assert engine.sub("mine", "SELECT id FROM notes", query_conninfo=second) is lq
    assert lq.df.empty


def test_columns_that_may_not_be_read_are_not_shown(
    engine: pgrt.Engine, db: Connection, reader: Callable[..., str]
) -> None:
    """Column privileges hold, and their loss blanks the frame without a write."""
    role = reader(db, "GRANT SELECT (id, v) ON notes TO {role}")
    with pytest.raises(pgrt.PermissionMissing):
        engine.sub("all", "SELECT * FROM notes", query_conninfo=role)
    lq = engine.sub("some", NOTES, query_conninfo=role)
    assert len(lq.df) == 3
    name = psycopg.conninfo.conninfo_to_dict(role)["user"]
    db.execute(f"REVOKE SELECT (v) ON notes FROM {name}")
    wait_until(lambda: lq.status == "error")
    assert lq.df.empty
    assert isinstance(lq.error, pgrt.PermissionMissing)


LOSSES = {
    "the grant": ("GRANT SELECT ON notes TO {role}", "REVOKE SELECT ON notes FROM {role}"),
    "the role's group": (
        "GRANT pg_read_all_data TO {role}",
        "REVOKE pg_read_all_data FROM {role}",
    ),
    "the schema": (
        "GRANT SELECT ON notes TO {role}; REVOKE USAGE ON SCHEMA public FROM PUBLIC;"
        " GRANT USAGE ON SCHEMA public TO {role}",
        "REVOKE USAGE ON SCHEMA public FROM {role}",
    ),
    "the view": (
        "CREATE VIEW shown AS SELECT * FROM notes; GRANT SELECT ON shown TO {role}",
        "REVOKE SELECT ON shown FROM {role}",
    ),
    "the function": (
        "GRANT SELECT ON notes TO {role}; CREATE FUNCTION f(text) RETURNS text IMMUTABLE LANGUAGE sql"
        " RETURN $1; REVOKE EXECUTE ON FUNCTION f FROM PUBLIC; GRANT EXECUTE ON FUNCTION f TO {role}",
        "REVOKE EXECUTE ON FUNCTION f FROM {role}",
    ),
    "a policy": (
        "GRANT SELECT ON notes TO {role}; ALTER TABLE notes ENABLE ROW LEVEL SECURITY;"
        " CREATE POLICY p ON notes USING (true)",
        "ALTER POLICY p ON notes USING (false)",
    ),
    "security barrier": (
        "CREATE VIEW shown WITH (security_barrier) AS SELECT * FROM notes WHERE tenant <> '';"
        " GRANT SELECT ON shown TO {role}",
        "CREATE OR REPLACE VIEW shown WITH (security_barrier) AS SELECT * FROM notes WHERE false",
    ),
    "security invoker": (
        "CREATE VIEW shown WITH (security_invoker) AS SELECT * FROM notes;"
        " GRANT SELECT ON shown, notes TO {role}",
        "REVOKE SELECT ON notes FROM {role}",
    ),
}


@pytest.mark.every_server
@pytest.mark.parametrize("what", sorted(LOSSES))
def test_rows_lost_to_ddl_are_gone_with_the_next_audit(
    what: str, engine: pgrt.Engine, db: Connection, reader: Callable[..., str]
) -> None:
    """However a role loses its right to some rows, the frame loses them, too, with no write happening."""
    given, taken = LOSSES[what]
    if "security_invoker" in given and db.info.server_version < 150000:
        pytest.skip("PostgreSQL 15 has views with the rights of who reads them")
    role = reader(db, *given.split("; "))
    table = "shown" if "shown" in given else "notes"
    value = "f(v)" if what == "the function" else "v"
    lq = engine.sub("mine", f"SELECT id, {value} FROM public.{table}", query_conninfo=role)
    assert len(lq.df) == 3
    name = sql.Identifier(psycopg.conninfo.conninfo_to_dict(role)["user"])
    db.execute(sql.SQL(taken).format(role=name))
    wait_until(lambda: lq.df.empty, message=lambda: f"still shown after losing {what}")


def test_a_definer_function_is_polled_under_the_roles_own_rights(
    engine: pgrt.Engine, db: Connection, reader: Callable[..., str]
) -> None:
    """A function that shows what its owner lets it show stays what it is: named, and polled."""
    db.execute(
        "CREATE FUNCTION mine() RETURNS SETOF notes STABLE SECURITY DEFINER LANGUAGE sql AS"
        " $$ SELECT * FROM notes WHERE tenant = 'one' $$"
    )
    lq = engine.sub("mine", "SELECT id FROM mine()", query_conninfo=reader(db), max_age_ms=100)
    assert lq.status == "polling"
    assert "mine" in lq._shown().message
    assert rows(lq.df) == [(1,), (3,)]
