"""Connections as SQLAlchemy and jupysql have them lead to the same server, with the same options."""

from __future__ import annotations

import ssl
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.engine import URL

from pgrt_jupyter import jupysql
from pgrt_jupyter.config import has_password, resolve
from pgrt_jupyter.errors import ConfigurationError, ServerUnavailable

SECRET = "s3cr:t@/%& ?"


def found(conninfo: Any, **options: Any) -> dict[str, Any]:
    """Give libpq's options of what was resolved, without defaults of ours."""
    ours = resolve("", {}).value
    given = conninfo_to_dict(resolve(conninfo, {}, **options).value)
    return {n: v for n, v in given.items() if n not in conninfo_to_dict(ours)}


# -- URL text


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("postgresql+psycopg://me@h/db", {"host": "h", "dbname": "db", "user": "me"}),
        ("postgres+psycopg2://h", {"host": "h"}),
        ("postgresql+psycopg:///db?host=/run", {"host": "/run", "dbname": "db"}),
        ("postgresql+psycopg://h/db?sslmode=require", {"sslmode": "require"}),
        ("postgresql+psycopg://h/db?sslrootcert=/a%20b", {"sslrootcert": "/a b"}),
        ("postgresql+asyncpg://h/db?ssl=verify-full", {"sslmode": "verify-full"}),
        ("postgresql+asyncpg://h/db?prepared_statement_cache_size=9", {"host": "h"}),
        ("postgresql+psycopg2://u@/db?host=a:1&host=b:2", {"host": "a,b", "port": "1,2"}),
        ("postgresql+psycopg2://u@/db?host=a&host=b", {"host": "a,b"}),
        ("postgresql+psycopg://h/db?options=-csearch_path%3Dx", {"options": "-csearch_path=x"}),
        ("postgresql+psycopg://me:a%40b%2F@h/db", {"password": "a@b/"}),
    ],
)
def test_a_url_with_a_driver(url: str, options: dict[str, str]) -> None:
    """What the driver is told, libpq is told."""
    assert found(url).items() >= options.items()


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg://me:{SECRET}@h/db",
        f"postgresql+psycopg://me:x&{SECRET}@h/db",
        "postgresql+psycopg://me@h/db?s3cr=t",
        "postgresql+psycopg://me:x?s3cr=t@h/db",
        "postgresql+asyncpg://me@h/db?ssl=s3cr",
        "postgresql+psycopg://me:s3cr%ff@h/db",
    ],
)
def test_a_url_that_cannot_be_read_is_not_repeated(url: str) -> None:
    """Not even a name in its query: it may be a part of a password."""
    with pytest.raises(ConfigurationError) as caught:
        resolve(url, {})
    assert "s3cr" not in "".join(traceback.format_exception(caught.value)).replace(url, "")
    assert has_password(url)


# -- URLs and engines


def url(**parts: Any) -> URL:
    """Make a URL of a shop."""
    usual = {"drivername": "postgresql+psycopg", "host": "h", "database": "shop"}
    return URL.create(**{**usual, **parts})


def test_a_url_object() -> None:
    """Every part, as it is: nothing is percent-encoded there."""
    given = url(username="me", password=SECRET, port=5433, query={"sslmode": "require"})
    assert found(given) == {
        "host": "h",
        "port": "5433",
        "dbname": "shop",
        "user": "me",
        "password": SECRET,
        "sslmode": "require",
    }


@settings(deadline=None)
@given(st.text(st.characters(codec="ascii", exclude_characters="\x00"), min_size=1))
def test_the_password_of_a_url_is_kept_and_not_shown(password: str) -> None:
    """Whatever it is made of."""
    resolved = resolve(url(username="me", password=password), {})
    assert conninfo_to_dict(resolved.value)["password"] == password
    assert f"{resolved} {resolved!r}" == (
        "host=h dbname=shop user=me Conninfo(shown='host=h dbname=shop user=me')"
    )


def test_an_engine() -> None:
    """Also what it was made with beyond its URL."""
    engine = sqlalchemy.create_engine(
        url(username="me", password=SECRET),
        connect_args={"sslmode": "verify-ca", "options": "-c x=y", "prepare_threshold": None},
    )
    assert found(engine) == {
        "host": "h",
        "dbname": "shop",
        "user": "me",
        "password": SECRET,
        "sslmode": "verify-ca",
        "options": "-c x=y",
    }
    assert SECRET not in str(resolve(engine, {})) + repr(resolve(engine, {}))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (sqlalchemy.create_engine("sqlite://"), "sqlite"),
        (url(drivername="mysql+pymysql"), "mysql"),
        (url(query={"sslmod": "require"}), "sslmod"),
        (url(query={"ssl": "true"}), "encryption"),
        (sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: None), "creator"),
        (
            sqlalchemy.create_engine(url(), connect_args={"ssl": ssl.create_default_context()}),
            "encryption",
        ),
        (url(password="s3cr\x00t"), "value"),
        (object(), "object"),
        (3, "int"),
        ({"host": "h"}, "dict"),
    ],
)
def test_what_leads_nowhere_is_refused(given: Any, words: str) -> None:
    """Nor is anything left out that may have been meant to encrypt."""
    with pytest.raises(ConfigurationError, match=words):
        resolve(given, {})


