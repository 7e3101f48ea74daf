"""Harm what is in the database: triggers, definitions, privileges, rows, locks, the channel."""

from __future__ import annotations

import secrets
import time
from datetime import date, timedelta
from random import Random

from .schema import BETA, DAYS, NOBODY, OWNER
from .stage import Certain, Stage


def drop_trigger(stage: Stage, chance: Random) -> Certain:
    name = chance.choice(["_pgrt_insert", "_pgrt_update", "_pgrt_delete"])
    table = chance.choice(["soak.orders", "soak.events_1", "soak.secrets"])
    stage.execute(f"DROP TRIGGER IF EXISTS {name} ON {table}", user=OWNER)
    return False


def drop_everything(stage: Stage, chance: Random) -> Certain:
    """Do what the manual says removes all of it, while it is in use."""
    stage.execute("DROP SCHEMA _pgrt CASCADE", user=OWNER)
    return False


def disable_triggers(stage: Stage, chance: Random) -> Certain:
    table = chance.choice(["soak.orders", "soak.big", "soak.secrets"])
    stage.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL", user="postgres")
    return False


def add_and_drop_column(stage: Stage, chance: Random) -> Certain:
    stage.execute("ALTER TABLE soak.orders ADD COLUMN extra int DEFAULT 7", user=OWNER)
    time.sleep(stage.span(chance, 0, 2))
    stage.execute("ALTER TABLE soak.orders DROP COLUMN extra", user=OWNER)
    return False


def change_type(stage: Stage, chance: Random) -> Certain:
    """Give a column that is shown another type, which rewrites the table."""
    kind = chance.choice(["bigint", "int", "numeric(20, 3)"])
    stage.execute(f"ALTER TABLE soak.big ALTER COLUMN v TYPE {kind}", user=OWNER)
    return False


def replace_table(stage: Stage, chance: Random) -> Certain:
    """Put another table in the place of one, as a nightly load does."""
    with stage.connect(OWNER) as connection, connection.transaction():
        connection.execute('ALTER TABLE soak."Small Table" RENAME TO old')
        connection.execute(
            'CREATE TABLE soak."Small Table" ("Key" text PRIMARY KEY, "A Value" int)'
        )
        connection.execute("INSERT INTO soak.\"Small Table\" VALUES ('replaced', 1)")
        connection.execute("DROP TABLE soak.old CASCADE")
    return False


def new_partition(stage: Stage, chance: Random) -> Certain:
    """Add a partition and write straight into it."""
    (used,) = stage.execute(
        "SELECT count(*) FROM pg_inherits WHERE inhparent = 'soak.events'::regclass"
    )[0]
    day = used if used > DAYS else DAYS + 1
    first = date(2026, 1, DAYS + 1) + timedelta(days=day)
    with stage.connect(OWNER) as connection:
        connection.execute(
            f"CREATE TABLE soak.events_{day} PARTITION OF soak.events"
            f" FOR VALUES FROM ('{first}') TO ('{first + timedelta(days=1)}')"
        )
        connection.execute(
            f"INSERT INTO soak.events_{day} VALUES"
            " (nextval('soak.event_ids'), %s, 'later', 1, NULL)",
            (first,),
        )
    return False


def revoke_and_grant(stage: Stage, chance: Random) -> Certain:
    stage.execute(f"REVOKE SELECT ON soak.secrets FROM {BETA}", user=OWNER)
    time.sleep(stage.span(chance, 1, 10))
    stage.execute(f"GRANT SELECT ON soak.secrets TO {BETA}", user=OWNER)
    return False


def truncate(stage: Stage, chance: Random) -> Certain:
    with stage.connect(OWNER) as connection, connection.transaction():
        connection.execute("LOCK TABLE soak.orders IN ACCESS EXCLUSIVE MODE")
        kept = connection.execute("SELECT * FROM soak.orders WHERE id = 0").fetchone()
        connection.execute("TRUNCATE soak.orders RESTART IDENTITY")
        connection.execute("INSERT INTO soak.orders VALUES (%s, %s, %s, %s, %s, %s)", kept)
    return False


def lock_table(stage: Stage, chance: Random) -> Certain:
    table = chance.choice(["soak.orders", "soak.big", "soak.customers", "soak.events"])
    with stage.connect(OWNER) as connection, connection.transaction():
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        time.sleep(stage.span(chance, 1, 8))
    return False


def hostile_flood(stage: Stage, chance: Random) -> Certain:
    """Have a role without any privilege send what it likes on our channel."""
    with stage.connect(NOBODY) as connection:
        for _ in range(10):
            connection.execute(
                "SELECT pg_notify('pgrt_jupyter', %s || i) FROM generate_series(1, 2000) AS i",
                (secrets.token_hex(chance.randint(1, 3000)),),
            )
        for payload in ("", "0 I *", "4294967295 U 1,2,3", "1 ? 99999", "{" * 7000, "١ I *"):
            connection.execute("SELECT pg_notify('pgrt_jupyter', %s)", (payload,))
    return False


def replica_write(stage: Stage, chance: Random) -> Certain:
    with stage.connect(OWNER) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE soak.orders SET amount = amount + 1 WHERE id > 0")
        connection.execute("UPDATE soak.secrets SET value = value + 1 WHERE id > 0")
    return False
