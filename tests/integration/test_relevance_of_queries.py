"""A query runs again for the rows that can matter to it, and for whatever cannot be told.

Each query is made attentive at once and for good; then one change at a time is committed. A change that must
not run the query is followed by one that must, so that nothing waits for what does not happen.
"""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

import pgrt_jupyter as pgrt
from pgrt_jupyter.engine import conditions, vigilance
from pgrt_jupyter.engine.group import Group
from pgrt_jupyter.engine.lapses import Lapses
from pgrt_jupyter.testing import wait_until

QUIET = 0.2  # seconds in which a needless run would have begun

ITEMS = """
    CREATE TABLE items (id int PRIMARY KEY, customer int, state text, n numeric, large text);
    INSERT INTO items SELECT i, i % 10, 'new', 1, '' FROM generate_series(1, 50) AS i
"""
MINE = "SELECT id, state FROM items WHERE customer = $1 ORDER BY id"


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Have queries look at rows from their first run on, whatever comes of it."""
    monkeypatch.setattr(vigilance, "RUNS", 0)
    monkeypatch.setattr(vigilance, "VAIN", 0)
    monkeypatch.setattr(vigilance, "READINGS", 10**9)


@pytest.fixture
def groups(monkeypatch):
    """Collect the groups that became attentive, or could not."""
    met: list[Group] = []
    attend = Group.attend

    def noted(self, found):
        attend(self, found)
        met.append(self)

    monkeypatch.setattr(Group, "attend", noted)
    return met


class Watched:
    """Hold a live query and judge whether changes run it."""

    def __init__(self, engine, db, groups, sql, params=None, **options):
        before = len(groups)
        self.db = db
        self.query = engine.sub(f"q{before}", sql, params, **options)
        wait_until(lambda: len(groups) > before)
        self.group = groups[before]
        wait_until(lambda: not self.group.attentive or self.group.covered)

    def ignores(self, *statements: str) -> None:
        """Require that these changes run nothing."""
        self._settle()
        count = self.query.refresh_count
        for statement in statements:
            self.db.execute(statement)
        self._settle()
        assert self.query.refresh_count == count, statements
        assert self.shows()

    def follows(self, statement: str) -> None:
        """Require that this change runs the query."""
        self._settle()
        count = self.query.refresh_count
        self.db.execute(statement)
        wait_until(lambda: self.query.refresh_count > count and self.shows())

    def shows(self) -> bool:
        fresh = self.db.execute(f"SELECT count(*) FROM ({self.group.analysed.select}) AS q")
        return len(self.query.df) == fresh.fetchone()[0]

    def _settle(self) -> None:
        """Wait until what was committed has been dealt with."""
        time.sleep(QUIET)


@pytest.fixture
def live(dsn, connect, groups):
    """Give a function that makes a query live over some statements' tables."""
    db = connect()
    engines = []

    def make(setup, sql, params=None, db=db, **options):
        if setup:
            db.execute(setup)
        return Watched(engine(), db, groups, sql, params, **options)

    def engine():
        if not engines:
            engines.append(pgrt.Engine(dsn, throttle_ms=0).start())
        return engines[0]

    make.db, make.met, make.engine = db, groups, engine
    yield make
    for started in engines:
        started.shutdown()


@pytest.mark.every_server
def test_rows_of_others_run_nothing(live):
    """Inserts, updates and deletes of rows that the condition leaves out are not worth a run."""
    watched = live(ITEMS, MINE, [3])
    assert watched.group.attentive
    watched.ignores(
        "UPDATE items SET state = 'old' WHERE id = 4",
        "INSERT INTO items VALUES (100, 7, 'new')",
        "DELETE FROM items WHERE id = 100",
        "UPDATE items SET state = 'older' WHERE customer IN (1, 2, 4)",
        "UPDATE items SET customer = 5 WHERE id = 4",
    )
    watched.follows("UPDATE items SET state = 'mine' WHERE id = 3")


def _copy(db: Any, rows: range, customer: int) -> None:
    with db.cursor().copy("COPY items (id, customer, state) FROM STDIN") as copy:
        for number in rows:
            copy.write_row((number, customer, "copied"))