def test_settings_that_asyncpg_makes() -> None:
    """They are made by libpq's options."""
    engine = sqlalchemy.create_engine(
        url(), connect_args={"server_settings": {"search_path": r"a, b\c"}, "timeout": 7}
    )
    given = conninfo_to_dict(resolve(engine, {}).value)
    assert given["options"] == r"-c search_path=a,\ b\\c"
    assert given["connect_timeout"] == "7"


# -- passwords


def test_a_password_beside_the_string() -> None:
    """It wins over the string's, and is not shown."""
    resolved = resolve("host=h user=me password=old", {}, password=SECRET)
    assert conninfo_to_dict(resolved.value)["password"] == SECRET
    assert SECRET not in f"{resolved} {resolved!r}"


def test_a_function_is_asked_each_time() -> None:
    """A token that has expired is followed by the next one."""
    tokens = iter(["one", "two"])
    resolved = resolve("host=h user=me password=old", {}, password=lambda: next(tokens))
    assert [conninfo_to_dict(resolved.filled())["password"] for _ in range(2)] == ["one", "two"]
    assert "one" not in repr(resolved) + resolved.value


@pytest.mark.parametrize("result", [None, b"bytes", 3, ValueError(SECRET), "nul\x00"])
def test_a_function_that_fails(result: Any) -> None:
    """The error says so, without what the function said."""

    def ask() -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    with pytest.raises(ServerUnavailable, match="the function that gives it") as caught:
        resolve("host=h", {}, password=ask).filled()
    assert caught.value.__context__ is None
    assert "s3cr" not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(ConfigurationError):
        resolve("host=h", {}, password=3)  # type: ignore[arg-type]


# -- jupysql's file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give a file as jupysql documents it."""
    path = tmp_path / "connections.ini"
    path.write_text(
        "[shop]\ndrivername = postgresql+psycopg2\nusername = me\npassword = s3cr%%t\n"
        "host = h\nport = 5433\ndatabase = db\nquery = {'sslmode': 'require'}\n"
        "[bare]\ndrivername = postgresql\n"
        "[unknown]\ndrivername = postgresql\ntoken = s3cr\n"
        "[query]\ndrivername = postgresql\nquery = s3cr\n"
        "[percent]\ndrivername = postgresql\npassword = s3cr%t\n"
        "[duck]\ndrivername = duckdb\n"
    )
    return path


def test_a_section(file: Path) -> None:
    """The same as for `%sql --section`."""
    assert found(jupysql.section("shop", str(file))) == {
        "host": "h",
        "port": "5433",
        "user": "me",
        "password": "s3cr%t",
        "dbname": "db",
        "sslmode": "require",
    }
    assert found(jupysql.section("bare", str(file))) == {}
    assert "s3cr" not in repr(jupysql.section("shop", str(file)))


@pytest.mark.parametrize("name", ["nope", "unknown", "query", "percent", "duck"])
def test_a_section_that_cannot_be_used(file: Path, name: str) -> None:
    """The error names the file and the section, and nothing that stands there."""
    with pytest.raises(ConfigurationError) as caught:
        resolve(jupysql.section(name, str(file)), {})
    assert "s3cr" not in "".join(traceback.format_exception(caught.value))


def test_a_file_that_is_missing_or_broken(tmp_path: Path) -> None:
    """It is named, and not quoted."""
    (tmp_path / "broken").write_text("password = s3cr\n[shop")
    for name in ("missing", "broken"):
        with pytest.raises(ConfigurationError, match=name) as caught:
            jupysql.section("shop", str(tmp_path / name))
        assert "s3cr" not in "".join(traceback.format_exception(caught.value))


def test_jupysql_reads_the_same(file: Path) -> None:
    """Its own parser gives the URL that ours gives."""
    parse = pytest.importorskip("sql.parse")
    config = SimpleNamespace(dsn_filename=str(file))
    theirs = parse.connection_str_from_dsn_section("shop", config)
    assert found(theirs) == found(jupysql.section("shop", str(file)))
