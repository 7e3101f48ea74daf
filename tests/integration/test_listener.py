"""Lost connections, lost triggers and DDL are noticed, said, and made good again."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import psycopg
import pytest

import pgrt_jupyter as pgrt
from pgrt_jupyter import api
from pgrt_jupyter.engine import asking
from pgrt_jupyter.engine.listener import CannotListen, Listener, Pulse
from pgrt_jupyter.engine.loop import EngineLoop
from pgrt_jupyter.testing import wait_until

ORDERS = "SELECT id, status FROM orders ORDER BY id"
Connection = psycopg.Connection[Any]


@pytest.fixture
def db(dsn: str, connect: Callable[..., Any]) -> Connection:
    """Give a connection to a database with a few orders."""
    connection: Connection = connect(dsn)
    connection.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, status text);"
        "INSERT INTO orders SELECT n, 'new' FROM generate_series(1, 3) AS n"
    )
    return connection


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have engines look after themselves several times a second."""

    def quick_loop(conninfo: Any, **options: Any) -> EngineLoop:
        pulse = Pulse(interval=0.1, deadline=2.0)
        return EngineLoop(conninfo, **{"pulse": pulse, "audit_seconds": 0.1, **options})

    monkeypatch.setattr(api, "EngineLoop", quick_loop)


@pytest.fixture
def engine(dsn: str, db: Connection, quick: None) -> Iterator[pgrt.Engine]:
    """Give a running engine that looks after itself often."""
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        yield engine


