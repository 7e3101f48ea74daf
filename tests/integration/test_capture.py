"""Triggers tell exactly what changed, only when somebody waits, and never fail a write."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pgrt_jupyter.engine import capture, families, interest, removal
from pgrt_jupyter.engine.notification import CHANNEL, Change, decode
from pgrt_jupyter.errors import CaptureFailed
from pgrt_jupyter.testing import wait_until

pytestmark = pytest.mark.every_server

Connection = psycopg.Connection[Any]
Heard = list[tuple[str, str, Any]]


@dataclass
class Bench:
    """Hold a writer, the role that installs, and an ear on the channel."""

    writer: Connection
    installer: Connection
    ear: Connection
    families: dict[str, int] = field(default_factory=dict)
    columns: dict[int, str] = field(default_factory=dict)  # tag: name
    ends: int = 0

    def members(self, table: str) -> tuple[families.Member, ...]:
        """List a table's family as it is now."""
        ((oid,),) = self.installer.execute("SELECT %s::regclass::oid", (table,)).fetchall()
        return families.find(self.installer, [oid])[oid]

    def install(self, table: str) -> capture.Completion:
        """Put triggers on a table's whole family."""
        members = self.members(table)
        for member in members:
            self.columns.update({interest.tag(name): name for name, _ in member.columns})
        self.families[table] = members[0].family
        return capture.complete(self.installer, self.members(table))

    def hold(
        self,
        table: str,
        *columns: str,
        every: bool = False,
        rows: bool = False,
        quiet: bool = False,
    ) -> None:
        """Wait for a table, some of its columns, any of them, or the images of rows, or only for those."""
        need = interest.Need(
            family=self.families[table],
            tags=frozenset(map(interest.tag, columns)),
            every_column=every,
            rows=rows or quiet,
            quiet=quiet,
        )
        for key in interest.plan([need]).keys:
            (held,) = self.ear.execute("SELECT pg_try_advisory_lock_shared(%s)", (key,)).fetchone()
            assert held

    def watch(self, table: str, *columns: str, rows: bool = False) -> None:
        """Install and wait: for the columns named, else for any."""
        assert not self.install(table).problems
        self.hold(table, *columns, every=not columns, rows=rows)

    def heard(self) -> Heard:
        """Take what was announced up to now: table, operation, columns."""
        return [
            (self.name(change.relation), change.operation.value, self.named(change.tags))
            for change in self.changes()
            if change.operation is not None
        ]

    def changes(self) -> list[Change]:
        """Take the notifications up to now, decoded."""
        self.ends += 1
        last = f"end {self.ends}"
        with psycopg.connect(
            self.writer_dsn, autocommit=True, application_name="pgrt-test"
        ) as other:
            other.execute("SELECT pg_notify(%s, %s)", (CHANNEL, last))
        found = []
        for notification in self.ear.notifies(timeout=10):
            if notification.payload == last:
                return found
            change = decode(notification.payload)
            assert isinstance(change, Change), notification.payload
            found.append(change)
        raise AssertionError("the notification that ends the rest did not arrive")

    def name(self, oid: int) -> str:
        """Name a table."""
        ((name,),) = self.writer.execute("SELECT relname FROM pg_class WHERE oid = %s", (oid,))
        return str(name)

    def named(self, tags: frozenset[int] | None) -> Any:
        """Name the columns behind tags; "*" stands for any."""
        return "*" if tags is None else {self.columns[tag] for tag in tags}

    @property
    def writer_dsn(self) -> str:
        """Give the conninfo of a connection like the installer's."""
        return self.dsn

    dsn: str = ""


@pytest.fixture
def bench(dsn: str, connect: Callable[..., Any]) -> Bench:
    """Give a table of orders, and connections to write, install and listen."""
    found = Bench(writer=connect(dsn), installer=connect(dsn), ear=connect(dsn), dsn=dsn)
    found.writer.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, status text, amount numeric, note text);"
        "INSERT INTO orders SELECT n, 'new', n, 'n' FROM generate_series(1, 300) AS n"
    )
    found.ear.execute(f"LISTEN {CHANNEL}")
    return found


# -- what is announced


def test_an_insert_is_announced(bench: Bench) -> None:
    """A new row is told once, whatever columns are waited for."""
    bench.watch("orders", "status")
    bench.writer.execute("INSERT INTO orders VALUES (1000)")
    assert bench.heard() == [("orders", "insert", "*")]


def test_an_update_names_the_columns_that_changed(bench: Bench) -> None:
    """Only columns whose value differs are named, not all that were set."""
    bench.watch("orders")
    bench.writer.execute(
        "UPDATE orders SET status = 'done', note = 'n', amount = amount WHERE id = 1"
    )
    assert bench.heard() == [("orders", "update", {"status"})]


def test_an_update_of_several_rows_names_all_their_columns(bench: Bench) -> None:
    """The columns of every row are put together."""
    bench.watch("orders")
    bench.writer.execute(
        "UPDATE orders SET status = CASE id WHEN 1 THEN 'x' ELSE status END,"
        " note = CASE id WHEN 2 THEN 'y' ELSE note END WHERE id <= 3"
    )
    assert bench.heard() == [("orders", "update", {"status", "note"})]


def test_a_delete_is_announced(bench: Bench) -> None:
    """A row that goes is told."""
    bench.watch("orders", "status")
    bench.writer.execute("DELETE FROM orders WHERE id = 1")
    assert bench.heard() == [("orders", "delete", "*")]


def test_a_truncate_is_announced(bench: Bench) -> None:
    """TRUNCATE is told, though it has no rows to show."""
    bench.watch("orders", "status")
    bench.writer.execute("TRUNCATE orders")
    assert bench.heard() == [("orders", "truncate", "*")]


def test_one_statement_is_one_notification(bench: Bench) -> None:
    """However many rows it changes."""
    bench.watch("orders")
    bench.writer.execute("UPDATE orders SET status = 'x'")
    assert bench.heard() == [("orders", "update", "*")]


