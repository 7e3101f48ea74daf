"""Do harm: to connections, to what we installed, to the server's willingness, to our own callbacks.

Each function does one thing to a World; what lasts registers in `world.heals` how it ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random
from typing import Any

import psycopg

import pgrt_jupyter as pgrt

from ..faults.proxy import Way
from . import queries
from .catalog import quote
from .world import World

Fault = Callable[[World, Random], None]


def _terminate(world: World, pids: list[int]) -> None:
    world.note(f"terminating {pids}")
    for pid in pids:
        world.admin.execute("SELECT pg_terminate_backend(%s)", (pid,))


def end_listener(world: World, rng: Random) -> None:
    """End the connection that listens, which is the oldest."""
    _terminate(world, world.pids()[:1])


def end_one(world: World, rng: Random) -> None:
    """End any one connection of the engine."""
    pids = world.pids()
    _terminate(world, [rng.choice(pids)] if pids else [])


def end_all(world: World, rng: Random) -> None:
    """End every connection of the engine."""
    _terminate(world, world.pids())


def end_all_again_and_again(world: World, rng: Random) -> None:
    """End every connection, those made meanwhile too."""
    for _ in range(rng.randint(3, 6)):
        _terminate(world, world.pids())
        time.sleep(rng.choice([0.0, 0.02, 0.1]))  # the moment of the blow is what is varied


def cancel_query(world: World, rng: Random) -> None:
    """Cancel whatever the engine's connections run."""
    for pid in world.pids():
        world.admin.execute("SELECT pg_cancel_backend(%s)", (pid,))


