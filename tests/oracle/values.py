"""Draw values of each column type, as SQL literals, from domains small enough to meet each other."""

from __future__ import annotations

from random import Random

from .catalog import Column

TYPES = (
    "integer",
    "bigint",
    "numeric(10,2)",
    "numeric",
    "text",
    "timestamp with time zone",
    "date",
    "jsonb",
    "uuid",
    "integer[]",
    "text[]",
    "bytea",
    "boolean",
    "app.mood",
)
# Types whose equal values look the same, so that DISTINCT, GROUP BY and min() have one answer.
COMPARABLE = frozenset(TYPES) - {"numeric", "jsonb"}
SUMMABLE = ("integer", "bigint", "numeric(10,2)", "numeric")
MOODS = ("calm", "Über mood", "it's")

_TEXTS = (
    "a",
    "b",
    "",
    "It's",
    'say "x", y',
    "back\\slash",
    "two\nlines",
    "été",
    "漢字",
    "100% :name $1",
    "NULL",
    "\\N",
    "\\.",
    "x" * 6_000,
    "y" * 40_000,
)
_LARGE = 2  # of the texts at the end; drawn rarely


def literal(rng: Random, column: Column, *, null: bool = True) -> str:
    """Write a value of a column's type."""
    if null and rng.random() < 0.12:
        return "NULL"
    return of_type(rng, "mood" if column.is_enum else column.type)


def of_type(rng: Random, kind: str) -> str:
    """Write a value of a type that is not NULL."""
    match kind:
        case "integer" | "smallint":
            return str(rng.randint(1, 12))
        case "bigint":
            return str(rng.choice([rng.randint(1, 12), 2**53 + rng.randint(1, 3), -1]))
        case "numeric(10,2)" | "numeric":
            return rng.choice(
                ["0", "1", "1.5", "2.25", "99999.99", "-3.10", str(rng.randint(1, 9))]
            )
        case "numeric(12,2)":
            return rng.choice(["1", "1.5"])
        case "timestamp with time zone":
            month, tenth, zone = rng.randint(1, 3), rng.randint(0, 2), rng.randint(0, 2)
            return f"timestamptz '2024-0{month}-01 12:00:00.{tenth}+0{zone}'"
        case "date":
            return f"date '2024-02-{rng.randint(27, 29)}'"
        case "jsonb":
            return (
                rng.choice(["'{}'", "'null'", "'[1, 1.0]'", """'{"a": "1", "ü": [null]}'"""])
                + "::jsonb"
            )
        case "uuid":
            return f"'00000000-0000-4000-8000-00000000000{rng.randint(1, 9)}'::uuid"
        case "integer[]":
            return rng.choice(["'{}'", "'{1,NULL,3}'", "'{{1,2},{3,4}}'", "'{7}'"]) + "::int[]"
        case "text[]":
            return rng.choice(["'{}'", '\'{NULL,"NULL","a,b"}\'', "'{é}'"]) + "::text[]"
        case "bytea":
            return rng.choice(["''", "'\\x00ff'", "'\\xdeadbeef'"]) + "::bytea"
        case "boolean":
            return rng.choice(["true", "false"])
        case "mood" | "app.mood":
            return f"{string(rng.choice(MOODS))}::app.mood"
    return string(text(rng))


def text(rng: Random) -> str:
    """Give a text, now and then one too large for a notification or a comparison."""
    last = len(_TEXTS) if rng.random() < 0.05 else len(_TEXTS) - _LARGE
    return _TEXTS[rng.randrange(4 if rng.random() < 0.6 else last)]


def string(value: str) -> str:
    """Write a text as a literal."""
    return "'" + value.replace("'", "''") + "'"


def numbered(column: Column, number: str) -> str:
    """Write an expression that gives another value for each number, for statements of many rows."""
    match column.type:
        case "integer" | "bigint":
            return f"{number} + 1000"
        case "text":
            return f"'bulk ' || {number}"
        case "uuid":
            return f"('00000000-0000-4000-9000-' || lpad({number}::text, 12, '0'))::uuid"
    return "NULL"
