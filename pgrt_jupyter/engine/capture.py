"""Install, check and remove the triggers that announce changes.

One generated function per table, named by oid, serves four statement-level triggers with transition
tables. It is made only where it is missing or different, one table per transaction, under an advisory
lock and a short lock time-out, so that no writer ever queues behind us for longer than that. A table in a
partition or inheritance tree is watched with its whole tree: a write names one member and fires only
that member's triggers. Runs on worker threads, under the installing role.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import namedtuple_row

from ..errors import CaptureFailed
from . import interest
from .sessions import Connection
from .sql import load

LOCK_TIMEOUT_MS = 300
_INSTALLING = interest.key(0, 0)  # serialises installation among engines
_LARGE = 32_000  # stored bytes beyond which a value counts as changed without a look
_TRIGGERS = ("_pgrt_delete", "_pgrt_insert", "_pgrt_truncate", "_pgrt_update")
_APPLY = "_pgrt_apply"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Describe one table of a family and what of ours stands on it."""

    oid: int
    family: int  # oid that stands for the whole tree
    schema: str
    name: str
    kind: str  # relkind
    columns: tuple[tuple[str, int], ...]  # name and typlen
    key: tuple[str, ...]  # the primary key's columns
    subscribed: bool  # fed by logical replication
    owned: bool  # by the installing role
    source: str | None  # the body of our function
    triggers: tuple[tuple[str, str], ...]  # name and tgenabled

    @property
    def qualified(self) -> str:
        """Give `schema.table`, unquoted."""
        return f"{self.schema}.{self.name}"

    @property
    def capturable(self) -> bool:
        """Say whether PostgreSQL allows our triggers here."""
        return self.kind in ("r", "p") and not (self.subscribed and not self.owned)


def families(connection: Connection, oids: Iterable[int]) -> dict[int, tuple[Member, ...]]:
    """List, for each relation, every table whose writes can change what it shows; takes no lock."""
    cursor = connection.cursor(row_factory=namedtuple_row)
    rows: list[Any] = cursor.execute(load("capture_family"), {"oids": sorted(oids)}).fetchall()
    grouped: dict[int, list[Any]] = {}
    for row in rows:
        grouped.setdefault(row.start, []).append(row)
    return {start: _members(found) for start, found in grouped.items()}


def _members(rows: Sequence[Any]) -> tuple[Member, ...]:
    """Turn the rows of one family into members; the lowest root stands for the family."""
    family = min((row.oid for row in rows if row.root), default=rows[0].oid)
    return tuple(
        Member(
            oid=row.oid,
            family=family,
            schema=row.schema,
            name=row.name,
            kind=row.kind,
            columns=tuple((name, size) for name, size in row.columns),
            key=tuple(row.key),
            subscribed=row.subscribed,
            owned=row.owned,
            source=row.source,
            triggers=tuple(sorted(row.triggers.items())),
        )
        for row in rows
    )


def is_complete(connection: Connection, member: Member) -> bool:
    """Say whether a table's triggers are all there, enabled, and do what this version does."""
    firing = ("A",) if member.owned else ("O", "A")
    wanted = dict.fromkeys(_TRIGGERS, firing) | ({_APPLY: ("A", "R")} if member.subscribed else {})
    found = dict(member.triggers)
    fires = all(found.get(name) in enabled for name, enabled in wanted.items())
    return fires and member.source == body(connection, member)


@dataclass(frozen=True, slots=True)
class Completion:
    """Say what completing a set of triggers came to."""

    installed: int  # tables whose triggers were put in place just now
    problems: tuple[CaptureFailed, ...]  # tables that could not be done


def complete(connection: Connection, members: Sequence[Member]) -> Completion:
    """Put in place whatever is missing, a table at a time in the order of oids."""
    installed = 0
    problems: list[CaptureFailed] = []
    for member in sorted(members, key=lambda member: member.oid):
        if not member.capturable:
            problems.append(CaptureFailed(f"{member.qualified} cannot have triggers of ours"))
        elif not is_complete(connection, member):
            try:
                install(connection, member)
                installed += 1
            except CaptureFailed as problem:
                problems.append(problem)
    return Completion(installed, tuple(problems))


def install(connection: Connection, member: Member) -> None:
    """Put a table's triggers in place; raises CaptureFailed, with the GRANT to ask for.

    Waits for other transactions at most LOCK_TIMEOUT_MS; `is_busy` in the error says to try again.
    """
    try:
        with connection.transaction():
            connection.execute(
                "SELECT pg_catalog.set_config('lock_timeout', %s, true)", (f"{LOCK_TIMEOUT_MS}ms",)
            )
            connection.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s)", (_INSTALLING,))
            if connection.execute(load("capture_ready")).fetchone() != (True,):
                connection.execute(load("capture_schema"))
            _create(connection, member)
    except psycopg.Error as error:
        raise _failure(connection, member, error) from error


def _create(connection: Connection, member: Member) -> None:
    """Make the function and its triggers; fires nothing and reads no row."""
    function = sql.Identifier("_pgrt", f"capture_{member.oid}")
    table = sql.Identifier(member.schema, member.name)
    source = body(connection, member)
    if member.source != source:
        connection.execute(
            sql.SQL(load("capture_function")).format(function=function, body=sql.Literal(source))
        )
    connection.execute(sql.SQL(load("capture_triggers")).format(function=function, table=table))
    if member.subscribed:
        connection.execute(sql.SQL(load("capture_apply")).format(function=function, table=table))
    if member.owned:
        connection.execute(sql.SQL(load("capture_always")).format(table=table))


