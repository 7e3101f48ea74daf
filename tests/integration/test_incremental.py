"""A result is brought up to date by what changed of it, and is that of a fresh run all the same."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

import pgrt_jupyter as pgrt
from pgrt_jupyter.engine import frames, keeping, planning
from pgrt_jupyter.engine.runs import Runs
from pgrt_jupyter.testing import wait_until

from ..variants import broken_plans
from ..variants.broken import against, break_engine, noticed, patience

Connection = psycopg.Connection[Any]

SCHEMA = """
CREATE TABLE customers (id int PRIMARY KEY, region text);
INSERT INTO customers SELECT i, 'region ' || i % 3 FROM generate_series(1, 20) AS i;
CREATE TABLE orders (
    id bigint PRIMARY KEY, customer int, status text, amount numeric(10, 2), due date, weight numeric
);
INSERT INTO orders SELECT i, i % 25, 'status ' || i % 4, i * 1.5, date '2024-01-01' + i % 30, i
FROM generate_series(1, 300) AS i;
"""
JOIN = "SELECT o.id, o.amount, c.region FROM orders AS o JOIN customers AS c ON c.id = o.customer"
LEFT = "SELECT o.id, c.region FROM orders AS o LEFT JOIN customers AS c ON c.id = o.customer ORDER BY o.id"
GROUPS = "SELECT status, count(*) AS n, sum(amount) AS total FROM orders GROUP BY status"
TOP = "SELECT id, amount FROM orders ORDER BY amount DESC, id LIMIT 5"
QUERIES = {
    "rows": "SELECT id, status, weight FROM orders WHERE amount > 10",
    "without its key": "SELECT status, amount FROM orders",
    "sorted": "SELECT * FROM orders ORDER BY status DESC NULLS LAST, due, id",
    "join": JOIN,
    "left": LEFT,
    "right": "SELECT o.status, c.* FROM customers AS c RIGHT JOIN orders AS o ON o.customer = c.id",
    "self": "SELECT a.id, b.amount FROM orders AS a JOIN orders AS b ON b.id = a.customer",
    "top": TOP,
    "groups": GROUPS,
    "groups of a join": (
        "SELECT c.region, left(o.status, 8), max(o.amount) FROM orders AS o"
        " JOIN customers AS c ON c.id = o.customer GROUP BY 1, 2"
    ),
    "sub-query": (
        "SELECT id FROM orders WHERE customer IN (SELECT id FROM customers WHERE region = 'region 1')"
    ),
}
HELD = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
WRITES = [
    "UPDATE orders SET amount = amount + 1000 WHERE id = 7",
    "INSERT INTO orders VALUES (1001, 3, 'new', 1, NULL, 'NaN'), (1002, NULL, NULL, NULL, NULL, 1.0)",
    "DELETE FROM orders WHERE id IN (8, 299, 300)",
    "UPDATE customers SET region = 'elsewhere' WHERE id IN (3, 4)",
    "DELETE FROM customers WHERE id = 5",
    "INSERT INTO customers VALUES (24, 'late'), (5, 'back')",
    "UPDATE orders SET id = id + 10000 WHERE id BETWEEN 20 AND 29",
    "UPDATE orders SET weight = trim_scale(weight) + 0.00 WHERE id < 60",
    "UPDATE orders SET status = NULL, customer = customer + 1 WHERE id < 100",
    "BEGIN; UPDATE customers SET id = 77 WHERE id = 6; UPDATE orders SET customer = 77"
    " WHERE customer = 6; DELETE FROM orders WHERE customer = 77 AND id > 200; COMMIT",
    "TRUNCATE customers",
]


@pytest.fixture
def db(dsn: str, connect: Callable[..., Connection]) -> Connection:
    """Give a connection to a database with orders and customers, whose triggers are in place."""
    connection = connect()
    connection.execute(SCHEMA)
    with pgrt.Engine(dsn) as engine:
        engine.sub("installing", JOIN)
    return connection


@pytest.fixture
def engine(dsn: str, db: Connection) -> Iterator[pgrt.Engine]:
    """Give a running engine that does not wait between runs."""
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        yield engine


@pytest.fixture
def leave_out(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Give a function that breaks the engine in a named way."""
    assert broken_plans
    return functools.partial(break_engine, monkeypatch)


def shown(frame: Any) -> list[tuple[str, ...]]:
    """List rows as text."""
    return [tuple(map(str, row)) for row in frame.itertuples(index=False)]


