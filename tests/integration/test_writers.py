"""Whatever is written to a table with our triggers ends as it would without them.

Every script runs twice, in two databases that differ only by our triggers: same row counts, same rows
returned, same SQLSTATE, same contents afterwards, whether nobody, somebody, or somebody who wants the
rows is waiting. `PGRT_EXAMPLES=2000 pytest tests/integration/test_writers.py` looks further.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pgrt_jupyter.engine import capture, families, interest
from pgrt_jupyter.engine.notification import CHANNEL, Change, decode

pytestmark = pytest.mark.every_server

EXAMPLES = int(os.environ.get("PGRT_EXAMPLES", "60"))
Connection = psycopg.Connection[Any]

# -- what is tried

NAMES = (
    "orders", "Orders", 'a"b', '""', "a.b", "a_b", "$$", "$_$", "a\nb", "tab\there", "select", "from",
    "user", "😀", "größe", "Ω" * 31, "x" * 63, "TEMPLATE_", "{}", "{oid}", "%s", "%I", ":x", "'", "\\",
    "a'; DROP SCHEMA _pgrt CASCADE; --", '"; DELETE FROM canary; --', "$pgrt$", "$function$", "/*", "--",
    "_pgrt_new", "_pgrt_old", "_pgrt_n", "_pgrt_o", "_pgrt_tag", "_pgrt_changed", "_pgrt_many",
    "_pgrt_images", "_pgrt_shown", "tg_op", "new", "old", "found", "sqlstate", "sqlerrm", "text", "int8",
    "pg_notify", "image", "changes", "relation", "oid", "key", "value", "v", "h", "xid", " ", "\u202e",
)  # fmt: skip
TYPES: dict[str, tuple[str, str]] = {
    "int": ("1", "2"),
    "int8": ("1", "9223372036854775807"),
    "numeric": ("1.0", "1.00"),
    "numeric(10,2)": ("1", "'NaN'"),
    "float8": ("'0'", "'-0'"),
    "money": ("1", "2"),
    "text": ("''", "repeat('é', 4000)"),
    "varchar(10)": ("'a'", "'b '"),
    "char(5)": ("'a'", "'b'"),
    "name": ("'a'", "'b'"),
    '"char"': ("'a'", "'b'"),
    "bytea": ("''", "decode('00ff', 'hex')"),
    "timestamp": ("'infinity'", "'0044-03-15 BC'"),
    "timestamptz": ("'-infinity'", "'2024-01-01 12:00+00'"),
    "date": ("'infinity'", "'2024-02-29'"),
    "timetz": ("'00:00+00'", "'00:00+01'"),
    "interval": ("'1 month'", "'30 days'"),
    "boolean": ("true", "false"),
    "point": ("'(1,1)'", "'(1,2)'"),
    "box": ("'(0,0),(1,1)'", "'(0,0),(1,2)'"),
    "path": ("'[(0,0)]'", "'((0,0))'"),
    "polygon": ("'((0,0))'", "'((0,1))'"),
    "circle": ("'<(0,0),1>'", "'<(0,0),2>'"),
    "inet": ("'::1'", "'10.0.0.1/8'"),
    "macaddr8": ("'08:00:2b:01:02:03:04:05'", "NULL"),
    "bit(3)": ("B'101'", "B'111'"),
    "varbit": ("B''", "B'1'"),
    "tsvector": ("'a b'", "''"),
    "tsquery": ("'a & b'", "''"),
    "uuid": ("'00000000-0000-0000-0000-000000000000'", "'00000000-0000-0000-0000-000000000001'"),
    "json": ("'{\"a\":1}'", "'{\"a\": 1}'"),
    "jsonb": ("'1.0'", "'1.00'"),
    "jsonpath": ("'$.a'", "'$'"),
    "int[]": ("'{}'", "'[0:1]={1,NULL}'"),
    "text[]": ("'{{a,b},{c,d}}'", "'{\"\"}'"),
    "point[]": ("ARRAY['(1,1)'::point]", "NULL"),
    "json[]": ("ARRAY['1'::json]", "ARRAY['2'::json]"),
    "int4range": ("'empty'", "'[1,5)'"),
    "int4multirange": ("'{}'", "'{[1,3),[5,7)}'"),
    "xid8": ("'1'", "'2'"),
    "pg_lsn": ("'0/1'", "'0/2'"),
    "pg_snapshot": ("'1:3:2'", "'1:1:'"),
    "tid": ("'(0,1)'", "'(0,2)'"),
    "oidvector": ("'1 2'", "''"),
    "aclitem": ("makeaclitem(10, 10, 'SELECT', true)", "NULL"),
    "shared.mood": ("'sad'", "'happy'"),
    "shared.mood[]": ("'{sad}'", "'{happy,NULL}'"),
    "shared.small": ("1", "9"),
    "shared.pair": ("'(1,x)'", "'(,)'"),
    "shared.pair[]": ("ARRAY['(1,x)'::shared.pair]", "'{}'"),
    "shared.floats": ("'[1.0,2.0]'", "'empty'"),
    "shared.opaque": ("'a'", "'b'"),
    "xml": ("'<a/>'", "'<b/>'"),
}
# Enough of a world for all of them; `opaque` has casts that call a function which always raises.
SHARED = """
CREATE SCHEMA shared; CREATE SCHEMA evil;
CREATE TYPE shared.mood AS ENUM ('sad', 'happy');
CREATE DOMAIN shared.small AS int CHECK (VALUE < 10);
CREATE TYPE shared.pair AS (a int, b text);
CREATE TYPE shared.floats AS RANGE (subtype = float8);
CREATE TYPE shared.opaque AS ENUM ('a', 'b');
CREATE FUNCTION shared.raises_text(shared.opaque) RETURNS text IMMUTABLE LANGUAGE plpgsql
  AS $$ BEGIN RAISE EXCEPTION 'called'; END $$;
