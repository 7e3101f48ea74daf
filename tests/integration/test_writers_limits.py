"""Where PostgreSQL itself sets limits to notifications, locks and triggers, writers still come first."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pandas as pd
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

import pgrt_jupyter as pgrt
from pgrt_jupyter import api
from pgrt_jupyter.embedded import start_server
from pgrt_jupyter.engine import capture, families, images, interest, pinning
from pgrt_jupyter.engine.listener import Pulse
from pgrt_jupyter.engine.loop import EngineLoop
from pgrt_jupyter.engine.notification import CHANNEL
from pgrt_jupyter.testing import wait_until

ORDERS = "SELECT id, status FROM orders ORDER BY id"
TABLE = (
    "CREATE TABLE orders (id int PRIMARY KEY, status text);"
    "INSERT INTO orders SELECT n, 'new' FROM generate_series(1, 3) AS n"
)
Connection = psycopg.Connection[Any]


def rows(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    """List a frame's rows."""
    return list(frame.itertuples(index=False, name=None))


def shows(db: Connection, query: str = ORDERS) -> Callable[[pd.DataFrame], bool]:
    """Say whether a frame is what the query gives now."""
    return lambda frame: rows(frame) == db.execute(query).fetchall()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have engines look after themselves several times a second."""
    loop = partial(EngineLoop, pulse=Pulse(interval=0.1, deadline=3.0), audit_seconds=0.2)
    monkeypatch.setattr(api, "EngineLoop", loop)


@pytest.fixture
def db(connect: Callable[..., Any]) -> Connection:
    """Give a connection to a database with a few orders."""
    connection: Connection = connect()
    connection.execute(TABLE)
    return connection


def install(db: Connection, table: str) -> capture.Completion:
    """Put triggers on a table's whole family."""
    ((oid,),) = db.execute("SELECT %s::regclass::oid", (table,)).fetchall()
    return capture.complete(db, families.find(db, [oid])[oid])


def hold(ear: Connection, db: Connection, table: str, *, rows: bool = False) -> None:
    """Wait for any change of a table."""
    ((oid,),) = db.execute("SELECT %s::regclass::oid", (table,)).fetchall()
    (member, *_) = families.find(db, [oid])[oid]
    need = interest.Need(family=member.family, every_column=True, rows=rows)
    for key in interest.plan([need]).keys:
        ear.execute("SELECT pg_advisory_lock_shared(%s)", (key,))


# -- a server with little room


@pytest.fixture(scope="module")
def cramped(server: str) -> Iterator[str]:
    """Give a server with a tiny notification queue where it can have one, few locks, and two-phase commit."""
    options = {
        "max_prepared_transactions": "5",
        "max_locks_per_transaction": "10",
        "max_connections": "30",
    }
    with psycopg.connect(server) as connection:
        if connection.info.server_version >= 170000:
            options["max_notify_queue_pages"] = "64"
    cramped = start_server(options=options)
    yield cramped.conninfo
    cramped.stop()


@pytest.fixture
def place(cramped: str, connect: Callable[..., Any], dsn: str) -> Iterator[str]:
    """Give a database with a few orders on that server."""
    name = f"pgrt_test_{secrets.token_hex(4)}"
    admin = connect(cramped)
    admin.execute(f"CREATE DATABASE {name}")
    place = make_conninfo(cramped, dbname=name)
    with psycopg.connect(place, autocommit=True) as connection:
        connection.execute(TABLE)
    yield place
    admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def blocker(place: str, connect: Callable[..., Any]) -> Connection:
    """Give a session that listens and sits in a transaction: the queue cannot be emptied."""
    connection: Connection = connect(place)
    if connection.info.server_version < 170000:
        pytest.skip("before PostgreSQL 17 the queue takes 8 GB to fill")
    connection.execute("LISTEN anything")
    connection.execute("BEGIN; SELECT 1")
    return connection


def fill(connection: Connection, pages: int) -> None:
    """Put that many pages into the notification queue."""
    for number in range(pages):
        connection.execute("SELECT pg_notify('anything', %s)", (f"{number}".ljust(7900, "x"),))