def test_up_to_a_hundred_rows_the_columns_are_exact(bench: Bench) -> None:
    """At a hundred rows columns are compared, beyond any may have changed."""
    bench.watch("orders")
    bench.writer.execute("UPDATE orders SET status = 'x' WHERE id <= 100")
    bench.writer.execute("UPDATE orders SET status = 'y' WHERE id <= 101")
    assert bench.heard() == [("orders", "update", {"status"}), ("orders", "update", "*")]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO orders SELECT 1 WHERE false",
        "INSERT INTO orders VALUES (1) ON CONFLICT DO NOTHING",
        "UPDATE orders SET status = 'x' WHERE false",
        "DELETE FROM orders WHERE false",
        "UPDATE orders SET status = status WHERE id = 1",
        "UPDATE orders SET status = status, id = id WHERE id <= 100",
        "SELECT * FROM orders FOR UPDATE",
        "ANALYZE orders",
    ],
)
def test_statements_that_change_nothing_are_silent(statement: str, bench: Bench) -> None:
    """No row or no difference, no notification."""
    bench.watch("orders")
    bench.writer.execute(statement)
    assert bench.heard() == []


def test_a_change_of_the_key_is_exact_for_one_row(bench: Bench) -> None:
    """One old and one new row belong together, whatever their keys are."""
    bench.watch("orders")
    bench.writer.execute("UPDATE orders SET id = 5000 WHERE id = 1")
    assert bench.heard() == [("orders", "update", {"id"})]


def test_a_change_of_several_keys_is_any_column(bench: Bench) -> None:
    """Rows whose key changed cannot be matched, so nothing is left out."""
    bench.watch("orders")
    bench.writer.execute("UPDATE orders SET id = id + 5000 WHERE id <= 2")
    assert bench.heard() == [("orders", "update", "*")]


def test_keys_that_are_swapped_are_heard(bench: Bench) -> None:
    """Two rows that exchange their keys differ in every other column."""
    bench.writer.execute(
        "CREATE TABLE pairs (id int PRIMARY KEY DEFERRABLE, v text);"
        "INSERT INTO pairs VALUES (1, 'a'), (2, 'b')"
    )
    bench.watch("pairs")
    bench.writer.execute("UPDATE pairs SET id = 3 - id")
    assert bench.heard() == [("pairs", "update", {"v"})]


def test_without_a_key_one_row_is_exact_and_more_are_any(bench: Bench) -> None:
    """A table without a primary key is watched, less exactly."""
    bench.writer.execute(
        "CREATE TABLE loose (a int, b int); INSERT INTO loose VALUES (1, 1), (2, 2)"
    )
    bench.watch("loose")
    bench.writer.execute("UPDATE loose SET b = 9 WHERE a = 1")
    bench.writer.execute("UPDATE loose SET b = 8")
    assert bench.heard() == [("loose", "update", {"b"}), ("loose", "update", "*")]


def test_a_key_of_several_columns_matches_rows(bench: Bench) -> None:
    """Rows are matched by the whole key, whatever its types are."""
    bench.writer.execute(
        "CREATE TABLE pairs (a text, b timestamptz, v int, w int, PRIMARY KEY (a, b));"
        "INSERT INTO pairs SELECT n % 2, 'epoch'::timestamptz + n * interval '1 s', 0, n"
        " FROM generate_series(1, 20) n"
    )
    bench.watch("pairs")
    bench.writer.execute("UPDATE pairs SET v = 1")
    assert bench.heard() == [("pairs", "update", {"v"})]


@pytest.mark.parametrize(
    ("type_name", "old", "new"),
    [
        ("numeric", "1.0", "1.00"),
        ("numeric", "NaN", "1"),
        ("json", '{"a":1}', '{"a": 1}'),
        ("jsonb", '{"a":1}', '{"a":2}'),
        ("point", "(1,1)", "(1,2)"),
        ("polygon", "((0,0),(1,1))", "((0,0),(1,2))"),
        ("xml", "<a/>", "<b/>"),
        ("citext", "a", "A"),
        ("float8", "0", "-0"),
        ("text", "\u00e9", "e\u0301"),
        ("int[]", "{1,2}", "{1,NULL}"),
        ("text[]", "{}", "[0:0]={a}"),
        ("int4range", "[1,2)", "[1,3)"),
        ("bytea", "\\x00", "\\x0000"),
        ("char(3)", "a", "b"),
        ("interval", "1 month", "30 days"),
        ("tsvector", "a b", "a c"),
        ("bit(2)", "00", "01"),
        ("text", None, ""),
        ("text", "", None),
    ],
)
def test_a_change_of_any_type_is_seen(
    type_name: str, old: str | None, new: str | None, bench: Bench
) -> None:
    """Values that SQL calls equal, or cannot compare, are told apart by what is stored."""
    if type_name == "citext":
        bench.writer.execute("CREATE EXTENSION citext")
    if type_name == "xml" and not has_xml(bench.writer):
        pytest.skip("this server was built without XML")
    bench.writer.execute(f"CREATE TABLE typed (id int PRIMARY KEY, v {type_name}, w int)")
    bench.writer.execute("INSERT INTO typed VALUES (1, %s), (2, NULL), (3, NULL)", (old,))
    bench.watch("typed")
    bench.writer.execute("UPDATE typed SET v = %s WHERE id = 1", (new,))
    bench.writer.execute("UPDATE typed SET v = %s, w = 1 WHERE id <> 1", (new,))
    columns = {"w"} if new is None else {"v", "w"}
    assert bench.heard() == [("typed", "update", {"v"}), ("typed", "update", columns)]


def has_xml(connection: Connection) -> bool:
    """Ask whether the server can read XML."""
    try:
        connection.execute("SELECT '<a/>'::xml")
    except psycopg.errors.FeatureNotSupported:
        return False
    return True


def test_a_large_value_counts_as_changed(bench: Bench) -> None:
    """Values too large to compare quickly are never left out."""
    bench.writer.execute("CREATE TABLE big (id int PRIMARY KEY, body text, n int)")
    bench.writer.execute("ALTER TABLE big ALTER body SET STORAGE EXTERNAL")
    bench.writer.execute("INSERT INTO big VALUES (1, repeat('x', 40000), 1), (2, 'small', 1)")
    bench.watch("big")
    bench.writer.execute("UPDATE big SET n = 2 WHERE id = 1")
    bench.writer.execute("UPDATE big SET n = 2 WHERE id = 2")
    assert bench.heard() == [("big", "update", {"body", "n"}), ("big", "update", {"n"})]