def is_right(lq: pgrt.LiveQuery, fresh: pgrt.LiveQuery) -> bool:
    """Compare with a query that is read whole, in order where there is one."""
    frame = fresh.refresh()
    one, other = shown(lq.df), shown(frame)
    if "ORDER BY" not in lq.sql:
        one, other = sorted(one), sorted(other)
    return one == other and list(lq.df.dtypes) == list(frame.dtypes)


def follow(engine: pgrt.Engine, text: str, **options: Any) -> tuple[pgrt.LiveQuery, pgrt.LiveQuery]:
    """Subscribe to a query twice: brought up to date, and read whole."""
    lq = engine.sub("followed", text, incremental=True, **options)
    return lq, engine.sub("whole", text, incremental=False, **options)


def deltas(lq: pgrt.LiveQuery) -> int:
    return int(lq.refresh_kinds["delta"])


@pytest.mark.every_server
@pytest.mark.parametrize("name", QUERIES)
def test_what_changed_is_enough(name: str, engine: pgrt.Engine, db: Connection) -> None:
    """Whatever is written, the patched result is that of a fresh run."""
    lq, fresh = follow(engine, QUERIES[name])
    assert lq.plan.startswith("incremental: "), lq.plan
    assert is_right(lq, fresh)
    for write in WRITES:
        db.execute(write)
        wait_until(lambda: is_right(lq, fresh))
    assert deltas(lq) >= 2, lq.refresh_kinds
    assert lq.error is None


def test_an_update_says_how_it_was_read(engine: pgrt.Engine, db: Connection) -> None:
    """The first result was read whole, the next one as far as it changed."""
    lq, _ = follow(engine, QUERIES["rows"])
    assert (lq.refresh_kind, dict(lq.refresh_kinds)) == ("full", {"full": 1, "delta": 0})
    db.execute("UPDATE orders SET status = 'seen' WHERE id = 50")
    lq.wait_for(lambda df: (df["status"] == "seen").any())
    assert (lq.refresh_kind, dict(lq.refresh_kinds)) == ("delta", {"full": 1, "delta": 1})


def test_it_is_off_where_the_user_says_so(engine: pgrt.Engine, db: Connection) -> None:
    """With incremental=False all is read each time."""
    lq = engine.sub("q", QUERIES["rows"], incremental=False)
    assert lq.plan == "full: incremental=False"
    db.execute("UPDATE orders SET status = 'seen' WHERE id = 50")
    lq.wait_for(lambda df: (df["status"] == "seen").any())
    assert dict(lq.refresh_kinds) == {"full": 2, "delta": 0}
    with pytest.raises(pgrt.ConfigurationError, match="incremental"):
        engine.sub("q", QUERIES["rows"], incremental="yes")  # type: ignore[arg-type]


def test_by_default_large_results_are_brought_up_to_date(
    engine: pgrt.Engine, db: Connection
) -> None:
    """A small one is read whole, which is said; one of many values is not."""
    small = engine.sub("small", "SELECT id FROM orders WHERE id < 10")
    assert small.plan.startswith("full: the result is small")
    db.execute(
        "INSERT INTO orders SELECT i, 1, 's', 1, NULL, NULL FROM generate_series(2000, 6000) AS i;"
        "ANALYZE orders"
    )
    large = engine.sub("large", "SELECT id, status, amount FROM orders")
    assert large.plan.startswith("incremental: rows with a changed key of orders (id)")
    db.execute("UPDATE orders SET status = 'seen' WHERE id = 50")
    large.wait_for(lambda df: (df["status"] == "seen").any())
    assert large.refresh_kind == "delta"