def test_a_queue_more_than_half_full_is_told_and_left_alone(
    place: str, blocker: Connection, connect: Callable[..., Any], quick: None
) -> None:
    """Triggers fall silent, the query polls and names the session to blame, and it ends by itself."""
    writer = connect(place)
    with pgrt.Engine(place, throttle_ms=0) as engine:
        lq = engine.sub("orders", ORDERS, max_age_ms=100)
        wait_until(lambda: lq.status == "live")
        fill(writer, 40)
        wait_until(lambda: lq.status == "polling")
        wait_until(lambda: f"pid {blocker.info.backend_pid} " in lq._shown().message)
        assert "half full" in lq._shown().message
        before = writer.execute("SELECT pg_notification_queue_usage()").fetchone()
        writer.execute("UPDATE orders SET status = 'unheard'")
        assert writer.execute("SELECT pg_notification_queue_usage()").fetchone() == before
        lq.wait_for(shows(writer))
        blocker.execute("ROLLBACK")
        wait_until(lambda: lq.status == "live")
        writer.execute("DELETE FROM orders WHERE id = 1")
        lq.wait_for(shows(writer))


def test_images_go_on_while_the_queue_is_half_full(
    place: str, blocker: Connection, connect: Callable[..., Any]
) -> None:
    """Who reads images in rounds misses nothing because notifications cannot be sent."""
    writer, ear = connect(place), connect(place)
    install(writer, "orders")
    hold(ear, writer, "orders", rows=True)
    fill(writer, 40)
    writer.execute("UPDATE orders SET status = 'kept' WHERE id = 1; TRUNCATE orders")
    found = writer.execute("SELECT operation::text FROM _pgrt.changes").fetchall()
    assert found == [("U",), ("T",)]


def test_a_full_queue_fails_no_write_and_no_engine(
    place: str, blocker: Connection, connect: Callable[..., Any], quick: None
) -> None:
    """While nobody can notify, watched tables are written to, shown by polling, and it recovers."""
    writer = connect(place)
    with pgrt.Engine(place, throttle_ms=0) as engine:
        lq = engine.sub("orders", ORDERS, max_age_ms=100)
        with pytest.raises(psycopg.errors.ProgramLimitExceeded) as caught:
            fill(writer, 70)
        assert caught.value.sqlstate == "54000"
        wait_until(lambda: lq.status == "polling")
        for number in range(5):
            writer.execute("UPDATE orders SET status = %s", (str(number),))
        lq.wait_for(shows(writer))
        assert lq.status == "polling"
        other = pgrt.Engine(place, throttle_ms=0)
        with other:
            late = other.sub("late", ORDERS, max_age_ms=100)
            assert late.status == "polling"
            assert "queue is full" in late._shown().message
        blocker.execute("ROLLBACK")
        wait_until(lambda: lq.status == "live")
        writer.execute("DELETE FROM orders WHERE id = 1")
        lq.wait_for(shows(writer))