def test_many_changed_columns_are_any(bench: Bench) -> None:
    """A payload stays short: beyond fifty columns it says any."""
    columns = ", ".join(f"c{number} int" for number in range(300))
    bench.writer.execute(f"CREATE TABLE wide (id int PRIMARY KEY, {columns})")
    bench.writer.execute("INSERT INTO wide (id) VALUES (1)")
    bench.watch("wide")
    for count in (50, 51):
        changed = ", ".join(f"c{number} = {count}" for number in range(count))
        bench.writer.execute(f"UPDATE wide SET {changed}")
    first, second = bench.heard()
    assert first == ("wide", "update", {f"c{number}" for number in range(50)})
    assert second == ("wide", "update", "*")


def test_a_column_a_before_trigger_sets_is_seen(bench: Bench) -> None:
    """What counts is the row as it was stored, not the SET list."""
    bench.writer.execute(
        "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.note := 'stamped'; RETURN NEW; END $$;"
        "CREATE TRIGGER stamp BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION stamp()"
    )
    bench.watch("orders")
    bench.writer.execute("UPDATE orders SET status = 'x' WHERE id = 1")
    assert bench.heard() == [("orders", "update", {"status", "note"})]


def test_a_stored_generated_column_is_seen(bench: Bench) -> None:
    """A generated column changes with its base."""
    bench.writer.execute(
        "CREATE TABLE made (id int PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a * 2) STORED);"
        "INSERT INTO made VALUES (1, 1)"
    )
    bench.watch("made", "b")
    bench.writer.execute("UPDATE made SET a = 2")
    assert bench.heard() == [("made", "update", {"a", "b"})]


def test_an_upsert_is_heard_either_way(bench: Bench) -> None:
    """ON CONFLICT DO UPDATE is an insert or an update, as it turned out."""
    bench.watch("orders")
    upsert = "INSERT INTO orders VALUES (%s, 'x') ON CONFLICT (id) DO UPDATE SET status = 'y'"
    bench.writer.execute(upsert, (1,))
    bench.writer.execute(upsert, (2000,))
    assert bench.heard() == [("orders", "update", {"status"}), ("orders", "insert", "*")]


def test_a_merge_is_heard_in_all_its_parts(bench: Bench) -> None:
    """MERGE tells of each kind of change it made."""
    if bench.writer.info.server_version < 150000:
        pytest.skip("PostgreSQL 15 has MERGE")
    bench.watch("orders")
    bench.writer.execute(
        "MERGE INTO orders USING (VALUES (1), (2), (3000)) AS s(id) ON orders.id = s.id"
        " WHEN MATCHED AND s.id = 1 THEN UPDATE SET status = 'm' WHEN MATCHED THEN DELETE"
        " WHEN NOT MATCHED THEN INSERT VALUES (s.id)"
    )
    assert sorted(kind for _, kind, _ in bench.heard()) == ["delete", "insert", "update"]


def test_copy_is_an_insert(bench: Bench) -> None:
    """COPY FROM is heard like any insert, once."""
    bench.watch("orders", "status")
    with bench.writer.cursor().copy("COPY orders (id) FROM STDIN") as copy:
        for number in range(1000, 1010):
            copy.write_row((number,))
    assert bench.heard() == [("orders", "insert", "*")]


def test_a_writable_cte_is_heard(bench: Bench) -> None:
    """A write inside WITH is a write."""
    bench.watch("orders")
    bench.writer.execute("WITH d AS (DELETE FROM orders WHERE id = 1 RETURNING id) SELECT * FROM d")
    assert bench.heard() == [("orders", "delete", "*")]


@pytest.mark.parametrize(
    ("action", "heard"),
    [
        ("CASCADE", [("lines", "delete", "*")]),
        ("SET NULL", [("lines", "update", {"order_id"})]),
    ],
)
def test_foreign_key_actions_are_heard(action: str, heard: Heard, bench: Bench) -> None:
    """What a foreign key does to the referencing table is heard there."""
    bench.writer.execute(
        f"CREATE TABLE lines (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE {action});"
        "INSERT INTO lines VALUES (1, 1)"
    )
    bench.watch("lines")
    bench.writer.execute("DELETE FROM orders WHERE id = 1")
    assert bench.heard() == heard


def test_a_truncate_that_cascades_is_heard(bench: Bench) -> None:
    """TRUNCATE … CASCADE is heard on the tables it reaches."""
    bench.writer.execute("CREATE TABLE lines (id int PRIMARY KEY, order_id int REFERENCES orders)")
    bench.watch("lines")
    bench.writer.execute("TRUNCATE orders CASCADE")
    assert bench.heard() == [("lines", "truncate", "*")]


def test_a_rollback_is_silent(bench: Bench) -> None:
    """What did not happen is not told."""
    bench.watch("orders")
    with bench.writer.transaction(force_rollback=True):
        bench.writer.execute("DELETE FROM orders")
    assert bench.heard() == []


def test_a_savepoint_rolled_back_is_silent(bench: Bench) -> None:
    """Only the part that was kept is told."""
    bench.watch("orders")
    with bench.writer.transaction():
        bench.writer.execute("UPDATE orders SET status = 'kept' WHERE id = 1")
        with bench.writer.transaction(force_rollback=True):
            bench.writer.execute("DELETE FROM orders")
    assert bench.heard() == [("orders", "update", {"status"})]


def test_the_replica_role_is_heard(bench: Bench) -> None:
    """A session that switches triggers off does not switch ours off, on tables of our own."""
    bench.watch("orders")
    bench.writer.execute("SET session_replication_role = replica")
    bench.writer.execute("DELETE FROM orders WHERE id = 1")
    assert bench.heard() == [("orders", "delete", "*")]


# -- names and families


