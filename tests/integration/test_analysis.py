"""PostgreSQL itself says what a query reads, and nothing is executed or left behind."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgrt_jupyter.engine import analysis
from pgrt_jupyter.engine.model import Dependencies
from pgrt_jupyter.engine.statement import parse
from pgrt_jupyter.engine.translation import translated
from pgrt_jupyter.errors import PgrtError, QueryRefused

pytestmark = pytest.mark.every_server

SCHEMA = """
CREATE TABLE customers (id int PRIMARY KEY, name text, region text);
CREATE TABLE orders (
    id int PRIMARY KEY, customer_id int REFERENCES customers, status text, amount numeric(10,2),
    tags text[], total numeric GENERATED ALWAYS AS (amount * 2) STORED);
CREATE TABLE nodes (id int PRIMARY KEY, parent int, label text);
CREATE VIEW pending AS SELECT id, customer_id FROM orders WHERE status = 'pending';
CREATE VIEW pending_names AS SELECT p.id, c.name FROM pending p JOIN customers c ON c.id = p.customer_id;
CREATE SCHEMA other;
CREATE TABLE other.orders (id int PRIMARY KEY, x int);
CREATE TABLE "Mixed ""Case"" $1 %s {}" ("Select" int PRIMARY KEY, "a.b" text, ":x" int);
CREATE TABLE measures (at date, value int) PARTITION BY RANGE (at);
CREATE TABLE measures_2024 PARTITION OF measures FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE animals (id int PRIMARY KEY, name text);
CREATE TABLE dogs (breed text) INHERITS (animals);
CREATE FUNCTION order_count(s text) RETURNS bigint STABLE LANGUAGE sql
    BEGIN ATOMIC SELECT count(*) FROM orders WHERE status = s; END;
CREATE FUNCTION hidden() RETURNS bigint STABLE LANGUAGE plpgsql
    AS $$ BEGIN RETURN (SELECT count(*) FROM orders); END $$;