CREATE FUNCTION shared.raises_json(shared.opaque) RETURNS json IMMUTABLE LANGUAGE plpgsql
  AS $$ BEGIN RAISE EXCEPTION 'called'; END $$;
CREATE CAST (shared.opaque AS text) WITH FUNCTION shared.raises_text(shared.opaque);
CREATE CAST (shared.opaque AS json) WITH FUNCTION shared.raises_json(shared.opaque);
CREATE FUNCTION evil.pg_notify(text, text) RETURNS void LANGUAGE plpgsql
  AS $$ BEGIN RAISE EXCEPTION 'called'; END $$;
CREATE FUNCTION evil.raises(anyelement, anyelement) RETURNS bool LANGUAGE plpgsql
  AS $$ BEGIN RAISE EXCEPTION 'called'; END $$;
CREATE TABLE evil._pgrt_new (); CREATE TABLE evil._pgrt_old ();
GRANT USAGE ON SCHEMA shared, evil TO PUBLIC;
"""
SETTINGS = (
    "search_path = evil, pg_catalog",
    "search_path = ''",
    "session_replication_role = replica",
    "standard_conforming_strings = off",
    "row_security = off",
    "DateStyle = 'German, DMY'",
    "IntervalStyle = iso_8601",
    "client_encoding = LATIN1",
    "bytea_output = escape",
    "extra_float_digits = -15",
    "xmloption = document",
    "quote_all_identifiers = on",
    "transform_null_equals = on",
    "array_nulls = off",
    "check_function_bodies = off",
    "plpgsql.extra_errors = 'all'",
    "plpgsql.extra_warnings = 'all'",
    "plpgsql.variable_conflict = use_column",
    "plpgsql.variable_conflict = use_variable",
    "plpgsql.check_asserts = off",
    "plan_cache_mode = force_generic_plan",
    "plan_cache_mode = force_custom_plan",
    "default_transaction_isolation = serializable",
    "default_transaction_isolation = 'repeatable read'",
    "default_transaction_deferrable = on",
    "jit_above_cost = 0",
    "jit_inline_above_cost = 0",
    "debug_parallel_query = on",
    "force_parallel_mode = on",
    "parallel_setup_cost = 0",
    "min_parallel_table_scan_size = 0",
    "enable_hashjoin = off",
    "enable_mergejoin = off",
    "enable_nestloop = off",
    "enable_sort = off",
    "enable_material = off",
    "geqo_threshold = 2",
    "from_collapse_limit = 1",
    "work_mem = '64kB'",
    "lock_timeout = '100ms'",
    "transaction_timeout = '60s'",
    "idle_in_transaction_session_timeout = '60s'",
    "synchronous_commit = off",
    "track_functions = 'all'",
    "log_statement = 'all'",
    "backslash_quote = off",
    "TimeZone = 'Asia/Kathmandu'",
    "debug_discard_caches = 1",
    "restrict_nonsystem_relation_kind = 'view, foreign-table'",
    "pgrt.notify = off",
    "pgrt.notify = ''",
)
WAITING = ("nobody", "somebody", "for rows")
WRITERS = ("owner", "stranger")
DECOR = ("before", "after", "statement", "also", "instead", "view", "cascade", "null", "default",
         "partitioned", "child", "policy", "deferrable", "include")  # fmt: skip


def names() -> st.SearchStrategy[str]:
    """Give identifiers: known nasty ones, and any that PostgreSQL takes."""
    characters = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
    short = st.text(characters, min_size=1, max_size=20).filter(lambda s: len(s.encode()) <= 63)
    return st.one_of(st.sampled_from(NAMES), short)


@dataclass(frozen=True)
class Case:
    """Describe one table, what surrounds it, who writes, and what is written."""

    schema: str
    table: str
    columns: tuple[tuple[str, str], ...]  # name and type, beside id and mark
    key: str  # how rows are identified
    decor: frozenset[str]
    settings: tuple[str, ...]
    writer: str
    waiting: str
    steps: tuple[tuple[str, int], ...]  # kind of statement, and a number to vary it


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Give a table with a few columns of any types, and a few statements."""
    found = draw(st.lists(names(), min_size=1, max_size=4, unique=True))
    columns = [name for name in found if name not in ("id", "mark")]
    system = {"tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"}
    return Case(
        schema=draw(names().filter(lambda s: not s.startswith("pg_"))),
        table=draw(names()),
        columns=tuple(
            (name, draw(st.sampled_from(sorted(TYPES)))) for name in columns if name not in system
        ),
        key=draw(st.sampled_from(["id", "id", "none", "several", "identity"])),
        decor=frozenset(draw(st.lists(st.sampled_from(DECOR), max_size=2))),
        settings=tuple(draw(st.lists(st.sampled_from(SETTINGS), max_size=3, unique=True))),
        writer=draw(st.sampled_from(WRITERS)),
        waiting=draw(st.sampled_from(WAITING)),
        steps=tuple(
            draw(
                st.lists(
                    st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 3)),
                    min_size=1,
                    max_size=6,
                )
            )
        ),
    )


