"""Draw queries whose answer is one multiset of rows, or one sequence where ORDER BY is total.

Nothing drawn here may depend on the order in which rows are found: no LIMIT without a total order, no
DISTINCT over types whose equal values look different, no ordered aggregate without ORDER BY.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from . import planned
from .catalog import Catalog, Column, Relation, quote
from .values import COMPARABLE, SUMMABLE, literal

THROTTLES = (0, 0, 20, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Hold a query, how to subscribe to it and what a fresh run of it is compared by."""

    sql: str
    features: frozenset[str]
    plain: str = ""  # with its parameters written as literals; empty: the same
    params: Any = None
    ordered: bool = False
    polls: bool = False  # reads what cannot be watched
    stamp: bool = False  # its column `stamp` never goes back
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def fresh(self) -> str:
        """Give the text to run by other means than ours."""
        return self.plain or self.sql


@dataclass(slots=True)
class _Draft:
    """Collect the parts of a query while it is drawn."""

    rng: Random
    catalog: Catalog
    features: set[str]
    version: int
    polls: bool = False
    ordered: bool = False

    def relation(self) -> Relation:
        views = self.catalog.views
        if views and self.rng.random() < 0.25:
            self.features.add("view")
            return self.rng.choice(views)
        roots = [r for r in self.catalog.tables if not r.partition]
        found = self.rng.choice(roots if self.rng.random() < 0.85 else self.catalog.tables)
        self.features.add(_kind(found))
        return found

    def name(self, relation: Relation) -> str:
        """Name a relation with or without its schema."""
        return relation.quoted if self.rng.random() < 0.5 else quote(relation.name)

    def comparable(self, relation: Relation) -> list[Column]:
        return [c for c in relation.columns if c.is_enum or c.type in COMPARABLE]

    def some(self, columns: Sequence[Column], most: int = 4) -> list[Column]:
        return self.rng.sample(list(columns), min(len(columns), self.rng.randint(1, most)))

    def test(self, relation: Relation, alias: str) -> str:
        """Draw a condition on a row."""
        columns = self.comparable(relation)
        if not columns:
            return "true"
        column = self.rng.choice(columns)
        value = literal(self.rng, column, null=False)
        this = f"{alias}.{column.quoted}"
        forms = [f"{this} = {value}", f"{this} IS NOT NULL", f"{this} IS DISTINCT FROM {value}"]
        if column.type not in ("boolean",):
            forms += [f"{this} <= {value}", f"{this} IN ({value}, {literal(self.rng, column)})"]
            forms += [f"{this} = {value}", f"{this} BETWEEN {value} AND {value}"]
        if column.type == "text":
            forms += [f"{this} LIKE 'a%'", f"{this} NOT LIKE '_'"]
        forms += [f"{this} IS NULL", f"NOT ({this} = {value} OR {this} IS NULL)"]
        return self.rng.choice(forms)

    def tests(self, relation: Relation, alias: str) -> str:
        """Draw conditions that a row has to meet, mostly such as leave rows out."""
        drawn = [self.test(relation, alias) for _ in range(self.rng.randint(1, 2))]
        self.features.add("conditions")
        return " AND ".join(drawn)

    def link(self, one: Relation, other: Relation) -> str | None:
        """Draw a join condition of two relations."""
        pairs = [
            (a, b)
            for a in self.comparable(one)
            for b in self.comparable(other)
            if a.type == b.type and a.type != "boolean"
        ]
        keyed = [(a, b) for a, b in pairs if a.name == "id"]
        if not pairs:
            return None
        a, b = self.rng.choice(keyed or pairs)
        return f"a.{a.quoted} = b.{b.quoted}"


def draw(rng: Random, catalog: Catalog, version: int) -> Query | None:
    """Draw a query over the schema as it is; None where the drawn shape does not fit it."""
    draft = _Draft(rng, catalog, set(), version)
    shape = rng.choice(planned.SHAPES if rng.random() < 0.4 else SHAPES)
    drawn = shape(draft)
    if drawn is None:
        return None
    draft.features.add(shape.__name__.strip("_"))
    return _finish(draft, drawn)