CREATE FUNCTION hidden_sql() RETURNS bigint STABLE LANGUAGE sql AS 'SELECT count(*) FROM orders';
CREATE FUNCTION pure(x int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN x; END $$;
CREATE MATERIALIZED VIEW summary AS SELECT count(*) AS n FROM orders;
CREATE SEQUENCE numbers;
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Hold a database with the tables above and connections of two roles."""

    owner: psycopg.Connection[Any]
    reader: psycopg.Connection[Any]  # may read and owns nothing

    def analyse(self, sql: str, params: Any = None) -> analysis.Analysed:
        """Analyse a query under the reader's role."""
        with translated():
            return analysis.analyse(self.reader, parse(sql, params))


@contextmanager
def place(server: str) -> Iterator[Place]:
    """Make a database and a role for as long as they are needed."""
    name = f"pgrt_analysis_{secrets.token_hex(4)}"
    with psycopg.connect(server, autocommit=True, application_name="pgrt-test") as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
        dsn = make_conninfo(server, dbname=name, application_name="pgrt-test")
        try:
            with psycopg.connect(dsn, autocommit=True) as owner:
                owner.execute(SCHEMA)
                owner.execute(
                    f"GRANT USAGE ON SCHEMA public, other TO {name};"
                    f"GRANT SELECT ON ALL TABLES IN SCHEMA public, other TO {name};"
                    f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {name}"
                )
                reader_dsn = make_conninfo(dsn, user=name, password="x")
                with psycopg.connect(reader_dsn, autocommit=True) as reader:
                    reader.read_only = True
                    yield Place(owner, reader)
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
            admin.execute(f"DROP ROLE {name}")


@pytest.fixture(scope="module")
def shared(server: str) -> Iterator[Place]:
    """Give a database for tests that change nothing in it."""
    with place(server) as found:
        yield found


@pytest.fixture
def own(server: str) -> Iterator[Place]:
    """Give a database for one test."""
    with place(server) as found:
        yield found


def reads(found: Dependencies) -> dict[str, set[str] | str]:
    """List the tables and columns found; "*" stands for any column."""
    return {
        relation.name if relation.visible else relation.qualified: (
            "*" if relation.every_column else set(relation.columns)
        )
        for relation in found.relations
    }


READS: Mapping[str, tuple[str, Mapping[str, set[str] | str]]] = {
    "one table": ("SELECT id FROM orders", {"orders": {"id"}}),
    "where": ("SELECT id FROM orders WHERE status = 'x'", {"orders": {"id", "status"}}),
    "order by": ("SELECT id FROM orders ORDER BY amount", {"orders": {"id", "amount"}}),
    "group, having": (
        "SELECT status FROM orders GROUP BY status HAVING sum(amount) > 1",
        {"orders": {"status", "amount"}},
    ),
    "window": (
        "SELECT sum(amount) OVER (PARTITION BY status) FROM orders",
        {"orders": {"status", "amount"}},
    ),
    "join": (
        "SELECT o.id FROM orders o JOIN customers c ON c.id = o.customer_id",
        {"orders": {"id", "customer_id"}, "customers": {"id"}},
    ),
    "star": (
        "SELECT * FROM customers",
        {"customers": {"id", "name", "region"}},
    ),
    "view": ("SELECT id FROM pending", {"orders": {"id", "customer_id", "status"}}),
    "view on a view": (
        "SELECT name FROM pending_names",
        {"orders": {"id", "customer_id", "status"}, "customers": {"id", "name"}},
    ),
    "cte": (
        "WITH a AS (SELECT id FROM orders) SELECT * FROM a",
        {"orders": {"id"}},
    ),
    "unused cte": (
        "WITH a AS (SELECT id FROM orders) SELECT name FROM customers",
        {"orders": {"id"}, "customers": {"name"}},
    ),
    "materialized cte": (
        "WITH a AS MATERIALIZED (SELECT id FROM orders) SELECT * FROM a",
        {"orders": {"id"}},
    ),
    "recursive cte": (
        "WITH RECURSIVE tree AS (SELECT id, label FROM nodes WHERE parent IS NULL UNION ALL"
        " SELECT n.id, n.label FROM nodes n JOIN tree t ON n.parent = t.id) SELECT label FROM tree",
        {"nodes": {"id", "parent", "label"}},
    ),
    "subquery in from": (
        "SELECT x FROM (SELECT id AS x FROM orders) AS q",
        {"orders": {"id"}},
    ),
    "scalar subquery": (
        "SELECT name, (SELECT max(amount) FROM orders o WHERE o.customer_id = c.id) FROM customers c",
        {"orders": {"amount", "customer_id"}, "customers": {"id", "name"}},
    ),
    "in subquery": (
        "SELECT name FROM customers WHERE id IN (SELECT customer_id FROM orders)",
        {"orders": {"customer_id"}, "customers": {"id", "name"}},
    ),
    "lateral": (
        "SELECT c.name, o.id FROM customers c CROSS JOIN LATERAL"
        " (SELECT id FROM orders WHERE customer_id = c.id ORDER BY amount LIMIT 1) o",
        {"orders": {"id", "customer_id", "amount"}, "customers": {"id", "name"}},
    ),
    "union": (
        "SELECT id FROM orders UNION ALL SELECT id FROM nodes",
        {"orders": {"id"}, "nodes": {"id"}},
    ),
    "intersect, except": (
        "(SELECT id FROM orders INTERSECT SELECT id FROM nodes) EXCEPT SELECT id FROM customers",
        {"orders": {"id"}, "nodes": {"id"}, "customers": {"id"}},
    ),
    "natural join": (
        "SELECT label FROM nodes NATURAL JOIN animals",
        {"nodes": {"id", "label"}, "animals": {"id"}},
    ),
    "count": ("SELECT count(*) FROM orders", {"orders": "*"}),
    "unused cross join": (
        "SELECT c.name FROM customers c, orders",
        {"customers": {"name"}, "orders": "*"},
    ),
    "schema-qualified": ("SELECT x FROM other.orders", {"other.orders": {"x"}}),
    "same name twice": (
        "SELECT a.id, b.x FROM orders a JOIN other.orders b USING (id)",
        {"orders": {"id"}, "other.orders": {"id", "x"}},
    ),
    "hostile names": (
        'SELECT "Select", ":x" FROM "Mixed ""Case"" $1 %s {}"',
        {'Mixed "Case" $1 %s {}': {"Select", ":x"}},
    ),
    "partitioned table": ("SELECT value FROM measures", {"measures": {"value"}}),
    "one partition": ("SELECT value FROM measures_2024", {"measures_2024": {"value"}}),
    "inheritance": ("SELECT name FROM animals", {"animals": {"name"}}),
    "only": ("SELECT name FROM ONLY animals", {"animals": {"name"}}),
    "function with a body": ("SELECT order_count('x')", {"orders": {"status"}}),
    "values": ("VALUES (1), (2)", {}),
    "table": ("TABLE customers", {"customers": {"id", "name", "region"}}),
    "no table": ("SELECT 1 AS one", {}),
    "array slice": ("SELECT tags[1:2] FROM orders", {"orders": {"tags"}}),
    "grouping by the key": (
        "SELECT id, name FROM customers GROUP BY id",
        {"customers": {"id", "name"}},
    ),
}


@pytest.mark.parametrize("case", READS)
def test_tables_and_columns_are_found(case: str, shared: Place) -> None:
    """A role that owns no table learns which columns of which tables a query reads."""
    sql, expected = READS[case]
    found = reads(shared.analyse(sql).dependencies)
    if case == "function with a body":
        assert found.keys() == {"orders"}
        assert found["orders"] in ("*", {"status"})
        return
    assert found == dict(expected)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT c FROM customers c",
        "SELECT to_jsonb(c) FROM customers c",
        "SELECT row_to_json(x) FROM (SELECT * FROM customers) x",
        "SELECT c.* IS NULL FROM customers c",
        "SELECT name FROM customers c GROUP BY c.*, name",
        "SELECT EXISTS (SELECT FROM customers)",
        "SELECT array_agg(c) FROM customers c",
    ],
)
def test_a_whole_row_means_every_column(sql: str, shared: Place) -> None:
    """A row used as such depends on any column, also on one that is added or was not named."""
    relation = next(
        relation
        for relation in shared.analyse(sql).dependencies.relations
        if relation.name == "customers"
    )
    assert relation.every_column or relation.columns >= {"id", "name", "region"}