# -- statements; T is the table, C a column of any type, A and B two of its values


def _steps() -> dict[str, Sequence[str]]:
    """Give, by kind, the statements of one step; each is tried whatever came of the one before."""
    return {
        "insert": ["INSERT INTO T (id, mark) VALUES (100 + N, 'x') RETURNING id, mark"],
        "insert value": ["INSERT INTO T (id, C) VALUES (110 + N, A), (120 + N, B)"],
        "insert many": ["INSERT INTO T (id) SELECT 1000 + g FROM generate_series(1, N * 60) AS g"],
        "insert nothing": ["INSERT INTO T (id) SELECT 1 WHERE false"],
        "insert default": ["INSERT INTO T DEFAULT VALUES", "SELECT lastval()"],
        "insert conflict": ["INSERT INTO T (id) VALUES (1), (2)"],
        "do nothing": ["INSERT INTO T (id) VALUES (1), (300 + N) ON CONFLICT DO NOTHING"],
        "upsert": [
            "INSERT INTO T (id, C) VALUES (N, A), (400 + N, B)"
            " ON CONFLICT (id) DO UPDATE SET C = EXCLUDED.C RETURNING id"
        ],
        "update one": ["UPDATE T SET C = B WHERE id = N"],
        "update many": ["UPDATE T SET C = A, mark = mark || 'y' WHERE id > N"],
        "update none": ["UPDATE T SET C = B WHERE id < 0"],
        "update same": ["UPDATE T SET C = C, mark = mark"],
        "update key": ["UPDATE T SET id = id + 1000", "UPDATE T SET id = 5000 WHERE id = N"],
        "update clash": ["UPDATE T SET id = id + 1"],
        "update from": [
            "UPDATE T AS t SET C = f.C FROM T AS f WHERE f.id = t.id + 1 RETURNING t.id, f.mark"
        ],
        "update error": ["UPDATE T SET mark = 1 / (id - 2)", "UPDATE T SET mark = NULL, id = NULL"],
        "delete one": ["DELETE FROM T WHERE id = N RETURNING *"],
        "delete all": ["DELETE FROM T"],
        "delete using": ["DELETE FROM T AS t USING T AS f WHERE f.id = t.id + 1 AND f.id > N"],
        "merge": [
            "MERGE INTO T AS t USING (VALUES (1), (2), (600 + N)) AS s(id) ON t.id = s.id"
            " WHEN MATCHED AND s.id = 1 THEN UPDATE SET C = B WHEN MATCHED THEN DELETE"
            " WHEN NOT MATCHED THEN INSERT (id, C) VALUES (s.id, A)"
        ],
        "truncate": ["TRUNCATE T"],
        "truncate cascade": ["TRUNCATE T RESTART IDENTITY CASCADE"],
        "with": [
            "WITH d AS (DELETE FROM T WHERE id = 1 RETURNING id),"
            " u AS (UPDATE T SET C = B WHERE id = 2 RETURNING id),"
            " i AS (INSERT INTO T (id) VALUES (700 + N) RETURNING id)"
            " SELECT id FROM d UNION ALL SELECT id FROM u UNION ALL SELECT id FROM i"
        ],
        "copy": ["COPY 800"],
        "copy error": ["COPY 1"],
        "savepoint": [
            "BEGIN", "UPDATE T SET mark = 'kept' WHERE id = 2", "SAVEPOINT s", "DELETE FROM T",
            "ROLLBACK TO s", "INSERT INTO T (id) VALUES (900 + N)", "COMMIT",
        ],
        "rollback": ["BEGIN", "UPDATE T SET C = B", "ROLLBACK"],
        "error in transaction": ["BEGIN", "DELETE FROM T WHERE id = N", "SELECT 1/0", "COMMIT"],
        "deferred": [
            "BEGIN", "SET CONSTRAINTS ALL DEFERRED", "UPDATE T SET id = id + 1", "COMMIT", "ROLLBACK",
        ],
        "cursor": [
            "BEGIN", "DECLARE c CURSOR FOR SELECT * FROM T ORDER BY id FOR UPDATE", "FETCH 1 FROM c",
            "UPDATE T SET C = B WHERE CURRENT OF c", "DELETE FROM T WHERE CURRENT OF c", "COMMIT",
            "ROLLBACK",
        ],
        "prepared": [
            "PREPARE p AS UPDATE T SET C = B WHERE id = $1", "EXECUTE p(1)", "EXECUTE p(2)",
            "ALTER TABLE T ADD COLUMN added int DEFAULT 7", "EXECUTE p(3)", "EXECUTE p(1)",
            "DEALLOCATE p",
        ],
        "drop column": ["ALTER TABLE T DROP COLUMN C", "UPDATE T SET mark = 'z'", "DELETE FROM T"],
        "rename column": ["ALTER TABLE T RENAME mark TO renamed", "UPDATE T SET renamed = 'z'"],
        "retype column": ["ALTER TABLE T ALTER mark TYPE varchar(50)", "UPDATE T SET mark = 'z'"],
        "lock": ["SELECT id FROM T WHERE id = N FOR UPDATE", "SELECT count(*) FROM T"],
        "block": [
            "DO $do$ DECLARE n int; BEGIN UPDATE T SET C = A WHERE id <= 2;"
            " GET DIAGNOSTICS n = ROW_COUNT; INSERT INTO T (id, mark) VALUES (950, n || ' ' || FOUND);"
            " BEGIN INSERT INTO T (id) VALUES (950); EXCEPTION WHEN unique_violation THEN"
            " INSERT INTO T (id, mark) VALUES (951, SQLSTATE); END; END $do$"
        ],
        "view": ["INSERT INTO V (id, mark) VALUES (970, 'v')", "UPDATE V SET mark = 'w' WHERE id = 1",
                 "DELETE FROM V WHERE id = 2"],
        "own advisory lock": ["BEGIN", "SELECT pg_advisory_xact_lock(5)", "DELETE FROM T WHERE id = 1",
                              "COMMIT", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
                              " AND pid = pg_backend_pid()"],
        "vacuum": ["VACUUM T", "ANALYZE T"],
    }  # fmt: skip