def body(connection: Connection, member: Member) -> str:
    """Write the body of a table's trigger function."""
    same_key = sql.SQL(" AND ").join(
        sql.SQL("_pgrt_o.{0}::pg_catalog.text = _pgrt_n.{0}::pg_catalog.text").format(
            sql.Identifier(name)
        )
        for name in member.key
    )
    first = sql.Identifier(member.key[0]) if member.key else sql.SQL("")
    values: dict[str, sql.Composable] = {
        "oid": sql.Literal(member.oid),
        "relation_key": sql.Literal(interest.key(member.family, interest.RELATION)),
        "every_key": sql.Literal(interest.key(member.family, interest.EVERY_COLUMN)),
        "rows_key": sql.Literal(interest.key(member.family, interest.ROWS)),
        "changed_of_one": _changed(member, sql.SQL("{}")),
        "no_old": sql.SQL("_pgrt_o.{} IS NULL").format(first),
        "no_new": sql.SQL("_pgrt_n.{} IS NULL").format(first),
        "same_key": same_key,
    }
    values["unmatched"] = sql.SQL("{no_old} OR {no_new}").format(**values)
    values["changed"] = _changed(member, sql.SQL("pg_catalog.bool_or({})"))
    keyed = bool(member.key)
    many = load("capture_changed_of_many") if keyed else "      _pgrt_changed := NULL;"
    images = load("capture_images_of_many") if keyed else ""
    values["changed_of_many"] = sql.SQL(many).format(**values)
    values["images_of_many"] = sql.SQL(images).format(**values)
    return sql.SQL(load("capture_body")).format(**values).as_string(connection)


def _changed(member: Member, wrap: sql.SQL) -> sql.Composable:
    """Write an array of the tags of the columns whose value differs between _pgrt_o and _pgrt_n."""
    tests = [
        sql.SQL("CASE WHEN {} THEN {} END").format(
            wrap.format(_differs(name, size)), sql.Literal(interest.tag(name))
        )
        for name, size in member.columns
    ]
    array = sql.SQL(", ").join(tests)
    return sql.SQL("pg_catalog.array_remove(ARRAY[{}]::pg_catalog.int8[], NULL)").format(array)


def _differs(name: str, size: int) -> sql.Composable:
    """Compare a column's images byte for byte; a large value counts as changed."""
    column = sql.Identifier(name)
    test = sql.SQL("pg_catalog.record_image_ne(ROW(_pgrt_o.{0}), ROW(_pgrt_n.{0}))").format(column)
    if size >= 0:
        return test
    return sql.SQL(
        "CASE WHEN pg_catalog.pg_column_size(_pgrt_o.{0}) > {1}"
        " OR pg_catalog.pg_column_size(_pgrt_n.{0}) > {1} THEN true ELSE {2} END"
    ).format(column, sql.Literal(_LARGE), test)


def _failure(connection: Connection, member: Member, error: psycopg.Error) -> CaptureFailed:
    """Say why triggers could not be installed and what helps."""
    busy = CaptureFailed(
        f"{member.qualified} is being written to; its triggers will be installed when it is free",
        sqlstate=error.sqlstate,
    )
    if busy.is_busy:
        return busy
    hint = ""
    if error.sqlstate == "42501" and not connection.closed:
        hint = _grants(connection, member)
    message = str(error.diag.message_primary or error).strip()
    return CaptureFailed(
        f"{member.qualified} cannot be watched: {message}", sqlstate=error.sqlstate, hint=hint
    )


def _grants(connection: Connection, member: Member) -> str:
    """Write the GRANT statements that the installing role lacks."""
    row = connection.execute(load("capture_privileges"), {"oid": member.oid}).fetchone()
    assert row is not None
    statements = [str(statement) for statement in row if statement]
    return "ask for: " + " ".join(statements) if statements else ""


def uninstall(connection: Connection) -> list[str]:
    """Drop everything of ours in this database, a table per transaction; say what was dropped."""
    dropped: list[str] = []
    functions: list[Any] = connection.execute(load("capture_installed")).fetchall()
    for name, triggers in functions:
        with connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '5s'")
            connection.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s)", (_INSTALLING,))
            drop = sql.SQL("DROP FUNCTION IF EXISTS {}() CASCADE")
            connection.execute(drop.format(sql.Identifier("_pgrt", str(name))))
        dropped += [f"trigger {trigger}" for trigger in triggers]
        dropped.append(f"function _pgrt.{name}()")
    with connection.transaction():
        connection.execute("SET LOCAL lock_timeout = '5s'")
        connection.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s)", (_INSTALLING,))
        exists = connection.execute(
            "SELECT FROM pg_catalog.pg_namespace WHERE nspname = '_pgrt'"
        ).fetchone()
        if exists is not None:
            connection.execute("DROP SCHEMA _pgrt CASCADE")
            dropped.append("schema _pgrt")
    return dropped
