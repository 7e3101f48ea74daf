"""A text that was analysed a moment ago is not analysed again, unless a definition has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

import pgrt_jupyter as pgrt
from pgrt_jupyter.engine import analysis

from ..variants.broken import against, break_engine, noticed, patience

Connection = psycopg.Connection[Any]
TEXT = "SELECT id, n FROM numbers WHERE id >= $1 ORDER BY id"


@pytest.fixture
def db(connect: Callable[..., Any]) -> Connection:
    """Give a connection to a database with a few numbers, and an empty schema that is looked at first."""
    connection: Connection = connect()
    connection.execute(
        "CREATE SCHEMA first; CREATE TABLE numbers (id int PRIMARY KEY, n int);"
        "INSERT INTO numbers VALUES (1, 10), (2, 20)"
    )
    return connection


@pytest.fixture
def analysed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """List the texts that are analysed."""
    texts: list[str] = []
    analyse = analysis.analyse

    def counted(connection: Any, statement: Any, **options: Any) -> Any:
        texts.append(statement.text)
        return analyse(connection, statement, **options)

    monkeypatch.setattr(analysis, "analyse", counted)
    return texts


@pytest.fixture
def engine(dsn: str, db: Connection, analysed: list[str]) -> Iterator[pgrt.Engine]:
    """Give an engine that looks for names in two schemas and knows the text; triggers are in place."""
    path = make_conninfo(dsn, options="-csearch_path=first,public")
    with pgrt.Engine(path, throttle_ms=0) as engine:
        for name in ("one", "two"):  # the first puts triggers in place, which changes the table
            engine.sub(name, TEXT, [0])
            engine.unsub(name)
        analysed.clear()
        yield engine


def rows(query: pgrt.LiveQuery) -> list[tuple[Any, ...]]:
    return list(query.df.itertuples(index=False, name=None))


def test_other_values_of_a_known_text(engine, db, analysed):
    """They are taken as they are, and the query is as live as any."""
    queries = [engine.sub(f"q{least}", TEXT, [least]) for least in (1, 2)]
    assert analysed == []
    assert list(map(rows, queries)) == [[(1, 10), (2, 20)], [(2, 20)]]
    db.execute("UPDATE numbers SET n = 21 WHERE id = 2")
    for query in queries:
        query.wait_for(lambda df: df["n"].iloc[-1] == 21)


def test_values_of_another_type_are_another_text(engine, analysed):
    """Types may decide what a text means."""
    with pytest.raises(pgrt.QueryFailed):
        engine.sub("text", TEXT, ["x"])
    assert analysed == [TEXT]


@against("known texts believed")
def test_a_definition_that_changed_is_seen(engine, db, analysed, monkeypatch, broken):
    """A column of another type is another result."""
    break_engine(monkeypatch, broken)
    db.execute("ALTER TABLE numbers ALTER n TYPE text")
    with noticed(broken):
        query = engine.sub("q", TEXT, [2])
        assert analysed == [TEXT]
        assert str(query.df["n"].dtype) == "string[pyarrow]"


@against("known texts believed")
def test_a_table_that_came_to_hide_another_is_watched(engine, db, monkeypatch, broken):
    """The same text means another table now."""
    break_engine(monkeypatch, broken)
    db.execute("CREATE TABLE first.numbers (id int PRIMARY KEY, n int)")
    query = engine.sub("q", TEXT, [0])
    with noticed(broken):
        assert rows(query) == []
        db.execute("INSERT INTO first.numbers VALUES (7, 70)")
        query.wait_for(lambda df: len(df) == 1, patience(broken))


def test_lost_triggers_of_a_known_text_are_put_back(engine, db):
    """What was seen to a moment ago is looked at by the audit; a later query looks itself."""
    db.execute("DROP SCHEMA _pgrt CASCADE")
    engine._loop.runtime._preparation._whole.clear()
    query = engine.sub("q", TEXT, [1])
    db.execute("UPDATE numbers SET n = 22 WHERE id = 2")
    query.wait_for(lambda df: df["n"].iloc[-1] == 22)
