"""Write the body of the function that a table's triggers call.

It is static SQL, made for the table's columns, so that the server caches its plans. What it does is told in
`sql/capture_body.sql` and its parts; here they are put together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import LiteralString

from psycopg import sql

from . import interest
from .connection import Connection
from .edition import digest
from .families import Member
from .sql import load

_LARGE = 32_000  # stored bytes beyond which a value counts as changed without a look
_WIDE = 800  # columns beyond which rows are not matched: a plan may hold 1,664 of both images


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
