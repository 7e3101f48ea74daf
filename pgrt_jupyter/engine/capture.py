"""Install, check and remove the triggers that announce changes.

One generated function per table, named by oid, serves four statement-level triggers with transition
tables. It is made only where it is missing or different, one table per transaction, under an advisory
lock and a short lock time-out, so that no writer ever queues behind us for longer than that. A table in a
partition or inheritance tree is watched with its whole tree: a write names one member and fires only
that member's triggers. Runs on worker threads, under the installing role.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import namedtuple_row

from ..errors import CaptureFailed
from . import interest
from .backoff import Backoff
from .connection import Connection
from .edition import Standing, digest, standing
from .pinning import pinned
from .progress import Progress
from .sql import load

LOCK_TIMEOUT_MS = 300
_INSTALLING = interest.key(0, 0)  # serialises installation among engines
_LARGE = 32_000  # stored bytes beyond which a value counts as changed without a look
_WIDE = 800  # columns beyond which rows are not matched: a plan may hold 1,664 of both images
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
    opaque: frozenset[str]  # columns whose type is not PostgreSQL's own
    key: tuple[str, ...]  # the primary key's columns
    plain_key: bool  # whose text is the same whatever a writer's settings are
    subscribed: bool  # fed by logical replication
    above_foreign: bool  # a foreign table is among its partitions or children
    owned: bool  # by the installing role
    source: str | None  # the body of our function
    image: str | None  # the body of the function it calls
    triggers: tuple[tuple[str, str], ...]  # name and tgenabled
    stamp: str  # differs once that was put in place anew, or the table rewritten, by whomever

    @property
    def qualified(self) -> str:
        """Give `schema.table`, unquoted."""
        return f"{self.schema}.{self.name}"

    @property
    def capturable(self) -> bool:
        """Say whether PostgreSQL allows our triggers here."""
        if self.above_foreign:
            return False  # with transition tables, a write that reaches the foreign table fails
        return self.kind in ("r", "p") and not (self.subscribed and not self.owned)


def families(connection: Connection, oids: Iterable[int]) -> dict[int, tuple[Member, ...]]:
    """List, for each relation, every table whose writes can change what it shows; takes no lock."""
    cursor = connection.cursor(row_factory=namedtuple_row)
    with pinned(connection):
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
            opaque=frozenset(row.opaque),
            key=tuple(row.key),
            plain_key=row.plain_key,
            subscribed=row.subscribed,
            above_foreign=row.above_foreign,
            owned=row.owned,
            source=row.source,
            image=row.image,
            triggers=tuple(sorted(row.triggers.items())),
            stamp=row.stamp,
        )
        for row in rows
    )


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
    return standing(member.source, body(connection, member))


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
        with _exclusively(connection):
            function = sql.Identifier("_pgrt", f"capture_{member.oid}")
            connection.execute(sql.SQL("DROP FUNCTION IF EXISTS {}() CASCADE").format(function))
    except psycopg.Error as error:
        raise _failure(connection, member, error) from error


def install(connection: Connection, member: Member) -> None:
    """Put a table's triggers in place; raises CaptureFailed, with the GRANT to ask for.

    Waits for other transactions at most LOCK_TIMEOUT_MS; `is_busy` in the error says to try again.
    """
    try:
        with _exclusively(connection):
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
def _exclusively(connection: Connection) -> Iterator[None]:
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
    # Byte for byte: neither a cast nor an operator that a type's owner made is called with our rights.
    same_key = sql.SQL("ROW({})::pg_catalog.record *= ROW({})::pg_catalog.record").format(
        _listed("_pgrt_o", member.key), _listed("_pgrt_n", member.key)
    )
    first = sql.Identifier(member.key[0]) if member.key else sql.SQL("")
    facts = (member.family, member.columns, sorted(member.opaque), member.key, member.plain_key)
    values: dict[str, sql.Composable] = {
        "oid": sql.Literal(member.oid),
        "table": sql.Literal(digest(*facts)),
        **_wanted(member.family),
        "changed_of_one": _changed(member, sql.SQL("{}")),
        "no_old": sql.SQL("pg_catalog.num_nulls(_pgrt_o.{}) > 0").format(first),
        "no_new": sql.SQL("pg_catalog.num_nulls(_pgrt_n.{}) > 0").format(first),
        "same_key": same_key,
        "image_old": _image(member, "_pgrt_o"),
        "image_new": _image(member, "_pgrt_n"),
    }
    values["unmatched"] = sql.SQL("{no_old} OR {no_new}").format(**values)
    values["changed"] = _changed(member, sql.SQL("pg_catalog.bool_or({})"))
    keyed = bool(member.key)
    matched = keyed and len(member.columns) <= _WIDE
    many = load("capture_changed_of_many") if matched else "      _pgrt_changed := NULL;"
    images = load("capture_images_of_many") if keyed else ""
    keys = load("capture_keys") if member.plain_key else ""
    values["changed_of_many"] = sql.SQL(many).format(**values)
    values["images_of_many"] = sql.SQL(images).format(**values)
    values["keys"] = sql.SQL(keys).format(
        oid=values["oid"], old=_key(member, "_pgrt_o"), new=_key(member, "_pgrt_n")
    )
    return sql.SQL(load("capture_body")).format(**values).as_string(connection)


def _wanted(family: int) -> dict[str, sql.Composable]:
    """Write the tests whether somebody waits for something of a family."""
    wanted, tagged = sql.SQL(load("capture_wanted").rstrip()), sql.SQL("{} + _pgrt_tag")
    keys: dict[str, sql.Composable] = {}
    for suffix, half in (("_wanted", 0), ("_rows_wanted", interest.IMAGES)):
        first = sql.Literal(interest.key(family, half))
        keys["relation" + suffix] = first
        keys["column" + suffix] = tagged.format(first)
        keys["every" + suffix] = sql.Literal(interest.key(family, half + interest.EVERY_COLUMN))
    for name, what in (("whole_wanted", interest.WHOLE), ("keys_wanted", interest.KEYS)):
        keys[name] = sql.Literal(interest.key(family, interest.IMAGES + what))
    return {name: wanted.format(key=key) for name, key in keys.items()}


def _listed(alias: LiteralString, names: Iterable[str]) -> sql.Composable:
    """Write columns of one side of a comparison."""
    column = sql.SQL("{}.{}")
    return sql.SQL(", ").join(column.format(sql.SQL(alias), sql.Identifier(n)) for n in names)


def _key(member: Member, alias: LiteralString) -> sql.Composable:
    """Write the primary key of a row as an object."""
    pairs = [
        sql.SQL("{}, {}.{}").format(sql.Literal(name), sql.SQL(alias), sql.Identifier(name))
        for name in member.key
    ]
    return sql.SQL("pg_catalog.jsonb_build_object({})").format(sql.SQL(", ").join(pairs))


def _image(member: Member, alias: LiteralString) -> sql.Composable:
    """Write the image of a row, with the values of others' types as their text."""
    if not member.opaque:
        return sql.SQL("_pgrt.image({}.*)").format(sql.SQL(alias))
    shown = sql.SQL(
        "CASE WHEN pg_catalog.num_nulls({0}.{1}) = 0 THEN pg_catalog.format('%s', {0}.{1}) END AS {1}"
    )
    columns = sql.SQL(", ").join(
        (shown if name in member.opaque else sql.SQL("{0}.{1}")).format(
            sql.SQL(alias), sql.Identifier(name)
        )
        for name, _ in member.columns
    )
    return sql.SQL(
        "_pgrt.image((SELECT _pgrt_shown.*::pg_catalog.record FROM (SELECT {}) AS _pgrt_shown))"
    ).format(columns)


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