@pytest.mark.every_server
def test_rows_that_matter_run_the_query(live):
    """A row may come, change, enter, leave and go, alone or among many."""
    watched = live(ITEMS, MINE, [3])
    for statement in (
        "INSERT INTO items VALUES (101, 3, 'new')",
        "UPDATE items SET state = 'x' WHERE id = 101",
        "UPDATE items SET customer = 4 WHERE id = 101",  # leaves
        "UPDATE items SET customer = 3 WHERE id = 101",  # enters
        "UPDATE items SET id = 102 WHERE id = 101",
        "DELETE FROM items WHERE id = 102",
        "UPDATE items SET state = 'all' WHERE customer IN (1, 2, 3)",
        "INSERT INTO items SELECT i, 8, 'many' FROM generate_series(1000, 2500) AS i",
        "UPDATE items SET state = 'many' WHERE customer = 8",
        "DELETE FROM items WHERE customer = 8",
        "TRUNCATE items",
    ):
        watched.follows(statement)
    watched._settle()
    count = watched.query.refresh_count
    _copy(watched.db, range(3000, 3003), 5)
    watched._settle()
    assert watched.query.refresh_count == count
    _copy(watched.db, range(4000, 4003), 3)
    wait_until(lambda: len(watched.query.df) == 3)


@pytest.mark.every_server
@pytest.mark.parametrize(
    ("condition", "params", "misses", "meets"),
    [
        ("id = ANY($1::int[])", [[1, 2]], "t = 'a' WHERE id = 3", "t = 'b' WHERE id = 2"),
        ("n = $1", ["1.0"], "n = 1.01 WHERE id = 3", "n = 1.00 WHERE id = 2"),
        ("c = 'ab'", None, "c = ' ab' WHERE id = 3", "c = 'ab  ' WHERE id = 2"),
        ("c = $1", ["cd"], "c = ' cd' WHERE id = 3", "c = 'cd  ' WHERE id = 2"),
        ("t LIKE $1", ["x%"], "t = 'ax' WHERE id = 3", "t = 'xa' WHERE id = 2"),
        (
            "at > '2024-01-01 00:00+02'",
            None,
            "at = '2023-12-31 22:00+00' WHERE id = 3",
            "at = '2023-12-31 22:00:01+00' WHERE id = 2",
        ),
        ("f > 1.5", None, "f = 1.5 WHERE id = 3", "f = 'NaN' WHERE id = 2"),
        ("f = $1", [0.1], "f = 0.10000000000000002 WHERE id = 3", "f = 0.1 WHERE id = 2"),
        ("t IS NULL AND n IS NOT NULL", None, "t = 'n' WHERE id = 3", "n = 8 WHERE id = 4"),
        ("NOT (f <= 2 OR t IS NULL)", None, "f = 3 WHERE id = 3", "f = 3, t = '' WHERE id = 2"),
    ],
)
def test_values_of_every_kind(live, condition, params, misses, meets):
    """Lists, times with a zone, patterns, numbers and NULL mean what they mean in the query."""
    setup = """
        CREATE TABLE kinds (id int PRIMARY KEY, n numeric(10,4), c char(5), t text, at timestamptz, f float8);
        INSERT INTO kinds (id) SELECT i FROM generate_series(1, 9) AS i
    """
    watched = live(setup, f"SELECT * FROM kinds WHERE {condition} ORDER BY id", params)
    assert watched.group.attentive
    watched.ignores(f"UPDATE kinds SET {misses}")
    watched.follows(f"UPDATE kinds SET {meets}")


@pytest.mark.every_server
def test_a_condition_under_an_outer_join_counts_only_where_it_is_strict(live):
    """A row that fails `IS NULL` after the join may be the partner that keeps a row away."""
    setup = """
        CREATE TABLE a (id int PRIMARY KEY, k int);
        CREATE TABLE b (id int PRIMARY KEY, k int, n int);
        INSERT INTO a VALUES (1, 1), (2, 2)
    """
    watched = live(
        setup, "SELECT a.id FROM a LEFT JOIN b ON a.k = b.k WHERE b.n IS NULL AND a.k = 1"
    )
    assert [conditions.relation for conditions in watched.group.conditions.values()]
    watched.follows("INSERT INTO b VALUES (1, 1, 5)")
    watched.follows("DELETE FROM b")
    watched.ignores("INSERT INTO a VALUES (3, 3)")