def _finish(draft: _Draft, drawn: str | Query) -> Query:
    """Add what any query may have: options, and the clock in a column."""
    rng = draft.rng
    query = (
        drawn
        if isinstance(drawn, Query)
        else Query(sql=drawn, features=frozenset(), ordered=draft.ordered)
    )
    sql, plain, ordered, stamp = query.sql, query.plain, query.ordered, False
    options = dict(query.options)
    if rng.random() < 0.1 and "refresh" not in options:
        wrap = "SELECT s.at AS stamp, q.* FROM (\n{}\n) AS q, control.clock AS s"
        sql, plain = wrap.format(sql), plain and wrap.format(plain)
        stamp, ordered = True, False
        draft.features.add("stamp")
    elif ordered and rng.random() < 0.4:
        options["max_rows"] = rng.randint(1, 8)
        draft.features.add("max_rows")
    options["incremental"] = rng.choice([True, True, True, None, False])
    options["throttle_ms"] = rng.choice(THROTTLES)
    if draft.polls:
        options["max_age_ms"] = 400
    if rng.random() < 0.1:
        sql = f"{sql} -- the end; :not a $1 parameter"
    return Query(
        sql=sql,
        plain=plain,
        params=query.params,
        features=query.features | draft.features,
        ordered=ordered,
        stamp=stamp,
        polls=draft.polls,
        options=options,
    )


# -- shapes


def _simple(draft: _Draft) -> str:
    r = draft.relation()
    columns = ", ".join(f"a.{c.quoted}" for c in draft.some(r.columns))
    return f"SELECT {columns} FROM {draft.name(r)} AS a WHERE {draft.tests(r, 'a')}"


def _chosen(draft: _Draft) -> str:
    """Draw what most changes of a table do not matter to."""
    tables = [r for r in draft.catalog.tables if not r.secured]
    r = draft.rng.choice(tables or draft.catalog.tables)
    draft.features.add(_kind(r))
    shown = draft.rng.choice(["a.*", "a.*", "count(*)"])
    return f"SELECT {shown} FROM {draft.name(r)} AS a WHERE {draft.tests(r, 'a')}"


def _star(draft: _Draft) -> str:
    return f"TABLE {draft.name(draft.relation())}"


def _only(draft: _Draft) -> str:
    r = draft.relation()
    return f"SELECT a.* FROM ONLY {draft.name(r)} AS a"


def _row(draft: _Draft) -> str:
    r = draft.relation()
    return f"SELECT to_jsonb(a) AS whole, a IS NULL AS none FROM {draft.name(r)} AS a"


def _limit(draft: _Draft) -> Query | None:
    r = draft.relation()
    columns = draft.some(draft.comparable(r))
    if not columns:
        return None
    listed = ", ".join(f"a.{c.quoted}" for c in columns)
    order = ", ".join(
        f"{i + 1} {draft.rng.choice(['', 'DESC NULLS LAST'])}" for i in range(len(columns))
    )
    limit = draft.rng.choice(["", " LIMIT 5", " LIMIT 3 OFFSET 2", " FETCH FIRST 2 ROWS WITH TIES"])
    sql = f"SELECT {listed} FROM {draft.name(r)} AS a ORDER BY {order}{limit}"
    return Query(sql=sql, features=frozenset({"order by"}), ordered=True)