STEPS = _steps()


@dataclass
class World:
    """Hold one of the two databases: who sets it up, and what stands there."""

    dsn: str
    admin: Connection
    strangers: str  # the conninfo of a role that may write and nothing else
    schema: str = ""
    tables: list[str] = field(default_factory=list)

    def build(self, case: Case) -> list[str]:
        """Make the table and what surrounds it; say what could not be made, for some do not go together."""
        schema = sql.Identifier(case.schema)
        self.admin.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(schema))
        self.admin.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
        refused = []
        for statement in setup(case):
            try:
                self.admin.execute(written(case, statement).encode())
            except psycopg.Error as error:
                refused.append(f"{error.sqlstate} {statement}")
        return refused

    def contents(self, case: Case) -> dict[str, list[str]]:
        """Read every table, whatever its types are."""
        rows = self.admin.execute(
            "SELECT c.oid::regclass::text FROM pg_class AS c JOIN pg_namespace AS n"
            " ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relkind IN ('r', 'p') ORDER BY 1",
            (case.schema,),
        ).fetchall()
        found = {}
        for (table,) in rows:
            with self.admin.cursor().copy(f"COPY (SELECT * FROM {table}) TO STDOUT") as copy:
                found[table] = sorted(bytes(line).decode() for line in copy)
        return found