@pytest.mark.parametrize(
    "name", ["Orders", 'a"b', "a.b", "1 %s {} $1 $$", "select", "größe", "x" * 63, "a'b\\", ":x"]
)
def test_hostile_names_are_only_names(name: str, bench: Bench) -> None:
    """Tables and columns may be called anything."""
    table, column = sql.Identifier(name), sql.Identifier(name)
    bench.writer.execute(
        sql.SQL("CREATE TABLE {} ({} int PRIMARY KEY, v text)").format(table, column)
    )
    bench.writer.execute(sql.SQL("INSERT INTO {} VALUES (1), (2)").format(table))
    quoted = table.as_string(bench.writer)
    bench.watch(quoted)
    bench.writer.execute(sql.SQL("UPDATE {} SET v = 'x'").format(table))
    bench.writer.execute(sql.SQL("UPDATE {} SET {} = 3 WHERE {} = 1").format(table, column, column))
    assert bench.heard() == [(name, "update", {"v"}), (name, "update", {name})]


def test_columns_called_like_our_own_names_do_no_harm(bench: Bench) -> None:
    """A column called like an alias of ours makes an engine look, and never fails the write."""
    bench.writer.execute(
        "CREATE TABLE odd (_pgrt_n int, _pgrt_o int, _pgrt_changed text, _pgrt_new int, tg_op text,"
        " PRIMARY KEY (_pgrt_n, _pgrt_o)); INSERT INTO odd VALUES (1, 1), (2, 2)"
    )
    bench.watch("odd", rows=True)
    bench.writer.execute("UPDATE odd SET _pgrt_changed = 'x', tg_op = 'y'")
    assert len(bench.changes()) == 1
    assert bench.writer.execute("SELECT DISTINCT tg_op FROM odd").fetchall() == [("y",)]


def test_tables_that_share_a_name_are_told_apart(bench: Bench) -> None:
    """Schemas with the same table do not mix."""
    bench.writer.execute("CREATE SCHEMA other; CREATE TABLE other.orders (id int)")
    bench.watch("orders")
    assert not bench.install("other.orders").problems
    bench.writer.execute("INSERT INTO other.orders VALUES (1)")
    assert bench.heard() == []


def test_a_renamed_table_is_still_heard(bench: Bench) -> None:
    """Triggers follow their table, not its name."""
    bench.watch("orders")
    bench.writer.execute("ALTER TABLE orders RENAME TO bills; CREATE SCHEMA s")
    bench.writer.execute("ALTER TABLE bills SET SCHEMA s; DELETE FROM s.bills WHERE id = 1")
    assert bench.heard() == [("bills", "delete", "*")]


@pytest.fixture
def measures(bench: Bench) -> Bench:
    """Give a partitioned table of two levels as well."""
    bench.writer.execute(
        "CREATE TABLE measures (at int, v int, PRIMARY KEY (at)) PARTITION BY RANGE (at);"
        "CREATE TABLE low PARTITION OF measures FOR VALUES FROM (0) TO (100);"
        "CREATE TABLE high PARTITION OF measures FOR VALUES FROM (100) TO (200) PARTITION BY RANGE (at);"
        "CREATE TABLE highest PARTITION OF high FOR VALUES FROM (150) TO (200);"
        "INSERT INTO measures VALUES (1, 1), (160, 1)"
    )
    return bench


@pytest.mark.parametrize(
    ("statement", "heard"),
    [
        ("INSERT INTO measures VALUES (2, 2)", ("measures", "insert", "*")),
        ("INSERT INTO low VALUES (2, 2)", ("low", "insert", "*")),
        ("INSERT INTO high VALUES (161, 2)", ("high", "insert", "*")),
        ("INSERT INTO highest VALUES (161, 2)", ("highest", "insert", "*")),
        ("UPDATE measures SET v = 3 WHERE at = 160", ("measures", "update", {"v"})),
        ("UPDATE highest SET v = 3", ("highest", "update", {"v"})),
        ("UPDATE measures SET at = 5 WHERE at = 160", ("measures", "update", {"at"})),
        ("DELETE FROM low", ("low", "delete", "*")),
        ("TRUNCATE highest", ("highest", "truncate", "*")),
    ],
)
@pytest.mark.parametrize("watched", ["measures", "highest"])
def test_a_partition_tree_is_heard_as_one(
    watched: str, statement: str, heard: tuple[str, str, Any], measures: Bench
) -> None:
    """A write through any member is told, whichever member is waited for."""
    measures.watch(watched)
    measures.writer.execute(statement)
    assert heard in measures.heard()


def test_a_partition_of_other_column_order_is_compared_by_name(measures: Bench) -> None:
    """Columns go by name, since their numbers differ between members."""
    measures.writer.execute(
        "CREATE TABLE odd (gone int, v int, at int PRIMARY KEY); ALTER TABLE odd DROP gone;"
        "INSERT INTO odd VALUES (1, 210), (1, 211);"
        "ALTER TABLE measures ATTACH PARTITION odd FOR VALUES FROM (200) TO (300)"
    )
    measures.watch("measures", "v")
    measures.writer.execute("UPDATE odd SET v = 2")
    assert measures.heard() == [("odd", "update", {"v"})]


@pytest.mark.parametrize("table", ["animals", "dogs"])
def test_inheritance_is_heard_through_parent_and_child(table: str, bench: Bench) -> None:
    """A write naming the child is told to who waits for the parent, and the other way round."""
    bench.writer.execute(
        "CREATE TABLE animals (id int PRIMARY KEY, name text);"
        "CREATE TABLE dogs (breed text) INHERITS (animals)"
    )
    bench.watch("animals")
    bench.writer.execute(f"INSERT INTO {table} VALUES (1, 'a')")
    bench.writer.execute("UPDATE animals SET name = 'b'")
    assert bench.heard() == [(table, "insert", "*"), ("animals", "update", {"name"})]


# -- quiet until someone waits


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO orders VALUES (1000)",
        "UPDATE orders SET status = 'x' WHERE id = 1",
        "DELETE FROM orders WHERE id = 1",
        "TRUNCATE orders",
    ],
)
def test_nobody_waiting_nothing_is_sent(statement: str, bench: Bench) -> None:
    """Triggers are there, but while no key is held the channel is silent."""
    bench.install("orders")
    bench.writer.execute(statement)
    assert bench.heard() == []


