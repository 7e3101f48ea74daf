"""A query's text says whether part of its result can be read alone, and how."""

from __future__ import annotations

import pytest

from pgrt_jupyter.engine import rewriting, shapes
from pgrt_jupyter.engine.model import Column
from pgrt_jupyter.engine.shapes import KeyColumn, Refused, Shape, Table

COLUMNS = {
    "o": {"id", "cid", "status", "amount"},
    "c": {"id", "region", "gid"},
    "g": {"id", "name"},
}


def table(schema: str, name: str) -> Table | None:
    """Know three tables with a primary key, and one without."""
    if name == "keyless":
        return Table(relation=9, key=(), columns=frozenset({"x"}))
    if name not in COLUMNS:
        return None
    key = KeyColumn(name="id", attnum=1, type="bigint")
    return Table(relation=[*COLUMNS].index(name), key=(key,), columns=frozenset(COLUMNS[name]))


def shape(text: str, *names: str) -> Shape:
    """Understand a query that gives columns of these names."""
    return shapes.understand(text, [Column(name=n, type_oid=20) for n in names or ("id",)], table)


UNDERSTOOD = [
    "SELECT id FROM o WHERE status = 'x' AND (amount > 1 OR amount IS NULL)",
    "SELECT o.id FROM o JOIN c ON c.id = o.cid, g WHERE g.id = c.gid",
    "SELECT o.id FROM o LEFT JOIN c ON c.id = o.cid WHERE o.status = 'x'",
    "SELECT o.id FROM c RIGHT JOIN o USING (id) WHERE o.status = 'x'",
    "SELECT o.id FROM o LEFT JOIN (c JOIN g ON g.id = c.gid) ON c.id = o.cid",
    "SELECT o.id FROM o LEFT JOIN c ON c.id = o.cid LEFT JOIN g ON g.id = c.gid",
    "SELECT a.id FROM o AS a, o AS b WHERE a.cid = b.id",
    "SELECT id FROM o ORDER BY amount DESC NULLS LAST, id LIMIT 5",
    "SELECT count(*) AS id FROM o GROUP BY status, amount HAVING count(*) > 1",
    "SELECT id FROM o WHERE cid IN (SELECT id FROM c WHERE region = 'r')",
]
REFUSED = {
    "SELECT DISTINCT id FROM o": "DISTINCT",
    "SELECT id FROM o UNION SELECT id FROM c": "UNION",
    "WITH w AS (SELECT 1) SELECT id FROM o": "WITH",
    "SELECT id FROM o OFFSET 1": "OFFSET",
    "SELECT id FROM o ORDER BY id FETCH FIRST 2 ROWS WITH TIES": "TIES",
    "SELECT id FROM o LIMIT 3": "no ORDER BY",
    "SELECT id FROM o ORDER BY id LIMIT 1 + 1": "computed",
    "SELECT id FROM o ORDER BY id USING <": "operator",
    "SELECT rank() OVER (ORDER BY id) AS id FROM o": "window",
    "SELECT 1 AS id": "no table",
    "VALUES (1)": "VALUES",
    "SELECT id FROM (SELECT id FROM o) AS s": "something else than tables",
    "SELECT id FROM o, generate_series(1, 2)": "something else than tables",
    "SELECT id FROM o, LATERAL (SELECT 1) AS l": "something else than tables",
    "SELECT x AS id FROM keyless": "no primary key",
    "SELECT id FROM unknown": "not a table",
    "SELECT a.id FROM o AS a(id, cid)": "other names",
    "SELECT j.id FROM (o JOIN c ON true) AS j": "a name of its own",
    "SELECT o.id FROM o FULL JOIN c ON c.id = o.cid": "FULL JOIN",
    "SELECT o.id FROM o LEFT JOIN c ON c.id = o.cid WHERE c.id IS NULL": "may be missing",
    "SELECT o.id FROM o LEFT JOIN c ON c.id = o.cid WHERE region = 'r'": "may be missing",
    "SELECT o.id FROM o LEFT JOIN c ON c.id = o.cid WHERE c IS NULL": "may be missing",
    "SELECT o.id FROM o LEFT JOIN c ON c.id = o.cid JOIN g ON g.id = c.gid": "may be missing",
    "SELECT o.id FROM o LEFT JOIN c USING (id) JOIN g USING (id)": "may be missing",
    "SELECT o.id FROM o LEFT JOIN (c LEFT JOIN g ON g.id = c.gid) ON g.id = o.cid": "may be missing",
    "SELECT o.id FROM o LEFT JOIN c ON c.id = o.cid WHERE EXISTS (SELECT FROM g WHERE g.id = c.id)": (
        "may be missing"
    ),
    "SELECT count(*) AS id FROM o GROUP BY ROLLUP (status)": "grouping sets",
    "SELECT count(*) AS id FROM o HAVING count(*) > 1": "one group",
}