def rows(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    """List a frame's rows."""
    return list(frame.itertuples(index=False, name=None))


def shows(db: Connection, sql: str = ORDERS) -> Callable[[pd.DataFrame], bool]:
    """Say whether a frame is what the query gives now."""
    return lambda frame: rows(frame) == db.execute(sql).fetchall()


def listening(db: Connection) -> list[int]:
    """List the backends that wait for changes."""
    found = db.execute(
        "SELECT DISTINCT pid FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock'"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    return [pid for (pid,) in found]


def end_all(db: Connection) -> int:
    """End every connection of ours."""
    found = db.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'pgrt_jupyter' AND datname = current_database()"
    )
    return len(found.fetchall())


# -- lost connections


def test_after_a_lost_connection_everything_is_caught_up(
    engine: pgrt.Engine, db: Connection
) -> None:
    """What was written while nobody listened is there afterwards, and the state says so."""
    lq = engine.sub("orders", ORDERS)
    heard: list[str] = []
    lq.observe(lambda change: heard.append(change["new"]), "status")
    with db.transaction():
        assert end_all(db) >= 1
        db.execute("INSERT INTO orders VALUES (4, 'meanwhile')")
    lq.wait_for(shows(db))
    wait_until(lambda: lq.status == "live")
    wait_until(lambda: heard[-1:] == ["live"])
    assert heard[0] == "stale"


def test_a_query_that_follows_again_hears_again(engine: pgrt.Engine, db: Connection) -> None:
    """After the connection is back the next change arrives by itself."""
    lq = engine.sub("orders", ORDERS)
    for number in range(3):
        (before,) = wait_until(lambda: listening(db))
        end_all(db)
        wait_until(lambda before=before: [pid for pid in listening(db) if pid != before])
        wait_until(lambda: lq.status == "live")
        db.execute("UPDATE orders SET status = %s WHERE id = 1", (str(number),))
        lq.wait_for(shows(db))


def test_while_the_server_refuses_the_state_is_stale_and_says_why(
    engine: pgrt.Engine, db: Connection, connect: Callable[..., Any], server: str
) -> None:
    """An outage is shown with its reason, the last good frame stays, and it ends by itself."""
    lq = engine.sub("orders", ORDERS)
    frame = lq.df
    admin = connect(server)
    name = db.info.dbname
    admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    try:
        end_all(db)
        wait_until(lambda: lq.status == "stale" and "attempt" in lq._shown().message)
        assert name in lq._shown().message
        assert lq.df is frame
        db.execute("DELETE FROM orders")
    finally:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    lq.wait_for(lambda df: df.empty, timeout=30)
    wait_until(lambda: lq.status == "live")


def test_the_engines_error_handler_hears_of_a_lost_connection(dsn: str, db: Connection) -> None:
    """A lost connection is no query's error: the handler gets it with None."""
    told: list[tuple[pgrt.PgrtError, object]] = []
    with pgrt.Engine(dsn, error_handler=lambda error, query: told.append((error, query))) as engine:
        engine.sub("orders", ORDERS)
        end_all(db)
        wait_until(lambda: told)
    assert isinstance(told[0][0], pgrt.ServerUnavailable)
    assert told[0][1] is None


def test_a_connection_lost_while_it_is_prepared_is_a_clear_error(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Starting fails with ServerUnavailable, and nothing goes on trying behind it."""

    async def cut_off(self: Listener) -> bool:
        await self._execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return True

    monkeypatch.setattr(Listener, "_prove", cut_off)
    engine = pgrt.Engine(dsn)
    with pytest.raises(pgrt.ServerUnavailable):
        engine.start()
    assert not engine.running


def test_a_password_is_in_no_log_of_an_outage(
    engine: pgrt.Engine, db: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """What is logged about a lost connection names no secret."""
    lq = engine.sub("orders", ORDERS)
    end_all(db)
    wait_until(lambda: "lost" in caplog.text)
    wait_until(lambda: lq.status == "live")
    assert "password" not in caplog.text


def test_a_lost_connection_of_a_run_is_no_error(engine: pgrt.Engine, db: Connection) -> None:
    """A query connection that died while idle is replaced without a word."""
    errors: list[Any] = []
    lq = engine.sub("orders", ORDERS, error_handler=lambda e, q: errors.append(e))
    (listener,) = listening(db)
    db.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> %s"
        " AND application_name = 'pgrt_jupyter' AND datname = current_database()",
        (listener,),
    )
    db.execute("DELETE FROM orders WHERE id = 1")
    lq.wait_for(shows(db))
    assert (errors, lq.status) == ([], "live")


def test_a_server_that_is_silent_is_noticed(
    dsn: str, db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that is open and answers nothing is given up by the heartbeat."""

    def quick_loop(conninfo: Any, **options: Any) -> EngineLoop:
        return EngineLoop(conninfo, pulse=Pulse(interval=0.1, deadline=0.3), **options)

    monkeypatch.setattr(api, "EngineLoop", quick_loop)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        lq = engine.sub("orders", ORDERS)
        (before,) = listening(db)
        monkeypatch.setattr(Listener, "_take", lambda self, channel, payload: None)
        wait_until(lambda: lq.status == "stale")
        monkeypatch.undo()
        wait_until(lambda: lq.status == "live", timeout=90)
        assert listening(db) != [before]


def test_ending_while_the_connection_is_lost_is_quick(
    dsn: str, db: Connection, quick: None
) -> None:
    """Shutdown in the middle of reconnecting leaves nothing behind."""
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        lq = engine.sub("orders", ORDERS)
        end_all(db)
        wait_until(lambda: lq.status == "stale" or listening(db))
    assert lq.status == "closed"


def test_ending_while_the_loop_is_busy_closes_all_connections(dsn: str, db: Connection) -> None:
    """They end on the server, too, when the engine's thread could not be asked in time."""
    ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgrt_jupyter'"
    ours += " AND datname = current_database()"
    gc.disable()  # it would tidy up what was left open
    try:
        with pgrt.Engine(dsn) as engine:
            engine.sub("orders", ORDERS)
            assert db.execute(ours).fetchone() != (0,)
            engine._loop.post(time.sleep, 2.5)
        wait_until(lambda: db.execute(ours).fetchone() == (0,))
    finally:
        gc.enable()


def test_strangers_on_the_channel_do_no_harm(engine: pgrt.Engine, db: Connection) -> None:
    """Whatever others send is not acted on, and what follows is heard."""
    lq = engine.sub("orders", ORDERS)
    runs = lq.refresh_count
    ((oid,),) = db.execute(
        "SELECT 'customers'::text::regclass::oid FROM (SELECT) AS x"
        " WHERE to_regclass('customers') IS NOT NULL"
    ).fetchall() or [(1,)]
    for payload in ("", "nonsense", "1 I *", f"{oid} U 17", "99999999999 I *", "x" * 7999):
        db.execute("SELECT pg_notify('pgrt_jupyter', %s)", (payload,))
    db.execute("DELETE FROM orders WHERE id = 1")
    lq.wait_for(shows(db))
    assert lq.refresh_count <= runs + 2


# -- what nobody announces


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TRIGGER _pgrt_update ON orders",
        "ALTER TABLE orders DISABLE TRIGGER ALL",
        "ALTER TABLE orders ENABLE REPLICA TRIGGER _pgrt_update",
        "DROP SCHEMA _pgrt CASCADE",
    ],
)
def test_lost_triggers_are_put_back(damage: str, engine: pgrt.Engine, db: Connection) -> None:
    """What was written without a trigger is seen by the audit, and the next change is heard."""
    lq = engine.sub("orders", ORDERS)
    with db.transaction():
        db.execute(damage)
        db.execute("UPDATE orders SET status = 'unheard' WHERE id = 1")
    lq.wait_for(shows(db))
    wait_until(
        lambda: (
            db.execute(
                "SELECT count(*) FROM pg_trigger WHERE tgname LIKE '\\_pgrt%' AND tgenabled = 'A'"
            ).fetchone()
            == (4,)
        )
    )
    db.execute("UPDATE orders SET status = 'heard' WHERE id = 1")
    lq.wait_for(shows(db))
    wait_until(lambda: lq.status == "live")