def test_a_stored_generated_column_is_a_column(shared: Place) -> None:
    """What is stored changes in the row like any other column."""
    assert reads(shared.analyse("SELECT total FROM orders").dependencies) == {"orders": {"total"}}


def test_a_virtual_generated_column_stands_for_its_bases(own: Place) -> None:
    """What is computed on reading changes when the columns it is made of change."""
    if own.owner.info.server_version < 180000:
        pytest.skip("PostgreSQL 18 has virtual generated columns")
    own.owner.execute(
        "ALTER TABLE customers ADD v text GENERATED ALWAYS AS (lower(region)) VIRTUAL"
    )
    assert reads(own.analyse("SELECT v FROM customers").dependencies) == {
        "customers": {"v", "region"}
    }


def test_policies_are_part_of_the_query(own: Place) -> None:
    """A row-level security policy that reads another table makes the query depend on it."""
    own.owner.execute(
        "ALTER TABLE orders ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY eu ON orders FOR SELECT USING"
        " (customer_id IN (SELECT id FROM customers WHERE region = 'EU'))"
    )
    found = reads(own.analyse("SELECT id FROM orders").dependencies)
    assert found == {"orders": {"id", "customer_id"}, "customers": {"id", "region"}}


def test_policies_that_are_switched_off_are_not(own: Place) -> None:
    """A policy without row-level security enabled changes nothing."""
    own.owner.execute(
        "CREATE POLICY eu ON orders USING (customer_id IN (SELECT id FROM customers))"
    )
    assert reads(own.analyse("SELECT id FROM orders").dependencies) == {"orders": {"id"}}


def test_a_function_in_a_view_is_followed(own: Place) -> None:
    """A function with an SQL-standard body that stands in a view leads to its tables."""
    own.owner.execute(
        "CREATE VIEW counted AS SELECT name, order_count('x') AS n FROM customers;"
        "GRANT SELECT ON counted TO PUBLIC"
    )
    found = own.analyse("SELECT * FROM counted").dependencies
    assert reads(found).keys() == {"customers", "orders"}
    assert found.unwatchable == ()


def test_an_operator_with_a_body_is_followed(own: Place) -> None:
    """An operator leads to its function, and that to its tables."""
    own.owner.execute(
        "CREATE FUNCTION has(int, int) RETURNS bool STABLE LANGUAGE sql"
        " BEGIN ATOMIC SELECT EXISTS (SELECT FROM nodes WHERE id = $1 AND parent = $2); END;"
        "CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = has)"
    )
    assert "nodes" in reads(own.analyse("SELECT id === 1 FROM customers").dependencies)