@pytest.mark.every_server
def test_partitions_children_and_quoted_names(live):
    """Rows are judged by the names of their columns, in whatever member of a tree they are written."""
    setup = """
        CREATE TABLE "Big Table" ("Key" int, "v%s" text, PRIMARY KEY ("Key", "v%s"))
          PARTITION BY RANGE ("Key");
        CREATE TABLE low ("v%s" text NOT NULL, "Key" int NOT NULL);
        ALTER TABLE "Big Table" ATTACH PARTITION low FOR VALUES FROM (0) TO (10);
        CREATE TABLE high PARTITION OF "Big Table" FOR VALUES FROM (10) TO (20);
        CREATE TABLE parent (id int, k int);
        CREATE TABLE child (x int) INHERITS (parent)
    """
    whole = live(setup, """SELECT * FROM "Big Table" WHERE "v%s" = 'a%' AND "Key" >= 5""")
    part = live("", """SELECT * FROM low AS "L" WHERE "L"."v%s" LIKE '%%b'""")
    parent = live("", "SELECT * FROM parent WHERE k = 1")
    child = live("", "SELECT * FROM child WHERE x = 1")
    assert all(watched.group.attentive for watched in (whole, part, parent, child))
    whole.ignores(
        """INSERT INTO "Big Table" VALUES (1, 'a%'), (6, 'b'), (12, 'c')""",
        """INSERT INTO low VALUES ('z', 2)""",
    )
    whole.follows("""INSERT INTO low VALUES ('a%', 7)""")
    whole.follows("""UPDATE "Big Table" SET "Key" = 15 WHERE "Key" = 7""")
    part.ignores("""INSERT INTO high VALUES (16, 'c')""")
    part.follows("""INSERT INTO "Big Table" VALUES (8, 'xb')""")
    parent.ignores("INSERT INTO child VALUES (1, 2, 1)")
    parent.follows("INSERT INTO child VALUES (1, 1, 1)")
    child.ignores("INSERT INTO child VALUES (3, 1, 2)")
    # An update of the parent shows rows of the child without the child's own columns.
    child.follows("UPDATE parent SET k = 7 WHERE k = 1")


@pytest.mark.every_server
def test_large_values_may_meet_anything(live):
    """Of a value over 5,000 bytes only a hash is known."""
    watched = live(
        ITEMS, "SELECT id, length(large) AS l FROM items WHERE large LIKE 'a%' AND n = 1"
    )
    watched.ignores("UPDATE items SET large = 'b' WHERE id = 1")
    watched.ignores("UPDATE items SET large = repeat('a', 6000), n = 2 WHERE id = 2")
    watched.follows("UPDATE items SET large = repeat('a', 6000) WHERE id = 1")


def test_what_an_image_does_not_show_runs_the_query(live):
    """Images show neither -0 nor the blanks of a json; triggers compare bytes."""
    setup = """
        CREATE TABLE seen (id int PRIMARY KEY, k int, f float8, j json, large text);
        INSERT INTO seen VALUES (1, 1, 0, '{}', repeat('a', 6000)), (2, 2, 0, '{}', '')
    """
    watched = live(setup, "SELECT f, j, right(large, 9) AS tail FROM seen WHERE k = 1")
    for change in ("f = '-0'", "j = '{ }'", "large = repeat('b', 6000)"):
        watched.ignores(f"UPDATE seen SET {change} WHERE k = 2")
        watched.follows(f"UPDATE seen SET {change} WHERE k = 1")