def test_waiting_for_another_column_hears_nothing(bench: Bench) -> None:
    """An update is told only to who waits for one of its columns."""
    bench.watch("orders", "status")
    bench.writer.execute("UPDATE orders SET note = 'x' WHERE id = 1")
    bench.writer.execute("UPDATE orders SET note = 'y', status = 'y' WHERE id = 1")
    assert bench.heard() == [("orders", "update", {"note", "status"})]


def test_waiting_for_another_table_hears_nothing(bench: Bench) -> None:
    """Keys of one table do not make another speak."""
    bench.writer.execute("CREATE TABLE bills (id int)")
    bench.watch("bills")
    bench.install("orders")
    bench.writer.execute("DELETE FROM orders WHERE id = 1")
    assert bench.heard() == []


def test_a_trigger_keeps_no_lock(bench: Bench) -> None:
    """Trying a key leaves no advisory lock behind, in a transaction still open either."""
    bench.install("orders")
    with bench.writer.transaction():
        bench.writer.execute("UPDATE orders SET status = 'x' WHERE id = 1")
        held = bench.ear.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
        assert held.fetchone() == (0,)


def test_when_the_one_who_waits_is_gone_it_is_silent_again(
    bench: Bench, connect: Callable[..., Any]
) -> None:
    """A lost connection takes its interest with it."""
    bench.watch("orders")
    other = connect(bench.dsn)
    other.execute(f"LISTEN {CHANNEL}")
    bench.ear.close()
    bench.ear = other
    held = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"
    wait_until(lambda: other.execute(held).fetchone() is None)
    bench.writer.execute("DELETE FROM orders WHERE id = 1")
    assert bench.heard() == []


def test_images_are_written_only_for_who_asks(bench: Bench) -> None:
    """Rows go to the table of images while the key for them is held, and not before."""
    bench.watch("orders")
    bench.writer.execute("INSERT INTO orders VALUES (1000)")
    assert images(bench) == []
    bench.hold("orders", every=True, rows=True)
    bench.writer.execute("INSERT INTO orders VALUES (1001, 'x', 1.50)")
    bench.writer.execute("UPDATE orders SET status = 'y' WHERE id = 1001")
    bench.writer.execute("DELETE FROM orders WHERE id = 1001")
    assert [
        (operation, old and old["v"], new and new["v"]) for operation, old, new in images(bench)
    ] == [
        ("I", None, {"id": 1001, "status": "x", "amount": 1.5, "note": None}),
        (
            "U",
            {"id": 1001, "status": "x", "amount": 1.5, "note": None},
            {"id": 1001, "status": "y", "amount": 1.5, "note": None},
        ),
        ("D", {"id": 1001, "status": "y", "amount": 1.5, "note": None}, None),
    ]
    assert [change.images for change in bench.changes()] == [False, True, True, True]


def operations(bench: Bench) -> list[str]:
    """List what is in the table of images, in order."""
    rows = bench.installer.execute("SELECT operation::text FROM _pgrt.changes ORDER BY xid")
    return [operation for (operation,) in rows]


def test_who_wants_only_images_has_nothing_announced(bench: Bench) -> None:
    """Images of the columns asked for are written without a word; of others, nothing."""
    bench.install("orders")
    bench.hold("orders", "status", quiet=True)
    bench.writer.execute("UPDATE orders SET note = 'x' WHERE id = 1")
    assert operations(bench) == []
    bench.writer.execute("UPDATE orders SET status = 'y' WHERE id = 1")
    bench.writer.execute("DELETE FROM orders WHERE id = 1")
    assert operations(bench) == ["U", "D"]
    assert bench.changes() == []


def test_one_wants_images_and_another_notifications(bench: Bench) -> None:
    """Each is served with what it asked for, and a payload says whether images were written."""
    bench.install("orders")
    bench.hold("orders", "status", quiet=True)
    bench.hold("orders", "note")
    bench.writer.execute("UPDATE orders SET note = 'x' WHERE id = 1")
    bench.writer.execute("UPDATE orders SET status = 'x' WHERE id = 1")
    bench.writer.execute("UPDATE orders SET note = 'y', status = 'y' WHERE id = 1")
    bench.writer.execute("DELETE FROM orders WHERE id = 1")
    assert [(bench.named(c.tags), c.images) for c in bench.changes()] == [
        ({"note"}, False),
        ({"note", "status"}, True),
        ("*", True),
    ]
    assert operations(bench) == ["U", "U", "D"]


@pytest.mark.parametrize(
    ("statement", "mark"),
    [
        ("TRUNCATE orders", "T"),
        ("INSERT INTO orders SELECT n FROM generate_series(5001, 6001) AS n", "M"),
        ("UPDATE orders SET id = id + 10000", "M"),
        ("DELETE FROM orders", "M"),
        ("UPDATE bare SET n = n + 1", "M"),
    ],
)
def test_what_has_no_images_and_is_not_announced_leaves_a_mark(
    statement: str, mark: str, bench: Bench
) -> None:
    """Whoever reads images without being told learns that something else happened."""
    bench.writer.execute("CREATE TABLE bare AS SELECT n FROM generate_series(1, 2) AS n")
    bench.writer.execute("INSERT INTO orders SELECT n FROM generate_series(2001, 3000) AS n")
    for table in ("orders", "bare"):
        bench.install(table)
        bench.hold(table, every=True, quiet=True)
    bench.writer.execute(statement)
    assert (operations(bench), bench.changes()) == ([mark], [])
    bench.hold("orders", every=True)
    bench.hold("bare", every=True)
    bench.writer.execute("TRUNCATE orders, bare")
    assert (len(bench.changes()), operations(bench)) == (2, [mark])  # the word is enough


def test_rows_that_replication_writes_leave_marks_too(bench: Bench) -> None:
    """A trigger for each row has no tables of changed rows to make images from."""
    bench.install("orders")
    bench.hold("orders", every=True, quiet=True)
    ((function,),) = bench.installer.execute(
        "SELECT tgfoid::regproc FROM pg_trigger WHERE tgname = '_pgrt_insert'"
    )
    bench.writer.execute("ALTER TABLE orders DISABLE TRIGGER USER")
    bench.writer.execute(
        f"CREATE TRIGGER _pgrt_apply AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION {function}()"
    )
    bench.writer.execute("INSERT INTO orders VALUES (1001)")
    assert (operations(bench), bench.changes()) == (["M"], [])