def test_two_phase_commit_is_told_once(
    place: str, quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    """Where transactions may be prepared, a warning says what live queries mean for them."""
    with caplog.at_level(logging.WARNING, "pgrt_jupyter"), pgrt.Engine(place) as engine:
        engine.sub("orders", ORDERS)
        engine.sub("again", "SELECT id FROM orders")
        (note,) = engine.notes
    assert "max_prepared_transactions = 5" in note
    assert [record.getMessage() for record in caplog.records].count(note) == 1


def test_without_two_phase_commit_nothing_is_told(
    dsn: str, db: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """Ordinary servers give no note."""
    with caplog.at_level(logging.WARNING, "pgrt_jupyter"), pgrt.Engine(dsn) as engine:
        engine.sub("orders", ORDERS)
        assert engine.notes == ()
    assert not caplog.records


def test_a_limit_on_temporary_files_is_told(dsn: str, db: Connection) -> None:
    """Bulk writes keep both images of their rows, which may take temporary files."""
    db.execute(
        sql.SQL("ALTER DATABASE {} SET temp_file_limit = '1GB'").format(
            sql.Identifier(db.info.dbname)
        )
    )
    with pgrt.Engine(dsn) as engine:
        engine.sub("orders", ORDERS)
        assert "temp_file_limit = 1GB" in engine.notes[0]


def prepare(writer: Connection, name: str) -> None:
    """Change a row in a transaction that is prepared and then committed."""
    writer.execute("BEGIN")
    try:
        writer.execute("UPDATE orders SET status = %s WHERE id = 1", (name,))
        writer.execute(f"PREPARE TRANSACTION '{name}'")
    except BaseException:
        writer.execute("ROLLBACK")
        raise
    writer.execute(f"COMMIT PREPARED '{name}'")


def test_a_transaction_can_be_prepared_while_nobody_waits(
    place: str, connect: Callable[..., Any]
) -> None:
    """Triggers alone do not stand in the way of two-phase commit; a waiting query does, with 0A000."""
    writer, ear = connect(place), connect(place)
    install(writer, "orders")
    prepare(writer, "quiet")
    hold(ear, writer, "orders")
    with pytest.raises(psycopg.errors.FeatureNotSupported) as caught:
        prepare(writer, "heard")
    assert caught.value.sqlstate == "0A000"
    assert writer.execute("SELECT status FROM orders WHERE id = 1").fetchone() == ("quiet",)
    ear.execute("SELECT pg_advisory_unlock_all()")
    prepare(writer, "quiet again")


def test_a_session_that_sends_nothing_can_prepare_and_is_seen_by_the_audit(
    place: str, connect: Callable[..., Any], quick: None
) -> None:
    """With pgrt.notify off, two-phase commit works and what it wrote appears with the next audit."""
    writer = connect(place)
    with pgrt.Engine(place, throttle_ms=0) as engine:
        lq = engine.sub("orders", ORDERS)
        writer.execute("SET pgrt.notify = off")
        for name in ("first", "second"):
            prepare(writer, name)
            lq.wait_for(shows(writer))
        assert lq.status == "live"


@pytest.fixture
def scarce(place: str, connect: Callable[..., Any]) -> Iterator[Callable[[], None]]:
    """Give a function that takes locks until a write without triggers only just succeeds."""
    greedy: Connection = connect(place)
    greedy.execute("CREATE TABLE plain (v int); INSERT INTO plain VALUES (1)")
    plain: Connection = connect(place)
    plain.execute("UPDATE plain SET v = v + 1")

    def take() -> None:
        with pytest.raises(psycopg.errors.OutOfMemory):
            greedy.execute("SELECT pg_advisory_lock(n) FROM generate_series(1, 1000000) AS n")
        for number in range(1, 1000):
            with suppress(psycopg.errors.OutOfMemory):
                plain.execute("UPDATE plain SET v = v + 1")
                return
            greedy.execute("SELECT pg_advisory_unlock(%s)", (number,))

    yield take
    greedy.close()
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 0"
    wait_until(lambda: plain.execute(held).fetchone() == (0,))


@pytest.mark.parametrize("waiting", [False, True])
def test_scarce_locks_fail_no_write_that_would_succeed_without_us(
    waiting: bool, place: str, connect: Callable[..., Any], scarce: Callable[[], None]
) -> None:
    """Where a plain table can just be written to, so can one with our triggers."""
    writer, ear = connect(place), connect(place)
    install(writer, "orders")
    if waiting:
        hold(ear, writer, "orders", rows=True)
    writer.execute("UPDATE orders SET status = 'x'")
    scarce()
    writer.execute("UPDATE orders SET status = 'y'")
    assert writer.execute("SELECT DISTINCT status FROM orders").fetchall() == [("y",)]


@pytest.mark.every_server
def test_what_was_written_while_the_server_was_short_is_seen_by_the_audit(
    dsn: str, db: Connection, connect: Callable[..., Any], quick: None
) -> None:
    """A trigger that ran out of something sends nothing, for that could fail the commit; it leaves a mark."""
    ear = connect()
    ear.execute(f"LISTEN {CHANNEL}")
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        lq = engine.sub("orders", ORDERS, refresh={"orders": {"status": "none of them"}})
        with db.transaction():
            db.execute(
                "CREATE OR REPLACE FUNCTION _pgrt.image(_pgrt_row record) RETURNS jsonb"
                " LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'short' USING ERRCODE = '53200'; END $$"
            )
            db.execute("UPDATE orders SET status = 'y' WHERE id = 1")
        assert list(ear.notifies(timeout=0.1)) == []
        lq.wait_for(shows(db))


# -- what transition tables cannot do


@pytest.fixture
def remote(db: Connection) -> Connection:
    """Give a partitioned table and one with a child, each with a foreign table below it."""
    try:
        db.execute("CREATE EXTENSION postgres_fdw")
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("this server has no postgres_fdw")
    db.execute(
        sql.SQL(
            "CREATE SERVER here FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host {}, port {}, dbname {});"
            "CREATE USER MAPPING FOR CURRENT_USER SERVER here OPTIONS (user {});"
            "CREATE TABLE elsewhere (a int, b int); CREATE TABLE elsewhere2 (a int, b int);"
            "CREATE TABLE m (a int, b int) PARTITION BY LIST (a);"
            "CREATE TABLE m1 PARTITION OF m FOR VALUES IN (1);"
            "CREATE TABLE p (a int, b int)"
        ).format(db.info.host, str(db.info.port), db.info.dbname, db.info.user)
    )
    return db


ATTACH = (
    "CREATE FOREIGN TABLE m2 PARTITION OF m FOR VALUES IN (2)"
    " SERVER here OPTIONS (table_name 'elsewhere')"
)
INHERIT = "CREATE FOREIGN TABLE c () INHERITS (p) SERVER here OPTIONS (table_name 'elsewhere2')"


@pytest.mark.every_server
def test_a_foreign_partition_can_be_written_to(dsn: str, remote: Connection) -> None:
    """Above a foreign table there are no triggers of ours, writes work, and the query polls."""
    remote.execute(ATTACH)
    remote.execute(INHERIT)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        lq = engine.sub("m", "SELECT a, b FROM m ORDER BY a", max_age_ms=50)
        engine.sub("p", "SELECT a, b FROM p", max_age_ms=50)
        assert lq.status == "polling"
        assert "foreign table" in lq._shown().message
        remote.execute("INSERT INTO m VALUES (1, 1), (2, 2)")
        remote.execute("UPDATE m SET b = b + 1")
        remote.execute("INSERT INTO c VALUES (1, 1)")
        remote.execute("UPDATE p SET b = 2")
        remote.execute("DELETE FROM p")
        lq.wait_for(lambda df: rows(df) == [(1, 2), (2, 3)])
        remote.execute("DELETE FROM m WHERE a = 2")
        lq.wait_for(lambda df: rows(df) == [(1, 2)])


@pytest.mark.every_server
def test_a_foreign_partition_attached_later_is_freed_by_the_audit(
    dsn: str, remote: Connection, quick: None
) -> None:
    """Triggers that make writes to it fail are taken away with the next look."""
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        lq = engine.sub("m", "SELECT a, b FROM m ORDER BY a")
        assert lq.status == "live"
        remote.execute(ATTACH)

        def written() -> bool:
            with suppress(psycopg.errors.FeatureNotSupported):
                remote.execute("INSERT INTO m VALUES (2, 2)")
                return True
            return False

        wait_until(written)
        wait_until(lambda: lq.status == "polling")
        lq.refresh()
        assert rows(lq.df) == [(2, 2)]


@pytest.mark.every_server
def test_as_many_columns_as_a_table_may_have(dsn: str, connect: Callable[..., Any]) -> None:
    """1,600 columns are compared for one row; for many, any may have changed; images are whole."""
    db = connect()
    columns = ", ".join(f"c{number} int" for number in range(1599))
    db.execute(f"CREATE TABLE wide (id int PRIMARY KEY, {columns})")
    db.execute("INSERT INTO wide (id) SELECT generate_series(1, 20)")
    ear = connect()
    ear.execute(f"LISTEN {CHANNEL}")
    assert not install(db, "wide").problems
    hold(ear, db, "wide", rows=True)
    db.execute("UPDATE wide SET c7 = 1 WHERE id = 1")
    db.execute("UPDATE wide SET c7 = 2 WHERE id < 5")
    heard = [notification.payload for notification in ear.notifies(timeout=10, stop_after=2)]
    assert [payload.split(" ", 2)[1:] for payload in heard] == [
        ["U", f"{interest.tag('c7')} i"],
        ["U", "* i"],
    ]
    ((new,),) = db.execute("SELECT new -> 'v' FROM _pgrt.changes LIMIT 1").fetchall()
    assert len(new) == 1600


# -- settings and neighbours of writers


@pytest.mark.every_server
@pytest.mark.parametrize("reads", ["as we read", "as the database would have it"])
def test_reading_images_fails_no_serializable_writer(
    reads: str, dsn: str, db: Connection, connect: Callable[..., Any]
) -> None:
    """A serializable reader of the images would complete a dangerous structure; ours is not one."""
    db.execute("CREATE TABLE other (v int); INSERT INTO other VALUES (1)")
    db.execute(
        sql.SQL("ALTER DATABASE {} SET default_transaction_isolation = serializable").format(
            sql.Identifier(db.info.dbname)
        )
    )
    install(db, "orders")
    ear, engine, one, two = (connect() for _ in range(4))
    hold(ear, db, "orders", rows=True)
    since = images.now(engine)
    one.execute("BEGIN; SELECT * FROM other")
    one.execute("UPDATE orders SET status = 'x' WHERE id = 1")
    two.execute("UPDATE other SET v = 2")
    if reads == "as we read":
        images.read(engine, since, {1: ("public", "orders")})
    else:
        engine.execute("SELECT * FROM _pgrt.changes")
    if reads == "as we read":
        one.execute("COMMIT")
    else:
        with pytest.raises(psycopg.errors.SerializationFailure):
            one.execute("COMMIT")


def test_what_reads_images_is_not_serializable(db: Connection) -> None:
    """Inside `pinned` the isolation is READ COMMITTED and names are PostgreSQL's own."""
    db.execute("SET default_transaction_isolation = serializable; SET search_path = public")
    with pinning.pinned(db):
        assert db.execute("SHOW transaction_isolation").fetchone() == ("read committed",)
        assert db.execute("SHOW search_path").fetchone() == (pinning.SEARCH_PATH,)
    assert db.execute("SHOW search_path").fetchone() == ("public",)


def patient(connection: Connection) -> bool:
    """Lift the time-out, which may hit this statement, too."""
    with suppress(psycopg.errors.QueryCanceled):
        connection.execute("SET statement_timeout = 0")
        return True
    return False


@pytest.mark.every_server
def test_a_tiny_statement_timeout_leaves_nothing_behind(
    db: Connection, connect: Callable[..., Any]
) -> None:
    """A write cancelled in the middle of our trigger ends as any cancelled write, and keeps no lock."""
    db.execute("INSERT INTO orders SELECT n FROM generate_series(10, 400) AS n")
    install(db, "orders")
    ear = connect()
    hold(ear, db, "orders", rows=True)
    writer = connect()
    states = set()
    for milliseconds in (1, 2, 3, 5, 8, 13, 21, 34, 55) * 3:
        writer.execute(f"SET statement_timeout = {milliseconds}")
        try:
            writer.execute("UPDATE orders SET status = status || 'x' WHERE id > 10")
            states.add("")
        except psycopg.Error as error:
            states.add(error.sqlstate or "lost")
        wait_until(lambda: patient(writer))
        held = writer.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
        )
        assert held.fetchone() == (0,)
    assert states <= {"", "57014"}


@pytest.mark.every_server
@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_other_encodings_of_the_database(
    encoding: str, server: str, dsn: str, connect: Callable[..., Any]
) -> None:
    """Names and values outside ASCII are written, announced and shown."""
    name = f"pgrt_test_{secrets.token_hex(4)}"
    admin = connect(server)
    admin.execute(
        f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    )
    place = make_conninfo(server, dbname=name)
    try:
        writer = connect(place, client_encoding="LATIN1" if encoding == "LATIN1" else "UTF8")
        writer.execute('CREATE TABLE "größe" (id int PRIMARY KEY, "naïf" text)')
        writer.execute("INSERT INTO \"größe\" VALUES (1, 'é'), (2, 'è')")
        query = 'SELECT id, "naïf" FROM "größe" ORDER BY id'
        with pgrt.Engine(place, throttle_ms=0) as engine:
            plain = engine.sub("plain", query)
            rule = engine.sub("rule", query, refresh={"größe": {"naïf": "ô"}})
            assert {plain.status, rule.status} == {"live"}
            writer.execute('UPDATE "größe" SET "naïf" = \'ô\'')
            for lq in (plain, rule):
                lq.wait_for(lambda df: rows(df) == [(1, "ô"), (2, "ô")])
            writer.execute("SET client_encoding = 'UTF8'")
            writer.execute('DELETE FROM "größe"'.encode())
            for lq in (plain, rule):
                lq.wait_for(lambda df: df.empty)
        writer.close()
    finally:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_bytes_that_are_no_text_are_written_all_the_same(
    server: str, dsn: str, connect: Callable[..., Any]
) -> None:
    """In a database without an encoding anything may be stored: writers do not notice us."""
    name = f"pgrt_test_{secrets.token_hex(4)}"
    admin = connect(server)
    admin.execute(
        f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    )
    place = make_conninfo(server, dbname=name)
    try:
        writer = connect(place, client_encoding="SQL_ASCII")
        writer.execute("CREATE TABLE raw (id int PRIMARY KEY, v text)")
        with pgrt.Engine(place, throttle_ms=0) as engine:
            lq = engine.sub("raw", "SELECT id FROM raw ORDER BY id", refresh={"raw": {"id": 1}})
            writer.execute(
                b"INSERT INTO raw VALUES (1, E'\\xff\\xfe'), (2, repeat(E'\\xff', 6000))"
            )
            lq.wait_for(lambda df: len(df) == 2)
            writer.execute(b"UPDATE raw SET v = E'\\xfd'")
        writer.close()
    finally:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.every_server
def test_without_the_right_to_pg_notify_changes_still_arrive(
    dsn: str, db: Connection, connect: Callable[..., Any], make_role: Callable[..., Any]
) -> None:
    """Where the function is denied to the installing role, the statement of the same name is used."""
    role = make_role("installer")
    db.execute(
        sql.SQL(
            "GRANT CREATE ON DATABASE {} TO {role}; GRANT TRIGGER, SELECT ON orders TO {role};"
            "REVOKE EXECUTE ON FUNCTION pg_notify FROM PUBLIC"
        ).format(sql.Identifier(db.info.dbname), role=sql.Identifier(role.name))
    )
    with pgrt.Engine(role.conninfo(dsn), throttle_ms=0) as engine:
        lq = engine.sub("orders", ORDERS)
        db.execute("UPDATE orders SET status = 'x'")
        lq.wait_for(shows(db))
    db.execute("DROP SCHEMA _pgrt CASCADE")
    db.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role.name)))