def test_keys_of_changes_that_cannot_be_followed_are_not_asked_for(
    engine: pgrt.Engine, db: Connection
) -> None:
    """A query whose tables are mostly written as a whole costs writers no keys; that is tried again."""
    db.execute("INSERT INTO orders SELECT i, 0, 's' FROM generate_series(2000, 4500) AS i")
    db.execute("ANALYZE orders")
    lq = engine.sub("large", "SELECT id, customer FROM orders", throttle_ms=0)

    def write(text: str, number: int) -> None:
        db.execute(text, [number])
        lq.wait_for(lambda df: (df["customer"] == number).any())

    for number in range(100, 100 + keeping.VAIN):
        assert lq.plan.startswith("incremental")
        write("UPDATE orders SET customer = %s", number)
    wait_until(lambda: lq.plan == keeping.FUTILE)
    assert lq.refresh_kinds["delta"] == 0
    for number in range(1000, 1000 + 2 * keeping.REST):
        write("UPDATE orders SET customer = %s WHERE id = 1", number)
        if lq.refresh_kind == "delta":
            break
    assert lq.plan.startswith("incremental")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("SELECT DISTINCT status FROM orders", "DISTINCT"),
        ("SELECT count(*) FROM orders", "one group"),
        ("SELECT id, generate_series(1, 2) FROM orders", "several rows"),
        ("SELECT id, ARRAY[amount] AS list FROM orders", "array"),
        ("SELECT id FROM seen", "views"),
        ("SELECT id FROM keyless", "no primary key"),
        ("SELECT id FROM moments", "no primary key of a simple type"),
        ("SELECT id, now() FROM orders", "cannot be watched"),
        ("SELECT id FROM secured", "row-level security"),
        ('SELECT id FROM orders ORDER BY status COLLATE "en_US_pgrt"', "collation"),
        ("SELECT weight, count(*) FROM orders GROUP BY weight", "may look different"),
    ],
)
def test_what_stands_against_it_is_said(
    text: str, why: str, engine: pgrt.Engine, db: Connection
) -> None:
    """`plan` says in words why all of a query is read."""
    db.execute(
        "CREATE VIEW seen AS SELECT id FROM orders; CREATE TABLE keyless (id int);"
        "CREATE TABLE moments (id timestamptz PRIMARY KEY);"
        "CREATE TABLE secured (id int PRIMARY KEY); ALTER TABLE secured ENABLE ROW LEVEL SECURITY;"
        "CREATE COLLATION \"en_US_pgrt\" (PROVIDER = libc, LOCALE = 'C.UTF-8')"
    )
    lq = engine.sub("q", text, incremental=True)
    assert lq.plan.startswith("full: ")
    assert why in lq.plan


@pytest.mark.every_server
@against("blind writers believed")
def test_a_writer_who_found_nobody_asking_is_not_lost(
    dsn: str,
    db: Connection,
    connect: Callable[..., Connection],
    leave_out: Callable[[str], None],
    broken: str,
) -> None:
    """Who wrote before keys were asked for and commits later has left none."""
    leave_out(broken)
    writer = connect()
    writer.execute("BEGIN; UPDATE orders SET status = 'late' WHERE id = 9")
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        lq, fresh = follow(engine, QUERIES["rows"])
        writer.execute("COMMIT")
        with noticed(broken):
            wait_until(lambda: is_right(lq, fresh), patience(broken))
        db.execute("UPDATE orders SET status = 'seen' WHERE id = 10")
        lq.wait_for(lambda df: (df["status"] == "seen").any())
        assert lq.refresh_kind == "delta"


@pytest.mark.every_server
def test_a_transaction_across_several_runs_is_seen_when_it_commits(
    engine: pgrt.Engine, db: Connection, connect: Callable[..., Connection]
) -> None:
    """Its keys were written long before, and become visible with its rows."""
    lq, fresh = follow(engine, QUERIES["sorted"])
    slow = connect()
    slow.execute("BEGIN; UPDATE orders SET status = 'slow', id = -id WHERE id = 30")
    for amount in range(3):
        db.execute("UPDATE orders SET amount = %s WHERE id = 31", (amount,))
        lq.wait_for(lambda df, amount=amount: (df["amount"] == amount).any())
    slow.execute("COMMIT")
    lq.wait_for(lambda df: (df["status"] == "slow").any())
    wait_until(lambda: is_right(lq, fresh))
    assert lq.refresh_kinds["full"] == 1


@against("a later snapshot")
def test_a_change_while_all_is_read_is_not_lost(
    dsn: str,
    db: Connection,
    connect: Callable[..., Connection],
    monkeypatch: pytest.MonkeyPatch,
    leave_out: Callable[[str], None],
    broken: str,
) -> None:
    """What commits between the snapshot and the end of the run is read by the next one."""
    leave_out(broken)
    writer, fetch = connect(), frames.fetch

    def meanwhile(*arguments: Any, **named: Any) -> Any:
        monkeypatch.setattr(frames, "fetch", fetch)
        writer.execute("UPDATE orders SET status = 'meanwhile' WHERE id = 9")
        return fetch(*arguments, **named)

    monkeypatch.setattr(frames, "fetch", meanwhile)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        lq = engine.sub("followed", QUERIES["rows"], incremental=True)
        with noticed(broken):
            lq.wait_for(lambda df: (df["status"] == "meanwhile").any(), patience(broken))