def test_a_session_that_may_not_send_leaves_images_for_who_wants_only_those(bench: Bench) -> None:
    """They need no notification, and so no mark for the audit either."""
    bench.install("orders")
    bench.hold("orders", every=True, quiet=True)
    bench.writer.execute("SET pgrt.notify = off; DELETE FROM orders WHERE id = 1")
    assert (operations(bench), bench.changes()) == (["D"], [])


def images(bench: Bench) -> list[tuple[Any, ...]]:
    """Read the table of images."""
    return bench.installer.execute(
        "SELECT operation::text, old, new FROM _pgrt.changes ORDER BY xid"
    ).fetchall()


def test_a_large_value_is_written_as_its_hash(bench: Bench) -> None:
    """Beyond 5,000 bytes an image holds a SHA-256 of the value."""
    bench.watch("orders", rows=True)
    bench.writer.execute("INSERT INTO orders VALUES (1000, %s, 1, %s)", ("é" * 2501, "x" * 5000))
    ((_, _, new),) = images(bench)
    ((digest,),) = bench.writer.execute(
        "SELECT encode(sha256(convert_to(status, 'UTF8')), 'hex') FROM orders WHERE id = 1000"
    ).fetchall()
    assert new["h"] == {"status": digest}
    assert new["v"]["note"] == "x" * 5000


@pytest.mark.parametrize(("rows", "written"), [(1000, 1000), (1001, 0)])
@pytest.mark.parametrize("kind", ["insert", "update", "delete"])
def test_beyond_a_thousand_rows_no_images_are_written(
    kind: str, rows: int, written: int, bench: Bench
) -> None:
    """A statement over many rows is told without its rows."""
    bench.writer.execute("INSERT INTO orders SELECT n FROM generate_series(10001, 12000) AS n")
    bench.watch("orders", rows=True)
    bench.writer.execute(
        {
            "insert": "INSERT INTO orders SELECT n FROM generate_series(20001, 20000 + %s) AS n",
            "update": "UPDATE orders SET status = 'x' WHERE id BETWEEN 10001 AND 10000 + %s",
            "delete": "DELETE FROM orders WHERE id BETWEEN 10001 AND 10000 + %s",
        }[kind],
        (rows,),
    )
    (change,) = bench.changes()
    assert (len(images(bench)), change.images) == (written, written > 0)


# -- installing and removing


def installed(bench: Bench) -> list[tuple[Any, ...]]:
    """List what of ours is in the catalogs, with the transaction that wrote it."""
    return bench.installer.execute(
        "SELECT 't', t.tgname, t.tgrelid::regclass::text, t.xmin::text FROM pg_trigger AS t"
        "  WHERE t.tgname LIKE '\\_pgrt%'"
        " UNION ALL SELECT 'f', p.proname, '', p.xmin::text FROM pg_proc AS p"
        "  JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE n.nspname = '_pgrt'"
        " UNION ALL SELECT 'c', c.relname, '', c.xmin::text FROM pg_class AS c"
        "  JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = '_pgrt' ORDER BY 1, 2, 3"
    ).fetchall()


def test_installing_again_changes_nothing(bench: Bench) -> None:
    """A second run finds everything in place and writes no catalog row."""
    assert bench.install("orders").installed == 1
    before = installed(bench)
    assert len([kind for kind, *_ in before if kind == "t"]) == 4
    assert bench.install("orders").installed == 0
    assert installed(bench) == before


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TRIGGER _pgrt_insert ON orders",
        "ALTER TABLE orders DISABLE TRIGGER _pgrt_insert",
        "ALTER TABLE orders DISABLE TRIGGER ALL",
        "ALTER TABLE orders ENABLE REPLICA TRIGGER _pgrt_insert",
        "ALTER TABLE orders ADD extra int",
        "ALTER TABLE orders DROP note",
        "ALTER TABLE orders RENAME note TO remark",
        "ALTER TABLE orders DROP CONSTRAINT orders_pkey",
        "DROP SCHEMA _pgrt CASCADE",
    ],
)
def test_what_is_missing_or_different_is_mended(damage: str, bench: Bench) -> None:
    """Whatever happened to table or triggers, installing again makes them right."""
    bench.install("orders")
    bench.writer.execute(damage)
    bench.watch("orders")
    bench.writer.execute("INSERT INTO orders (id) VALUES (1000)")
    assert bench.heard() == [("orders", "insert", "*")]
    assert bench.install("orders").installed == 0


def test_a_writer_who_holds_the_table_is_left_alone(bench: Bench) -> None:
    """Installing gives up soon, says the table is busy, and the writer goes on unharmed."""
    with bench.writer.transaction():
        bench.writer.execute("INSERT INTO orders VALUES (1000)")
        (problem,) = bench.install("orders").problems
        assert problem.is_busy
        assert "orders" in str(problem)
        bench.writer.execute("INSERT INTO orders VALUES (1001)")
    assert installed(bench) == []
    assert bench.install("orders").installed == 1


def test_installing_holds_no_writer_up_afterwards(
    bench: Bench, connect: Callable[..., Any]
) -> None:
    """While a writer is open and installing fails, another writer is not kept waiting."""
    other = connect(bench.dsn, options="-c lock_timeout=5s")
    with bench.writer.transaction():
        bench.writer.execute("INSERT INTO orders VALUES (1000)")
        assert bench.install("orders").problems
        other.execute("INSERT INTO orders VALUES (1001)")
    assert other.execute("SELECT count(*) FROM orders").fetchone() == (302,)


def test_one_busy_table_does_not_keep_others_back(bench: Bench) -> None:
    """Tables are done one by one."""
    bench.writer.execute("CREATE TABLE bills (id int)")
    members = [*bench.members("orders"), *bench.members("bills")]
    with bench.writer.transaction():
        bench.writer.execute("INSERT INTO orders VALUES (1000)")
        done = capture.complete(bench.installer, members)
    assert (done.installed, len(done.problems)) == (1, 1)
    assert capture.is_complete(bench.installer, bench.members("bills")[0])