@pytest.mark.every_server
@pytest.mark.parametrize(
    ("setup", "sql"),
    [
        ("CREATE VIEW v AS SELECT * FROM items WHERE n = 1", "SELECT id FROM v WHERE customer = 3"),
        (
            "CREATE VIEW v AS SELECT * FROM items",
            "SELECT a.id FROM items AS a, v WHERE a.customer = 3 AND v.id = a.id",
        ),
        (
            "ALTER TABLE items ENABLE ROW LEVEL SECURITY",
            "SELECT id FROM items WHERE customer = 3",
        ),
        (
            "CREATE FUNCTION others() RETURNS bigint LANGUAGE sql STABLE"
            " BEGIN ATOMIC SELECT count(*) FROM items; END",
            "SELECT id, others() FROM items WHERE customer = 3",
        ),
        (
            "CREATE DOMAIN whole AS int; ALTER TABLE items ALTER customer TYPE whole",
            "SELECT id FROM items WHERE customer = 3",
        ),
        (
            "CREATE FUNCTION eq(varchar, varchar) RETURNS bool LANGUAGE sql IMMUTABLE"
            " AS 'SELECT lower($1::text) = lower($2::text)';"
            "CREATE OPERATOR = (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = eq);"
            "ALTER TABLE items ALTER state TYPE varchar",
            "SELECT id FROM items WHERE state = 'NEW'",
        ),
        ("SELECT", "SELECT id FROM items WHERE customer + 1 = 4"),
        ("SELECT", "SELECT id FROM items WHERE customer = 3 AND 1 / (n - 5) > 0"),
        ("SELECT", "SELECT id FROM items WHERE customer = 3 OR random() < 0"),
        ("SELECT", "SELECT (SELECT count(*) FROM items) FROM items WHERE customer = 3"),
        ("ALTER TABLE items ADD at date", "SELECT id FROM items WHERE at < 'tomorrow'"),
        (
            "ALTER TABLE items ADD at date",
            "SELECT id FROM items WHERE at < '2024-01-01'::timestamptz",
        ),
        ("ALTER TABLE items ADD j jsonb", "SELECT id FROM items WHERE j = 'null'"),
        ("ALTER TABLE items ADD a int[]", "SELECT id FROM items WHERE a = '[2:2]={1}'"),
    ],
)
def test_what_cannot_be_told_runs_the_query(live, setup, sql):
    """Where the text alone does not decide, every change runs the query."""
    watched = live(f"{ITEMS}; {setup}", sql, max_age_ms=3_600_000)
    assert not watched.group.attentive
    watched.follows("INSERT INTO items (id, customer, state, n) VALUES (99, 8, 'x', 2)")


@pytest.mark.every_server
def test_citext_is_not_looked_at(live):
    """An extension's type may compare as it likes."""
    setup = "CREATE EXTENSION citext; CREATE TABLE names (id int PRIMARY KEY, name citext, k int)"
    try:
        watched = live(setup, "SELECT id FROM names WHERE name = 'a' AND k = 1")
    except psycopg.errors.FeatureNotSupported as error:  # the server may come without extensions
        pytest.skip(str(error))
    assert not watched.group.attentive
    watched.follows("INSERT INTO names VALUES (1, 'A', 1)")


@pytest.mark.every_server
def test_a_collation_of_the_column_compares(live):
    """A column is compared under its own collation; patterns under it raise, and then the query runs."""
    setup = """
        CREATE COLLATION "Any Case" (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE TABLE words (id int PRIMARY KEY, word text COLLATE "Any Case");
    """
    try:
        watched = live(setup, "SELECT id FROM words WHERE word = 'abc'")
    except psycopg.errors.FeatureNotSupported as error:
        pytest.skip(str(error))
    assert watched.group.attentive
    watched.ignores("INSERT INTO words VALUES (1, 'abd')")
    watched.follows("INSERT INTO words VALUES (2, 'ABC')")


def test_the_query_role_needs_nothing_more(live, make_role, dsn, connect):
    """Rows are looked at by the role of the query, which may read no images itself."""
    role = make_role("reader")
    connect().execute(f"{ITEMS}; GRANT SELECT ON items TO {role.name}")
    watched = live("", MINE, [3], query_conninfo=role.conninfo(dsn))
    assert watched.group.attentive
    watched.ignores("UPDATE items SET state = 'old' WHERE id = 4")
    watched.follows("UPDATE items SET state = 'mine' WHERE id = 3")


