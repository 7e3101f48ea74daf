"""What other roles put in our way runs with nobody's rights but their own, and changes nothing."""

from __future__ import annotations

import random
import secrets
import string
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pandas as pd
import psycopg
import pytest
from psycopg import sql

import pgrt_jupyter as pgrt
from pgrt_jupyter import api
from pgrt_jupyter.engine import capture, families, images, interest
from pgrt_jupyter.engine.listener import Pulse
from pgrt_jupyter.engine.loop import EngineLoop
from pgrt_jupyter.engine.notification import CHANNEL
from pgrt_jupyter.engine.sql import load
from pgrt_jupyter.testing import wait_until

ORDERS = "SELECT id, status FROM orders ORDER BY id"
Connection = psycopg.Connection[Any]


def rows(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    """List a frame's rows with None for NULL."""
    return [
        tuple(None if value is pd.NA else value for value in row)
        for row in frame.itertuples(index=False, name=None)
    ]


def shows(db: Connection, query: str = ORDERS) -> Callable[[pd.DataFrame], bool]:
    """Say whether a frame is what the query gives now."""
    return lambda frame: rows(frame) == db.execute(query).fetchall()


@pytest.fixture
def db(connect: Callable[..., Any]) -> Connection:
    """Give a connection to a database with a few orders."""
    connection: Connection = connect()
    connection.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, status text);"
        "INSERT INTO orders SELECT n, 'new' FROM generate_series(1, 3) AS n"
    )
    return connection


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have engines look after themselves several times a second."""
    loop = partial(EngineLoop, pulse=Pulse(interval=0.1, deadline=3.0), audit_seconds=0.2)
    monkeypatch.setattr(api, "EngineLoop", loop)


@pytest.fixture
def engine(dsn: str, db: Connection, quick: None) -> Iterator[pgrt.Engine]:
    """Give a running engine that looks after itself often."""
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        yield engine


def members(db: Connection, table: str) -> tuple[families.Member, ...]:
    """List a table's family."""
    ((oid,),) = db.execute("SELECT %s::regclass::oid", (table,)).fetchall()
    return families.find(db, [oid])[oid]


def watch(db: Connection, ear: Connection, table: str) -> families.Member:
    """Install, and wait for everything, images too."""
    assert not capture.complete(db, members(db, table)).problems
    (member, *_) = members(db, table)
    need = interest.Need(family=member.family, every_column=True, rows=True)
    for key in interest.plan([need]).keys:
        ear.execute("SELECT pg_advisory_lock_shared(%s)", (key,))
    return member


@pytest.fixture
def attacker(
    db: Connection, connect: Callable[..., Any], make_role: Callable[..., Any], dsn: str
) -> Connection:
    """Give a connection of a role that may make objects and write to orders, and owns nothing of ours."""
    role = make_role("attacker")
    db.execute(
        sql.SQL(
            "GRANT CREATE ON DATABASE {} TO {role}; GRANT CREATE ON SCHEMA public TO PUBLIC;"
            "GRANT ALL ON orders TO {role}"
        ).format(sql.Identifier(db.info.dbname), role=sql.Identifier(role.name))
    )
    connection: Connection = connect(role.conninfo(dsn))
    return connection


def ran_as(connection: Connection) -> str | None:
    """Say as whom one of the functions below last ran in a session."""
    ((who,),) = connection.execute("SELECT current_setting('pgrt.ran', true)").fetchall()
    return who or None


def looting(function: str, result: str, returns: str = "NULL") -> str:
    """Write a function that notes with whose rights it runs; immutable, so that plans may use it."""
    return (
        f"CREATE FUNCTION {function} RETURNS {result} LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN"
        f" PERFORM set_config('pgrt.ran', current_user, false); RETURN {returns}; END $$;"
    )


# -- types and tables of others (S7, S8)


