"""Draw queries that can be brought up to date by what changed of them, and some that nearly can.

The borders are what matters: rows that lose or gain a partner, groups that appear and vanish, keys that are
NULL or change, a table joined with itself, the last row within a LIMIT.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .catalog import Column, Relation, quote

if TYPE_CHECKING:
    from .queries import Query, _Draft


def _keyed(draft: _Draft) -> Relation | None:
    """Draw a table with a primary key that nothing but its text hides."""
    found = [r for r in draft.catalog.tables if r.key and not r.secured]
    return draft.rng.choice(found) if found else None


def _key(relation: Relation, alias: str) -> list[str]:
    return [f"{alias}.{quote(name)}" for name in relation.key]


def _sortable(draft: _Draft, relation: Relation) -> list[Column]:
    return [c for c in draft.comparable(relation) if not c.is_enum]


def _pair(draft: _Draft) -> tuple[Relation, Relation, str] | None:
    """Draw two tables, or one twice, and how they are joined."""
    one = _keyed(draft)
    other = one if draft.rng.random() < 0.3 else _keyed(draft)
    if one is None or other is None:
        return None
    if one is other:
        draft.features.add("self join")
    link = draft.link(one, other)
    return None if link is None else (one, other, link)


def _by_key(draft: _Draft) -> str | None:
    """Draw rows, with or without their key, sorted by something and then by it, or not at all."""
    r = _keyed(draft)
    if r is None:
        return None
    shown = draft.rng.choice(["a.*", ", ".join(f"a.{c.quoted}" for c in draft.some(r.columns))])
    where = draft.rng.choice(["", f" WHERE {draft.tests(r, 'a')}"])
    text = f"SELECT {shown} FROM {draft.name(r)} AS a{where}"
    columns = _sortable(draft, r)
    if not columns or draft.rng.random() < 0.3:
        return text
    draft.ordered = True
    draft.features.add("order by")
    by = [f"a.{draft.rng.choice(columns).quoted} {_way(draft)}", *_key(r, "a")]
    limit = draft.rng.choice(["", "", f" LIMIT {draft.rng.randint(1, 6)}"])
    return f"{text} ORDER BY {', '.join(by)}{limit}"


def _way(draft: _Draft) -> str:
    return draft.rng.choice(["", "DESC", "NULLS FIRST", "DESC NULLS LAST"])


def _joined(draft: _Draft) -> str | None:
    """Draw an inner or outer join whose condition does not look at who may be missing, or does."""
    pair = _pair(draft)
    if pair is None:
        return None
    one, other, link = pair
    kind = draft.rng.choice(["JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN"])
    draft.features.add(kind.lower())
    kept = ("b", other) if kind == "RIGHT JOIN" else ("a", one)
    where = draft.rng.choice(["", f" WHERE {draft.tests(kept[1], kept[0])}"])
    if draft.rng.random() < 0.15:
        where = f" WHERE {draft.test(other, 'b')} OR b.* IS NULL"
    on = draft.rng.choice([link, f"{link} AND {draft.test(other, 'b')}"])
    shown = ", ".join(
        [f"a.{c.quoted}" for c in draft.some(one.columns, 3)]
        + [f"b.{c.quoted}" for c in draft.some(other.columns, 2)]
    )
    return (
        f"SELECT {shown} FROM {draft.name(one)} AS a {kind} {draft.name(other)} AS b ON {on}{where}"
    )


def _chained(draft: _Draft) -> str | None:
    """Draw three tables, outer joins inside and outside of each other."""
    pair, third = _pair(draft), _keyed(draft)
    if pair is None or third is None:
        return None
    one, other, link = pair
    more = draft.link(other, third)
    if more is None:
        return None
    more = more.replace("a.", "b.", 1).replace("= b.", "= c.", 1)
    a, b, c = (f"{draft.name(r)} AS {n}" for r, n in ((one, "a"), (other, "b"), (third, "c")))
    draft.features.add("three tables")
    source = draft.rng.choice(
        [
            f"{a} LEFT JOIN ({b} JOIN {c} ON {more}) ON {link}",
            f"{a} LEFT JOIN {b} ON {link} LEFT JOIN {c} ON {more}",
            f"{a} JOIN {b} ON {link} LEFT JOIN {c} ON {more}",
            f"{a} JOIN {b} ON {link} JOIN {c} ON {more}",
            f"{a} LEFT JOIN ({b} LEFT JOIN {c} ON {more}) ON {link}",
        ]
    )
    return f"SELECT a.*, b.{other.columns[0].quoted}, c.{third.columns[0].quoted} FROM {source}"


def _grouped(draft: _Draft) -> str | None:
    """Draw groups of one table, by columns or an expression."""
    r = _keyed(draft)
    if r is None or not (columns := draft.some(draft.comparable(r), 2)):
        return None
    keys = [f"a.{c.quoted}" for c in columns]
    if columns[0].type == "text" and draft.rng.random() < 0.4:
        keys = [f"left({keys[0]}, 1)"]
    having = draft.rng.choice(["", "", " HAVING count(*) > 1"])
    where = draft.rng.choice(["", f" WHERE {draft.tests(r, 'a')}"])
    shown = draft.rng.choice([[*keys, "count(*) AS n"], ["count(*) AS n", "max(a::text) AS m"]])
    by = ", ".join(keys)
    return f"SELECT {', '.join(shown)} FROM {draft.name(r)} AS a{where} GROUP BY {by}{having}"


def _grouped_join(draft: _Draft) -> str | None:
    """Draw groups of a join, by columns of either side."""
    pair = _pair(draft)
    if pair is None:
        return None
    one, other, link = pair
    alias, side = draft.rng.choice([("a", one), ("b", other)])
    columns = draft.some(draft.comparable(side), 2)
    if not columns:
        return None
    keys = ", ".join(f"{alias}.{c.quoted}" for c in columns)
    return (
        f"SELECT {keys}, count(*) AS n, min(b::text) AS m FROM {draft.name(one)} AS a"
        f" JOIN {draft.name(other)} AS b ON {link} GROUP BY {keys}"
    )


def _member_of(draft: _Draft) -> str | None:
    """Draw rows that a sub-query over another table, or the same, chooses."""
    pair = _pair(draft)
    if pair is None:
        return None
    one, other, link = pair
    return (
        f"SELECT a.*, (SELECT count(*) FROM {draft.name(other)}) AS others FROM {draft.name(one)} AS a"
        f" WHERE EXISTS (SELECT FROM {draft.name(other)} AS b WHERE {link})"
    )


SHAPES: tuple[Callable[[_Draft], str | Query | None], ...] = (
    _by_key,
    _by_key,
    _by_key,
    _by_key,
    _joined,
    _joined,
    _joined,
    _chained,
    _chained,
    _grouped,
    _grouped,
    _grouped_join,
    _grouped_join,
    _member_of,
)
