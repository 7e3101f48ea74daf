"""Whatever way a connection is given, live queries run over it, and no password is shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.engine import URL

import pgrt_jupyter as pgrt

QUERY = "SELECT n FROM numbers"
SECRET = "cAnArY s3cr:t@/%"


@pytest.fixture
def parts(dsn: str, connect: Callable[..., Any], make_role: Callable[..., Any]) -> dict[str, str]:
    """Give libpq's options for a role that owns a table, in a database that has one."""
    db, role = connect(), make_role("owner")
    db.execute(
        "CREATE TABLE numbers (n int);"
        f"GRANT CREATE ON DATABASE {db.info.dbname} TO {role.name};"
        f"ALTER TABLE numbers OWNER TO {role.name}; INSERT INTO numbers VALUES (1)"
    )
    given = conninfo_to_dict(role.conninfo(dsn))
    return {n: str(given[n]) for n in ("host", "port", "dbname", "user", "password")}


@pytest.fixture
def works(parts: dict[str, str], connect: Callable[..., Any]) -> Callable[..., None]:
    """Give a function that requires of what is given to an engine that it leads to that table."""
    writer = connect()

    def check(*arguments: Any, **options: Any) -> None:
        with pgrt.Engine(*arguments, throttle_ms=0, **options) as engine:
            query = engine.sub("numbers", QUERY)
            writer.execute("UPDATE numbers SET n = n + 1")
            (n,) = writer.execute(QUERY).fetchone()
            query.wait_for(lambda df: df["n"][0] == n)
            assert query.status == "live"
            assert f"user={parts['user']}" in engine.server
            said = f"{engine!r} {engine.server} {vars(engine)} {engine._conninfo!r}"
            assert parts["password"] not in said
            assert SECRET not in said

    return check


def url(parts: dict[str, str], **options: Any) -> URL:
    """Give SQLAlchemy's URL of it."""
    return URL.create(
        "postgresql+psycopg",
        username=parts["user"],
        password=options.pop("password", parts["password"]),
        host=parts["host"],
        port=int(parts["port"]),
        database=parts["dbname"],
        **options,
    )


def test_a_string(parts, works):
    """libpq's, and SQLAlchemy's with a driver."""
    works(" ".join(f"{name}='{value}'" for name, value in parts.items()))
    place = f"{parts['user']}:{parts['password']}@/{parts['dbname']}?host={parts['host']}"
    works(f"postgresql+psycopg://{place}&port={parts['port']}")


@pytest.mark.parametrize("variable", ["PGRT_DSN", "DATABASE_URL"])
@pytest.mark.parametrize("driver", ["", "+psycopg", "+psycopg2", "+asyncpg"])
def test_a_variable_with_a_url(parts, works, monkeypatch, variable, driver):
    """As `.env` files of other programs have it."""
    place = {"host": parts["host"], "port": parts["port"]}  # a socket's folder
    given = url({**parts, "host": "", "port": "0"}).set(host=None, port=None, query=place)
    text = given.render_as_string(hide_password=False)
    monkeypatch.setenv(variable, text.replace("+psycopg", driver))
    works()


def test_libpqs_variables(parts, works, monkeypatch):
    """PGHOST and its like, each."""
    names = {"dbname": "DATABASE", "host": "HOST", "port": "PORT", "user": "USER"}
    for name, variable in names.items():
        monkeypatch.setenv(f"PG{variable}", parts[name])
    monkeypatch.setenv("PGPASSWORD", parts["password"])
    works()
    works(f"dbname={parts['dbname']}")


def test_a_service(parts, works, monkeypatch, tmp_path: Path):
    """By its name in a connection string, or in PGSERVICE; its file is where PGSERVICEFILE says."""
    lines = [f"{name}={value}" for name, value in parts.items()]
    (tmp_path / "services").write_text("\n".join(["[shop]", *lines, ""]))
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    works("service=shop")
    works("postgresql://?service=shop")
    monkeypatch.setenv("PGSERVICE", "shop")
    works()


def test_sqlalchemys_objects(parts, works):
    """A URL, an engine, a connection; also for the role that queries."""
    works(url(parts))
    engine = sqlalchemy.create_engine(url(parts))
    works(engine)
    with engine.connect() as connection:
        works(connection)
    works(url(parts), query_conninfo=engine)
    engine.dispose()


def test_what_an_engine_was_made_with(parts, connect):
    """Its settings hold for live queries."""
    engine = sqlalchemy.create_engine(
        url(parts), connect_args={"options": "-c search_path=pg_catalog", "application_name": "x"}
    )
    with pgrt.Engine(engine) as ours, pytest.raises(pgrt.QueryFailed, match="numbers"):
        ours.sub("numbers", QUERY)


def test_a_drivers_connection(parts, works, connect):
    """It is not used itself: its place is."""
    connection = connect(" ".join(f"{name}='{value}'" for name, value in parts.items()))
    works(connection)
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_password_beside_it(parts, works):
    """Text, or a function; for each role its own."""
    plain = {name: value for name, value in parts.items() if name != "password"}
    text = " ".join(f"{name}='{value}'" for name, value in plain.items())
    works(text, password=SECRET)  # this server trusts whoever comes
    works(text, password=lambda: SECRET)
    works(text, password=lambda: SECRET, query_conninfo=text, query_password=lambda: SECRET)


def test_subscriptions_and_cleaning_up_take_them_too(parts):
    """Wherever a conninfo goes."""
    with pgrt.Engine(url(parts)) as engine:
        query = engine.sub("numbers", QUERY, query_conninfo=url(parts))
        assert len(query.df) == 1
    assert pgrt.destroy(url(parts))
