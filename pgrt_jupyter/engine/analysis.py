"""Find out which tables and columns a query depends on, by asking PostgreSQL.

The query becomes the body of a temporary SQL-standard function inside a transaction that is rolled
back; the server's own records of what that depends on lead to the tables (`dependencies`). Nothing is
executed and nothing is left behind. The bare text passes the server's parser first, alone, in the protocol
that takes one statement only, so nothing can break out of the function. Runs on a worker thread, under the
query's role.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.pq import ExecStatus
from psycopg.types.json import Json, Jsonb

from ..errors import QueryRefused
from . import frames
from .connection import Connection
from .dependencies import follow
from .model import Dependencies
from .pinning import pinned
from .sql import load
from .statement import Statement

_UNDETERMINED = ("42P18", "42725", "42P08")  # the server cannot tell a parameter's type by itself


@dataclass(frozen=True, slots=True)
class Analysed:
    """Pair what a query depends on with its text as it will be run."""

    dependencies: Dependencies
    select: str  # the query with its parameters as typed literals
    fingerprint: Mapping[int, str]  # by oid: changes when a definition does
    complete: bool = True  # whether the server could say what the query reads
    schemas: tuple[str, ...] = ()  # in which names were looked up


def analyse(
    connection: Connection, statement: Statement, *, search_path: Sequence[str] | None = None
) -> Analysed:
    """Analyse a query; raises QueryRefused, or the driver's error when the server refuses it."""
    with connection.transaction(force_rollback=True):
        connection.execute("SET TRANSACTION READ WRITE")
        if search_path is not None:
            names = map(sql.Identifier, search_path)
            path = sql.SQL(", ").join(names) if search_path else sql.Literal("")
            connection.execute(sql.SQL("SET LOCAL search_path = {}").format(path))
        described = _describe(connection, statement)
        function = create_function(connection, statement, described.parameter_oids)
        schemas = _schemas(connection)
        connection.execute(b"SET LOCAL search_path = pg_catalog, pg_temp")  # see pinning
        dependencies = follow(connection, function, described, schemas)
        literals = _literals(connection, statement, described.parameter_oids)
        definitions = fingerprint_here(connection, dependencies.fingerprint_oids)
    return Analysed(dependencies, statement.bound(literals), definitions, schemas=_lasting(schemas))


def with_values(
    connection: Connection, statement: Statement, *, known: Analysed
) -> Analysed | None:
    """Take what is known of a text for other values of the same types; None where definitions changed."""
    with connection.transaction():
        if _lasting(_schemas(connection)) != known.schemas:
            return None
        connection.execute(b"SET LOCAL search_path = pg_catalog, pg_temp")  # see pinning
        if fingerprint_here(connection, known.fingerprint) != known.fingerprint:
            return None
        literals = _literals(connection, statement, known.dependencies.parameter_types)
    return replace(known, select=statement.bound(literals))


def describe_only(connection: Connection, statement: Statement, obstacle: str) -> Analysed:
    """Find out what can be known where nothing can be created; the query then has to poll."""
    with connection.transaction(force_rollback=True):
        described = _describe(connection, statement)
        connection.execute(b"SET LOCAL search_path = pg_catalog, pg_temp")  # see pinning
        literals = _literals(connection, statement, described.parameter_oids)
    dependencies = Dependencies(
        columns=described.columns,
        parameter_types=described.parameter_oids,
        relations=(),
        unwatchable=(obstacle,),
        fingerprint_oids=(),
        named=(),
        key=(),
    )
    return Analysed(dependencies, statement.bound(literals), {}, complete=False)


def fingerprint(connection: Connection, oids: Iterable[int]) -> dict[int, str]:
    """Read what tells one definition from another; what was dropped gives ''.

    A relation goes by its oid, a function by its oid negated.
    """
    with pinned(connection):
        return fingerprint_here(connection, oids)


def fingerprint_here(connection: Connection, oids: Iterable[int]) -> dict[int, str]:
    """Read it in the transaction that is open."""
    wanted = sorted(oids)
    given = {
        "oids": [oid for oid in wanted if oid > 0],
        "functions": [-oid for oid in wanted if oid < 0],
    }
    rows: list[Any] = connection.execute(load("audit_fingerprint"), given).fetchall()
    return {**dict.fromkeys(wanted, ""), **dict(rows)}


def search_path(connection: Connection) -> list[str]:
    """List the schemas in which this session looks for unqualified names."""
    return _schemas(connection, "false")


def _schemas(connection: Connection, implicit: LiteralString = "true") -> list[str]:
    """List the search path as it is, with the schemas it implies or without."""
    query = sql.SQL("SELECT pg_catalog.current_schemas({})::pg_catalog.text[]")
    row: Any = connection.execute(query.format(sql.SQL(implicit))).fetchone()
    return list(row[0])