def written(case: Case, statement: str, number: int = 0) -> str:
    """Put names and values in the places of T, V, C, A, B and N."""
    name, kind = case.columns[number % len(case.columns)] if case.columns else ("mark", "text")
    first, second = (
        f"CAST({value} AS {kind})" if value != "NULL" else value for value in TYPES[kind]
    )
    parts = {
        "T": sql.Identifier(case.schema, case.table).as_string(),
        "V": sql.Identifier(case.schema, "a view").as_string(),
        "S": sql.Identifier(case.schema).as_string(),
        "C": sql.Identifier(name).as_string(),
        "A": first,
        "B": second,
        "N": str(number),
    }
    words = []
    for word in statement.split(" "):
        core = word.strip("(),;")
        bare, dot, rest = core.partition(".")
        if rest.endswith("()") or core.endswith("()"):
            core = core.removesuffix("()")
        if core in parts:
            words.append(word.replace(core, parts[core], 1))
        elif dot and rest == "C":
            words.append(word.replace(core, f"{bare}.{parts['C']}", 1))
        elif dot and bare == "S":
            words.append(word.replace(core, f"{parts['S']}.{rest}", 1))
        else:
            words.append(word)
    return " ".join(words)


def setup(case: Case) -> Iterator[str]:
    """Give the statements that make the table, a few rows, and what surrounds it."""
    key = {
        "id": "PRIMARY KEY (id)",
        "identity": "PRIMARY KEY (id)",
        "several": "PRIMARY KEY (id, mark)",
        "none": "UNIQUE (id)",
    }[case.key]
    if "include" in case.decor and case.key == "id":
        key = "PRIMARY KEY (id) INCLUDE (mark)"
    if "deferrable" in case.decor and case.key in ("id", "identity"):
        key += " DEFERRABLE INITIALLY DEFERRED"
    identity = " GENERATED BY DEFAULT AS IDENTITY" if case.key == "identity" else ""
    columns = [f"id int NOT NULL{identity}", "mark text DEFAULT 'm' CHECK (mark <> 'bad')"]
    columns += [f"{sql.Identifier(name).as_string()} {kind}" for name, kind in case.columns]
    columns += ["made int GENERATED ALWAYS AS (id * 2) STORED"]
    split = "partitioned" in case.decor
    by = " PARTITION BY RANGE (id)" if split else ""
    yield f"CREATE TABLE T ( {', '.join(columns)}, {key} ){by}"
    if split:
        yield "CREATE TABLE S.low PARTITION OF T FOR VALUES FROM (MINVALUE) TO (3)"
        yield "CREATE TABLE S.high PARTITION OF T FOR VALUES FROM (3) TO (1400)"
    yield "INSERT INTO T (id) VALUES (0), (1), (2), (3)"
    for name, kind in case.columns:
        column = sql.Identifier(name).as_string()
        value = TYPES[kind][0]
        yield f"UPDATE T SET {column} = CAST({value} AS {kind}) WHERE id > 0"
    yield "GRANT USAGE ON SCHEMA S TO PUBLIC"
    for decor in sorted(case.decor):
        yield from DECORATIONS.get(decor, ())
    yield "GRANT ALL ON ALL TABLES IN SCHEMA S TO PUBLIC"
    yield "GRANT ALL ON ALL SEQUENCES IN SCHEMA S TO PUBLIC"