def _join(draft: _Draft) -> str | None:
    one, other = draft.relation(), draft.relation()
    link = draft.link(one, other)
    if link is None:
        return None
    kind = draft.rng.choice(["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
    draft.features.add("self join" if one is other else kind.lower())
    a = ", ".join(f"a.{c.quoted}" for c in draft.some(one.columns, 3))
    b = ", ".join(f"b.{c.quoted}" for c in draft.some(other.columns, 2))
    form = draft.rng.randrange(5)
    on, where = link, f"{draft.test(one, 'a')} OR a.* IS NULL"
    if form == 1:
        where = draft.tests(one, "a")
    elif form == 2:
        where = f"{draft.test(one, 'a')} AND {draft.test(other, 'b')}"
    elif form > 2:
        on, where = f"{link} AND {draft.test(other, 'b')}", draft.tests(one, "a")
    return (
        f"SELECT {a}, {b} FROM {draft.name(one)} AS a {kind} {draft.name(other)} AS b ON {on}"
        f" WHERE {where}"
    )


def _aggregate(draft: _Draft) -> str:
    r = draft.relation()
    parts = ["count(*)"]
    for column in draft.some(r.columns):
        if column.type in SUMMABLE:
            parts.append(f"sum(a.{column.quoted})")
        elif column.type == "text":
            parts.append(f"string_agg(a.{column.quoted}, '|' ORDER BY a.{column.quoted})")
        elif column.type in ("date", "timestamp with time zone"):
            parts.append(f"max(a.{column.quoted})")
        else:
            parts.append(f"count(a.{column.quoted})")
    return f"SELECT {', '.join(parts)} FROM {draft.name(r)} AS a WHERE {draft.tests(r, 'a')}"


def _group(draft: _Draft) -> str | None:
    r = draft.relation()
    columns = draft.some(draft.comparable(r), 2)
    if not columns:
        return None
    keys = ", ".join(f"a.{c.quoted}" for c in columns)
    sets = draft.rng.choice([keys, f"ROLLUP ({keys})", f"GROUPING SETS (({keys}), ())"])
    having = draft.rng.choice(["", " HAVING count(*) > 1"])
    return f"SELECT {keys}, count(*) AS n FROM {draft.name(r)} AS a GROUP BY {sets}{having}"


def _exists(draft: _Draft) -> str | None:
    one, other = draft.relation(), draft.relation()
    link = draft.link(one, other)
    if link is None:
        return None
    word = draft.rng.choice(["EXISTS", "NOT EXISTS"])
    columns = ", ".join(f"a.{c.quoted}" for c in draft.some(one.columns, 3))
    return (
        f"SELECT {columns} FROM {draft.name(one)} AS a WHERE {word} (SELECT FROM {draft.name(other)}"
        f" AS b WHERE {link} AND {draft.test(other, 'b')}) AND {draft.test(one, 'a')}"
    )


def _member(draft: _Draft) -> str | None:
    one, other = draft.relation(), draft.relation()
    link = draft.link(one, other)
    if link is None:
        return None
    left, right = link.split(" = b.", 1)
    word = draft.rng.choice(["IN", "NOT IN", "= ANY", "<> ALL"])
    return (
        f"SELECT a.*, (SELECT count(*) FROM {draft.name(other)}) AS others FROM {draft.name(one)} AS a"
        f" WHERE {left} {word} (SELECT b.{right} FROM {draft.name(other)} AS b)"
    )


def _window(draft: _Draft) -> str | None:
    r = draft.relation()
    columns = draft.comparable(r)
    if not columns:
        return None
    by, order = draft.rng.choice(columns).quoted, draft.rng.choice(columns).quoted
    return (
        f"SELECT a.{by}, a.{order}, rank() OVER w, count(*) OVER (PARTITION BY a.{by}),"
        f" first_value(a.{order}) OVER w FROM {draft.name(r)} AS a"
        f" WINDOW w AS (PARTITION BY a.{by} ORDER BY a.{order})"
    )


def _sets(draft: _Draft) -> str | None:
    one, other = draft.relation(), draft.relation()
    pairs = [
        (a, b) for a in draft.comparable(one) for b in draft.comparable(other) if a.type == b.type
    ]
    if not pairs:
        return None
    a, b = draft.rng.choice(pairs)
    word = draft.rng.choice(["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL"])
    return (
        f"SELECT a.{a.quoted} FROM {draft.name(one)} AS a {word}"
        f" SELECT b.{b.quoted} FROM {draft.name(other)} AS b WHERE {draft.test(other, 'b')}"
    )


def _cte(draft: _Draft) -> str:
    r, other = draft.relation(), draft.relation()
    how = draft.rng.choice(["AS", "AS MATERIALIZED", "AS NOT MATERIALIZED"])
    if draft.rng.random() < 0.3:
        return (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <"
            f" (SELECT least(count(*), 9) FROM {draft.name(r)})) SELECT i, o.n FROM n,"
            f" (SELECT count(*) AS n FROM {draft.name(other)}) AS o"
        )
    return (
        f"WITH w {how} (SELECT * FROM {draft.name(r)} AS a WHERE {draft.test(r, 'a')})"
        f" SELECT w.*, (SELECT count(*) FROM w) AS n, o.n FROM w,"
        f" (SELECT count(*) AS n FROM {draft.name(other)}) AS o"
    )


def _distinct(draft: _Draft) -> str | None:
    r = draft.relation()
    columns = draft.some(draft.comparable(r), 3)
    if not columns:
        return None
    listed = ", ".join(f"a.{c.quoted}" for c in columns)
    if draft.rng.random() < 0.5:
        return f"SELECT DISTINCT {listed} FROM {draft.name(r)} AS a"
    return (
        f"SELECT DISTINCT ON (a.{columns[0].quoted}) {listed} FROM {draft.name(r)} AS a"
        f" ORDER BY {listed}"
    )


def _lateral(draft: _Draft) -> str | None:
    one, other = draft.relation(), draft.relation()
    link = draft.link(one, other)
    if link is None:
        return None
    return (
        f"SELECT g, a.*, l.n FROM generate_series(1, 2) AS g, {draft.name(one)} AS a"
        f" LEFT JOIN LATERAL (SELECT count(*) AS n FROM {draft.name(other)} AS b WHERE {link}) AS l"
        " ON true"
    )


def _called(draft: _Draft) -> str:
    r = draft.relation()
    if draft.rng.random() < 0.3:
        draft.polls = True
        draft.features.add("hidden function")
        return f"SELECT app.hidden() AS h, count(*) AS n FROM {draft.name(r)}"
    return f"SELECT app.shown() AS s, count(*) AS n FROM {draft.name(r)}"


def _system(draft: _Draft) -> str:
    r = draft.relation()
    while r.kind == "v":
        r = draft.relation()
    if draft.rng.random() < 0.5:
        return f"SELECT a.tableoid::int8, count(*) FROM {draft.name(r)} AS a GROUP BY 1"
    draft.features.add("xmin")
    draft.polls = True
    return f"SELECT a.xmin::text, a.* FROM {draft.name(r)} AS a"


def _twice_named(draft: _Draft) -> str:
    r = draft.relation()
    c = draft.rng.choice(r.columns).quoted
    return f'SELECT a.{c}, a.{c}, a.{c} AS "", 1, 2 FROM {draft.name(r)} AS a'


def _parameters(draft: _Draft) -> Query | None:
    r = draft.relation()
    columns = [c for c in r.columns if c.type in ("integer", "text", "uuid")]
    if not columns:
        return None
    column = draft.rng.choice(columns)
    value: Any = {
        "integer": draft.rng.randint(1, 12),
        "text": draft.rng.choice(["a", "It's", "100% :name $1", "x\\y", ""]),
        "uuid": f"00000000-0000-4000-8000-00000000000{draft.rng.randint(1, 9)}",
    }[column.type]
    named = draft.rng.random() < 0.5
    sql = f"SELECT a.*, {{p}}::text AS p FROM {draft.name(r)} AS a WHERE a.{column.quoted} >= {{p}}"
    as_text = f"('{str(value).replace(chr(39), chr(39) * 2)}'::{column.type})"
    return Query(
        sql=sql.replace("{p}", (":value" if named else "$1") + f"::{column.type}"),
        plain=sql.replace("{p}", as_text),
        params={"value": value} if named else [value],
        features=frozenset({":name" if named else "$1"}),
    )


def _filtered(draft: _Draft) -> Query | None:
    """Draw a query with a row filter that cannot change what it shows."""
    tables = [r for r in draft.catalog.tables if not r.partition and not r.secured]
    if not tables:
        return None
    r = draft.rng.choice(tables)
    draft.features.add(_kind(r))
    columns = [c for c in r.columns if c.type in ("integer", "text", "bigint") and not c.generated]
    if not columns:
        return None
    column = draft.rng.choice(columns)
    value: Any = draft.rng.choice(
        [None, "a", "b", "It's"] if column.type == "text" else [None, *range(1, 7)]
    )
    test = "IS NULL" if value is None else "= " + _literal(value)
    where = f"a.{column.quoted} {test}"
    refresh: Any = {r.name: {column.name: value}}
    form = draft.rng.randrange(6)
    if form == 1 and value is not None:
        refresh = {r.name: {column.name: {value, None}}}
    elif form == 2:
        refresh = {r.name: {column.name: lambda v: v == value}}
    elif form == 3:
        refresh = [{r.name: {column.name: value}}, {r.name: {column.name: _result(column)}}]
    elif form == 4:
        refresh = FUNCTIONS[draft.rng.choice(sorted(FUNCTIONS))]
    draft.features.add(
        (
            "filter literal",
            "filter set",
            "filter predicate",
            "filter result",
            "filter function",
            "filter literal",
        )[form]
    )
    return Query(
        sql=f"SELECT a.* FROM {draft.name(r)} AS a WHERE {where}",
        features=frozenset(),
        options={"refresh": refresh},
    )


def _literal(value: Any) -> str:
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def _result(column: Column) -> Any:
    import pgrt_jupyter as pgrt

    return pgrt.result(column.name)


def _always(connection: Any, frame: Any, change: Any) -> bool:
    return True


def _tracked(connection: Any, frame: Any, change: Any) -> Any:
    import pgrt_jupyter as pgrt

    connection.execute("SELECT 1")
    return pgrt.TRACKED_COLUMNS


def _raising(connection: Any, frame: Any, change: Any) -> bool:
    raise LookupError("a filter of the test raises")


FUNCTIONS = {"always": _always, "tracked": _tracked, "raising": _raising}


def _kind(relation: Relation) -> str:
    """Name what is special about a table."""
    if relation.secured:
        return "policies"
    if relation.kind == "p":
        return "partitioned"
    if relation.partition:
        return "a partition"
    return "keyed" if relation.key else "keyless"


SHAPES: tuple[Callable[[_Draft], str | Query | None], ...] = (
    _simple,
    _simple,
    _chosen,
    _chosen,
    _chosen,
    _chosen,
    _star,
    _only,
    _row,
    _limit,
    _limit,
    _join,
    _join,
    _join,
    _aggregate,
    _aggregate,
    _group,
    _exists,
    _member,
    _window,
    _sets,
    _cte,
    _distinct,
    _lateral,
    _called,
    _system,
    _twice_named,
    _parameters,
    _filtered,
    _filtered,
    _filtered,
)


def view(rng: Random, catalog: Catalog, version: int, name: str) -> str | None:
    """Draw a view, of one or two relations, views among them."""
    draft = _Draft(rng, catalog, set(), version)
    shape = rng.choice([_simple, _aggregate, _group, _exists, _star, _distinct])
    drawn = shape(draft)
    if drawn is None:
        return None
    sql = drawn if isinstance(drawn, str) else drawn.sql
    options = (
        [""]
        + ([" WITH (security_invoker)"] if version >= 150000 else [])
        + [" WITH (security_barrier)"]
    )
    # An aggregate's columns may share a name, which a view's may not.
    names = sql.startswith("SELECT count(*)")
    listed = ""
    if names:
        count = sql.split(" FROM ")[0].count("(a.") + 1
        listed = " (" + ", ".join(f"c{i}" for i in range(count)) + ")"
    return f"CREATE VIEW app.{quote(name)}{listed}{rng.choice(options)} AS {sql}"
