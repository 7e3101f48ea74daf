"""Give every test a database of its own and notice what it leaves behind.

    def test_something(dsn, connect):            a fresh database, connections closed at the end
        connection = connect(dsn)

    def test_roles(dsn, make_role):              login roles with unique names, dropped at the end
        reader = make_role("reader")             reader.name, reader.conninfo(dsn)

    @pytest.mark.every_server                    once more on the oldest PostgreSQL found here
    def test_everywhere(dsn): ...

The server is the embedded one, or the one `PGRT_TEST_DSN` names (a role that may create databases
and roles). Start-up takes a second and happens only when a test asks for it.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from pgrt_jupyter.testing import wait_until

SYSTEM = Path("/usr/lib/postgresql")
GONE_WITHIN = 15.0  # seconds a closing engine may take to end its threads and connections
# A busy machine is no reason for a test to fail.
settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")

ENDED = pytest.StashKey[int]()  # processes of pytest-xdist that ended in the middle of a test
APPLICATION = "pgrt-test"  # of the connections tests open themselves; ours begin with pgrt, too


def pytest_configure(config: pytest.Config) -> None:
    """Keep Jupyter and IPython, here and in kernels, away from the user's own folders."""
    folder = tempfile.TemporaryDirectory(prefix="pgrt-jupyter-")
    config.add_cleanup(folder.cleanup)
    for name in (
        "JUPYTER_CONFIG_DIR",
        "JUPYTER_DATA_DIR",
        "JUPYTER_RUNTIME_DIR",
        "JUPYTERLAB_SETTINGS_DIR",
        "JUPYTERLAB_WORKSPACES_DIR",
        "IPYTHONDIR",
    ):
        os.environ[name] = str(Path(folder.name, name.lower()))
        Path(os.environ[name]).mkdir()
    given = os.environ.get("PGRT_TEST_DSN")
    # The user's own servers are none of our business, and Python starts faster with its cache.
    for name in [*os.environ]:
        if name in ("PGRT_DSN", "DATABASE_URL", "PYTHONDONTWRITEBYTECODE") or (
            name.startswith("PG") and not name.startswith("PGRT_") and not given
        ):
            del os.environ[name]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Count the processes that did not end by themselves."""
    stash = node.config.stash
    stash[ENDED] = stash.get(ENDED, 0) + bool(error)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Say `INTERRUPTED` where no process took another's place, so that tests have not run."""
    allowed = getattr(session.config.option, "maxworkerrestart", None)
    if allowed is not None and session.config.stash.get(ENDED, 0) > int(allowed):
        session.exitstatus = pytest.ExitCode.INTERRUPTED


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests marked `every_server` on the oldest installed version as well."""
    marked = metafunc.definition.get_closest_marker("every_server") is not None
    if marked and "server" in metafunc.fixturenames and _oldest() is not None:
        metafunc.parametrize("server", ["default", "oldest"], indirect=True, scope="session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what is quick first, and browsers last: Playwright keeps a loop running on this thread."""
    order = [
        "unit",
        "integration",
        "variants",
        "oracle",
        "soak",
        "jupyter",
        "faults",
        "notebooks",
        "release",
        "browser",
    ]

    def place(item: pytest.Item) -> int:
        return next((i for i, name in enumerate(order) if name in item.path.parts), len(order))

    items.sort(key=place)


def _oldest() -> Path | None:
    if os.environ.get("PGRT_TEST_DSN"):
        return None
    found = [folder for folder in SYSTEM.glob("[0-9]*/bin") if (folder / "postgres").exists()]
    return min(found, key=lambda folder: float(folder.parent.name), default=None)


@dataclass(frozen=True, slots=True)
class Role:
    """Hold a login role that exists for one test."""

    name: str
    password: str

    def conninfo(self, dsn: str) -> str:
        """Give `dsn` with this role as its user."""
        from psycopg.conninfo import make_conninfo

        return make_conninfo(dsn, user=self.name, password=self.password)