UNWATCHABLE = {
    "SELECT n FROM summary": "materialized view public.summary",
    "SELECT last_value FROM numbers": "sequence public.numbers",
    "SELECT relname FROM pg_class": "system catalog pg_catalog.pg_class",
    "SELECT count(*) FROM pg_stat_activity": "system view pg_catalog.pg_stat_activity",
    "SELECT table_name FROM information_schema.tables": "system view information_schema.tables",
    "SELECT id FROM orders WHERE now() > '2024-01-01'": "function now()",
    "SELECT random()": "function random()",
    "SELECT clock_timestamp()": "function clock_timestamp()",
    "SELECT current_date": "the current date or time",
    "SELECT current_timestamp, id FROM orders": "the current date or time",
    "SELECT localtime": "the current date or time",
    "SELECT age(timestamp '2024-01-01')": "function age()",
    "SELECT hidden()": "function public.hidden()",
    "SELECT hidden_sql()": "function public.hidden_sql()",
    "SELECT id FROM orders TABLESAMPLE system (10)": "TABLESAMPLE",
    "SELECT id FROM orders ORDER BY random()": "function random()",
    "WITH a AS (SELECT now()) SELECT 1 FROM a": "function now()",
}


@pytest.mark.parametrize("sql", UNWATCHABLE)
def test_what_cannot_be_watched_is_named(sql: str, shared: Place) -> None:
    """Whatever changes without a trigger is said by name."""
    named = shared.analyse(sql).dependencies.unwatchable
    assert len(named) >= 1
    assert any(name.startswith(UNWATCHABLE[sql]) for name in named), named


def test_what_cannot_be_watched_is_named_inside_a_view(own: Place) -> None:
    """A view hides neither the time nor a function nor a materialized view."""
    own.owner.execute(
        "CREATE VIEW tricky AS SELECT n, now() AS at, hidden() AS h FROM summary;"
        "GRANT SELECT ON tricky TO PUBLIC"
    )
    named = "\n".join(own.analyse("SELECT * FROM tricky").dependencies.unwatchable)
    assert "materialized view public.summary" in named
    assert "now()" in named
    assert "hidden()" in named


def test_a_foreign_table_is_named(own: Place) -> None:
    """A table on another server cannot be watched."""
    available = own.owner.execute(
        "SELECT FROM pg_available_extensions WHERE name = 'postgres_fdw'"
    ).fetchone()
    if available is None:
        pytest.skip("postgres_fdw is not installed")
    own.owner.execute(
        "CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw;"
        "CREATE FOREIGN TABLE remote (id int) SERVER far; GRANT SELECT ON remote TO PUBLIC"
    )
    found = own.analyse("SELECT id FROM remote").dependencies
    assert found.unwatchable == ("foreign table public.remote",)
    assert found.relations == ()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT lower(name), upper(region), length(name) FROM customers",
        "SELECT pure(id) FROM customers",
        "SELECT date_trunc('day', timestamptz '2024-01-01'), to_char(1, '9') FROM customers",
        "SELECT count(*), sum(id), string_agg(name, ',') FROM customers",
        "SELECT to_jsonb(name), generate_series(1, 3), unnest(ARRAY[1]) FROM customers",
        "SELECT current_user, current_setting('search_path'), version() FROM customers",
    ],
)
def test_ordinary_functions_are_no_reason_to_poll(sql: str, shared: Place) -> None:
    """What depends on its arguments alone, or on the session, is not named."""
    assert shared.analyse(sql).dependencies.unwatchable == ()


def test_functions_of_extensions_are_trusted(own: Place) -> None:
    """A stable function written in C is no reason to poll."""
    own.owner.execute("CREATE EXTENSION citext")
    assert own.analyse("SELECT name::citext = 'A' FROM customers").dependencies.unwatchable == ()