def test_the_query_role_sees_no_column_that_it_may_not_read(live, make_role, dsn, connect):
    """Statements are seen by their role, in pg_stat_activity for one."""
    role, seen = make_role("reader"), []
    connect().execute(f"{ITEMS}; GRANT SELECT (id, customer) ON items TO {role.name}")
    watched = live("", "SELECT id FROM items WHERE customer = 3", query_conninfo=role.conninfo(dsn))
    assert watched.group.attentive
    reading = conditions.read_at_once

    def read(connection, statements):
        seen.extend(statement.as_string(connection) for statement in statements)
        return reading(connection, statements)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conditions, "read_at_once", read)
        watched.ignores("UPDATE items SET id = 77, state = 'secret' WHERE id = 4")
    assert any("jsonb_to_record" in text for text in seen)
    assert not any("secret" in text for text in seen)


def test_the_search_path_of_the_query_decides_which_table_is_meant(live, dsn, connect):
    """Two tables of one name: the one that the path finds is looked at."""
    connect().execute(
        "CREATE SCHEMA first; CREATE TABLE first.t (k int); CREATE TABLE public.t (k text)"
    )
    path = make_conninfo(dsn, options="-c search_path=first,public")
    one = live("", "SELECT * FROM t WHERE k = 1", db=connect(path), query_conninfo=path)
    other = live("", "SELECT * FROM t WHERE k = '1'")
    one.ignores("INSERT INTO first.t VALUES (2)")
    one.follows("INSERT INTO first.t VALUES (1)")
    other.ignores("INSERT INTO public.t VALUES ('01')")
    other.follows("INSERT INTO public.t VALUES ('1')")


def test_rows_that_cannot_be_looked_at_run_the_query(live, monkeypatch):
    """What raises runs the query, and after some times nobody tries again."""
    watched = live(ITEMS, MINE, [3])

    def failing(*arguments, **named):
        raise ValueError

    monkeypatch.setattr(conditions, "matter", failing)
    for number in range(vigilance.FAILURES):
        watched.follows(f"UPDATE items SET state = '{number}' WHERE id = 4")
    assert not watched.group.attentive
    watched.follows("UPDATE items SET state = 'plain' WHERE id = 4")


def test_images_that_may_be_forgotten_run_the_query(live, monkeypatch):
    """A kernel that was stopped for long hears of changes whose images are gone."""
    watched = live(ITEMS, MINE, [3])
    monkeypatch.setattr(Lapses, "is_late", lambda self, heard, now: True)
    watched.db.execute("CREATE RULE gone AS ON INSERT TO _pgrt.changes DO INSTEAD NOTHING")
    watched.follows("UPDATE items SET state = 'x' WHERE id = 3")


def test_a_renamed_column_is_not_mistaken_for_another(live):
    """A row is judged by the names its columns have when it is written."""
    watched = live(ITEMS, "SELECT id FROM items WHERE state = 'x'")
    watched.db.execute(
        "ALTER TABLE items RENAME state TO other; ALTER TABLE items RENAME large TO state"
    )
    watched.follows("UPDATE items SET state = 'x' WHERE id = 4")


def test_becoming_attentive_and_plain_again(live, monkeypatch):
    """Runs in vain make a query look at rows; rows that matter make it stop."""
    monkeypatch.setattr(vigilance, "RUNS", 3)
    monkeypatch.setattr(vigilance, "VAIN", 2)
    monkeypatch.setattr(vigilance, "READINGS", 4)
    db, others, mine = live.db, iter(range(10**6)), iter(range(10**6))
    db.execute(ITEMS)
    query = live.engine().sub("mine", MINE, [3])

    def run(condition: str, numbers: Any) -> None:
        count = query.refresh_count
        db.execute(f"UPDATE items SET state = '{next(numbers)}' WHERE {condition}")
        wait_until(lambda: query.refresh_count > count)

    run("id = 3", mine)
    run("id = 4", others)
    assert not live.met
    run("id = 4", others)
    wait_until(lambda: live.met and live.met[0].covered and not live.met[0].throttle.running)
    count = query.refresh_count
    db.execute("UPDATE items SET state = 'other' WHERE id = 4")
    time.sleep(QUIET)
    assert query.refresh_count == count
    for _ in range(3):
        run("id = 3", mine)
        time.sleep(QUIET)
    assert not live.met[0].attentive
    run("id = 4", others)
