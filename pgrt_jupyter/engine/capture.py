"""Install and check the triggers that announce changes.

One generated function per table, named by oid, serves four statement-level triggers with transition
tables. It is made only where it is missing or different, one table per transaction, under an advisory
lock and a short lock time-out, so that no writer ever queues behind us for longer than that. Runs on worker
threads, under the installing role.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import namedtuple_row

from ..errors import CaptureFailed
from . import interest, trigger
from .connection import Connection
from .edition import Standing, standing
from .families import Member
from .pinning import pinned
from .progress import Progress
from .sql import load

LOCK_TIMEOUT_MS = 300
_INSTALLING = interest.key(0, 0)  # serialises installation among engines
_TRIGGERS = ("_pgrt_delete", "_pgrt_insert", "_pgrt_truncate", "_pgrt_update")
_APPLY = "_pgrt_apply"


def is_complete(connection: Connection, member: Member) -> bool:
    """Say whether a table's triggers are all there, enabled, and do what this version does."""
    firing = ("A",) if member.owned else ("O", "A")
    wanted = dict.fromkeys(_TRIGGERS, firing) | ({_APPLY: ("A", "R")} if member.subscribed else {})
    found = dict(member.triggers)
    fires = all(found.get(name) in enabled for name, enabled in wanted.items())
    return fires and _standing(connection, member) in (Standing.SAME, Standing.NEWER)


def _standing(connection: Connection, member: Member) -> Standing:
    """Say how a table's function stands to this version's, as far as what it calls lets it stand."""
    image = standing(member.image, load("capture_image_body"))
    if image in (Standing.OLDER, Standing.BEYOND):
        return image
    return standing(member.source, trigger.body(connection, member))


@dataclass(frozen=True, slots=True)
class Completion:
    """Say what completing a set of triggers came to."""

    installed: int  # tables whose triggers were put in place just now
    problems: tuple[CaptureFailed, ...]  # tables that could not be done
    failed: tuple[int, ...] = ()  # their oids, in the same order


def complete(
    connection: Connection, members: Sequence[Member], progress: Progress | None = None
) -> Completion:
    """Put in place whatever is missing, a table at a time in the order of oids."""
    installed = 0
    problems: dict[int, CaptureFailed] = {}
    for number, member in enumerate(sorted(members, key=lambda member: member.oid), 1):
        if progress is not None:
            which = f" (table {number} of {len(members)})" if len(members) > 1 else ""
            progress.doing = f"seeing to the triggers of {member.qualified}{which}"
        try:
            if not member.capturable:
                problems[member.oid] = _uncapturable(member)
                if member.above_foreign and member.triggers:
                    _withdraw(connection, member)
            elif not is_complete(connection, member):
                if _standing(connection, member) in (Standing.NEWER, Standing.BEYOND):
                    raise _superseded(member)
                install(connection, member)
                installed += 1
        except CaptureFailed as problem:
            problems[member.oid] = problem
    return Completion(installed, tuple(problems.values()), tuple(problems))


def _uncapturable(member: Member) -> CaptureFailed:
    """Say why a table has none of our triggers."""
    if member.above_foreign:
        return CaptureFailed(
            f"{member.qualified} has a foreign table among its partitions or children, "
            "which writes to it with triggers of ours could not reach"
        )
    return CaptureFailed(f"{member.qualified} cannot have triggers of ours")


def _superseded(member: Member) -> CaptureFailed:
    """Say that an engine of a newer version has to see to a table's triggers."""
    return CaptureFailed(
        f"{member.qualified} cannot be watched: a newer version of pgrt_jupyter installed what this "
        "one cannot use",
        hint="update pgrt_jupyter here or, where the newer one is used no more, have it made anew: "
        "DROP SCHEMA _pgrt CASCADE",
    )


def _withdraw(connection: Connection, member: Member) -> None:
    """Take our triggers off a table to which a foreign table was attached: they fail writes now."""
    try:
        with exclusively(connection):
            function = sql.Identifier("_pgrt", f"capture_{member.oid}")
            connection.execute(sql.SQL("DROP FUNCTION IF EXISTS {}() CASCADE").format(function))
    except psycopg.Error as error:
        raise _failure(connection, member, error) from error


def install(connection: Connection, member: Member) -> None:
    """Put a table's triggers in place; raises CaptureFailed, with the GRANT to ask for.

    Waits for other transactions at most LOCK_TIMEOUT_MS; `is_busy` in the error says to try again.
    """
    try:
        with exclusively(connection):
            owner = _ready(connection, member)
            _create(connection, member)
            if owner is not None:
                # Everything in the schema is its owner's, who could change it anyway.
                function = sql.Identifier("_pgrt", f"capture_{member.oid}")
                give = sql.SQL("ALTER FUNCTION {}() OWNER TO {}")
                connection.execute(give.format(function, sql.Identifier(owner)))
    except psycopg.Error as error:
        raise _failure(connection, member, error) from error