@pytest.fixture(scope="session")
def _running() -> Iterator[dict[str, Any]]:
    """Hold the embedded servers started so far, by name; all stop at the end of the session."""
    servers: dict[str, Any] = {}
    yield servers
    for running in servers.values():
        running.stop()


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, _running: dict[str, Any]) -> str:
    """Give the conninfo of a superuser's connection to the server under test."""
    if given := os.environ.get("PGRT_TEST_DSN"):
        return given
    from pgrt_jupyter.embedded import start_server

    name = getattr(request, "param", "default")
    if name not in _running:
        _running[name] = start_server(bin_dir=_oldest() if name == "oldest" else None)
    return _running[name].conninfo


@pytest.fixture(scope="session")
def template(server: str) -> Iterator[str]:
    """Name the database every test's own is cloned from."""
    name = f"pgrt_template_{secrets.token_hex(4)}"
    _execute(server, "CREATE DATABASE {} TEMPLATE template0", name)
    yield name
    _execute(server, "DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture
def _roles(server: str) -> Iterator[list[Role]]:
    """Drop the roles a test made, after its database: they may own things there."""
    made: list[Role] = []
    yield made
    for role in made:
        _execute(server, "DROP ROLE {}", role.name)


@pytest.fixture
def dsn(server: str, template: str, _roles: list[Role]) -> Iterator[str]:
    """Give the conninfo of a database that exists for this test only."""
    from psycopg.conninfo import make_conninfo

    name = f"pgrt_test_{secrets.token_hex(4)}"
    _execute(server, "CREATE DATABASE {} TEMPLATE {}", name, template)
    yield make_conninfo(server, dbname=name)
    try:
        wait_until(lambda: not (_ours(server, name)), GONE_WITHIN)
    except TimeoutError:
        pytest.fail(f"connections survived the test: {_ours(server, name)}")
    finally:
        _execute(server, "DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture
def connect(dsn: str) -> Iterator[Callable[..., Any]]:
    """Give a function that opens autocommit connections, closed when the test ends."""
    import psycopg

    opened: list[psycopg.Connection] = []

    def open_one(conninfo: str = dsn, **options: Any) -> psycopg.Connection:
        options = {"autocommit": True, "application_name": APPLICATION, **options}
        opened.append(psycopg.connect(conninfo, **options))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.close()


@pytest.fixture
def make_role(server: str, _roles: list[Role]) -> Callable[..., Role]:
    """Give a function that creates roles, which may log in unless other attributes are given."""
    from psycopg import sql

    def make(name: str = "role", attributes: str = "LOGIN") -> Role:
        role = Role(f"{name}_{secrets.token_hex(4)}", secrets.token_hex(8))
        statement = sql.SQL("CREATE ROLE {{}} {} PASSWORD {}").format(
            sql.SQL(attributes), role.password
        )
        _execute(server, statement.as_string(), role.name)
        _roles.append(role)
        return role

    return make


@pytest.fixture(autouse=True)
def nothing_survives() -> Iterator[None]:
    """Fail a test that leaves a thread of ours behind."""
    before = set(threading.enumerate())
    yield

    def left() -> list[str]:
        return [
            thread.name
            for thread in threading.enumerate()
            if thread not in before and thread.name.startswith("pgrt")
        ]

    if left():
        try:
            wait_until(lambda: not left(), GONE_WITHIN)
        except TimeoutError:
            pytest.fail(f"threads survived the test: {left()}")


def _execute(conninfo: str, statement: str, *names: str) -> None:
    import psycopg
    from psycopg import sql

    composed = sql.SQL(statement).format(*map(sql.Identifier, names))  # type: ignore[arg-type]
    with psycopg.connect(conninfo, autocommit=True, application_name=APPLICATION) as connection:
        # To make or drop a database waits for every process of the server, however stuck.
        connection.execute("SET statement_timeout = '60s'")
        connection.execute(composed)


def _ours(conninfo: str, database: str) -> list[tuple[Any, ...]]:
    """List the connections of ours to that database, with what they last ran."""
    import psycopg

    with psycopg.connect(conninfo, autocommit=True, application_name=APPLICATION) as connection:
        return connection.execute(
            "SELECT pid, application_name, state, left(query, 200) FROM pg_stat_activity"
            " WHERE datname = %s AND application_name LIKE 'pgrt%%' AND application_name <> %s",
            (database, APPLICATION),
        ).fetchall()