@pytest.mark.every_server
def test_casts_of_others_are_not_called_with_our_rights(
    db: Connection, attacker: Connection, connect: Callable[..., Any]
) -> None:
    """A type may come with casts to text and json by its owner: matching keys and images use none."""
    attacker.execute(
        "CREATE TYPE mood AS ENUM ('sad', 'happy');"
        + looting("to_t(mood)", "text")
        + looting("to_j(mood)", "json")
        + "CREATE CAST (mood AS text) WITH FUNCTION to_t(mood);"
        "CREATE CAST (mood AS json) WITH FUNCTION to_j(mood);"
        "CREATE TYPE pair AS (a int, m mood);"
        "CREATE TABLE trap (m mood PRIMARY KEY, several mood[], p pair, _pgrt_n pair, v int)"
    )
    ear = connect()
    member = watch(db, ear, "trap")
    since = images.now(db)
    attacker.execute("INSERT INTO trap VALUES ('sad', '{sad}', '(1,sad)', '(2,happy)')")
    attacker.execute("INSERT INTO trap VALUES ('happy')")
    attacker.execute("UPDATE trap SET v = 1")
    attacker.execute("DELETE FROM trap WHERE m = 'sad'")
    assert ran_as(attacker) is None
    read = images.read(db, since, {member.oid: ("public", "trap")}).images
    assert ran_as(db) is None
    assert [image.operation for image in read] == ["insert", "insert", "update", "update", "delete"]
    assert read[0].new == {
        "m": "sad", "several": "{sad}", "p": "(1,sad)", "_pgrt_n": "(2,happy)", "v": None,
    }  # fmt: skip
    assert read[1].new is not None
    assert read[1].new["p"] is None


@pytest.mark.every_server
def test_checks_of_others_domains_are_not_run_with_our_rights(
    db: Connection, attacker: Connection, connect: Callable[..., Any]
) -> None:
    """Reading an image back does not turn it into a domain, whose CHECK is its owner's."""
    attacker.execute(
        looting("looks(anyelement)", "bool", "true")
        + "CREATE DOMAIN odd AS numeric(6,2) CHECK (looks(VALUE));"
        "CREATE DOMAIN odder AS odd; CREATE DOMAIN list AS int[] CHECK (looks(VALUE));"
        "CREATE TABLE trap (id int PRIMARY KEY, a odd, b odder, c odd[], d list)"
    )
    ear = connect()
    member = watch(db, ear, "trap")
    since = images.now(db)
    attacker.execute("INSERT INTO trap VALUES (1, 1.5, 2.5, '{3.5}', '{1,2}')")
    assert ran_as(attacker) == attacker.info.user  # its own write, with its own rights
    (image,) = images.read(db, since, {member.oid: ("public", "trap")}).images
    assert image.new is not None
    assert {**image.new, "a": str(image.new["a"])} == {
        "id": 1, "a": "1.50", "b": image.new["b"], "c": "{3.50}", "d": [1, 2],
    }  # fmt: skip
    assert ran_as(db) is None


@pytest.mark.every_server
def test_a_schema_prepared_by_others_is_not_used(
    dsn: str, db: Connection, attacker: Connection, quick: None
) -> None:
    """What is called like ours and is theirs would run with our rights: the query polls and says so."""
    ((oid,),) = db.execute("SELECT 'orders'::regclass::oid").fetchall()
    attacker.execute(
        "CREATE SCHEMA _pgrt; GRANT ALL ON SCHEMA _pgrt TO PUBLIC;"
        'CREATE TABLE _pgrt.changes (xid xid8, relation oid, operation "char", old jsonb, new jsonb);'
        "GRANT ALL ON _pgrt.changes TO PUBLIC;"
        + looting("_pgrt.image(record)", "jsonb")
        + looting(f"_pgrt.capture_{oid}()", "trigger")
    )
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        lq = engine.sub("orders", ORDERS, refresh={"orders": {"id": 1}}, max_age_ms=100)
        assert lq.status == "polling"
        assert f"belongs to {attacker.info.user}" in lq._shown().message
        assert "DROP SCHEMA _pgrt CASCADE" in lq._shown().message
        db.execute("UPDATE orders SET status = 'x'")
        lq.wait_for(shows(db))
        assert ran_as(db) is None
        db.execute("DROP SCHEMA _pgrt CASCADE")
        wait_until(lambda: lq.status == "live")


@pytest.mark.every_server
def test_what_a_member_installs_belongs_to_the_owner_of_the_schema(
    db: Connection, connect: Callable[..., Any], make_role: Callable[..., Any], dsn: str
) -> None:
    """The owner of the schema can change what is in it, so none of it runs with another's rights."""
    first, second = make_role("first"), make_role("second")
    db.execute(
        sql.SQL(
            "CREATE TABLE bills (id int); GRANT TRIGGER ON orders, bills TO {0}, {1};"
            "GRANT CREATE ON DATABASE {2} TO {0}; GRANT {0} TO {1}"
        ).format(
            sql.Identifier(first.name), sql.Identifier(second.name), sql.Identifier(db.info.dbname)
        )
    )
    for role, table in ((first, "orders"), (second, "bills")):
        connection = connect(role.conninfo(dsn))
        assert capture.complete(connection, members(connection, table)).installed == 1
        assert capture.complete(connection, members(connection, table)).installed == 0
    owners = db.execute(
        "SELECT DISTINCT proowner::regrole::text FROM pg_proc WHERE pronamespace = '_pgrt'::regnamespace"
    )
    assert owners.fetchall() == [(first.name,)]
    db.execute("DROP SCHEMA _pgrt CASCADE")
    for role in (first, second):
        db.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role.name)))