def uninstall(connection: Connection, *, patience: float = 10.0) -> list[str]:
    """Drop everything of ours in this database, a table per transaction; say what was dropped.

    DROP needs a table to itself: it waits LOCK_TIMEOUT_MS at a time and lets others go on in
    between, for `patience` seconds in all. Raises CaptureFailed, saying what is left.
    """
    dropped: list[str] = []
    deadline = time.monotonic() + patience
    pauses = Backoff(0.05, 1.0)
    while True:
        left = [name for (name,) in _functions(connection) if not _drop(connection, name, dropped)]
        if not left and _drop_schema(connection, dropped):
            return dropped
        if time.monotonic() >= deadline:
            using = ", ".join(left) or "the schema"
            raise CaptureFailed(
                f"Others are using what is to be dropped: _pgrt still holds {using}",
                sqlstate="55P03",
                hint="nothing else of ours is left; try again when long transactions have ended.",
            )
        time.sleep(pauses.next())


def _functions(connection: Connection) -> list[Any]:
    with pinned(connection):
        return connection.execute(load("capture_installed")).fetchall()


def _drop(connection: Connection, name: str, dropped: list[str]) -> bool:
    """Drop one function with its triggers; False: its table is in use."""
    try:
        with _exclusively(connection):
            found: Any = connection.execute(load("capture_uses"), {"name": name}).fetchone()
            if found is not None:  # else another process was quicker
                drop = sql.SQL("DROP FUNCTION {}() CASCADE")
                connection.execute(drop.format(sql.Identifier("_pgrt", name)))
    except psycopg.Error as error:
        return _not_if_busy(error)
    if found is not None:
        dropped += [f"trigger {trigger}" for trigger in found[0]]
        dropped.append(f"function _pgrt.{name}()")
    return True


def _drop_schema(connection: Connection, dropped: list[str]) -> bool:
    """Drop the schema; False: something in it is in use."""
    try:
        with _exclusively(connection):
            exists = "SELECT FROM pg_catalog.pg_namespace WHERE nspname = '_pgrt'"
            found = connection.execute(exists).fetchone()
            if found is not None:
                connection.execute("DROP SCHEMA _pgrt CASCADE")
    except psycopg.Error as error:
        return _not_if_busy(error)
    dropped += ["schema _pgrt"] if found is not None else []
    return True


def _not_if_busy(error: psycopg.Error) -> bool:
    """Give False where trying again helps; raise anything else."""
    if not CaptureFailed(sqlstate=error.sqlstate).is_busy:
        raise error
    return False


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
