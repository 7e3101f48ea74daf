"""What was installed can be taken away wholly, by anyone who put it there, in the middle of everything."""

from __future__ import annotations

import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import pgrt_jupyter as pgrt
from pgrt_jupyter.embedded import find_binaries
from pgrt_jupyter.engine import capture, families, removal
from pgrt_jupyter.errors import CaptureFailed
from pgrt_jupyter.testing import wait_until

Connection = psycopg.Connection[Any]
WORLD = """
CREATE TABLE orders (id int PRIMARY KEY, status text DEFAULT 'new', CHECK (id > 0));
CREATE TABLE "Odd ""Name.$$" ("a.b" int PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE);
CREATE TABLE m (at int, v int, PRIMARY KEY (at)) PARTITION BY RANGE (at);
CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (10);
CREATE TABLE m2 PARTITION OF m FOR VALUES FROM (10) TO (20);
CREATE TABLE animals (id int, name text); CREATE TABLE dogs (breed text) INHERITS (animals);
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER stamp BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE TRIGGER _pgrt_mine AFTER UPDATE ON orders FOR EACH STATEMENT EXECUTE FUNCTION stamp();
ALTER TABLE orders DISABLE TRIGGER stamp;
CREATE POLICY p ON orders USING (true); ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE VIEW v AS SELECT o.id FROM orders AS o; COMMENT ON TABLE orders IS 'ours';
GRANT SELECT ON orders TO PUBLIC; GRANT UPDATE (status) ON orders TO PUBLIC;
CREATE SCHEMA _pgrtx; CREATE TABLE _pgrtx.changes (id int); CREATE FUNCTION _pgrtx.capture_1()
  RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER _pgrt_insert AFTER INSERT ON _pgrtx.changes EXECUTE FUNCTION _pgrtx.capture_1();
CREATE PUBLICATION everything FOR TABLE orders;
INSERT INTO orders SELECT n FROM generate_series(1, 5) AS n;
"""
TABLES = ("orders", '"Odd ""Name.$$"', "m", "animals")


@pytest.fixture
def db(connect: Callable[..., Any]) -> Connection:
    """Give a connection to a database with a bit of everything."""
    connection: Connection = connect()
    connection.execute(WORLD.encode())
    return connection


def install(db: Connection) -> None:
    """Put triggers on every table, and leave some images behind."""
    found = db.execute("SELECT unnest(%s::regclass[])::oid", (list(TABLES),)).fetchall()
    for members in families.find(db, [oid for (oid,) in found]).values():
        assert not capture.complete(db, members).problems
    db.execute("INSERT INTO _pgrt.changes (relation, operation) VALUES (1, 'I')")


def tool(db: Connection, name: str) -> str:
    """Find the program of the server's own version."""
    version = db.info.server_version // 10000
    for folder in (find_binaries(), Path(f"/usr/lib/postgresql/{version}/bin")):
        program = folder / name
        if program.exists():
            said = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
            if f" {version}." in said:
                return str(program)
    pytest.skip(f"{name} {version} is not here")


