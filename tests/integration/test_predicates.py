"""Prove by trying that a row which meets no condition of a query does not matter to its result.

Random small tables, random changes of one row: wherever the conditions found in a query's text say that
neither image of the row matters, the server must give the same result before and after.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import psycopg
import pytest

from pgrt_jupyter.engine import analysis, conditions
from pgrt_jupyter.engine.conditions import Question
from pgrt_jupyter.engine.images import Stored
from pgrt_jupyter.engine.predicates import Occurrence, occurrences
from pgrt_jupyter.engine.statement import parse

TABLES: Mapping[str, tuple[str, ...]] = {
    "a": ("id", "k", "n", "t", "flag"),
    "b": ("id", "k", "n", "t", "flag"),
}
QUERIES = [
    "SELECT * FROM a WHERE k = 1",
    "SELECT * FROM a WHERE k <> 1 AND n IS NULL",
    "SELECT * FROM a WHERE k IN (1, 2) OR n BETWEEN 0 AND 1",
    "SELECT * FROM a WHERE flag",
    "SELECT * FROM a WHERE NOT flag AND k IS DISTINCT FROM 1",
    "SELECT * FROM a WHERE flag IS NOT TRUE",
    "SELECT * FROM a WHERE t LIKE 'x%' AND t <> 'xx'",
    "SELECT count(*), sum(n) FROM a WHERE k = 1",
    "SELECT k, count(*) FROM a WHERE n > 0 GROUP BY k HAVING count(*) > 1",
    "SELECT DISTINCT t FROM a WHERE k = 2",
    "SELECT id FROM a WHERE k = 1 ORDER BY n, id LIMIT 2",
    "SELECT id, row_number() OVER (ORDER BY id) FROM a WHERE k = 1",
    "SELECT * FROM a, b WHERE a.k = b.k AND a.n = 1",
    "SELECT * FROM a JOIN b ON a.k = b.k AND b.n = 1 WHERE a.flag",
    "SELECT * FROM a LEFT JOIN b ON a.k = b.k AND b.n = 1",
    "SELECT * FROM a LEFT JOIN b ON a.k = b.k WHERE b.n = 1",
    "SELECT * FROM a LEFT JOIN b ON a.k = b.k WHERE b.n IS NULL",
    "SELECT * FROM a LEFT JOIN b ON a.k = b.k WHERE b.n IS NULL AND b.t = 'x'",
    "SELECT * FROM a LEFT JOIN b ON a.k = b.k AND b.t = 'x' WHERE b.n IS NULL AND a.k = 1",
    "SELECT * FROM a LEFT JOIN b ON a.k = b.k WHERE b.n IS DISTINCT FROM 1",
    "SELECT * FROM a LEFT JOIN b ON a.k = b.k AND a.n = 1 WHERE a.flag",
    "SELECT * FROM a RIGHT JOIN b ON a.k = b.k AND a.n = 1 WHERE b.k = 1",
    "SELECT * FROM a FULL JOIN b ON a.k = b.k AND a.n = 1 AND b.n = 1",
    "SELECT * FROM a FULL JOIN b ON a.k = b.k WHERE a.n = 1",
    "SELECT * FROM a FULL JOIN b ON a.k = b.k WHERE b.n IS NULL OR b.n = 1",
    "SELECT * FROM a FULL JOIN b ON a.k = b.k WHERE NOT b.flag",
    "SELECT * FROM a LEFT JOIN (b JOIN a AS c ON b.k = c.k AND c.n = 1) ON a.k = b.k AND b.n = 0",
    "SELECT * FROM a LEFT JOIN (b LEFT JOIN a AS c ON b.k = c.k) ON a.k = b.k AND c.n IS NULL",
    "SELECT * FROM a LEFT JOIN (b LEFT JOIN a AS c ON b.k = c.k) ON a.k = b.k AND c.n = 1",
    "SELECT * FROM (a LEFT JOIN b ON a.k = b.k) JOIN a AS c ON b.n IS NULL AND c.n = 1",
    "SELECT * FROM a WHERE EXISTS (SELECT FROM b WHERE b.k = a.k AND b.n = 1) AND a.flag",
    "SELECT * FROM a WHERE NOT EXISTS (SELECT FROM b WHERE b.k = a.k AND b.n = 1)",
    "SELECT * FROM a WHERE k IN (SELECT k FROM b WHERE n = 1)",
    "SELECT * FROM a WHERE k NOT IN (SELECT k FROM b WHERE n = 1)",
    "SELECT * FROM a WHERE k = 1 UNION SELECT * FROM b WHERE k = 2",
    "SELECT * FROM a WHERE k = 1 EXCEPT ALL SELECT * FROM a WHERE n = 1",
    "WITH c AS (SELECT * FROM a WHERE n = 1) SELECT * FROM c JOIN b USING (k) WHERE b.n = 1",
    "WITH a AS (SELECT * FROM b WHERE n = 1) SELECT * FROM a WHERE k = 1",
    "SELECT *, (SELECT max(n) FROM b WHERE b.k = a.k AND flag) FROM a WHERE t = 'x'",
    "SELECT * FROM (SELECT k, sum(n) AS s FROM a WHERE flag GROUP BY k) AS q WHERE s > 0",
    "SELECT * FROM a, LATERAL (SELECT * FROM b WHERE b.k = a.k AND b.n = 1 LIMIT 1) AS q",
    "SELECT * FROM a NATURAL JOIN b WHERE a.k = 1",
    "SELECT * FROM a AS x (p, q) WHERE q = 1",
    "SELECT * FROM a AS x, a AS y WHERE x.k = 1 AND y.n = 1 AND x.id < y.id",
    "WITH RECURSIVE c AS (SELECT id, k FROM a WHERE n = 1 UNION SELECT b.id, b.k FROM b, c"
    " WHERE b.k = c.k AND b.n = 0) SELECT * FROM c",
]
VALUES: Mapping[str, tuple[Any, ...]] = {
    "k": (1, 2, None),
    "n": (0, 1, None),
    "t": ("x", "xx", "y", None),
    "flag": (True, False, None),
}


@pytest.fixture
def database(connect: Callable[..., Any]) -> Any:
    """Give a connection to a database with two small tables."""
    connection = connect()
    for table in TABLES:
        connection.execute(f"CREATE TABLE {table} (id int, k int, n int, t text, flag bool)")
    return connection


@pytest.mark.every_server
@pytest.mark.parametrize("seed", range(4))
def test_rows_that_meet_no_condition_do_not_matter(database: Any, seed: int) -> None:
    chance = random.Random(seed)
    skipped: Counter[str] = Counter()
    for _ in range(12):
        fill(database, chance)
        for query in QUERIES:
            before = result(database, query)
            table, images = change(database, chance)
            if not matters(database, query, table, images):
                skipped[query] += 1
                assert result(database, query) == before, (query, table, images)
    assert len(skipped) > len(QUERIES) // 2, "the conditions that were found skip next to nothing"


@pytest.mark.every_server
@pytest.mark.parametrize("seed", range(10, 13))
def test_rows_that_the_engine_takes_not_to_matter_do_not(database: Any, seed: int) -> None:
    """The whole way, from analysis to the look at a row's images."""
    chance = random.Random(seed)
    judged: Counter[str] = Counter()
    analysed = {query: analysis.analyse(database, parse(query)) for query in QUERIES}
    known = {
        query: conditions.find(database, one.select, one.dependencies, one.fingerprint)
        for query, one in analysed.items()
    }
    oids = dict(
        database.execute("SELECT relname::text, oid FROM pg_class WHERE relname IN ('a', 'b')")
    )
    for _ in range(25):
        fill(database, chance)
        for query in QUERIES:
            before = result(database, query)
            table, images = change(database, chance)
            oid = oids[table]
            named = {relation.oid for relation in analysed[query].dependencies.relations}
            if oid not in named:
                needless = True
            elif oid in known[query]:
                old, new = (json.dumps(image) for image in (images[0], images[-1]))
                question = Question(known[query][oid], (Stored(oid, "update", old, new),))
                needless = conditions.matter(database, [question]) == [False]
            else:
                needless = False
            if needless:
                judged[query] += oid in named
                assert result(database, query) == before, (query, table, images)
    assert len(+judged) > len(QUERIES) // 2, "hardly a row is taken not to matter"


