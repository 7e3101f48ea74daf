"""Draw a schema: every kind of table that is written to differently, views on views, policies.

A table is made from a *family*. The families are also what DDL steps make new tables of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from .catalog import SCHEMA, quote
from .values import MOODS, TYPES, string

NAMES = (
    "orders",
    "Mixed Case",
    'quo"ted',
    "select",
    "таблица",
    "per%cent %s {0}",
    "x; DROP TABLE control.clock --",
    "long_" + "n" * 58,
    "a_b",
    "items",
    "Log$1:name",
    "$tag$",
)
COLUMNS = (
    "status",
    "Amount",
    'quo"te',
    "when",
    "user",
    "größe",
    "a b",
    "_pgrt_o",
    "new",
    "c%s",
    ":tail",
    "_pgrt_changed",
)
FAMILIES = (
    "plain",
    "composite",
    "keyless",
    "uuid",
    "range",
    "list",
    "inherited",
    "secured",
    "linked",
)


def prelude(readers: Sequence[str]) -> Iterator[str]:
    """Make what every schema has: types, the clock whose value never goes back, privileges."""
    yield "CREATE SCHEMA first"  # stands before the others in the search path
    yield f"CREATE SCHEMA {SCHEMA}"
    yield f"CREATE TYPE {SCHEMA}.mood AS ENUM ({', '.join(map(string, MOODS))})"
    yield "CREATE SCHEMA control"
    yield "CREATE TABLE control.clock (at bigint NOT NULL)"
    yield "INSERT INTO control.clock VALUES (0)"
    for reader in readers:
        role = quote(reader)
        for schema in ("first", SCHEMA, "control"):
            yield f"GRANT USAGE ON SCHEMA {schema} TO {role}"
            yield f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {role}"
        yield f"GRANT SELECT ON control.clock TO {role}"


def draw(rng: Random, version: int, readers: Sequence[str]) -> Iterator[str]:
    """Give the statements that make a random schema."""
    yield from prelude(readers)
    names = rng.sample(NAMES, 4)
    made: list[str] = []
    for name in names:
        yield from table(rng, name, rng.choice(FAMILIES), made, version, readers)
        made.append(name)
    yield from functions(rng, made)


def table(
    rng: Random, name: str, family: str, others: Sequence[str], version: int, readers: Sequence[str]
) -> Iterator[str]:
    """Give the statements that make a table of a family."""
    t = f"{SCHEMA}.{quote(name)}"
    columns = _columns(rng, version)
    part = lambda suffix: f"{SCHEMA}.{quote(name[:50] + suffix)}"  # noqa: E731
    match family:
        case "composite":
            yield f"CREATE TABLE {t} (id int, part text DEFAULT 'a', {columns}, PRIMARY KEY (part, id))"
        case "keyless":
            yield f"CREATE TABLE {t} (id int, {columns})"
        case "uuid":
            yield f"CREATE TABLE {t} (id uuid PRIMARY KEY, n int, {columns})"
        case "range":
            yield f"CREATE TABLE {t} (id int PRIMARY KEY, {columns}) PARTITION BY RANGE (id)"
            yield f"CREATE TABLE {part(' 1')} PARTITION OF {t} FOR VALUES FROM (MINVALUE) TO (5)"
            yield (
                f"CREATE TABLE {part(' 2')} PARTITION OF {t} FOR VALUES FROM (5) TO (10)"
                " PARTITION BY HASH (id)"
            )
            for i in range(2):
                yield (
                    f"CREATE TABLE {part(f' 2 {i}')} PARTITION OF {part(' 2')}"
                    f" FOR VALUES WITH (MODULUS 2, REMAINDER {i})"
                )
            yield f"CREATE TABLE {part(' rest')} PARTITION OF {t} DEFAULT"
        case "list":
            yield f"CREATE TABLE {t} (id int, region text, {columns}) PARTITION BY LIST (region)"
            yield f"CREATE TABLE {part(' ab')} PARTITION OF {t} FOR VALUES IN ('a', 'b')"
            yield f"CREATE TABLE {part(' rest')} PARTITION OF {t} DEFAULT"
        case "inherited":
            yield f"CREATE TABLE {t} (id int PRIMARY KEY, {columns})"
            yield f"CREATE TABLE {part(' child')} (extra text) INHERITS ({t})"
            yield f"CREATE TABLE {part(' grandchild')} (id int PRIMARY KEY) INHERITS ({part(' child')})"
        case "secured":
            yield f"CREATE TABLE {t} (id int PRIMARY KEY, owner int DEFAULT 1, {columns})"
            yield f"ALTER TABLE {t} ENABLE ROW LEVEL SECURITY"
            for number, reader in enumerate(readers):
                yield policy(rng, t, f"p{number}", reader, others)
        case "linked" if others:
            parent = f"{SCHEMA}.{quote(rng.choice(others))}"
            action = rng.choice(["CASCADE", "SET NULL"])
            yield f"CREATE TABLE {t} (id int PRIMARY KEY, link int, {columns})"
            # Where the parent has no such key the table stands alone.
            yield (
                f"ALTER TABLE {t} ADD FOREIGN KEY (link) REFERENCES {parent} (id)"
                f" ON DELETE {action} ON UPDATE {action}"
            )
        case _:
            yield f"CREATE TABLE {t} (id int PRIMARY KEY, {columns})"


def policy(rng: Random, t: str, name: str, reader: str, others: Sequence[str]) -> str:
    """Give the statement that lets a role see some rows of a table."""
    tests = [
        "owner = 1",
        "id % 2 = 0",
        "true",
        "id < (SELECT count(*) + 4 FROM control.clock AS k WHERE k.at >= 0)",
        *(f"EXISTS (SELECT FROM {SCHEMA}.{quote(o)} AS o WHERE o.id::text = '3')" for o in others),
    ]
    return f"CREATE POLICY {name} ON {t} FOR SELECT TO {quote(reader)} USING ({rng.choice(tests)})"


def functions(rng: Random, tables: Sequence[str]) -> Iterator[str]:
    """Give the statements that make two functions anew: one shows what it reads, one hides it."""
    count = lambda: f"SELECT count(*) FROM {SCHEMA}.{quote(rng.choice(tables))}"  # noqa: E731
    head = f"CREATE OR REPLACE FUNCTION {SCHEMA}.{{}}() RETURNS bigint LANGUAGE sql STABLE "
    yield head.format("shown") + f"BEGIN ATOMIC {count()}; END"
    yield head.format("hidden") + f"AS {string(count())}"


def _columns(rng: Random, version: int) -> str:
    """Draw a few columns, one of them generated now and then."""
    names = rng.sample(COLUMNS, rng.randint(2, 4))
    # The first two are what queries compare and join most.
    kinds = [rng.choice(["text", "integer"]), *(rng.choice(TYPES) for _ in names)]
    columns = [f"{quote(name)} {kind}" for name, kind in zip(names, kinds, strict=False)]
    if rng.random() < 0.3:
        how = rng.choice(["STORED", "VIRTUAL"]) if version >= 180000 else "STORED"
        base = quote(names[0])
        columns.append(f"derived text GENERATED ALWAYS AS (coalesce({base}::text, '-')) {how}")
    return ", ".join(columns)