@contextmanager
def exclusively(connection: Connection) -> Iterator[None]:
    """Run the block in a transaction of its own, one engine after the other, waiting for nobody long."""
    with pinned(connection):
        connection.execute(
            "SELECT pg_catalog.set_config('lock_timeout', %s, true)", (f"{LOCK_TIMEOUT_MS}ms",)
        )
        connection.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s)", (_INSTALLING,))
        yield


def _ready(connection: Connection, member: Member) -> str | None:
    """Have the schema there and whole; gives its owner where that is another role.

    Raises CaptureFailed where it belongs to a role that must not run code with our rights.
    """
    body = load("capture_image_body")
    cursor = connection.cursor(row_factory=namedtuple_row)
    found: Any = cursor.execute(load("capture_ready")).fetchone()
    if found.owner is not None and not found.trusted:
        raise CaptureFailed(
            f"{member.qualified} cannot be watched: the schema _pgrt belongs to {found.owner}",
            sqlstate="42501",
            hint=_grants(connection, member)
            or f"connect as {found.owner}, or have it made anew: DROP SCHEMA _pgrt CASCADE",
        )
    if found.altered:
        raise CaptureFailed(
            f"{member.qualified} cannot be watched: somebody altered _pgrt.changes",
            hint="have it made anew: DROP SCHEMA _pgrt CASCADE",
        )
    if not found.changes:
        connection.execute(load("capture_schema"))
    image = standing(found.image, body)
    if image is Standing.BEYOND:
        raise _superseded(member)
    if image is Standing.OLDER:
        text = sql.SQL(load("capture_image")).format(body=sql.Literal(body))
        connection.execute(text)
    return None if found.owner is None or found.mine else str(found.owner)


def _create(connection: Connection, member: Member) -> None:
    """Make the function and its triggers; fires nothing and reads no row."""
    function = sql.Identifier("_pgrt", f"capture_{member.oid}")
    table = sql.Identifier(member.schema, member.name)
    source = trigger.body(connection, member)
    if member.source != source:
        connection.execute(
            sql.SQL(load("capture_function")).format(function=function, body=sql.Literal(source))
        )
    connection.execute(sql.SQL(load("capture_triggers")).format(function=function, table=table))
    if member.subscribed:
        connection.execute(sql.SQL(load("capture_apply")).format(function=function, table=table))
    if member.owned:
        connection.execute(sql.SQL(load("capture_always")).format(table=table))


def _failure(connection: Connection, member: Member, error: psycopg.Error) -> CaptureFailed:
    """Say why triggers could not be installed and what helps."""
    if CaptureFailed(sqlstate=error.sqlstate).is_busy:
        return CaptureFailed(
            f"{member.qualified} is being written to{_holder(connection, member)}; its triggers will "
            "be installed when it is free",
            sqlstate=error.sqlstate,
        )
    hint = ""
    if error.sqlstate == "42501" and not connection.closed:
        hint = _grants(connection, member)
    message = str(error.diag.message_primary or error).strip()
    return CaptureFailed(
        f"{member.qualified} cannot be watched: {message}", sqlstate=error.sqlstate, hint=hint
    )


def _holder(connection: Connection, member: Member) -> str:
    """Say by whom a table is held, if that can be seen."""
    with suppress(psycopg.Error), pinned(connection):
        row: Any = connection.execute(load("capture_holder"), {"oid": member.oid}).fetchone()
        return f" by {row[0]}" if row is not None else ""
    return ""


def _grants(connection: Connection, member: Member) -> str:
    """Write the GRANT statements that the installing role lacks."""
    row = connection.execute(load("capture_privileges"), {"oid": member.oid}).fetchone()
    assert row is not None
    statements = [str(statement) for statement in row if statement]
    return "ask for: " + " ".join(statements) if statements else ""


def cautions(connection: Connection) -> tuple[str, ...]:
    """Say what in the server's settings makes our triggers felt by writers."""
    with pinned(connection):
        row: Any = connection.execute(load("capture_cautions")).fetchone()
    return tuple(text for text in row if text is not None)


def queue_holder(connection: Connection) -> str:
    """Say which session probably keeps the notification queue from being emptied, if that can be seen."""
    with pinned(connection):
        row: Any = connection.execute(load("capture_queue_holder")).fetchone()
    return str(row[0]) if row is not None else ""