@pytest.mark.parametrize("text", UNDERSTOOD)
def test_selections_joins_and_groups_are_understood(text: str) -> None:
    """What is a function of its tables' rows can be read in part."""
    assert rewriting.full(shape(text))


@pytest.mark.parametrize("text", REFUSED)
def test_everything_else_is_refused_with_a_reason(text: str) -> None:
    """Why all of a query is read is said."""
    with pytest.raises(Refused, match=REFUSED[text]):
        shape(text)


def test_a_part_is_asked_for_besides_where() -> None:
    """The condition joins what WHERE asks, sorting and limits go."""
    found = shape("SELECT id FROM o WHERE status = 'a' OR amount = 1 ORDER BY id LIMIT 3")
    text = rewriting.part(found, "o.id = ANY ($1::bigint[])")
    assert text == (
        "SELECT id FROM o WHERE (status = 'a' OR amount = 1) AND o.id = ANY($1::bigint[])"
    )


def test_what_rows_are_sorted_by_is_added_once() -> None:
    """An output that is there already is used; another is added behind the query's own."""
    found = shape("SELECT id, amount AS a FROM o ORDER BY a DESC, 1, lower(status)", "id", "a")
    assert [(s.output, s.descending, s.nulls_first) for s in found.sorted] == [
        (1, True, True),
        (0, False, False),
        (2, False, False),
    ]
    assert rewriting.full(found).startswith(
        "SELECT id, amount AS a, lower(status) AS _pgrt_0 FROM o"
    )


def test_a_name_of_a_group_is_that_of_a_column() -> None:
    """GROUP BY looks for a column first, ORDER BY for an output."""
    found = shape("SELECT left(status, 1) AS status FROM o GROUP BY status", "status")
    assert (
        rewriting.full(found)
        == 'SELECT "left"(status, 1) AS status, status AS _pgrt_0 FROM o GROUP BY status'
    )


def test_only_who_may_be_missing_is_nullable() -> None:
    """The preserved side of an outer join has all its rows."""
    found = shape("SELECT o.id FROM o LEFT JOIN (c JOIN g ON g.id = c.gid) ON c.id = o.cid")
    assert [(place.alias, place.nullable) for place in found.places] == [
        ("o", False),
        ("c", True),
        ("g", True),
    ]


def test_groups_are_looked_for_among_rows_as_they_were_too() -> None:
    """A sub-query takes the place of the table."""
    found = shape("SELECT o.status AS id FROM o JOIN c ON c.id = o.cid GROUP BY o.status")
    status = rewriting.column("o", "status")
    text = rewriting.only(found, [status], "", {0: "SELECT * FROM o UNION ALL SELECT 1"})
    assert text == (
        "SELECT DISTINCT o.status AS _pgrt_0 FROM (SELECT * FROM o UNION ALL SELECT 1) o"
        " JOIN c ON c.id = o.cid"
    )


def test_tables_in_sub_queries_are_named() -> None:
    """A change of one cannot be followed."""
    assert shapes.tables_inside(shape("SELECT id FROM o WHERE cid IN (SELECT id FROM c)")) == {"c"}
    assert shapes.tables_inside(shape("SELECT id FROM o WHERE cid IN (SELECT id FROM o)")) == {"o"}
    assert shapes.tables_inside(shape("SELECT a.id FROM o AS a, o AS b")) == set()