REFUSED = {
    "SELECT 1; SELECT 2": "more than one",
    "SELECT 1; DROP TABLE victim": "more than one",
    "SELECT 1; END; DROP TABLE victim; --": "more than one",
    "SELECT 1; END; SELECT 2; DROP TABLE victim": "more than one",
    "INSERT INTO victim VALUES (2)": "",
    "INSERT INTO victim VALUES (2) RETURNING id": "",
    "UPDATE victim SET id = 2": "",
    "DELETE FROM victim": "",
    "TRUNCATE victim": "",
    "DROP TABLE victim": "",
    "CREATE TABLE stranger (id int)": "",
    "ALTER TABLE victim ADD c int": "",
    "WITH d AS (DELETE FROM victim RETURNING id) SELECT * FROM d": "change data",
    "WITH d AS (INSERT INTO victim VALUES (2) RETURNING id) SELECT * FROM d": "change data",
    "WITH d AS (UPDATE victim SET id = 2 RETURNING id) SELECT 1": "change data",
    "SELECT * FROM victim FOR UPDATE": "lock rows",
    "SELECT * FROM victim FOR SHARE": "lock rows",
    "SELECT * FROM (SELECT * FROM victim FOR KEY SHARE) q": "lock rows",
    "WITH q AS (SELECT * FROM victim FOR NO KEY UPDATE) SELECT * FROM q": "lock rows",
    "SELECT id INTO stranger FROM victim": "",
    "COPY victim TO STDOUT": "",
    "COPY victim FROM STDIN": "",
    "EXPLAIN SELECT 1": "",
    "SHOW search_path": "",
    "SET search_path = x": "",
    "BEGIN": "",
    "COMMIT": "",
    "DO $$ BEGIN DELETE FROM victim; END $$": "",
    "CALL nothing()": "",
    "LOCK victim": "",
    "DECLARE c CURSOR FOR SELECT 1": "",
    "": "empty",
    "-- nothing": "empty",
    ";": "empty",
    "/* nothing */ ;": "empty",
}


@pytest.mark.parametrize("sql", REFUSED)
def test_only_one_query_is_accepted(sql: str, own: Place) -> None:
    """Anything but one read-only query is refused with our own error, and nothing has run."""
    own.owner.execute("CREATE TABLE victim (id int); INSERT INTO victim VALUES (1)")
    own.owner.execute("GRANT ALL ON victim TO PUBLIC; GRANT CREATE ON SCHEMA public TO PUBLIC")
    with pytest.raises(PgrtError) as caught:
        own.analyse(sql)
    if "nothing()" not in sql:
        assert isinstance(caught.value, QueryRefused), caught.value
    assert REFUSED[sql] in str(caught.value)
    assert own.owner.execute("SELECT id FROM victim").fetchall() == [(1,)]
    assert own.owner.execute("SELECT to_regclass('stranger')").fetchone() == (None,)
    assert columns_of(own.owner, "victim") == ["id"]


def columns_of(connection: psycopg.Connection[Any], table: str) -> list[str]:
    """List a table's columns."""
    rows = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY 1",
        (table,),
    )
    return [name for (name,) in rows]


@pytest.mark.parametrize(
    ("sql", "sqlstate"),
    [
        ("SELEC 1", "42601"),
        ("RETURN 1", "42601"),
        ("SELECT 1; END $$; DROP TABLE orders", "42601"),
        ("SELECT FROM WHERE", "42601"),
        ("SELECT missing FROM orders", "42703"),
        ("SELECT id FROM missing", "42P01"),
        ("SELECT missing(1)", "42883"),
        ("SELECT id FROM orders WHERE id = 'x'", "22P02"),
        ("SELECT (SELECT 1", "42601"),
    ],
)
def test_a_wrong_query_gets_the_servers_words(sql: str, sqlstate: str, shared: Place) -> None:
    """An error of the server's arrives with its SQLSTATE, not as a refusal of ours."""
    with pytest.raises(PgrtError) as caught:
        shared.analyse(sql)
    assert not isinstance(caught.value, QueryRefused)
    assert caught.value.sqlstate == sqlstate


def test_a_side_effect_does_not_happen(own: Place) -> None:
    """Analysis executes nothing, so a function that writes has not written."""
    own.owner.execute(
        "CREATE FUNCTION writes() RETURNS int LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO nodes VALUES (1); RETURN 1; END $$"
    )
    analysis.analyse(own.owner, parse("SELECT writes(), nextval('numbers')"))
    assert own.owner.execute("SELECT count(*) FROM nodes").fetchone() == (0,)
    assert own.owner.execute("SELECT is_called FROM numbers").fetchone() == (False,)