def dump(db: Connection, dsn: str, *options: str) -> str:
    """Write the database as pg_dump does, without the words that differ each time."""
    command = [tool(db, "pg_dump"), "--dbname", dsn, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    return "\n".join(line for line in lines if not line.startswith(("\\restrict", "\\unrestrict")))


def catalog(db: Connection) -> dict[str, Any]:
    """Read the rows of the catalogs that installing touches, oids and all."""
    queries = {
        "pg_class": "SELECT to_jsonb(c) - '{relhastriggers,relpages,reltuples,relallvisible,"
        "relallfrozen,relfrozenxid,relminmxid}'::text[] FROM pg_class AS c WHERE oid >= 16384"
        " AND relname NOT LIKE 'pg_toast%'",
        "pg_proc": "SELECT to_jsonb(p) FROM pg_proc AS p WHERE oid >= 16384",
        "pg_trigger": "SELECT to_jsonb(t) FROM pg_trigger AS t",
        "pg_namespace": "SELECT to_jsonb(n) FROM pg_namespace AS n WHERE nspname !~ '^pg_'",
        "pg_type": "SELECT to_jsonb(t) FROM pg_type AS t WHERE oid >= 16384",
        "pg_constraint": "SELECT to_jsonb(c) FROM pg_constraint AS c",
        "pg_depend": "SELECT to_jsonb(d) FROM pg_depend AS d WHERE objid >= 16384",
        "pg_shdepend": "SELECT to_jsonb(d) FROM pg_shdepend AS d WHERE dbid = (SELECT oid FROM"
        " pg_database WHERE datname = current_database())",
        "pg_default_acl": "SELECT to_jsonb(a) FROM pg_default_acl AS a",
        "pg_description": "SELECT to_jsonb(d) FROM pg_description AS d WHERE objoid >= 16384",
        "pg_authid": "SELECT count(*) FROM pg_roles",
        "pg_init_privs": "SELECT count(*) FROM pg_init_privs",
    }
    return {
        name: sorted(str(row) for (row,) in db.execute(query.encode()).fetchall())
        for name, query in queries.items()
    }


@pytest.mark.every_server
def test_destroy_restores_the_catalog_exactly(dsn: str, db: Connection) -> None:
    """Before and after are the same to pg_dump and in every row of the catalogs."""
    before, rows = dump(db, dsn, "--schema-only"), catalog(db)
    install(db)
    assert dump(db, dsn, "--schema-only") != before
    dropped = pgrt.destroy(dsn)
    assert [name for name in dropped if name.startswith("schema")] == ["schema _pgrt"]
    assert dump(db, dsn, "--schema-only") == before
    assert catalog(db) == rows


@pytest.mark.every_server
def test_dropping_the_schema_restores_the_catalog_exactly(dsn: str, db: Connection) -> None:
    """So does the one statement that the README gives to administrators."""
    before = catalog(db)
    install(db)
    db.execute("DROP SCHEMA _pgrt CASCADE")
    assert catalog(db) == before


class Writers:
    """Write to a table from several sessions, and note failures and the longest wait."""

    def __init__(self, connect: Callable[..., Any], count: int = 3) -> None:
        self.failures: list[BaseException] = []
        self.longest = 0.0
        self.written = 0
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._write, args=(connect(), n + 1), daemon=True)
            for n in range(count)
        ]

    def _write(self, connection: Connection, number: int) -> None:
        try:
            while not self._stop.is_set():
                began = time.monotonic()
                connection.execute(
                    "UPDATE orders SET status = random()::text WHERE id = %s", (number,)
                )
                self.longest = max(self.longest, time.monotonic() - began)
                self.written += 1
        except BaseException as error:
            self.failures.append(error)

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        wait_until(lambda: self.written > 10 or self.failures)
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert not self.failures


