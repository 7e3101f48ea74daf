"""Have an unprivileged role listen to every test that has a database, and find no value in what it hears."""

from __future__ import annotations

import inspect
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

GRAMMAR = re.compile(
    r"[0-9]{1,10} ([IUDT] (\*|[0-9]{1,10}(,[0-9]{1,10})*)( i)?|\? [0-9A-Z]{5})|end [0-9]+", re.ASCII
)
TOKEN = re.compile(r"[0-9a-f]{32}")
SENDS = re.compile(r"pg_notify\(|NOTIFY ")


@pytest.fixture(scope="session")
def _eavesdroppers(_running: dict[str, Any]) -> Iterator[Callable[[str], str]]:
    """Give a function that makes, once on a server, a role that may do nothing but connect."""
    import psycopg
    from psycopg import sql
    from psycopg.conninfo import make_conninfo

    made: dict[str, tuple[str, str]] = {}

    def run(server: str, statement: str, name: str) -> None:
        with psycopg.connect(server, autocommit=True, application_name="pgrt-test") as admin:
            admin.execute(sql.SQL(statement).format(sql.Identifier(name)))

    def conninfo(server: str) -> str:
        if server not in made:
            made[server] = (f"eavesdropper_{secrets.token_hex(4)}", secrets.token_hex(8))
            name, password = made[server]
            run(server, f"CREATE ROLE {{}} LOGIN PASSWORD '{password}'", name)
        name, password = made[server]
        return make_conninfo(server, user=name, password=password)

    yield conninfo
    for server, (name, _) in made.items():
        run(server, "DROP ROLE {}", name)


@pytest.fixture(autouse=True)
def eavesdropper(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    _eavesdroppers: Callable[[str], str],
) -> Iterator[None]:
    """Listen on every channel in use; a payload may be nothing but what the grammar allows."""
    if "dsn" not in request.fixturenames:
        yield
        return
    import psycopg
    from psycopg import sql
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    from pgrt_jupyter.engine.listener import Listener

    dsn = request.getfixturevalue("dsn")
    role = _eavesdroppers(request.getfixturevalue("server"))
    place = make_conninfo(
        role, dbname=conninfo_to_dict(dsn)["dbname"], application_name="pgrt-test"
    )
    heard: list[tuple[str, str]] = []
    original = Listener.__init__
    channels = {"pgrt_jupyter"}
    lock = threading.Lock()

    def noted(self: Listener, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        with lock:
            channels.add(self._proof.channel)
            if not ear.closed:
                ear.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._proof.channel)))

    with psycopg.connect(place, autocommit=True) as ear:
        ear.add_notify_handler(lambda n: heard.append((n.channel, n.payload)))
        ear.execute("LISTEN pgrt_jupyter")
        monkeypatch.setattr(Listener, "__init__", noted)
        yield
        try:
            ear.execute("SELECT 1")
        except psycopg.Error:
            return  # the test ended every connection
    if not SENDS.search(inspect.getsource(request.function)):
        for channel, payload in heard:
            known = TOKEN if channel != "pgrt_jupyter" else GRAMMAR
            assert known.fullmatch(payload), f"heard on {channel}: {payload!r}"