_LOG = "CREATE TABLE IF NOT EXISTS S.log (what text, depth int)"
_REFERS = "CREATE TABLE S.lines (id int PRIMARY KEY, order_id int DEFAULT 3 REFERENCES T (id) {})"
_LINES = ("INSERT INTO S.lines VALUES (1, 1), (2, 2)",)
DECORATIONS: dict[str, Sequence[str]] = {
    "before": (
        "CREATE FUNCTION S.before() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.mark := coalesce(NEW.mark, '') || 'b'; RETURN NEW; END $$",
        "CREATE TRIGGER aaa BEFORE INSERT OR UPDATE ON T FOR EACH ROW EXECUTE FUNCTION S.before()",
    ),
    "after": (
        _LOG,
        "CREATE FUNCTION S.after() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN"
        " EXECUTE format('INSERT INTO %I.log VALUES (%L, %s)', TG_TABLE_SCHEMA, TG_OP,"
        " pg_trigger_depth()); RETURN NULL; END $$",
        "CREATE TRIGGER zzz AFTER INSERT OR UPDATE OR DELETE ON T FOR EACH ROW"
        " EXECUTE FUNCTION S.after()",
    ),
    "statement": (
        _LOG,
        "CREATE FUNCTION S.counted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
        " $$ DECLARE n int; BEGIN SELECT count(*) INTO n FROM new_rows; EXECUTE"
        " format('INSERT INTO %I.log VALUES (%L, %s)', TG_TABLE_SCHEMA, TG_OP, n); RETURN NULL; END $$",
        "CREATE TRIGGER _pgrt_zzz AFTER UPDATE ON T REFERENCING NEW TABLE AS new_rows"
        " FOR EACH STATEMENT EXECUTE FUNCTION S.counted()",
    ),
    "also": (_LOG, "CREATE RULE noted AS ON DELETE TO T DO ALSO INSERT INTO S.log VALUES ('rule')"),
    "instead": ("CREATE RULE kept AS ON DELETE TO T WHERE OLD.id = 1 DO INSTEAD NOTHING",),
    "view": (
        "CREATE VIEW V AS SELECT id, mark FROM T",
        "CREATE FUNCTION S.through() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN"
        " IF TG_OP <> 'INSERT' THEN DELETE FROM T WHERE id = OLD.id; END IF;"
        " IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;"
        " INSERT INTO T (id, mark) VALUES ( NEW.id, NEW.mark); RETURN NEW; END $$",
        "CREATE TRIGGER io INSTEAD OF INSERT OR UPDATE OR DELETE ON V"
        " FOR EACH ROW EXECUTE FUNCTION S.through()",
    ),
    "cascade": (_REFERS.format("ON DELETE CASCADE ON UPDATE CASCADE"), *_LINES),
    "null": (_REFERS.format("ON DELETE SET NULL"), *_LINES),
    "default": (_REFERS.format("ON DELETE SET DEFAULT"), *_LINES),
    "child": ("CREATE TABLE S.child (extra int) INHERITS ( T )",
              "INSERT INTO S.child (id) VALUES (2000), (2001)"),
    "policy": (
        "CREATE POLICY few ON T USING (id <> 2) WITH CHECK (id <> 100)",
        "ALTER TABLE T ENABLE ROW LEVEL SECURITY",
    ),
}  # fmt: skip


