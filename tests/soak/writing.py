"""Write something small at random: each operation is a function of a connection and a source of chance.

Every operation commits or rolls back what it began and keeps its table's size within bounds; row 0
belongs to the counters and is left alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random
from typing import Any

import psycopg

from .schema import ALPHA, BETA, BIG_ROWS, CURRENT, DAYS, EVENTS_KEPT, ORDERS_KEPT

Connection = psycopg.Connection[Any]
Operation = Callable[[Connection, Random], None]
STATES = ("new", "pending", "paid", "sent", "cancelled")
_SOME_ORDER = (
    "(SELECT id FROM soak.orders WHERE id > 0 AND id >= (SELECT max(id) FROM soak.orders) - %s"
    " ORDER BY id LIMIT 1)"
)


def insert_order(connection: Connection, chance: Random) -> None:
    connection.execute(
        "INSERT INTO soak.orders (customer, status, amount, note) VALUES (%s, %s, %s, %s)",
        (
            chance.randint(1, 200),
            chance.choice(STATES),
            chance.randint(1, 99999) / 100,
            chance.choice([None, "", "ä" * chance.randint(1, 400), "plain"]),
        ),
    )


def insert_orders(connection: Connection, chance: Random) -> None:
    connection.execute(
        "INSERT INTO soak.orders (customer, status, amount)"
        " SELECT 1 + i %% 200, 'new', i FROM generate_series(1, %s) AS i",
        (chance.randint(2, 40),),
    )


def update_status(connection: Connection, chance: Random) -> None:
    connection.execute(
        f"UPDATE soak.orders SET status = %s WHERE id = {_SOME_ORDER}",
        (chance.choice(STATES), chance.randint(0, ORDERS_KEPT)),
    )


def update_note(connection: Connection, chance: Random) -> None:
    connection.execute(
        f"UPDATE soak.orders SET note = %s WHERE id = {_SOME_ORDER}",
        (f"note {chance.random()}", chance.randint(0, ORDERS_KEPT)),
    )


def delete_order(connection: Connection, chance: Random) -> None:
    connection.execute(
        f"DELETE FROM soak.orders WHERE id = {_SOME_ORDER}", (chance.randint(0, ORDERS_KEPT),)
    )


def trim(connection: Connection, chance: Random) -> None:
    connection.execute(
        "DELETE FROM soak.orders WHERE id > 0 AND id < (SELECT max(id) FROM soak.orders) - %s",
        (ORDERS_KEPT,),
    )
    connection.execute(
        "DELETE FROM soak.events WHERE id > 0 AND id < (SELECT max(id) FROM soak.events) - %s",
        (EVENTS_KEPT,),
    )


def upsert_customer(connection: Connection, chance: Random) -> None:
    number = chance.randint(1, 200)
    connection.execute(
        "INSERT INTO soak.customers VALUES (%s, %s, %s) ON CONFLICT (id) DO UPDATE"
        " SET name = excluded.name, region = excluded.region",
        (number, f"customer {number}.{chance.randint(1, 9)}", f"region {chance.randint(0, 6)}"),
    )


def merge_secrets(connection: Connection, chance: Random) -> None:
    connection.execute(
        "MERGE INTO soak.secrets AS s USING (VALUES (%s::int, %s, %s::int)) AS n (id, tenant, value)"
        " ON s.id = n.id AND s.tenant = n.tenant"
        " WHEN MATCHED AND n.value %% 5 = 0 THEN DELETE"
        " WHEN MATCHED THEN UPDATE SET value = n.value"
        " WHEN NOT MATCHED THEN INSERT VALUES (n.id, n.tenant, n.value)",
        (chance.randint(1, 50), chance.choice([ALPHA, BETA]), chance.randint(1, 1000)),
    )


def insert_event(connection: Connection, chance: Random) -> None:
    _event(connection, chance, f"events_{chance.randint(1, DAYS)}" if chance.random() < 0.3 else "")


def _event(connection: Connection, chance: Random, leaf: str = "") -> None:
    day = int(leaf.rpartition("_")[2]) if leaf else chance.randint(1, DAYS)
    connection.execute(
        f"INSERT INTO soak.{leaf or 'events'} (id, day, kind, n)"
        " VALUES (nextval('soak.event_ids'), %s, %s, %s)",
        (f"2026-01-{day:02}", chance.choice("abc"), chance.randint(1, 300)),
    )


def move_event(connection: Connection, chance: Random) -> None:
    connection.execute(
        "UPDATE soak.events SET day = %s WHERE (id, day) = (SELECT id, day FROM soak.events"
        " WHERE id > 0 AND day <= %s ORDER BY id DESC LIMIT 1 OFFSET %s)",
        (f"2026-01-{chance.randint(1, DAYS):02}", f"2026-01-{DAYS:02}", chance.randint(0, 50)),
    )


def copy_events(connection: Connection, chance: Random) -> None:
    taken = connection.execute(
        "SELECT nextval('soak.event_ids') FROM generate_series(1, %s)", (chance.randint(1, 30),)
    )
    numbers = [number for (number,) in taken.fetchall()]
    with (
        connection.transaction(),
        connection.cursor() as cursor,
        cursor.copy("COPY soak.events (id, day, kind, n) FROM STDIN") as copy,
    ):
        for number in numbers:
            copy.write_row((number, CURRENT, "copied", chance.randint(1, 300)))


def update_big(connection: Connection, chance: Random) -> None:
    start = chance.randint(1, BIG_ROWS - 100)
    connection.execute(
        "UPDATE soak.big SET v = %s WHERE id BETWEEN %s AND %s",
        (chance.randint(0, 96), start, start + chance.randint(0, 30)),
    )


def refill_small(connection: Connection, chance: Random) -> None:
    with connection.transaction():
        connection.execute('TRUNCATE soak."Small Table"')
        connection.execute(
            'INSERT INTO soak."Small Table" SELECT chr(64 + i), i * %s FROM generate_series(1, %s) AS i',
            (chance.randint(1, 9), chance.randint(0, 20)),
        )


def truncate_small(connection: Connection, chance: Random) -> None:
    connection.execute('TRUNCATE soak."Small Table"')


def several_tables(connection: Connection, chance: Random) -> None:
    """Change three tables in one transaction, part of it rolled back to a savepoint."""
    with connection.transaction():
        insert_order(connection, chance)
        _event(connection, chance)
        with connection.transaction():
            update_status(connection, chance)
            if chance.random() < 0.5:
                raise psycopg.Rollback
        merge_secrets(connection, chance)


def rolled_back(connection: Connection, chance: Random) -> None:
    with connection.transaction(force_rollback=True):
        insert_order(connection, chance)
        update_big(connection, chance)


def slow_transaction(connection: Connection, chance: Random) -> None:
    """Keep a transaction open for so long that the engine runs queries meanwhile."""
    with connection.transaction():
        insert_order(connection, chance)
        time.sleep(chance.uniform(0.3, 2.5))
        _event(connection, chance)


def repeatable_read(connection: Connection, chance: Random) -> None:
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT count(*) FROM soak.customers")
        update_status(connection, chance)
        insert_order(connection, chance)


WEIGHTS: dict[Operation, int] = {
    insert_order: 180,
    insert_orders: 10,
    update_status: 200,
    update_note: 60,
    delete_order: 60,
    trim: 15,
    upsert_customer: 60,
    merge_secrets: 90,
    insert_event: 120,
    move_event: 40,
    copy_events: 15,
    update_big: 40,
    refill_small: 15,
    truncate_small: 4,
    several_tables: 50,
    rolled_back: 30,
    slow_transaction: 2,
    repeatable_read: 15,
}