def refuse_connections(world: World, rng: Random) -> None:
    """Let no new connection in, until healed, and end those there are."""
    if "refuse connections" in world.heals:
        return
    with psycopg.connect(world.cluster.conninfo, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {quote(world.admin.info.dbname)} ALLOW_CONNECTIONS false")
    world.barriers.add("refuse connections")
    world.heals["refuse connections"] = lambda: _let_in(world)
    _terminate(world, world.pids())


def _let_in(world: World) -> None:
    with psycopg.connect(world.cluster.conninfo, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {quote(world.admin.info.dbname)} ALLOW_CONNECTIONS true")
    world.barriers.discard("refuse connections")


def break_network(world: World, rng: Random) -> None:
    """Break or slow what lies between the engine and the server, until healed."""
    network = world.network
    if network is None or "network" in world.heals:
        end_one(world, rng)
        return
    breaks: dict[str, Callable[[], None]] = {
        "black hole": network.black_hole,
        "black hole for answers": lambda: network.black_hole(Way.DOWN),
        "deaf": network.deaf,
        "severed": network.sever,
        "slammed": network.slam,
        "stranded": network.strand,
        "reset": network.reset,
        "delayed": lambda: network.delay(0.05, 0.04),
        "cut": lambda: network.cut_after(rng.randint(1, 3_000)),
    }
    name = rng.choice(sorted(breaks))
    world.note(f"the network is {name}")
    breaks[name]()
    world.heals["network"] = lambda: _mend_network(world)
    if name not in ("delayed", "reset"):
        world.barriers.add("network")


def _mend_network(world: World) -> None:
    assert world.network is not None
    world.network.heal()
    world.network.drop_stranded()
    world.barriers.discard("network")


def hostile_notify(world: World, rng: Random) -> None:
    """Send what any role may send on our channel."""
    oids = [r.oid for r in world.catalog().tables] or [1]
    payloads = [
        "",
        "nonsense",
        f"{rng.choice(oids)} I *",
        f"{rng.choice(oids)} U 17",
        f"{rng.choice(oids)} U * i",
        f"{rng.choice(oids)} D * i",
        f"{rng.choice(oids)} T *",
        f"{rng.choice(oids)} ? XX000",
        "99999999999 I *",
        "x" * 7_999,
    ]
    for payload in rng.sample(payloads, 4):
        world.note(f"notify {payload[:40]!r}")
        world.stranger.execute("SELECT pg_notify('pgrt_jupyter', %s)", (payload,))


def drop_trigger(world: World, rng: Random) -> None:
    """Drop a trigger of ours and write at once, in one transaction."""
    _harm_triggers(world, rng, "DROP TRIGGER IF EXISTS {1} ON {0}")


def disable_trigger(world: World, rng: Random) -> None:
    """Disable triggers, write, and perhaps enable them again as a loading script does."""
    again = "; {write}; ALTER TABLE {0} ENABLE TRIGGER ALL" if rng.random() < 0.5 else "; {write}"
    _harm_triggers(world, rng, "ALTER TABLE {0} DISABLE TRIGGER ALL" + again)


def _harm_triggers(world: World, rng: Random, statement: str) -> None:
    tables = world.catalog().tables
    if not tables:
        return
    table = rng.choice(tables)
    trigger = rng.choice(["_pgrt_insert", "_pgrt_update", "_pgrt_delete", "_pgrt_truncate"])
    write = f"DELETE FROM {table.quoted} WHERE id::text = '{rng.randint(1, 9)}'"
    statement = (
        statement.replace("{write}", write).replace("{0}", table.quoted).replace("{1}", trigger)
    )
    world.execute(world.admin, f"BEGIN; {statement}; {write}; COMMIT")
    if world.admin.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        world.execute(world.admin, "ROLLBACK")


def drop_our_schema(world: World, rng: Random) -> None:
    """Remove everything we installed."""
    world.execute(world.admin, "DROP SCHEMA IF EXISTS _pgrt CASCADE")


def change_our_function(world: World, rng: Random) -> None:
    """Make one of our trigger functions do nothing."""
    row = world.admin.execute(
        "SELECT p.oid::regprocedure::text FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = pronamespace"
        " WHERE nspname = '_pgrt' AND proname LIKE 'capture%' ORDER BY p.proname"
    ).fetchall()
    if row:
        name = rng.choice(row)[0]
        body = "LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
        world.execute(world.admin, f"CREATE OR REPLACE FUNCTION {name} RETURNS trigger {body}")


def write_as_replica(world: World, rng: Random) -> None:
    """Write in a session whose ordinary triggers do not fire."""
    tables = world.catalog().tables
    if tables:
        table = rng.choice(tables)
        world.execute(
            world.admin,
            "BEGIN; SET LOCAL session_replication_role = replica;"
            f"DELETE FROM {table.quoted} WHERE id::text < '{rng.randint(1, 9)}'; COMMIT",
        )
        if world.admin.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            world.execute(world.admin, "ROLLBACK")


def hold_lock(world: World, rng: Random) -> None:
    """Keep trigger installation, or now and then everything, waiting for a table until healed."""
    if "lock" in world.heals:
        return
    tables = world.catalog().tables
    if not tables:
        return
    mode = rng.choice(["ROW EXCLUSIVE"] * 4 + ["ACCESS EXCLUSIVE"])
    try:
        connection = psycopg.connect(world.dsn, application_name="pgrt-test")
    except psycopg.OperationalError:
        return  # another fault refuses connections
    world.execute(connection, "SET lock_timeout = '300ms'")
    world.execute(connection, f"LOCK TABLE {rng.choice(tables).quoted} IN {mode} MODE")
    world.heals["lock"] = connection.close


def second_engine(world: World, rng: Random) -> None:
    """Start another engine on the same tables, or end one, gently or not."""
    if world.others:
        if rng.random() < 0.5:
            _terminate(world, world.pids()[1:])
        world.others.pop().shutdown()
        return
    try:
        # One that may do more would own what it makes anew, and the first could not go on.
        conninfo = world.as_role(world.cluster.owner) if world.as_owner else world.dsn
        other = world.new_engine(conninfo, lambda error, query: None)
    except pgrt.PgrtError:
        return
    world.others.append(other)
    for number in range(2):
        query = queries.draw(rng, world.catalog(), world.version)
        if query is not None:
            try:
                other.sub(f"other {number}", query.sql, query.params, **query.options)
            except pgrt.PgrtError as error:
                world.note(f"second engine: {error!r}")


def pause_or_resume(world: World, rng: Random) -> None:
    """Pause a live query, or let it go on."""
    if not world.lives:
        return
    live = world.lives[rng.choice(sorted(world.lives))]
    live.paused = not live.paused
    (live.lq.pause if live.paused else live.lq.resume)()


def raise_in_callback(world: World, rng: Random) -> None:
    """Have an observer raise from now on."""
    if not world.lives:
        return
    live = world.lives[rng.choice(sorted(world.lives))]

    def raising(change: Any) -> None:
        raise ArithmeticError("a callback of the test raises")

    live.lq.observe(raising, rng.choice(["df", "status", "delta"]))


def change_throttle(world: World, rng: Random) -> None:
    """Have a query run more or less often."""
    if world.lives:
        name = rng.choice(sorted(world.lives))
        world.lives[name].lq.throttle_ms = rng.choice([0, 50, 150])


def refresh_now(world: World, rng: Random) -> None:
    """Ask for a run out of turn."""
    if world.lives:
        name = rng.choice(sorted(world.lives))
        try:
            world.lives[name].lq.refresh(timeout=20)
        except (pgrt.PgrtError, TimeoutError) as error:
            world.note(f"refresh {name}: {error!r}")


# What disturbs nothing that a notification would have to be repaired by.
GENTLE: tuple[Fault, ...] = (
    second_engine,
    pause_or_resume,
    raise_in_callback,
    change_throttle,
    refresh_now,
)
KINDS: tuple[Fault, ...] = (
    end_listener,
    end_listener,
    end_one,
    end_all,
    end_all_again_and_again,
    cancel_query,
    refuse_connections,
    break_network,
    break_network,
    break_network,
    hostile_notify,
    drop_trigger,
    disable_trigger,
    drop_our_schema,
    change_our_function,
    write_as_replica,
    hold_lock,
    second_engine,
    second_engine,
    pause_or_resume,
    pause_or_resume,
    raise_in_callback,
    change_throttle,
    refresh_now,
)