def test_views_cannot_have_triggers_of_ours(bench: Bench) -> None:
    """What PostgreSQL does not allow is said, not tried."""
    bench.writer.execute("CREATE MATERIALIZED VIEW summary AS SELECT 1 AS one")
    (problem,) = bench.install("summary").problems
    assert "public.summary" in str(problem)
    assert installed(bench) == []


def asked_for(problem: CaptureFailed) -> list[str]:
    """Take the GRANT statements out of a hint."""
    return re.findall(r"GRANT .*?;", problem.hint)


@pytest.mark.parametrize(
    "given",
    [
        [],
        ["GRANT TRIGGER ON orders TO {role}"],
        ["GRANT CREATE ON DATABASE {database} TO {role}"],
        ["REVOKE USAGE ON SCHEMA public FROM PUBLIC"],
    ],
)
def test_missing_privileges_are_named_exactly(
    given: list[str],
    bench: Bench,
    connect: Callable[..., Any],
    make_role: Callable[..., Any],
) -> None:
    """The hint lists the GRANT statements to ask for; with them it works, and without one it does not."""
    role = make_role("installer")
    names = {
        "role": sql.Identifier(role.name),
        "database": sql.Identifier(bench.writer.info.dbname),
    }
    for statement in given:
        bench.writer.execute(sql.SQL(statement).format(**names))
    bench.installer = connect(role.conninfo(bench.dsn))
    members = bench.members("public.orders") if "REVOKE" not in str(given) else None
    if members is None:
        ((oid,),) = bench.writer.execute("SELECT 'orders'::regclass::oid").fetchall()
        members = families.find(bench.installer, [oid])[oid]
    (problem,) = capture.complete(bench.installer, members).problems
    assert problem.sqlstate == "42501"
    grants = asked_for(problem)
    assert grants
    assert not set(grants) & {sql.SQL(g).format(**names).as_string() + ";" for g in given}
    for grant in grants:
        bench.writer.execute(grant)
    assert capture.complete(bench.installer, members).installed == 1
    bench.writer.execute("DROP SCHEMA _pgrt CASCADE")
    bench.writer.execute(sql.SQL("DROP OWNED BY {}").format(names["role"]))


def test_a_schema_of_another_installers_is_named(
    bench: Bench, connect: Callable[..., Any], make_role: Callable[..., Any]
) -> None:
    """Where another role installed first, membership in that role is asked for, and enough."""
    first, second = make_role("first"), make_role("second")
    database = sql.Identifier(bench.writer.info.dbname)
    for role in (first, second):
        bench.writer.execute(
            sql.SQL("GRANT TRIGGER ON orders TO {0}; GRANT CREATE ON DATABASE {1} TO {0}").format(
                sql.Identifier(role.name), database
            )
        )
    bench.writer.execute(f"CREATE TABLE bills (id int); GRANT TRIGGER ON bills TO {second.name}")
    bench.installer = connect(first.conninfo(bench.dsn))
    assert bench.install("orders").installed == 1
    bench.installer = connect(second.conninfo(bench.dsn))
    (problem,) = bench.install("bills").problems
    assert asked_for(problem) == [f"GRANT {first.name} TO {second.name};"]
    bench.writer.execute(asked_for(problem)[0])
    assert bench.install("bills").installed == 1
    bench.writer.execute("DROP SCHEMA _pgrt CASCADE")
    for role in (first, second):
        bench.writer.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role.name)))


def test_without_ownership_the_trigger_privilege_is_enough(
    bench: Bench, connect: Callable[..., Any], make_role: Callable[..., Any]
) -> None:
    """Writers are heard on a table the installing role does not own, and installing again is quiet."""
    role = make_role("installer")
    bench.writer.execute(
        sql.SQL("GRANT TRIGGER ON orders TO {0}; GRANT CREATE ON DATABASE {1} TO {0}").format(
            sql.Identifier(role.name), sql.Identifier(bench.writer.info.dbname)
        )
    )
    bench.installer = connect(role.conninfo(bench.dsn))
    bench.watch("orders", rows=True)
    bench.writer.execute("DELETE FROM orders WHERE id = 1")
    assert bench.heard() == [("orders", "delete", "*")]
    assert bench.install("orders").installed == 0
    bench.writer.execute("DROP SCHEMA _pgrt CASCADE")
    bench.writer.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role.name)))


def test_destroy_removes_everything_and_says_what(bench: Bench) -> None:
    """After removal nothing of ours is in the catalogs, and a second removal has nothing to do."""
    bench.install("orders")
    dropped = removal.uninstall(bench.installer)
    assert "trigger _pgrt_insert on orders" in dropped
    assert dropped[-1] == "schema _pgrt"
    assert installed(bench) == []
    assert bench.installer.execute("SELECT to_regnamespace('_pgrt')").fetchone() == (None,)
    assert removal.uninstall(bench.installer) == []


def test_destroy_removes_functions_of_dropped_tables(bench: Bench) -> None:
    """A table that is gone leaves its function, and destroy takes it away."""
    bench.install("orders")
    bench.writer.execute("DROP TABLE orders")
    dropped = removal.uninstall(bench.installer)
    assert len([name for name in dropped if name.startswith("function")]) == 1
    assert installed(bench) == []


def test_dropping_the_schema_removes_the_triggers(bench: Bench) -> None:
    """One statement an administrator can type removes everything, and writes go on."""
    bench.watch("orders")
    bench.writer.execute("DROP SCHEMA _pgrt CASCADE")
    assert installed(bench) == []
    bench.writer.execute("DELETE FROM orders WHERE id = 1")
    assert bench.heard() == []


# -- writers are never harmed