def objects(connection: psycopg.Connection[Any]) -> tuple[Any, ...]:
    """Count what there is in the database."""
    return connection.execute(
        "SELECT (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_proc),"
        " (SELECT count(*) FROM pg_depend), (SELECT count(*) FROM pg_locks WHERE locktype = 'relation'"
        "   AND pid <> pg_backend_pid())"
    ).fetchone()  # type: ignore[return-value]


@pytest.mark.parametrize(
    "sql", ["SELECT * FROM pending_names", "SELECT 1; SELECT 2", "SELECT missing FROM orders"]
)
def test_nothing_is_left_behind(sql: str, own: Place) -> None:
    """After an analysis, good or bad, the catalogs hold what they held and the session is idle."""
    own.analyse("SELECT 1")  # makes the session's temporary schema
    before = objects(own.owner)
    if sql == "SELECT * FROM pending_names":
        own.analyse(sql)
    else:
        with pytest.raises(PgrtError):
            own.analyse(sql)
    assert objects(own.owner) == before
    assert own.reader.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert own.reader.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)


@pytest.mark.parametrize(
    ("sql", "params", "value"),
    [
        ("SELECT $1 + $2 AS v", [1, 2], 3),
        ("SELECT :a + :a AS v", {"a": 2}, 4),
        ("SELECT :a::text || ':a' AS v", {"a": "x"}, "x:a"),
        ("SELECT sum(v) FROM (VALUES (:a::int), (:b)) AS t(v)", {"a": 1, "b": 2}, 3),
        ("SELECT :a AS v", {"a": "x"}, "x"),
        ("SELECT :a AS v", {"a": 5}, "5"),
        ("SELECT :a AS v", {"a": None}, None),
        ("SELECT coalesce(:a, 7) AS v", {"a": None}, 7),
        ("SELECT count(*) FROM customers LIMIT :n", {"n": 5}, 0),
        ("SELECT count(*) FROM generate_series(1, :n) OFFSET :o", {"n": 3, "o": 0}, 3),
        ("SELECT 1 WHERE 1 = ANY(:ids)", {"ids": [1, 2]}, 1),
        ("SELECT 1 WHERE 1 = ANY(:ids)", {"ids": (1, 2)}, 1),
        ("SELECT count(*) FROM customers WHERE id = ANY(:ids)", {"ids": []}, 0),
        ("SELECT count(*) FROM customers WHERE name IN (:a, :b)", {"a": "x", "b": "y"}, 0),
        ("SELECT (:a::jsonb ->> 'k')::int", {"a": {"k": 5}}, 5),
        ("SELECT :a::numeric(10,2) + 1", {"a": Decimal("1.50")}, Decimal("2.50")),
        ("SELECT CASE WHEN :flag THEN 1 ELSE 2 END", {"flag": False}, 2),
        ("SELECT (ARRAY[1,2,3])[:i]", {"i": 2}, None),
        ("SELECT (ARRAY[1,2,3])[$1]", [2], 2),
        ("SELECT max(x) FROM unnest((ARRAY[1,2,3])[$1:$2]) AS x", [1, 2], 2),
        ("SELECT interval '1 day' * :n = interval '3 days'", {"n": 3}, True),
        ("SELECT :s LIKE '%x%'", {"s": "axb"}, True),
        ("SELECT 10 % :n", {"n": 4}, 2),
        ("SELECT '%s' || :a", {"a": "%(b)s"}, "%s%(b)s"),
        ("SELECT :a", {"a": "'; DROP TABLE orders; --"}, "'; DROP TABLE orders; --"),
        ("SELECT :a", {"a": "back\\slash $1 :b"}, "back\\slash $1 :b"),
        ("SELECT -:n", {"n": -1}, 1),
        ("SELECT 5 - :n", {"n": -1}, 6),
        ("SELECT f(:n) FROM (SELECT 1) AS f(x)", {"n": 1}, None),
        ("SELECT $2::int - $1::int", [1, 5], 4),
    ],
)
def test_parameters_are_bound_with_their_types(
    sql: str, params: Any, value: Any, shared: Place
) -> None:
    """A value arrives as what the query makes of it, in any position, and is never pasted."""
    if value is None and ("[:i]" in sql or "f(:n)" in sql):
        with pytest.raises(PgrtError):
            shared.analyse(sql, params)
        return
    select = shared.analyse(sql, params).select
    assert shared.owner.execute(select.encode()).fetchone() == (value,)