@against("marks passed over")
def test_what_left_no_keys_has_all_read(
    engine: pgrt.Engine, db: Connection, leave_out: Callable[[str], None], broken: str
) -> None:
    """A statement of many rows leaves a mark, told or not."""
    leave_out(broken)
    lq, fresh = follow(engine, QUERIES["rows"])
    db.execute("INSERT INTO orders SELECT i, 1, 'many' FROM generate_series(5000, 6500) AS i")
    db.execute("UPDATE orders SET amount = 50, status = 'many' WHERE id >= 5000")
    with noticed(broken):
        wait_until(lambda: is_right(lq, fresh), patience(broken))


@against("keys themselves not watched")
def test_a_key_that_is_not_shown_may_change(
    engine: pgrt.Engine, db: Connection, leave_out: Callable[[str], None], broken: str
) -> None:
    """The row it belongs to is found again by the new one."""
    leave_out(broken)
    lq, fresh = follow(engine, "SELECT status, amount FROM orders WHERE status = 'status 1'")
    db.execute("UPDATE orders SET id = 9001 WHERE id = 1")
    db.execute("UPDATE orders SET amount = 5 WHERE id = 9001")
    lq.wait_for(lambda df: (df["amount"] == 5).any())
    with noticed(broken):
        wait_until(lambda: is_right(lq, fresh), patience(broken))


@against("groups as they are now")
def test_the_group_that_a_row_leaves_is_read_anew(
    engine: pgrt.Engine, db: Connection, leave_out: Callable[[str], None], broken: str
) -> None:
    """Its count goes down, and the last one takes the group away."""
    leave_out(broken)
    lq, fresh = follow(engine, GROUPS)
    db.execute("UPDATE orders SET status = 'status 2' WHERE id = 1")
    with noticed(broken):
        wait_until(lambda: is_right(lq, fresh), patience(broken))
        db.execute("DELETE FROM orders WHERE status = 'status 3'")
        wait_until(lambda: is_right(lq, fresh), patience(broken))
        assert lq.refresh_kinds["full"] == 1


@against("partners as they are now")
def test_rows_whose_partner_is_gone_stay(
    engine: pgrt.Engine, db: Connection, leave_out: Callable[[str], None], broken: str
) -> None:
    """They show NULL, and the next partner when it comes."""
    leave_out(broken)
    lq, fresh = follow(engine, LEFT)
    db.execute("DELETE FROM customers WHERE id = 5")
    with noticed(broken):
        wait_until(lambda: is_right(lq, fresh), patience(broken))
        db.execute("INSERT INTO customers VALUES (5, 'back')")
        wait_until(lambda: is_right(lq, fresh), patience(broken))
        assert deltas(lq) == 2


@against("behind the limit unknown")
def test_a_row_that_leaves_the_limit_is_replaced(
    engine: pgrt.Engine, db: Connection, leave_out: Callable[[str], None], broken: str
) -> None:
    """Who comes in its place is not known, so all is read; what stays outside costs nothing."""
    leave_out(broken)
    lq, fresh = follow(engine, TOP)
    db.execute("UPDATE orders SET amount = amount + 0.25 WHERE id IN (4, 299)")
    wait_until(lambda: is_right(lq, fresh))
    assert (lq.refresh_kinds["full"], lq.refresh_kind) == (1, "delta")
    db.execute("INSERT INTO orders VALUES (900, 1, 's', 9999)")
    wait_until(lambda: is_right(lq, fresh))
    assert lq.refresh_kinds["full"] == 1
    db.execute("DELETE FROM orders WHERE id = 299")
    with noticed(broken):
        wait_until(lambda: is_right(lq, fresh), patience(broken))


@against("gaps not noticed")
def test_what_happened_while_nobody_asked_is_read(
    engine: pgrt.Engine, db: Connection, leave_out: Callable[[str], None], broken: str
) -> None:
    """A paused query asks for no keys, so all is read when it goes on."""
    leave_out(broken)
    lq = engine.sub("followed", QUERIES["rows"], incremental=True)
    lq.pause()
    wait_until(lambda: db.execute(HELD).fetchone() == (0,))
    db.execute("UPDATE orders SET status = 'unheard' WHERE id = 9")
    lq.resume()
    with noticed(broken):
        lq.wait_for(lambda df: (df["status"] == "unheard").any(), patience(broken))