def test_an_error_of_ours_never_fails_a_write(bench: Bench) -> None:
    """When our own function raises, the write stands and the engines are told to look."""
    bench.watch("orders", rows=True)
    bench.installer.execute(
        "CREATE OR REPLACE FUNCTION _pgrt.image(_pgrt_row record) RETURNS jsonb LANGUAGE plpgsql"
        " AS $$ BEGIN RAISE EXCEPTION 'broken' USING ERRCODE = 'P1234'; END $$"
    )
    bench.writer.execute("INSERT INTO orders VALUES (1000)")
    (change,) = bench.changes()
    assert (bench.name(change.relation), change.operation, change.sqlstate) == (
        "orders",
        None,
        "P1234",
    )
    assert bench.writer.execute("SELECT count(*) FROM orders").fetchone() == (301,)


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE _pgrt.changes",
        "DROP FUNCTION _pgrt.image(record)",
        "ALTER TABLE _pgrt.changes ADD CHECK (false)",
    ],
)
def test_missing_parts_never_fail_a_write(damage: str, bench: Bench) -> None:
    """However our schema is damaged, the write stands and somebody is told."""
    bench.watch("orders", rows=True)
    bench.installer.execute(damage)
    bench.writer.execute("UPDATE orders SET status = 'x' WHERE id = 1")
    (change,) = bench.changes()
    assert change.operation is None
    assert bench.writer.execute("SELECT status FROM orders WHERE id = 1").fetchone() == ("x",)


def test_a_column_dropped_meanwhile_never_fails_a_write(bench: Bench) -> None:
    """Between a change of the table and the next audit writers go on, and are heard."""
    bench.watch("orders", rows=True)
    bench.writer.execute("ALTER TABLE orders DROP note")
    bench.writer.execute("UPDATE orders SET status = 'x' WHERE id = 1")
    bench.writer.execute("UPDATE orders SET status = 'y' WHERE id < 3")
    assert len(bench.changes()) == 2


@pytest.fixture
def stranger(
    bench: Bench, connect: Callable[..., Any], make_role: Callable[..., Any]
) -> Connection:
    """Give a connection of a role that may write to orders and nothing else."""
    role = make_role("writer")
    bench.writer.execute(
        f"GRANT ALL ON orders TO {role.name}; GRANT CREATE ON SCHEMA public TO PUBLIC"
    )
    connection: Connection = connect(role.conninfo(bench.dsn))
    return connection


def test_a_writer_needs_no_privileges_of_ours(bench: Bench, stranger: Connection) -> None:
    """Whoever may write to the table is heard, images included."""
    bench.watch("orders", rows=True)
    stranger.execute("INSERT INTO orders VALUES (1000)")
    assert [change.images for change in bench.changes()] == [True]
    assert len(images(bench)) == 1


def test_nobody_else_may_read_images(bench: Bench, stranger: Connection) -> None:
    """The table of images is for the installing role only, and so is the function that makes them."""
    bench.watch("orders", rows=True)
    stranger.execute("INSERT INTO orders VALUES (1000, 'secret')")
    for statement in (
        "SELECT * FROM _pgrt.changes",
        "DELETE FROM _pgrt.changes",
        "SELECT _pgrt.image(ROW(1))",
        f"CREATE TABLE mine (id int); CREATE TRIGGER t AFTER INSERT ON mine"
        f" EXECUTE FUNCTION _pgrt.capture_{bench.members('orders')[0].oid}()",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            stranger.execute(statement)


def test_a_notification_carries_no_value(bench: Bench, stranger: Connection) -> None:
    """Whoever listens on the channel learns numbers and no contents."""
    bench.watch("orders", rows=True)
    stranger.execute(f"LISTEN {CHANNEL}")
    bench.writer.execute("INSERT INTO orders VALUES (1000, 'secret')")
    bench.writer.execute("UPDATE orders SET status = 'secret2' WHERE id = 1000")
    payloads = [note.payload for note in stranger.notifies(timeout=5, stop_after=2)]
    assert len(payloads) == 2
    assert all(re.fullmatch(r"[0-9]+ [IU] [*0-9,]+ i", payload) for payload in payloads)


def test_a_hostile_search_path_changes_nothing(bench: Bench, stranger: Connection) -> None:
    """Functions and operators of the writer's own are never called with our rights."""
    bench.watch("orders", rows=True)
    stranger.execute(
        "CREATE FUNCTION public.pg_notify(text, text) RETURNS void LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'called'; END $$;"
        "CREATE FUNCTION public.coalesce_text(text, text) RETURNS text LANGUAGE sql AS 'SELECT NULL';"
        "CREATE FUNCTION public.trapped(text, text) RETURNS text LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'called'; END $$;"
        "CREATE OPERATOR public.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = public.trapped);"
        "SET search_path = public, pg_catalog"
    )
    stranger.execute("UPDATE orders SET status = 'x' WHERE id <= 2")
    (change,) = bench.changes()
    assert (bench.named(change.tags), change.images) == ({"status"}, True)


@pytest.mark.parametrize(
    "setting",
    [
        "bytea_output = 'escape'",
        "datestyle = 'German'",
        "timezone = 'Asia/Tokyo'",
        "intervalstyle = 'iso_8601'",
        "extra_float_digits = -5",
        "xmloption = document",
        "standard_conforming_strings = off",
        "check_function_bodies = off",
        "default_transaction_isolation = 'serializable'",
    ],
)
def test_the_writers_settings_do_not_show_in_images(setting: str, bench: Bench) -> None:
    """An image reads the same whatever the writer's session is set to."""
    bench.writer.execute(
        "CREATE TABLE typed (id int PRIMARY KEY, b bytea, t timestamptz, i interval, f float8)"
    )
    bench.watch("typed", rows=True)
    values = "'\\x00ff', '2024-02-29 12:00+00', '1 day 02:00:00', 0.1::float8 + 0.2::float8"
    bench.writer.execute(f"INSERT INTO typed VALUES (1, {values})")
    bench.writer.execute(f"SET {setting}")
    bench.writer.execute(
        f"INSERT INTO typed SELECT 1001, {values}".replace("'\\x00ff'", "decode('00ff', 'hex')")
    )
    (_, _, first), (_, _, second) = images(bench)
    assert {**first["v"], "id": 0} == {**second["v"], "id": 0}
    assert first["v"]["f"] == 0.30000000000000004


def test_the_table_of_images_is_unlogged(bench: Bench) -> None:
    """Images are not written to the log, and a crash may lose them."""
    bench.install("orders")
    persistence = bench.writer.execute(
        "SELECT relpersistence::text FROM pg_class WHERE oid = '_pgrt.changes'::regclass"
    )
    assert persistence.fetchone() == ("u",)