@pytest.mark.every_server
def test_default_privileges_do_not_open_the_images(
    dsn: str, db: Connection, attacker: Connection
) -> None:
    """Whatever new tables are granted to whom, the table of images is not."""
    db.execute(
        "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC;"
        f"ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {attacker.info.user};"
        "ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO PUBLIC"
    )
    with pgrt.Engine(dsn) as engine:
        engine.sub("orders", ORDERS)
        for statement in (
            "SELECT * FROM _pgrt.changes",
            "INSERT INTO _pgrt.changes (relation, operation) VALUES (1, 'I')",
            "TRUNCATE _pgrt.changes",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                attacker.execute(statement)


TAMPERING = {
    "replaced": "CREATE OR REPLACE FUNCTION _pgrt.capture_{oid}() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN RETURN NULL; END $$",
    "not definer": "ALTER FUNCTION _pgrt.capture_{oid}() SECURITY INVOKER",
    "search path": "ALTER FUNCTION _pgrt.capture_{oid}() SET search_path = public",
    "no search path": "ALTER FUNCTION _pgrt.capture_{oid}() RESET search_path",
    "image": "CREATE OR REPLACE FUNCTION _pgrt.image(_pgrt_row record) RETURNS jsonb LANGUAGE plpgsql"
    " AS $$ BEGIN RETURN NULL; END $$",
    "image definer": "ALTER FUNCTION _pgrt.image(record) SECURITY DEFINER",
    "condition": "CREATE OR REPLACE TRIGGER _pgrt_update AFTER UPDATE ON orders REFERENCING OLD TABLE"
    " AS _pgrt_old NEW TABLE AS _pgrt_new FOR EACH STATEMENT WHEN (false)"
    " EXECUTE FUNCTION _pgrt.capture_{oid}()",
    "renamed": "ALTER TRIGGER _pgrt_update ON orders RENAME TO mine",
}


@pytest.mark.every_server
def test_tampering_is_repaired_by_the_audit(engine: pgrt.Engine, db: Connection) -> None:
    """Whatever was altered is put back, and what it hid is shown."""
    lq = engine.sub("orders", ORDERS, refresh={"orders": {"status": {"hidden", "shown"}}})
    ((oid,),) = db.execute("SELECT 'orders'::regclass::oid").fetchall()
    for what, statement in TAMPERING.items():
        with db.transaction():
            db.execute(statement.format(oid=oid).encode())
            db.execute("UPDATE orders SET status = %s", (what,))
        wait_until(
            lambda: capture.is_complete(db, members(db, "orders")[0]), message=f"{what}: not mended"
        )
        lq.wait_for(shows(db))
        db.execute("UPDATE orders SET status = 'shown'")
        lq.wait_for(shows(db))
        wait_until(lambda: lq.status == "live")


@pytest.mark.parametrize(
    "alteration",
    [
        "CREATE RULE r AS ON INSERT TO _pgrt.changes DO ALSO NOTIFY x",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;"
        "CREATE TRIGGER t BEFORE INSERT ON _pgrt.changes FOR EACH ROW EXECUTE FUNCTION f()",
        "ALTER TABLE _pgrt.changes ENABLE ROW LEVEL SECURITY",
    ],
)
def test_an_altered_table_of_images_is_told(
    alteration: str, engine: pgrt.Engine, db: Connection
) -> None:
    """It cannot be repaired without losing what it is: the query polls and says what to do."""
    lq = engine.sub("orders", ORDERS, max_age_ms=100)
    db.execute(alteration.encode())
    wait_until(lambda: lq.status == "polling")
    assert "DROP SCHEMA _pgrt CASCADE" in lq._shown().message
    db.execute("DROP SCHEMA _pgrt CASCADE")
    wait_until(lambda: lq.status == "live")


@pytest.mark.every_server
def test_others_can_do_nothing_to_what_is_ours(
    engine: pgrt.Engine, db: Connection, attacker: Connection
) -> None:
    """Neither replace, own, call, read, write, drop nor extend it."""
    engine.sub("orders", ORDERS)
    ((oid,),) = db.execute("SELECT 'orders'::regclass::oid").fetchall()
    function = f"_pgrt.capture_{oid}()"
    for statement in (
        f"CREATE OR REPLACE FUNCTION {function} RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN END $$",
        f"ALTER FUNCTION {function} OWNER TO {attacker.info.user}",
        f"ALTER FUNCTION {function} SET search_path = public",
        f"DROP FUNCTION {function} CASCADE",
        f"SELECT {function}",
        "CREATE TABLE mine (id int); CREATE TRIGGER t AFTER INSERT ON mine"
        f" EXECUTE FUNCTION {function}",
        "SELECT _pgrt.image(ROW(1))",
        "INSERT INTO _pgrt.changes (relation, operation) VALUES (1, 'I')",
        "SELECT * FROM _pgrt.changes",
        "CREATE FUNCTION _pgrt.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DROP SCHEMA _pgrt CASCADE",
        "DROP TRIGGER _pgrt_insert ON orders",
        "ALTER TABLE orders DISABLE TRIGGER ALL",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            attacker.execute(statement)
    ((source,),) = db.execute(
        "SELECT string_agg(prosrc, '') FROM pg_proc WHERE pronamespace = '_pgrt'::regnamespace"
    ).fetchall()
    assert "new" not in source.replace("_pgrt_new", "").replace(" new)", "").replace("new,", "")


# -- names looked up in other people's schemas (S7)


def twin_everything(db: Connection, schema: str) -> int:
    """Make, in a schema, a function and an operator of every name and signature that raise when called."""
    db.execute(
        sql.SQL("CREATE SCHEMA {0}; GRANT USAGE ON SCHEMA {0} TO PUBLIC").format(
            sql.Identifier(schema)
        )
    )
    made = db.execute(
        """
        DO $do$
        DECLARE
          f record; called text := $$ BEGIN RAISE EXCEPTION 'evil twin called'; END $$;
        BEGIN
          FOR f IN SELECT p.oid, p.proname, pg_get_function_identity_arguments(p.oid) AS arguments,
                          p.prorettype::regtype AS result, p.proretset
                   FROM pg_proc AS p
                   WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f'
                     AND p.prorettype <> ALL ('{internal,cstring,trigger,event_trigger,language_handler,
                       fdw_handler,index_am_handler,table_am_handler,tsm_handler,anyelement,anyarray,
                       anycompatible,anycompatiblearray,anyenum,anyrange,anymultirange,
                       anycompatiblerange,anycompatiblemultirange,anynonarray}'::regtype[])
                     AND NOT p.proargtypes::oid[] && '{internal,cstring}'::regtype[]::oid[]
                     AND p.provariadic = 0 AND p.proargmodes IS NULL
          LOOP
            BEGIN
              EXECUTE format('CREATE FUNCTION SCHEMA.%I(%s) RETURNS %s %s LANGUAGE plpgsql AS %L',
                             f.proname, f.arguments, CASE WHEN f.proretset THEN 'SETOF' ELSE '' END,
                             f.result, called);
            EXCEPTION WHEN OTHERS THEN NULL;
            END;
          END LOOP;
          FOR f IN SELECT o.oprname, o.oprleft::regtype AS l, o.oprright::regtype AS r,
                          o.oprcode::oid AS code, p.proname, o.oprresult::regtype AS result
                   FROM pg_operator AS o JOIN pg_proc AS p ON p.oid = o.oprcode
                   WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprleft <> 0
          LOOP
            BEGIN
              EXECUTE format('CREATE FUNCTION SCHEMA."evil %s"(%s, %s) RETURNS %s LANGUAGE plpgsql AS %L',
                             f.code, f.l, f.r, f.result, called);
            EXCEPTION WHEN OTHERS THEN NULL;
            END;
            BEGIN
              EXECUTE format('CREATE OPERATOR SCHEMA.%s (LEFTARG = %s, RIGHTARG = %s,'
                             ' FUNCTION = SCHEMA."evil %s")',
                             f.oprname, f.l, f.r, f.code);
            EXCEPTION WHEN OTHERS THEN NULL;
            END;
          END LOOP;
        END
        $do$
        """.replace("SCHEMA", sql.Identifier(schema).as_string()).encode()
    )
    made = db.execute(
        "SELECT count(*) FROM pg_operator WHERE oprnamespace = %s::regnamespace", (schema,)
    )
    ((count,),) = made.fetchall()
    return int(count)


@pytest.fixture(scope="module")
def twins(server: str) -> Iterator[str]:
    """Name a template database in which `evil` holds a twin of everything."""
    name = f"pgrt_twins_{secrets.token_hex(4)}"
    with psycopg.connect(server, autocommit=True, application_name="pgrt-test") as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        from psycopg.conninfo import make_conninfo

        place = make_conninfo(server, dbname=name, application_name="pgrt-test")
        with psycopg.connect(place, autocommit=True) as db:
            assert twin_everything(db, "evil") > 500
            db.execute(
                "CREATE TABLE orders (id int PRIMARY KEY, status text);"
                "INSERT INTO orders SELECT n, 'new' FROM generate_series(1, 3) AS n;"
                "CREATE VIEW v AS SELECT id, status FROM orders"
            )
            for text in ("1 = 1", "oid '1' = oid '1'", "md5('x') = 'x'"):
                db.execute("SET search_path = evil, pg_catalog")
                with pytest.raises(psycopg.errors.RaiseException, match="evil twin called"):
                    db.execute(f"SELECT {text}")
        yield place
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.every_server
def test_an_engine_calls_nothing_of_others(twins: str, quick: None, connect: Any, dsn: str) -> None:
    """With a twin of every function and operator in front, everything an engine runs calls none of them."""
    writer = connect(twins)
    evil = f"{twins} options='-c search_path=evil,pg_catalog,public'"
    errors: list[Any] = []
    with pgrt.Engine(evil, throttle_ms=0, error_handler=lambda e, q: errors.append(e)) as engine:
        query = "SELECT id, status FROM public.v"
        plain = engine.sub("plain", query)
        rule = engine.sub("rule", query, refresh={"public.orders": {"status": "there"}})
        function = engine.sub("function", query, refresh=lambda c, df, change: True)
        typed = engine.sub("typed", "SELECT $1::pg_catalog.int4 AS n, id FROM public.orders", [5])
        for lq in (plain, rule, function, typed):
            assert lq.status == "live", lq._shown().message
        writer.execute("UPDATE orders SET status = 'there' WHERE id < 3")
        for lq in (plain, rule, function):
            lq.wait_for(lambda df: sorted(df["status"]) == ["new", "there", "there"])
        writer.execute("DROP SCHEMA _pgrt CASCADE")
        writer.execute("DELETE FROM orders WHERE id = 3")
        for lq in (plain, rule, function, typed):
            lq.wait_for(lambda df: len(df) == 2)
            wait_until(lambda lq=lq: lq.status == "live")
    assert errors == []
    assert pgrt.destroy(evil)[-1] == "schema _pgrt"


UNPINNED = (
    "listener_history",
    "listener_session",
    "replica_followed",
    "replica_replayed",
    "replica_written",
    "session_opened",
    "session_timeline",
)


@pytest.mark.every_server
@pytest.mark.parametrize("name", UNPINNED)
def test_what_a_session_is_asked_on_the_way_calls_nothing_of_others(
    name: str, twins: str, connect: Any, dsn: str
) -> None:
    """These have no transaction of their own in which names would be PostgreSQL's."""
    session = connect(f"{twins} options='-c search_path=evil,pg_catalog,public'")
    assert len(session.execute(load(name)).fetchall()) == 1


@pytest.mark.every_server
def test_a_writer_in_a_hostile_place_calls_nothing_of_ours_wrongly(
    twins: str, connect: Any, dsn: str
) -> None:
    """The same twins in front of a writer, temporary ones of ours too: its writes succeed and are heard."""
    db, ear, writer = connect(twins), connect(twins), connect(twins)
    db.execute("DELETE FROM orders; INSERT INTO orders SELECT generate_series(1, 3), 'new'")
    ear.execute(f"LISTEN {CHANNEL}")
    watch(db, ear, "orders")
    writer.execute(
        "CREATE TEMP TABLE _pgrt_new (LIKE orders); CREATE TEMP TABLE _pgrt_old (LIKE orders);"
        "CREATE TEMP TABLE changes (LIKE _pgrt.changes); CREATE TEMP TABLE orders (LIKE orders);"
        "CREATE FUNCTION pg_temp.image(record) RETURNS jsonb LANGUAGE plpgsql AS"
        " $$ BEGIN RETURN NULL; END $$;"
        "SET search_path = pg_temp, evil, pg_catalog"
    )
    writer.execute("UPDATE public.orders SET status = 'x'")
    writer.execute("DELETE FROM public.orders")
    heard = [notification.payload for notification in ear.notifies(timeout=10, stop_after=2)]
    assert [payload.split(" ")[1] for payload in heard] == ["U", "D"]
    assert [payload.split(" ")[3:] for payload in heard] == [["i"], ["i"]]
    db.execute("DROP SCHEMA _pgrt CASCADE")


# -- hostile notifications and locks (S5, S22)


def payloads(oid: int, count: int) -> Iterator[str]:
    """Give payloads that none of our triggers sent."""
    chance = random.Random(1)
    fixed = (
        "", " ", "x" * 7999, "[" * 7000, '{"a":' * 1000, f"{oid}", f"{oid} X *", f"{oid} U", f"{oid} U *  i",
        f"{oid} U 1,", f"{oid} U ,1", f"{oid} U {'1,' * 60}1", f"-{oid} U *", f"{oid} u *", f" {oid} U *",
        f"{oid} U *\n", f"{oid} ? ABC", f"{oid} U 99999999999",
        "9" * 20 + " U *",
        f"{oid} U * i i", "١٢٣ U *", f"{oid} U \N{FULLWIDTH DIGIT ONE}", "'; DROP TABLE orders; --",
        "4294967296 I *",
    )  # fmt: skip
    for number in range(count):
        if number % 3 == 0:
            yield fixed[number // 3 % len(fixed)]
        else:
            length = chance.randrange(60)
            yield "".join(chance.choice(string.printable[:95] + "é😀") for _ in range(length))


def test_a_flood_of_forged_notifications_is_counted_and_ignored(
    dsn: str, db: Connection, attacker: Connection, quick: None
) -> None:
    """Tens of thousands of them cause no run and no error, and what is true is still heard."""
    ((oid,),) = db.execute("SELECT 'orders'::regclass::oid").fetchall()
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        lq = engine.sub("orders", ORDERS)
        runtime = engine._parts()[0].runtime
        runs = lq.refresh_count
        sent = list(payloads(oid, 20_000))
        for start in range(0, len(sent), 2000):
            attacker.execute(
                "SELECT pg_notify(%s, p) FROM unnest(%s::text[]) AS p",
                (CHANNEL, sent[start : start + 2000]),
            )
        db.execute("DELETE FROM orders WHERE id = 1")
        lq.wait_for(shows(db), timeout=30)
        assert runtime.unreadable > 1000
        assert lq.refresh_count <= runs + 3
        assert lq.status == "live"
        assert lq.error is None


def test_forged_changes_cost_one_run_an_interval_and_no_other_query(
    dsn: str, db: Connection, attacker: Connection
) -> None:
    """Well-formed forgeries are hints like any other: throttled, and nobody else's business."""
    db.execute("CREATE TABLE quiet (id int); INSERT INTO quiet VALUES (1)")
    ((oid,),) = db.execute("SELECT 'orders'::regclass::oid").fetchall()
    stop = threading.Event()
    tag = interest.tag("status")

    def forge() -> None:
        while not stop.is_set():
            attacker.execute(
                "SELECT pg_notify(%s, format('%%s U %%s,%%s', %s::int, %s::int, n))"
                " FROM generate_series(1, 200) AS n",
                (CHANNEL, oid, tag),
            )

    thread = threading.Thread(target=forge, daemon=True)
    with pgrt.Engine(dsn, throttle_ms=1000) as engine:
        attacked = engine.sub("orders", ORDERS)
        control = engine.sub("quiet", "SELECT id FROM quiet", throttle_ms=0)
        runs, before = control.refresh_count, attacked.refresh_count
        thread.start()
        try:
            for number in range(5):
                db.execute("UPDATE quiet SET id = %s", (number + 10,))
                control.wait_for(lambda df, number=number: rows(df) == [(number + 10,)])
            wait_until(lambda: attacked.refresh_count >= before + 1)
        finally:
            stop.set()
            thread.join()
        assert control.refresh_count <= runs + 2 * 5
        assert attacked.status == control.status == "live"


def test_nobody_can_forge_a_sign_of_life(
    dsn: str, db: Connection, attacker: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokens are random for each beat: a stranger's on the engine's own channel counts for nothing."""
    loop = partial(EngineLoop, pulse=Pulse(interval=60.0, deadline=3.0), audit_seconds=60)
    monkeypatch.setattr(api, "EngineLoop", loop)
    with pgrt.Engine(dsn) as engine:
        engine.sub("orders", ORDERS)
        listener = engine._parts()[0].runtime._attention._listener
        assert listener is not None
        listener._proof.answered.clear()
        assert len(listener._proof.token or "") == 32
        attacker.execute("SELECT pg_notify(%s, %s)", (listener._proof.channel, "0" * 32))
        attacker.execute("SELECT pg_notify(%s, %s)", (listener._proof.channel, ""))
        attacker.execute("SELECT pg_notify(%s, 'end of it')", (CHANNEL,))
        wait_until(lambda: engine._parts()[0].runtime.unreadable)
        assert not listener._proof.answered.is_set()


@pytest.mark.parametrize("mode", ["pg_advisory_lock", "pg_advisory_lock_shared"])
def test_strangers_on_our_keys_cost_a_poll_or_a_notification(
    mode: str, engine: pgrt.Engine, db: Connection, attacker: Connection
) -> None:
    """A key taken exclusively makes the query poll and say so; held shared, triggers speak for nothing."""
    ((oid,),) = db.execute("SELECT 'orders'::regclass::oid").fetchall()
    for what in (interest.RELATION, interest.EVERY_COLUMN, interest.tag("status")):
        attacker.execute(f"SELECT {mode}(%s)", (interest.key(oid, what),))
    lq = engine.sub("orders", ORDERS, max_age_ms=200)
    if mode == "pg_advisory_lock":
        assert lq.status == "polling"
        assert "locks" in lq._shown().message
    else:
        assert lq.status == "live"
    db.execute("UPDATE orders SET status = 'x'")
    lq.wait_for(shows(db))
    attacker.execute("SELECT pg_advisory_unlock_all()")
    db.execute("DELETE FROM orders")
    lq.wait_for(shows(db))
    wait_until(lambda: lq.status == "live")


# -- text and parameters (S2, S3)

CANARY = "SELECT count(*) FROM orders"


REFUSED = [
    "SELECT 1; DROP TABLE orders",
    "SELECT 1 --\n; DROP TABLE orders",
    "SELECT 1 /* */; DROP TABLE orders; --",
    "SELECT 1; END; DROP TABLE orders; BEGIN",
    "SELECT 1\n; END; CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1",
    "SELECT 1) TO STDOUT; DROP TABLE orders; COPY (SELECT 1",
    "SELECT 1) TO PROGRAM 'touch canary' --",
    "SELECT $$ unbalanced",
    "SELECT 'unbalanced",
    'SELECT "unbalanced',
    "SELECT 1 */",
    "/* SELECT 1",
    "\\! touch canary",
    "\\copy orders to canary",
    "SELECT 1 \\gexec",
    "COPY orders TO PROGRAM 'cat'",
    "DO $$ BEGIN DELETE FROM orders; END $$",
    "CALL something()",
    "EXPLAIN ANALYZE DELETE FROM orders",
    "PREPARE p AS SELECT 1",
    "LISTEN pgrt_jupyter",
    "SET ROLE postgres",
    "DECLARE c CURSOR FOR SELECT 1",
    "SELECT * INTO stolen FROM orders",
    "WITH d AS (DELETE FROM orders RETURNING *) SELECT * FROM d",
    "SELECT * FROM orders FOR UPDATE",
    "",
    ";",
    "-- nothing",
]


def test_text_that_is_not_one_query_is_refused_and_nothing_runs(
    engine: pgrt.Engine, db: Connection
) -> None:
    """However it is dressed up."""
    for text in REFUSED:
        with pytest.raises(pgrt.PgrtError):
            engine.sub("x", text)
        assert db.execute(CANARY).fetchone() == (3,), text
    made = db.execute("SELECT count(*) FROM pg_class WHERE relname = 'stolen'").fetchone()
    assert made == (0,)


def test_a_zero_byte_is_refused(engine: pgrt.Engine) -> None:
    """PostgreSQL knows no text with it; what follows it is not cut off silently."""
    for text, parameters in (
        ("SELECT 1\0; DROP TABLE orders", None),
        ("SELECT $1::text", ["a\0b"]),
    ):
        with pytest.raises((pgrt.PgrtError, psycopg.DataError, ValueError)):
            engine.sub("x", text, parameters)


VALUES: list[tuple[str, Any, Any]] = [
    ("SELECT 'a;b' AS v", None, "a;b"),
    ("SELECT 'costs $5' AS v", None, "costs $5"),
    ("SELECT 'it''s :name' AS v", None, "it's :name"),
    ("SELECT $$;$1 :x$$ AS v", None, ";$1 :x"),
    ("SELECT 1 AS v -- ; DROP TABLE orders", None, 1),
    ("SELECT 1 AS v /* ; :x $1 */", None, 1),
    ("SELECT $1::text AS v", ["'; DROP TABLE orders; --"], "'; DROP TABLE orders; --"),
    ("SELECT $1::text AS v", ["\\'; DROP TABLE orders; --"], "\\'; DROP TABLE orders; --"),
    ("SELECT :x::text AS v", {"x": "$1"}, "$1"),
    ("SELECT :x::text AS v", {"x": "{{x}} %s {x}"}, "{{x}} %s {x}"),
    ("SELECT coalesce($1::text, 'none') AS v", [None], "none"),
    ("SELECT array_to_string($1::text[], ',') AS v", [["a'b", 'c"d', None]], "a'b,c\"d"),
    ("SELECT 1 AS v;", None, 1),
]


def test_values_are_values(engine: pgrt.Engine, db: Connection) -> None:
    """Literals and parameters may hold SQL; they stay what they are."""
    for text, parameters, expected in VALUES:
        lq = engine.sub("x", text, parameters)
        assert lq.df["v"].tolist() == [expected], text
    assert db.execute(CANARY).fetchone() == (3,)


# -- a query changes nothing, even as superuser (P10, D6)


EFFECTS = {
    "sequence": "SELECT nextval('counter') AS v",
    "setval": "SELECT setval('counter', 99) AS v",
    "function": "SELECT writes() AS v",
    "large object": "SELECT lo_create(4711)::text AS v",
    "import": "SELECT lo_import('/etc/hostname')::text AS v",
    "role": "SELECT set_config('role', 'pg_monitor', false) AS v",
    "setting": "SELECT set_config('pgrt.leak', 'yes', false) AS v",
    "search path": "SELECT set_config('search_path', 'nowhere', false) AS v",
    "time zone": "SELECT set_config('TimeZone', 'Asia/Tokyo', false) AS v",
    "advisory lock": "SELECT pg_advisory_lock(4711)::text AS v",
    "advisory lock and error": "SELECT pg_advisory_lock(4711)::text, 1 / (SELECT 0) AS v",
    "read write": "SELECT set_config('transaction_read_only', 'off', false) AS v, writes()",
    "notify": f"SELECT pg_notify('{CHANNEL}', 'orders')::text AS v FROM orders",
}


@pytest.mark.every_server
def test_a_query_leaves_nothing_behind(
    dsn: str, db: Connection, connect: Callable[..., Any]
) -> None:
    """No data, no setting, no lock and no notification, in the database or for the next query."""
    db.execute(
        "CREATE SEQUENCE counter; CREATE FUNCTION writes() RETURNS int LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO orders VALUES (99, 'written'); RETURN 1; END $$"
    )
    ear = connect()
    ear.execute(f"LISTEN {CHANNEL}")
    zone = db.execute("SHOW TimeZone").fetchone()[0]
    with pgrt.Engine(dsn, throttle_ms=0, pool_size=1) as engine:
        after = engine.sub(
            "after",
            "SELECT current_user::text AS who, current_setting('pgrt.leak', true) AS leak,"
            " current_setting('TimeZone') AS zone, count(*) AS n FROM orders",
            max_age_ms=60_000,
        )
        for effect, text in EFFECTS.items():
            try:
                engine.sub("effect", text, max_age_ms=60_000)
            except pgrt.PgrtError as error:
                assert error.sqlstate in ("25006", "22012", "55000", "25001", "0A000"), effect
            ((who, leak, shown, count),) = rows(after.refresh())
            assert (who, leak or "", shown, count) == (db.info.user, "", zone, 3), effect
            held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 0"
            assert db.execute(held).fetchone() == (0,), effect
    assert db.execute("SELECT is_called FROM counter").fetchone() == (False,)
    assert db.execute("SELECT count(*) FROM pg_largeobject_metadata").fetchone() == (0,)
    assert list(ear.notifies(timeout=0.1)) == []