def test_every_query_on_a_table_catches_up_when_its_triggers_are_put_back(
    engine: pgrt.Engine, db: Connection
) -> None:
    """The check of one query mends what others, too, have missed."""
    texts = [ORDERS, "SELECT status, id FROM orders ORDER BY id", "SELECT max(status) FROM orders"]
    queries = [engine.sub(f"query {number}", text) for number, text in enumerate(texts)]
    with db.transaction():
        db.execute("DROP TRIGGER _pgrt_update ON orders")
        db.execute("UPDATE orders SET status = 'unheard' WHERE id = 1")
    for query, text in zip(queries, texts, strict=True):
        query.wait_for(shows(db, text))


def test_a_table_made_anew_is_followed(engine: pgrt.Engine, db: Connection) -> None:
    """DROP and CREATE of the same name is another table, and its changes arrive."""
    lq = engine.sub("orders", ORDERS)
    lq.wait_for(shows(db))
    recreate(db)
    lq.wait_for(shows(db))
    db.execute("INSERT INTO orders VALUES (11, 'heard')")
    lq.wait_for(shows(db))
    wait_until(lambda: lq.status == "live")


def recreate(db: Connection) -> None:
    """Replace the table by one of the same name."""
    with db.transaction():
        db.execute("DROP TABLE orders; CREATE TABLE orders (id int PRIMARY KEY, status text)")
        db.execute("INSERT INTO orders VALUES (10, 'anew')")