def test_the_type_of_a_parameter_comes_from_the_query(shared: Place) -> None:
    """The server says what a parameter is compared with."""
    found = shared.analyse(
        "SELECT 1 FROM orders WHERE amount > :a AND status = :s", {"a": 1, "s": "x"}
    )
    types = dict(zip(found.dependencies.parameter_types, "as", strict=True))
    assert types == {
        psycopg.adapters.types["numeric"].oid: "a",
        psycopg.adapters.types["text"].oid: "s",
    }


def test_an_ambiguous_parameter_takes_the_type_of_its_value(shared: Place) -> None:
    """Where the server cannot tell, the Python value does."""
    found = shared.analyse("SELECT abs(:a) AS x, :b IS NULL AS y", {"a": 1.5, "b": None})
    assert found.dependencies.columns[0].type_oid == psycopg.adapters.types["float8"].oid


def test_duplicate_output_names_are_kept(shared: Place) -> None:
    """Two columns of one name, and columns without one, are as the server names them."""
    found = shared.analyse("SELECT o.id, c.id, 1, 2 FROM orders o, customers c").dependencies
    assert [column.name for column in found.columns] == ["id", "id", "?column?", "?column?"]


def test_output_columns_lead_to_their_tables(shared: Place) -> None:
    """An output column says which table column it is; a computed one says none."""
    found = shared.analyse("SELECT name, id + 1 AS next FROM customers").dependencies
    (oid,) = shared.owner.execute("SELECT 'customers'::regclass::oid").fetchone() or (0,)
    assert [(column.relation, column.attnum) for column in found.columns] == [(oid, 2), (0, 0)]


@pytest.mark.parametrize(
    ("sql", "key"),
    [
        ("SELECT id, name FROM customers", ("id",)),
        ("SELECT name, id AS customer FROM customers", ("customer",)),
        ("SELECT name FROM customers", ()),
        ("SELECT count(*) FROM customers", ()),
        (
            "SELECT o.id AS o, c.id AS c FROM orders o JOIN customers c ON c.id = o.customer_id",
            ("o", "c"),
        ),
        ("SELECT id, id FROM customers", ()),
        ("SELECT id, value FROM (SELECT 1 AS id) q, measures", ()),
    ],
)
def test_the_key_is_the_primary_key_where_the_result_has_it(
    sql: str, key: Sequence[str], shared: Place
) -> None:
    """Rows are told apart by primary keys among the output columns."""
    assert shared.analyse(sql).dependencies.key == tuple(key)


def test_a_table_without_its_schema_in_the_search_path_is_not_visible(shared: Place) -> None:
    """Names say whether the bare table name finds the table."""
    found = {
        r.qualified: r.visible
        for r in shared.analyse("SELECT 1 FROM orders, other.orders o").dependencies.relations
    }
    assert found == {"public.orders": True, "other.orders": False}


def test_names_are_resolved_in_a_given_search_path(shared: Place) -> None:
    """Under another role the query means the same tables."""
    found = analysis.analyse(shared.owner, parse("SELECT * FROM orders"), search_path=["other"])
    assert [relation.qualified for relation in found.dependencies.relations] == ["other.orders"]
    assert shared.owner.execute("SHOW search_path").fetchone() == ('"$user", public',)


def test_a_role_without_privileges_is_told_so(own: Place) -> None:
    """A table that may not be read is not analysed into an empty answer."""
    own.owner.execute("CREATE TABLE secret (id int)")
    found = own.analyse("SELECT id FROM secret")
    assert reads(found.dependencies) == {"secret": {"id"}}


def test_a_thousand_columns_are_no_problem(own: Place) -> None:
    """A wide table is analysed whole."""
    columns = ", ".join(f"c{number} int" for number in range(1000))
    own.owner.execute(f"CREATE TABLE wide ({columns}); GRANT SELECT ON wide TO PUBLIC")
    (relation,) = own.analyse("SELECT * FROM wide").dependencies.relations
    assert len(relation.columns) == 1000