@against("forgotten keys not suspected")
def test_keys_that_may_be_forgotten_are_not_relied_on(
    engine: pgrt.Engine,
    db: Connection,
    monkeypatch: pytest.MonkeyPatch,
    leave_out: Callable[[str], None],
    broken: str,
) -> None:
    """A run that comes late reads all: other engines delete keys after half a minute."""
    leave_out(broken)
    lq = engine.sub("followed", QUERIES["rows"], incremental=True)
    read = Runs._read

    async def late(self: Runs, group: Any, *, whole: bool) -> None:
        db.execute("DELETE FROM _pgrt.changes")
        group.keeping.heard -= 25.0
        await read(self, group, whole=whole)

    monkeypatch.setattr(Runs, "_read", late)
    db.execute("UPDATE orders SET status = 'late' WHERE id = 9")
    with noticed(broken):
        lq.wait_for(lambda df: (df["status"] == "late").any(), patience(broken))


def test_a_trigger_that_could_not_write_has_all_read(engine: pgrt.Engine, db: Connection) -> None:
    """Its notification says so, and the write succeeds."""
    lq, fresh = follow(engine, QUERIES["rows"])
    db.execute("ALTER TABLE _pgrt.changes ADD CONSTRAINT never CHECK (operation <> 'K') NOT VALID")
    db.execute("UPDATE orders SET status = 'unwritten' WHERE id = 9")
    lq.wait_for(lambda df: (df["status"] == "unwritten").any())
    assert lq.refresh_kind == "full"
    db.execute("ALTER TABLE _pgrt.changes DROP CONSTRAINT never")
    wait_until(lambda: is_right(lq, fresh))
    db.execute("UPDATE orders SET status = 'written' WHERE id = 9")
    lq.wait_for(lambda df: (df["status"] == "written").any())
    assert lq.refresh_kind == "delta"


def test_a_lost_listener_has_all_read(engine: pgrt.Engine, db: Connection) -> None:
    """Keys were not asked for meanwhile."""
    lq, fresh = follow(engine, QUERIES["rows"])
    db.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name LIKE 'pgrt%' AND pid <> pg_backend_pid()"
        " AND application_name <> 'pgrt-test'"
    )
    db.execute("UPDATE orders SET status = 'unheard' WHERE id = 9")
    lq.wait_for(lambda df: (df["status"] == "unheard").any())
    wait_until(lambda: lq.status == "live")
    db.execute("UPDATE orders SET status = 'heard' WHERE id = 9")
    lq.wait_for(lambda df: (df["status"] == "heard").any())
    assert lq.refresh_kind == "delta"
    wait_until(lambda: is_right(lq, fresh))


@pytest.mark.every_server
def test_a_role_of_the_querys_own_reads_what_changed(
    dsn: str, db: Connection, make_role: Callable[..., Any]
) -> None:
    """It may not read the keys; two sessions share a snapshot. Of groups it must see every column."""
    role = make_role("reader")
    name = sql.Identifier(role.name)
    db.execute(sql.SQL("GRANT SELECT ON customers TO {0}").format(name))
    db.execute(sql.SQL("GRANT SELECT (id, customer, status, amount) ON orders TO {0}").format(name))
    with pgrt.Engine(dsn, query_conninfo=role.conninfo(dsn), throttle_ms=0) as engine:
        lq, fresh = follow(engine, JOIN)
        for write in WRITES[:8]:
            db.execute(write)
            wait_until(lambda: is_right(lq, fresh))
        assert deltas(lq) >= 5, lq.plan
        assert "may not read every column" in engine.sub("g", GROUPS, incremental=True).plan


def test_a_value_beyond_its_type_has_all_read(engine: pgrt.Engine, db: Connection) -> None:
    """The column becomes text, and dates again when it has gone, as in a fresh run."""
    lq, fresh = follow(engine, "SELECT id, due FROM orders")
    db.execute("UPDATE orders SET due = 'infinity' WHERE id = 9")
    wait_until(lambda: is_right(lq, fresh))
    assert str(lq.df["due"].dtype).startswith("string")
    db.execute("UPDATE orders SET due = '2024-05-05' WHERE id = 9")
    wait_until(lambda: is_right(lq, fresh))
    assert "date32" in str(lq.df["due"].dtype)