def test_a_table_made_anew_before_the_first_audit_is_followed(
    dsn: str, db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What happened between subscribing and the first audit is noticed by it."""

    def patient_loop(conninfo: Any, **options: Any) -> EngineLoop:
        return EngineLoop(conninfo, audit_seconds=2.0, **options)

    monkeypatch.setattr(api, "EngineLoop", patient_loop)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        lq = engine.sub("orders", ORDERS)
        recreate(db)
        lq.wait_for(shows(db))
        db.execute("INSERT INTO orders VALUES (11, 'heard')")
        lq.wait_for(shows(db))


def test_a_table_that_takes_anothers_name_is_followed(engine: pgrt.Engine, db: Connection) -> None:
    """A swap by RENAME changes the result and what is watched."""
    lq = engine.sub("orders", ORDERS)
    with db.transaction():
        db.execute("CREATE TABLE fresh (id int PRIMARY KEY, status text)")
        db.execute("INSERT INTO fresh VALUES (20, 'fresh')")
        db.execute("ALTER TABLE orders RENAME TO old; ALTER TABLE fresh RENAME TO orders")
    lq.wait_for(shows(db))
    db.execute("UPDATE orders SET status = 'heard'")
    lq.wait_for(shows(db))


def test_a_view_that_is_replaced_is_followed(engine: pgrt.Engine, db: Connection) -> None:
    """A view over another table changes what is watched."""
    db.execute("CREATE TABLE other (id int, status text); INSERT INTO other VALUES (1, 'other')")
    db.execute("CREATE VIEW v AS SELECT id, status FROM orders")
    sql = "SELECT * FROM v ORDER BY id"
    lq = engine.sub("v", sql)
    db.execute("CREATE OR REPLACE VIEW v AS SELECT id, status FROM other")
    lq.wait_for(shows(db, sql))
    db.execute("INSERT INTO other VALUES (2, 'heard')")
    lq.wait_for(shows(db, sql))
    assert lq.tables.keys() == {"public.other"}


def test_a_new_partition_is_watched(engine: pgrt.Engine, db: Connection) -> None:
    """A partition attached later brings its rows, and writes to it are heard."""
    db.execute(
        "CREATE TABLE m (at int, v int) PARTITION BY RANGE (at);"
        "CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE m2 (at int, v int); INSERT INTO m2 VALUES (15, 1)"
    )
    sql = "SELECT at, v FROM m ORDER BY at"
    lq = engine.sub("m", sql)
    db.execute("ALTER TABLE m ATTACH PARTITION m2 FOR VALUES FROM (10) TO (20)")
    lq.wait_for(lambda df: rows(df) == [(15, 1)])
    db.execute("UPDATE m2 SET v = 2")
    lq.wait_for(lambda df: rows(df) == [(15, 2)])


def test_a_detached_partition_is_left_alone(engine: pgrt.Engine, db: Connection) -> None:
    """A partition that goes takes its rows along, and writes to it disturb nobody."""
    db.execute(
        "CREATE TABLE m (at int, v int) PARTITION BY RANGE (at);"
        "CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE m2 PARTITION OF m FOR VALUES FROM (10) TO (20);"
        "INSERT INTO m VALUES (1, 1), (15, 1)"
    )
    lq = engine.sub("m", "SELECT at, v FROM m ORDER BY at")
    db.execute("ALTER TABLE m DETACH PARTITION m2")
    lq.wait_for(lambda df: rows(df) == [(1, 1)])
    db.execute("UPDATE m2 SET v = 2")
    db.execute("UPDATE m1 SET v = 2")
    lq.wait_for(lambda df: rows(df) == [(1, 2)])


def test_a_partition_detached_during_an_outage_disturbs_nobody(dsn: str, db: Connection) -> None:
    """Between reconnecting and the next audit a stranger's notification loses no other."""
    db.execute(
        "CREATE TABLE m (at int, v int) PARTITION BY RANGE (at);"
        "CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE m2 PARTITION OF m FOR VALUES FROM (10) TO (20);"
        "INSERT INTO m VALUES (1, 1), (15, 1)"
    )
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        lq = engine.sub("m", "SELECT at, v FROM m ORDER BY at")
        with db.transaction():
            end_all(db)
            db.execute("ALTER TABLE m DETACH PARTITION m2")
        lq.wait_for(lambda df: rows(df) == [(1, 1)])
        wait_until(lambda: lq.status == "live")
        with db.transaction():
            db.execute("UPDATE m2 SET v = 2")
            db.execute("UPDATE m1 SET v = 2")
        lq.wait_for(lambda df: rows(df) == [(1, 2)])


def test_a_revoked_privilege_takes_the_rows_away(
    engine: pgrt.Engine, db: Connection, dsn: str, make_role: Callable[..., Any]
) -> None:
    """A role that may no longer read sees nothing, without a change of data; a new GRANT brings it back."""
    role = make_role("reader")
    db.execute(f"GRANT SELECT ON orders TO {role.name}")
    lq = engine.sub("orders", ORDERS, query_conninfo=role.conninfo(dsn))
    db.execute(f"REVOKE SELECT ON orders FROM {role.name}")
    wait_until(lambda: lq.status == "error")
    assert (rows(lq.df), type(lq.error)) == ([], pgrt.PermissionMissing)
    db.execute(f"GRANT SELECT ON orders TO {role.name}")
    lq.wait_for(shows(db))
    wait_until(lambda: lq.status == "live")


def test_a_new_policy_counts(
    engine: pgrt.Engine, db: Connection, dsn: str, make_role: Callable[..., Any]
) -> None:
    """Row-level security switched on later hides rows without a change of data."""
    role = make_role("reader")
    db.execute(f"GRANT SELECT ON orders TO {role.name}")
    lq = engine.sub("orders", ORDERS, query_conninfo=role.conninfo(dsn))
    db.execute(
        "CREATE POLICY p ON orders USING (id < 2); ALTER TABLE orders ENABLE ROW LEVEL SECURITY"
    )
    lq.wait_for(lambda df: rows(df) == [(1, "new")])


@pytest.mark.parametrize(
    "ddl",
    [
        "ALTER TABLE orders ADD extra int DEFAULT 5",
        "ALTER TABLE orders ALTER status TYPE varchar(9)",
        "ALTER TABLE orders RENAME status TO state",
    ],
)
def test_a_changed_definition_is_noticed(ddl: str, engine: pgrt.Engine, db: Connection) -> None:
    """Other columns are another result."""
    lq = engine.sub("orders", "TABLE orders ORDER BY 1")
    columns = lambda: [c.name for c in db.execute("TABLE orders LIMIT 0").description]  # noqa: E731
    db.execute(ddl)
    wait_until(lambda: list(lq.df.columns) == columns())
    db.execute("DELETE FROM orders WHERE id = 1")
    lq.wait_for(shows(db, "TABLE orders ORDER BY 1"))


def test_a_busy_table_is_watched_when_it_is_free(engine: pgrt.Engine, db: Connection) -> None:
    """With a writer open the query polls and says why; afterwards it is live."""
    with db.transaction():
        db.execute("INSERT INTO orders VALUES (4, 'open')")
        lq = engine.sub("orders", ORDERS)
        assert (lq.status, len(lq.df)) == ("polling", 3)
        assert "orders" in lq._shown().message
    wait_until(lambda: lq.status == "live")
    lq.wait_for(shows(db))
    db.execute("DELETE FROM orders")
    lq.wait_for(lambda df: df.empty)


def test_row_images_are_forgotten(
    engine: pgrt.Engine, db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What every engine has read is deleted by the audit, some time later."""
    monkeypatch.setattr(asking, "KEPT", 0.2)
    lq = engine.sub("orders", ORDERS, refresh={"orders": {"status": "pending"}})
    db.execute("UPDATE orders SET status = 'pending' WHERE id = 1")
    lq.wait_for(shows(db))
    assert db.execute("SELECT count(*) FROM _pgrt.changes").fetchone() != (0,)
    wait_until(lambda: db.execute("SELECT count(*) FROM _pgrt.changes").fetchone() == (0,))


# -- where listening cannot work


def no_notifications(monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    """Make listening fail as it does on a standby or behind a pooler."""

    async def refuse(self: Listener, connection: Any) -> None:
        raise CannotListen(reason)

    monkeypatch.setattr(Listener, "_prepare", refuse)


def test_where_nothing_can_be_heard_queries_poll_and_say_so(
    dsn: str, db: Connection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A standby or a pooler is no error: results come by polling, and the reason is told."""
    no_notifications(monkeypatch, "The server is a read-only standby.")
    with (
        caplog.at_level(logging.WARNING, "pgrt_jupyter"),
        pgrt.Engine(dsn, throttle_ms=0) as engine,
    ):
        lq = engine.sub("orders", ORDERS, max_age_ms=50)
        assert lq.status == "polling"
        assert "standby" in lq._shown().message
        db.execute("DELETE FROM orders")
        lq.wait_for(lambda df: df.empty)
    assert "standby" in caplog.text


@pytest.mark.parametrize(
    ("answer", "reason"),
    [((0, True, 1.5), "standby"), ((1, False, 1.5), "pooler")],
)
def test_a_standby_and_a_pooler_are_recognised(
    answer: tuple[object, ...],
    reason: str,
    dsn: str,
    db: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The session's own answers tell a server on which nothing would ever be heard."""
    original = Listener._execute

    async def execute(self: Listener, query: Any, *rest: Any, **options: Any) -> list[Any]:
        if "pg_is_in_recovery" in str(query):
            return [answer]
        return await original(self, query, *rest, **options)

    async def nothing(self: Listener) -> bool:
        return False

    monkeypatch.setattr(Listener, "_prove_through_pooler", nothing)
    monkeypatch.setattr(Listener, "_execute", execute)
    with pgrt.Engine(dsn) as engine:
        lq = engine.sub("orders", ORDERS)
        assert lq.status == "polling"
        assert reason in lq._shown().message


def test_a_pooler_that_swallows_notifications_is_recognised(
    dsn: str, db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notification to ourselves that does not come back means that none will."""

    def quick_loop(conninfo: Any, **options: Any) -> EngineLoop:
        return EngineLoop(conninfo, pulse=Pulse(interval=0.1, deadline=0.2), **options)

    monkeypatch.setattr(api, "EngineLoop", quick_loop)
    monkeypatch.setattr(Listener, "_take", lambda self, channel, payload: None)
    with pgrt.Engine(dsn) as engine:
        lq = engine.sub("orders", ORDERS)
        assert lq.status == "polling"
        assert "swallows" in lq._shown().message