# -- the two databases


@pytest.fixture(scope="module")
def worlds(server: str, request: pytest.FixtureRequest) -> Iterator[tuple[World, World]]:
    """Give a database with our triggers and one without."""
    tag = secrets.token_hex(4)
    writer, password = f"writer_{tag}", secrets.token_hex(8)
    with psycopg.connect(server, autocommit=True, application_name="pgrt-test") as admin:
        admin.execute(f"CREATE ROLE {writer} LOGIN PASSWORD '{password}'")
        made = []
        for kind in ("with", "without"):
            name = f"pgrt_{kind}_{tag}"
            admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
            admin.execute(f"ALTER DATABASE {name} SET lc_messages = 'C'")
            dsn = make_conninfo(server, dbname=name, application_name="pgrt-test")
            connection = psycopg.connect(dsn, autocommit=True)
            connection.execute(SHARED.encode())
            strangers = make_conninfo(dsn, user=writer, password=password)
            made.append(World(dsn, connection, strangers))
        yield made[0], made[1]
        for world in made:
            world.admin.close()
            name = world.admin.info.dbname if not world.admin.closed else None
        for kind in ("with", "without"):
            admin.execute(f"DROP DATABASE pgrt_{kind}_{tag} WITH (FORCE)")
        admin.execute(f"DROP ROLE {writer}")


@pytest.fixture(scope="module")
def ear(worlds: tuple[World, World]) -> Iterator[Connection]:
    """Give a connection that waits for changes."""
    with psycopg.connect(worlds[0].dsn, autocommit=True) as connection:
        connection.execute(f"LISTEN {CHANNEL}")
        yield connection


def wait_for(world: World, ear: Connection, case: Case) -> None:
    """Install on every table, and hold the keys."""
    rows = world.admin.execute(
        "SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relkind IN ('r', 'p')",
        (case.schema,),
    ).fetchall()
    found = families.find(world.admin, [oid for (oid,) in rows])
    members = {m.oid: m for several in found.values() for m in several}
    done = capture.complete(world.admin, list(members.values()))
    assert not done.problems, done.problems
    if case.waiting != "nobody":
        for family in {member.family for member in members.values()}:
            need = interest.Need(family=family, every_column=True, rows=case.waiting == "for rows")
            for key in interest.plan([need]).keys:
                ear.execute("SELECT pg_advisory_lock_shared(%s)", (key,))