@pytest.mark.every_server
def test_many_destroy_at_once_while_others_write(
    dsn: str, db: Connection, connect: Callable[..., Any]
) -> None:
    """Every one of them succeeds, each thing is said to be dropped once, and no write fails."""
    before = catalog(db)
    install(db)
    functions = db.execute("SELECT count(*) FROM pg_proc WHERE proname ~ '^capture_'").fetchone()
    said: list[list[str]] = []
    sessions = [connect() for _ in range(4)]
    with Writers(connect):
        threads = [
            threading.Thread(target=lambda s=s: said.append(removal.uninstall(s, patience=60)))
            for s in sessions
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    everything = [name for dropped in said for name in dropped]
    assert len(said) == 4
    assert len(everything) == len(set(everything))
    # The function of the same name in another schema is not ours.
    assert len([n for n in everything if n.startswith("function")]) + 1 == functions[0]
    assert catalog(db) == before


@pytest.mark.every_server
def test_an_open_reader_holds_destroy_up_and_nobody_else(
    dsn: str, db: Connection, connect: Callable[..., Any]
) -> None:
    """It drops what it can, says what is left, and lets writers through in between."""
    install(db)
    reader = connect()
    reader.execute("BEGIN; SELECT * FROM orders")
    ((oid,),) = db.execute("SELECT 'orders'::regclass::oid").fetchall()
    with Writers(connect) as writers:
        written = writers.written
        with pytest.raises(CaptureFailed) as caught:
            removal.uninstall(connect(), patience=2)
        assert writers.written > written
    assert caught.value.is_busy
    assert f"capture_{oid}" in str(caught.value)
    left = db.execute("SELECT proname FROM pg_proc WHERE pronamespace = '_pgrt'::regnamespace")
    assert {name for (name,) in left} == {f"capture_{oid}", "image"}
    # Ten times the lock time-out: the machine may be busy, too.
    assert writers.longest < 10 * capture.LOCK_TIMEOUT_MS / 1000
    reader.execute("COMMIT")
    assert removal.uninstall(db)[-1] == "schema _pgrt"


@pytest.mark.every_server
def test_installing_holds_nobody_up_longer_than_the_lock_timeout(
    dsn: str, db: Connection, connect: Callable[..., Any]
) -> None:
    """With a writer's transaction open, others wait for our attempt at most as long as it may take."""
    holder = connect()
    holder.execute("BEGIN; UPDATE orders SET status = 'held' WHERE id = 5")
    ((oid,),) = db.execute("SELECT 'orders'::regclass::oid").fetchall()
    with Writers(connect) as writers:
        for _ in range(3):
            assert capture.complete(db, families.find(db, [oid])[oid]).problems[0].is_busy
    assert writers.longest < 10 * capture.LOCK_TIMEOUT_MS / 1000
    holder.execute("COMMIT")
    assert capture.complete(db, families.find(db, [oid])[oid]).installed == 1


def test_only_the_owner_can_destroy(
    dsn: str, db: Connection, make_role: Callable[..., Any]
) -> None:
    """Another role is told so, and everything stays."""
    install(db)
    other = make_role("other").conninfo(dsn)
    before = catalog(db)
    with pytest.raises(pgrt.PermissionMissing):
        pgrt.destroy(other)
    assert catalog(db) == before


# -- dumps of databases with our triggers


@pytest.fixture
def elsewhere(server: str, connect: Callable[..., Any]) -> Iterator[str]:
    """Give an empty database on the same server."""
    name = f"pgrt_restored_{secrets.token_hex(4)}"
    admin = connect(server)
    admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    yield make_conninfo(server, dbname=name)
    admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def restored(elsewhere: str, connect: Callable[..., Any]) -> None:
    """Write to the restored table, follow it, and find it as it was."""
    writer = connect(elsewhere)
    assert writer.execute("SELECT count(*) FROM orders").fetchone() == (5,)
    writer.execute("UPDATE orders SET status = 'restored'")
    with pgrt.Engine(elsewhere, throttle_ms=0) as engine:
        lq = engine.sub("orders", "SELECT id, status FROM orders")
        assert lq.status == "live"
        writer.execute("DELETE FROM orders WHERE id = 1")
        lq.wait_for(lambda df: len(df) == 4)
    pgrt.destroy(elsewhere)
    left = writer.execute(
        "SELECT count(*) FROM pg_trigger WHERE tgname ~ '^_pgrt_(ins|upd|del|trunc)'"
    )
    assert left.fetchone() == (1,)  # the one that is not ours


@pytest.mark.every_server
def test_a_whole_dump_is_restored_with_our_objects(
    dsn: str, elsewhere: str, db: Connection, connect: Callable[..., Any]
) -> None:
    """Without an error; tables have other oids there, and the next query puts that right."""
    install(db)
    script = dump(db, dsn)
    psql = [tool(db, "psql"), "--dbname", elsewhere, "--quiet", "--set", "ON_ERROR_STOP=1"]
    subprocess.run(psql, input=script, text=True, check=True, capture_output=True)
    restored(elsewhere, connect)


@pytest.mark.every_server
def test_a_dump_without_our_schema_is_restored_without_our_triggers(
    dsn: str, elsewhere: str, db: Connection, connect: Callable[..., Any], tmp_path: Path
) -> None:
    """The recipe of the README leaves them out by their name in the list of contents."""
    install(db)
    archive, contents = tmp_path / "archive", tmp_path / "contents"
    options = ["--format=custom", "--exclude-schema=_pgrt", f"--file={archive}"]
    subprocess.run([tool(db, "pg_dump"), "--dbname", dsn, *options], check=True)
    restore = tool(db, "pg_restore")
    listed = subprocess.run([restore, "-l", archive], capture_output=True, text=True, check=True)
    ours = ("_pgrt_insert", "_pgrt_update", "_pgrt_delete", "_pgrt_truncate", "_pgrt_apply")
    lines = [
        line
        for line in listed.stdout.splitlines()
        if "_pgrtx" in line
        or not (" TRIGGER " in line and any(f" {name} " in line for name in ours))
    ]
    contents.write_text("\n".join(lines) + "\n")
    subprocess.run(
        [restore, "--dbname", elsewhere, "--exit-on-error", "-L", contents, archive],
        check=True,
        capture_output=True,
    )
    assert conninfo_to_dict(elsewhere)["dbname"] != conninfo_to_dict(dsn)["dbname"]
    restored(elsewhere, connect)