def _lasting(schemas: Iterable[str]) -> tuple[str, ...]:
    """Leave out the schema of temporary objects, which is another in each session that has one."""
    return tuple(schema for schema in schemas if not schema.startswith("pg_temp_"))


def missing_grants(connection: Connection, oids: Sequence[int]) -> list[str]:
    """Write the GRANT statements that this role lacks for reading relations."""
    with pinned(connection):
        rows = connection.execute(load("analyse_privileges"), {"oids": list(oids)}).fetchall()
    return [str(statement) for (statement,) in rows]


def _describe(connection: Connection, statement: Statement) -> frames.Described:
    """Have the server parse the bare text; help it with parameter types only when it asks."""
    try:
        with connection.transaction():
            return frames.describe(connection, statement.text)
    except psycopg.Error as error:
        if error.sqlstate == "42601" and _has_several(error):
            raise QueryRefused(
                "The text holds more than one statement; nothing was executed.",
                hint="a live query is one SELECT (or WITH, VALUES, TABLE).",
            ) from error
        if error.sqlstate not in _UNDETERMINED or not statement.values:
            raise
    return frames.describe(connection, statement.text, _guess(connection, statement.values))


def _has_several(error: psycopg.Error) -> bool:
    """Tell several statements from a syntax error: only the latter has a position."""
    return error.diag.statement_position is None


def _guess(connection: Connection, values: Sequence[Any]) -> list[int]:
    """Give the type oids that the driver would send for these values."""
    transformer = psycopg.adapt.Transformer(connection)
    oids = []
    for value in values:
        dumper = (
            transformer.get_dumper(value, psycopg.adapt.PyFormat.TEXT)
            if value is not None
            else None
        )
        oid = dumper.oid if dumper is not None else 0
        oids.append({0: 25, 21: 20, 23: 20}.get(oid, oid))
    return oids


def create_function(
    connection: Connection, statement: Statement, parameter_oids: Sequence[int]
) -> int:
    """Make the temporary function that holds a query; raises QueryRefused for what is not one."""
    types = _type_names(connection, parameter_oids)
    # The query has passed the parser alone; the names of types are the server's own text.
    create = sql.SQL(
        "CREATE FUNCTION pg_temp._pgrt_query({arguments}) RETURNS void LANGUAGE sql"
        " BEGIN ATOMIC\n{query}\n; END"
    ).format(
        arguments=sql.SQL(", ").join(sql.SQL(name) for name in types),
        query=sql.SQL(statement.text),
    )
    # The extended protocol takes a single statement, whatever the text holds.
    result = connection.pgconn.exec_params(create.as_bytes(connection), None)
    if result.status != ExecStatus.COMMAND_OK:
        error = psycopg.errors.error_from_result(result)
        if error.sqlstate in ("0A000", "42601", "42P13"):
            raise QueryRefused(
                f"Not a query that can be kept live: {error.diag.message_primary}",
                sqlstate=error.sqlstate,
                hint="a live query is one read-only SELECT (or WITH, VALUES, TABLE).",
            )
        raise error
    row = connection.execute(
        "SELECT p.oid FROM pg_catalog.pg_proc AS p"
        " WHERE p.proname OPERATOR(pg_catalog.=) '_pgrt_query'::pg_catalog.name"
        " AND p.pronamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()"
    ).fetchone()
    assert row is not None
    return int(str(row[0]))


def _type_names(connection: Connection, oids: Sequence[int]) -> list[LiteralString]:
    """Have the server write the names of types."""
    rows: list[Any] = connection.execute(
        # -1, not NULL: `character` is of length 1, and `bpchar` of any.
        "SELECT pg_catalog.format_type(t, -1)"
        " FROM pg_catalog.unnest(%s::pg_catalog.oid[]) WITH ORDINALITY AS u(t, n) ORDER BY n",
        (list(oids),),
    ).fetchall()
    return [name for (name,) in rows]


def _literals(
    connection: Connection, statement: Statement, parameter_oids: Sequence[int]
) -> list[str]:
    """Write each parameter as a literal of the type the server found for it."""
    if not statement.values:
        return []
    types = _type_names(connection, parameter_oids)
    literals = []
    for value, oid, name in zip(statement.values, parameter_oids, types, strict=True):
        literal = sql.Literal(_adapted(value, oid)).as_string(connection)
        literals.append(f"(({literal})::{name})")
    return literals


def _adapted(value: Any, oid: int) -> Any:
    """Wrap what the driver needs to be told: dicts, and lists meant as JSON, are JSON."""
    if oid in (114, 3802) and isinstance(value, (dict, list)):
        return Jsonb(value) if oid == 3802 else Json(value)
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    return value