Outcome = tuple[str, int, Any]


def run(world: World, case: Case) -> list[Outcome]:
    """Write, and say what came of each statement."""
    dsn = world.strangers if case.writer == "stranger" else world.dsn
    outcomes: list[Outcome] = []
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as connection:
        for setting in case.settings:
            outcomes.append(attempt(connection, f"SET {setting}"))
        for kind, number in case.steps:
            for statement in STEPS[kind]:
                if statement.startswith("COPY "):
                    outcomes.append(copy(connection, case, int(statement[5:]) + number))
                else:
                    outcomes.append(attempt(connection, written(case, statement, number)))
    return outcomes


def attempt(connection: Connection, statement: str) -> Outcome:
    """Run one statement and say what came of it."""
    try:
        raw = statement.encode(connection.info.encoding)
    except UnicodeEncodeError:
        return ("cannot be written", 0, None)
    except psycopg.OperationalError:
        return ("the connection is lost", 0, None)
    try:
        result = connection.pgconn.exec_(raw)
    except psycopg.OperationalError:
        return ("the connection is lost", 0, None)
    rows = [
        [result.get_value(row, column) for column in range(result.nfields)]
        for row in range(result.ntuples)
    ]
    state = result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) or b""
    return (state.decode(), result.command_tuples or 0, sorted(rows, key=str))


def copy(connection: Connection, case: Case, first: int) -> Outcome:
    """Load a few rows, the first of them with the number given."""
    statement = written(case, "COPY T (id) FROM STDIN")
    try:
        with connection.cursor() as cursor:
            with cursor.copy(statement.encode(connection.info.encoding)) as target:
                for number in range(first, first + 3):
                    target.write_row((number,))
            return ("", cursor.rowcount, None)
    except psycopg.Error as error:
        return (error.sqlstate or "", 0, None)
    except UnicodeEncodeError:
        return ("cannot be written", 0, None)


def heard(ear: Connection) -> None:
    """Take what was announced: numbers and no contents."""
    for notification in ear.notifies(timeout=0):
        change = decode(notification.payload)
        assert isinstance(change, Change), notification.payload


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="PGRT_EXAMPLES" not in os.environ,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)
@given(case=cases())
def test_a_write_ends_as_it_would_without_us(
    case: Case, worlds: tuple[World, World], ear: Connection
) -> None:
    """Any statement, on any table, by any writer: the same outcome and the same contents."""
    ours, theirs = worlds
    refused, same = (world.build(case) for world in worlds)
    assert refused == same
    if any("CREATE TABLE T " in statement for statement in refused):
        return  # a partitioned table allows less, XML may be missing
    try:
        wait_for(ours, ear, case)
        found, expected = run(ours, case), run(theirs, case)
        assert found == expected
        assert ours.contents(case) == theirs.contents(case)
        heard(ear)
    finally:
        ear.execute("SELECT pg_advisory_unlock_all()")


def test_what_the_test_above_tries_is_possible(worlds: tuple[World, World]) -> None:
    """Each surrounding stands where it is alone, and each kind of statement is understood."""
    for decor in DECOR:
        case = Case("s", "t", (("c", "int"),), "id", frozenset([decor]), (), "owner", "nobody", ())
        assert worlds[1].build(case) == []
    understood = {"", "22012", "23502", "23505", "23514", "25P02", "55000"}
    has_merge = worlds[1].admin.info.server_version >= 150000
    for kind in STEPS.keys() - ({"merge"} if not has_merge else set()):
        decor = frozenset({"view"} & {kind})
        case = Case("s", "t", (("c", "int"),), "id", decor, (), "owner", "nobody", ((kind, 1),))
        assert worlds[1].build(case) == []
        assert {state for state, *_ in run(worlds[1], case)} <= understood, kind