def test_who_asks_for_a_run_has_all_read(engine: pgrt.Engine, db: Connection) -> None:
    """What nobody announces, such as a column that is gone, is seen then."""
    lq = engine.sub("followed", QUERIES["rows"], incremental=True)
    lq.refresh()
    assert dict(lq.refresh_kinds) == {"full": 2, "delta": 0}
    db.execute("ALTER TABLE orders RENAME COLUMN weight TO mass")
    with pytest.raises(pgrt.QueryFailed, match="weight"):
        lq.refresh()


def test_a_published_frame_stays_as_it_was(engine: pgrt.Engine, db: Connection) -> None:
    """The next one shares what did not change, and tells what did."""
    lq, _ = follow(engine, QUERIES["sorted"])
    before, copy = lq.df, shown(lq.df)
    db.execute(
        "BEGIN; UPDATE orders SET status = 'seen' WHERE id = 50; DELETE FROM orders WHERE id = 51;"
        "INSERT INTO orders VALUES (1000, 1, 'came'); COMMIT"
    )
    lq.wait_for(lambda df: (df["status"] == "seen").any())
    assert shown(before) == copy
    delta = lq.delta
    assert [list(part["id"]) for part in (delta.inserted, delta.updated, delta.deleted)] == [
        [1000],
        [50],
        [51],
    ]
    assert list(delta.previous["status"]) == ["status 2"]


def test_an_equal_result_is_not_published(engine: pgrt.Engine, db: Connection) -> None:
    """Neither one that was patched, nor one that was read whole after it."""
    lq = engine.sub("followed", QUERIES["rows"] + " ORDER BY id", incremental=True)
    db.execute("UPDATE orders SET status = 'seen' WHERE id = 50")
    lq.wait_for(lambda df: (df["status"] == "seen").any())
    version, runs = lq.version, sum(lq.refresh_kinds.values())
    db.execute("UPDATE orders SET status = 'other' WHERE id = 2")  # which WHERE leaves out
    wait_until(lambda: sum(lq.refresh_kinds.values()) > runs)
    lq.pause()
    wait_until(lambda: db.execute(HELD).fetchone() == (0,))
    lq.resume()
    wait_until(lambda: lq.refresh_kinds["full"] == 2)
    assert lq.version == version


def test_nobody_waits_for_the_plan_of_later_runs(
    engine: pgrt.Engine, db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result that has become large is published before it is found out how it may be followed."""
    asked, allowed, find = threading.Event(), threading.Event(), planning.find

    def wait(*arguments: Any, **options: Any) -> Any:
        asked.set()
        assert allowed.wait(30)
        return find(*arguments, **options)

    lq = engine.sub("grows", "SELECT id, status FROM orders")
    assert lq.plan == keeping.SMALL
    monkeypatch.setattr(planning, "find", wait)
    db.execute("INSERT INTO orders SELECT i FROM generate_series(2001, 5000) AS i")
    try:
        assert asked.wait(10)
        lq.wait_for(lambda df: len(df) == 3300, timeout=5)
    finally:
        allowed.set()
    wait_until(lambda: lq.plan.startswith("incremental"))


def test_a_table_that_changes_its_shape_is_followed(engine: pgrt.Engine, db: Connection) -> None:
    """A plan that does not fit any more is made anew."""
    lq, fresh = follow(engine, "SELECT * FROM orders ORDER BY id")
    db.execute("ALTER TABLE orders ADD COLUMN note text DEFAULT 'x'")
    db.execute("UPDATE orders SET status = 'seen' WHERE id = 50")
    lq.wait_for(lambda df: "note" in df.columns)
    db.execute("UPDATE orders SET note = 'y' WHERE id = 51")
    lq.wait_for(lambda df: (df["note"] == "y").any())
    db.execute("UPDATE orders SET note = 'z' WHERE id = 51")
    lq.wait_for(lambda df: (df["note"] == "z").any())
    assert lq.refresh_kind == "delta", (lq.plan, lq.refresh_kinds)
    wait_until(lambda: is_right(lq, fresh))


def test_other_backends_are_patched_too(dsn: str, db: Connection) -> None:
    """pandas' own nullable types come from the same values."""
    with pgrt.Engine(dsn, throttle_ms=0, dtype_backend="numpy_nullable") as engine:
        lq, fresh = follow(engine, QUERIES["sorted"])
        for write in WRITES[:4]:
            db.execute(write)
            wait_until(lambda: is_right(lq, fresh))
        assert deltas(lq) >= 3