@pytest.mark.every_server
def test_a_publication_of_all_tables_does_not_mind_us(
    dsn: str, db: Connection, connect: Callable[..., Any]
) -> None:
    """Images are unlogged, so they are neither published nor need a replica identity."""
    db.execute("CREATE PUBLICATION everything FOR ALL TABLES")
    install(db, "orders")
    ear = connect()
    hold(ear, db, "orders", rows=True)
    db.execute("UPDATE orders SET status = 'x'")
    images.prune(db, images.now(db))
    assert db.execute("SELECT count(*) FROM _pgrt.changes").fetchone() == (0,)


@pytest.mark.every_server
def test_sequences_and_transaction_ids_of_the_writer_are_its_own(
    db: Connection, connect: Callable[..., Any]
) -> None:
    """`lastval()`, FOUND, row counts and the read-only state of a session do not show our work."""
    db.execute("CREATE TABLE counted (id serial PRIMARY KEY, v int)")
    install(db, "counted")
    ear = connect()
    hold(ear, db, "counted", rows=True)
    db.execute("INSERT INTO counted (v) VALUES (1)")
    assert db.execute("SELECT lastval()").fetchone() == (1,)
    db.execute("BEGIN; UPDATE counted SET v = 2 WHERE false")
    assert db.execute("SELECT pg_current_xact_id_if_assigned()").fetchone() == (None,)
    db.execute("COMMIT")


def test_writers_at_once_hear_nothing_of_each_others_triggers(
    dsn: str, db: Connection, connect: Callable[..., Any]
) -> None:
    """Many writers on one table, an engine coming and going: no write fails."""
    writers = [connect() for _ in range(4)]
    failures: list[BaseException] = []
    stop = threading.Event()

    def write(connection: Connection, number: int) -> None:
        try:
            while not stop.is_set():
                connection.execute(
                    "UPDATE orders SET status = random()::text WHERE id = %s", (number,)
                )
        except BaseException as error:
            failures.append(error)

    threads = [
        threading.Thread(target=write, args=(writer, number), daemon=True)
        for number, writer in enumerate(writers)
    ]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            with pgrt.Engine(dsn, throttle_ms=0) as engine:
                lq = engine.sub("orders", ORDERS, refresh=lambda *_: True)
                wait_until(lambda lq=lq: lq.refresh_count > 5)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures
