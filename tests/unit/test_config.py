"""The server to talk to is found, and its password is never shown."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgrt_jupyter.config import has_password, resolve
from pgrt_jupyter.errors import ConfigurationError

SECRET = "s3cr:t@/%"


def test_what_was_passed_comes_first() -> None:
    """An explicit conninfo beats the environment."""
    found = resolve("dbname=passed", {"PGRT_DSN": "dbname=own", "DATABASE_URL": "dbname=url"})
    assert conninfo_to_dict(found.value)["dbname"] == "passed"


def test_our_own_variable_comes_before_the_common_one() -> None:
    """PGRT_DSN beats DATABASE_URL."""
    found = resolve("", {"PGRT_DSN": "dbname=own", "DATABASE_URL": "dbname=url"})
    assert conninfo_to_dict(found.value)["dbname"] == "own"


def test_the_common_variable_is_read() -> None:
    """DATABASE_URL is used when there is nothing else."""
    found = resolve("", {"DATABASE_URL": "postgresql://h/url"})
    assert conninfo_to_dict(found.value)["dbname"] == "url"


def test_without_anything_libpq_decides() -> None:
    """No host or database is made up."""
    found = resolve("", {})
    given_names = conninfo_to_dict(found.value).keys()
    assert not given_names & {"host", "port", "dbname", "user", "password"}
    assert str(found) == "libpq's defaults"


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "asyncpg"])
def test_a_url_made_for_sqlalchemy_works(driver: str) -> None:
    """The driver in the scheme is left out."""
    found = resolve(f"postgresql+{driver}://me@host:5433/shop", {})
    assert conninfo_to_dict(found.value)["host"] == "host"
    assert str(found) == "host=host port=5433 dbname=shop user=me"


def test_connections_say_who_they_are() -> None:
    """The application name lets an administrator find us."""
    assert conninfo_to_dict(resolve("", {}).value)["application_name"] == "pgrt_jupyter"


def test_the_users_options_win() -> None:
    """What a conninfo sets is not overridden."""
    found = conninfo_to_dict(resolve("application_name=mine connect_timeout=60", {}).value)
    assert (found["application_name"], found["connect_timeout"]) == ("mine", "60")


def test_a_resolved_conninfo_stays() -> None:
    """Resolving twice gives the same object."""
    found = resolve("dbname=a", {})
    assert resolve(found) is found


@pytest.mark.parametrize("conninfo", ["host=", "nonsense", f"postgresql://u:{SECRET} x@h", "a=b=c"])
def test_an_unreadable_conninfo_is_not_repeated(conninfo: str) -> None:
    """A conninfo that cannot be read may hold a password: it is in no part of the error."""
    if conninfo == "host=":
        assert resolve(conninfo, {}).value
        return
    with pytest.raises(ConfigurationError) as caught:
        resolve(conninfo, {})
    assert SECRET not in str(caught.value)
    assert "nonsense" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@settings(deadline=None)
@given(st.text(alphabet=st.characters(codec="ascii", exclude_characters="\x00"), min_size=8))
def test_no_password_is_shown(password: str) -> None:
    """Neither str nor repr holds the password, whatever it is made of."""
    shown = resolve(make_conninfo(host="h", user="u", password=password), {})
    assert str(shown) == "host=h user=u"
    assert repr(shown) == "Conninfo(shown='host=h user=u')"


@pytest.mark.parametrize(
    ("conninfo", "answer"),
    [
        ("postgresql://me:secret@h/d", True),
        ("postgresql+psycopg2://me:secret@h/d", True),
        ("postgresql://me@h/d?password=x", True),
        ("host=h password=x", True),
        ("host=h password='a b'", True),
        ("host=h sslkey=k sslpassword=x", True),
        ("postgresql://me@h/d", False),
        ("host=h user=u", False),
        ("", False),
        ("not readable", True),
    ],
)
def test_a_password_is_recognised(conninfo: str, answer: bool) -> None:
    """A password in any form of conninfo is found; in doubt there is one."""
    assert has_password(conninfo) is answer


@pytest.mark.parametrize(
    ("conninfo", "environ", "attribute"),
    [
        ("host=a,b", {}, "primary"),
        ("postgresql://a,b/db", {}, "primary"),
        ("dbname=x", {"PGHOST": "a,b"}, "primary"),
        ("host=a", {}, None),
        ("host=a,b target_session_attrs=any", {}, "any"),
        ("host=a,b", {"PGTARGETSESSIONATTRS": "standby"}, None),
    ],
)
def test_among_several_hosts_the_engine_looks_for_the_primary(
    conninfo: str, environ: dict[str, str], attribute: str | None
) -> None:
    """Unless the user says which is meant."""
    found = conninfo_to_dict(resolve(conninfo, environ, to_primary=True).value)
    assert found.get("target_session_attrs") == attribute
    assert "target_session_attrs" not in conninfo_to_dict(resolve("host=a,b", {}).value)


def test_a_time_out_of_the_environment_is_kept() -> None:
    """What libpq takes from its own variables is not replaced by a default of ours."""
    environ = {"PGCONNECT_TIMEOUT": "20", "PGAPPNAME": "mine"}
    found = conninfo_to_dict(resolve("dbname=x", environ).value)
    assert found.keys().isdisjoint(("connect_timeout", "application_name"))