def fill(database: Any, chance: random.Random) -> None:
    for table in TABLES:
        database.execute(f"TRUNCATE {table}")
        for number in range(chance.randrange(6)):
            insert(database, table, row(chance, number))


def row(chance: random.Random, number: int) -> dict[str, Any]:
    return {"id": number} | {name: chance.choice(values) for name, values in VALUES.items()}


def insert(database: Any, table: str, values: Mapping[str, Any]) -> None:
    database.execute(f"INSERT INTO {table} VALUES (%(id)s, %(k)s, %(n)s, %(t)s, %(flag)s)", values)


def change(database: Any, chance: random.Random) -> tuple[str, list[dict[str, Any]]]:
    """Insert, update or delete one row; give its table and its images."""
    table = chance.choice(list(TABLES))
    rows = [
        dict(zip(TABLES[table], values, strict=True))
        for values in database.execute(f"SELECT * FROM {table}").fetchall()
    ]
    new = row(chance, chance.randrange(100, 10**9))
    old = chance.choice(rows) if rows and chance.random() < 0.7 else None
    if old is not None:
        database.execute(f"DELETE FROM {table} WHERE id = %s", (old["id"],))
        if chance.random() < 0.4:
            return table, [old]
        changed = chance.choice(list(VALUES))
        new = old | {changed: new[changed]}
    insert(database, table, new)
    return table, [new] if old is None else [old, new]


def matters(database: Any, query: str, table: str, images: list[dict[str, Any]]) -> bool:
    """Ask the server whether an image of the row meets the conditions of any place that reads it."""
    found = occurrences(query, lambda schema, name: TABLES.get(name))
    assert found is not None, query
    places = [place for place in found if place.table == table]
    return any(meets(database, place, image) for place in places for image in images)


def meets(database: Any, place: Occurrence, image: Mapping[str, Any]) -> bool:
    conditions = [
        one.sql for one in place.conditions if not (one.strict and holds(database, one.sql, {}))
    ]
    return all(holds(database, condition, image) for condition in conditions)


def holds(database: psycopg.Connection[Any], condition: str, image: Mapping[str, Any]) -> bool:
    values = [image.get(name) for name in ("id", "k", "n", "t", "flag")]
    statement = (
        f"SELECT ({condition.replace('%', '%%')}) IS TRUE FROM (VALUES"
        " (%s::int, %s::int, %s::int, %s::text, %s::bool)) AS r (id, k, n, t, flag)"
    )
    ((answer,),) = database.execute(statement, values).fetchall()
    return bool(answer)


def result(database: Any, query: str) -> Counter[str]:
    return Counter(map(repr, database.execute(query).fetchall()))
