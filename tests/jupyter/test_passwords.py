"""A kernel connects as jupysql does, or asks for a password; whatever comes of it shows none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

import pgrt_jupyter as pgrt

from ..faults.servers import Node
from .conftest import TIMEOUT, Kernel
from .test_confidential import MODES, around, published

SECRET = "cAnArYs3cr:t@/%"
LIVE = "%%livequery numbers --throttle 0\nSELECT n FROM numbers"
PARTS = """[shop]
drivername = postgresql+psycopg
username = with_password
password = {password}
host = 127.0.0.1
port = {port}
database = postgres
query = {{'application_name': 'pgrt_jupyter'}}
"""


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """Give a server that wants a password of one role, which has a table."""
    with Node() as node:
        node.execute(f"CREATE ROLE with_password LOGIN PASSWORD '{SECRET}'")
        node.execute("GRANT CREATE ON DATABASE postgres TO with_password")
        node.execute("CREATE TABLE numbers AS SELECT 1 AS n")
        node.execute("ALTER TABLE numbers OWNER TO with_password")
        rules = node.data / "pg_hba.conf"
        asked = "host all with_password all scram-sha-256\n"
        rules.write_text(asked + rules.read_text("utf-8"), "utf-8")
        node.execute("SELECT pg_reload_conf()")
        yield node


@pytest.fixture
def place(node: Node) -> str:
    """Give a conninfo without the password."""
    return make_conninfo(node.conninfo(), user="with_password")


@pytest.fixture
def kernel(tmp_path: Path, start_kernel: Callable[..., Kernel]) -> Iterator[Kernel]:
    """Give a kernel that knows of no server; in the end it has said, logged and saved no password."""
    kernel = start_kernel(
        HOME=str(tmp_path), IPYTHONDIR=str(tmp_path / "ipython"), PLOOMBER_STATS_ENABLED="false"
    )
    kernel.run(
        "import logging, os; logging.basicConfig(filename=os.path.expanduser('~/log'),"
        " level=logging.DEBUG, force=True)"
    )
    yield kernel
    assert around(SECRET, str(published(kernel))) == []
    kernel.close()
    saved = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".ini"]
    assert {"log", "history.sqlite"} <= {path.name for path in saved}
    assert [path for path in saved if SECRET.encode() in path.read_bytes()] == []


def answered(kernel: Kernel, code: str, *answers: str, fails: bool = False) -> list[str]:
    """Run a cell and answer what it asks; give the questions, each of which hides its answer."""
    request = kernel.client.execute(code, allow_stdin=True)
    asked = []
    for answer in answers:
        question = kernel.client.get_stdin_msg(timeout=TIMEOUT)["content"]
        assert question["password"]
        asked.append(question["prompt"])
        kernel.client.input(answer)
    outcome = kernel.finish(request)
    assert (outcome.reply["status"] == "error") is fails, outcome.error or outcome.reply
    return asked


def silent(kernel: Kernel, code: str, **options: Any) -> Any:
    """Run a cell as nbclient and Voilà do, where nobody answers."""
    request = kernel.client.execute(code, allow_stdin=False)
    outcome = kernel.finish(request)
    assert outcome.reply["status"] == options.get("status", "error")
    return outcome.error


def follows(kernel: Kernel, node: Node) -> None:
    """Require that a live query follows its table."""
    kernel.run(LIVE)
    ((n,),) = node.execute("UPDATE numbers SET n = n + 1 RETURNING n")
    kernel.run(f"numbers.wait_for(lambda df: df['n'][0] == {n}); assert numbers.status == 'live'")


def test_a_password_that_the_server_wants_is_asked_for(kernel, node, place):
    """Once, by who is asked, where and for whom; then everything goes on."""
    [question] = answered(kernel, f"%pgrt connect {place}", SECRET)
    assert "with_password" in question
    assert str(node.port) in question
    follows(kernel, node)
    kernel.run("%pgrt status")


def test_a_cell_that_needs_an_engine_asks_too(kernel, node, place):
    """What the environment says is enough for the question."""
    kernel.run(f"os.environ['PGRT_DSN'] = {place!r}")
    assert len(answered(kernel, LIVE, SECRET)) == 1
    follows(kernel, node)


def test_a_password_may_be_asked_for_at_once(kernel, node, place):
    """Also that of the role that queries."""
    questions = answered(
        kernel, f"%pgrt connect {node.conninfo()} --ask --query {place}", "any", SECRET
    )
    assert ["postgres" in questions[0], "with_password" in questions[1]] == [True, True]
    follows(kernel, node)


def test_a_wrong_password_is_an_error(kernel, place, node):
    """Nothing runs, nothing of it is shown, and it can be tried again."""
    for mode in MODES:
        kernel.run(f"%xmode {mode}")
        answered(kernel, f"%pgrt connect {place}", f"x{SECRET}", fails=True)
        answered(kernel, f"%pgrt connect {place} --ask", f"x{SECRET}", fails=True)
    [error] = [m["content"] for m in kernel.messages if m["msg_type"] == "error"][-1:]
    assert error["ename"] == "ServerUnavailable"
    assert "28P01" in error["evalue"]
    answered(kernel, f"%pgrt connect {place}", SECRET)
    follows(kernel, node)


def test_where_nobody_can_be_asked_the_error_is_told(kernel, place):
    """As when a notebook is executed: the cell fails and nothing waits."""
    error = silent(kernel, f"%pgrt connect {place}")
    assert error["ename"] == "ServerUnavailable"
    assert "PGRT_DSN" in str(error["traceback"])
    error = silent(kernel, f"%pgrt connect {place} --ask")
    assert error["ename"] == "UsageError"


def test_a_section_of_jupysqls_file(kernel, node, tmp_path):
    """The usual one, and one that is named."""
    folder = tmp_path / ".jupysql"
    folder.mkdir()
    text = PARTS.format(password=SECRET.replace("%", "%%"), port=node.port)
    (folder / "connections.ini").write_text(text)
    assert "user=with_password" in kernel.run("%pgrt connect --section shop").text
    follows(kernel, node)
    kernel.run("%pgrt shutdown")
    (folder / "connections.ini").rename(tmp_path / "other file.ini")
    kernel.run("%pgrt connect --section shop", fails=True)
    kernel.run("%pgrt connect --section shop --file '~/other file.ini'")
    follows(kernel, node)


def test_jupysqls_own_connection(kernel, node, tmp_path):
    """What `%sql` uses, live queries use."""
    pytest.importorskip("sql.magic")
    error = kernel.run("%pgrt connect --jupysql", fails=True).error
    assert "%sql" in error["evalue"]
    (tmp_path / "sections.ini").write_text(
        PARTS.format(password=SECRET.replace("%", "%%"), port=node.port)
    )
    kernel.run("%load_ext sql\n%config SqlMagic.dsn_filename = '~/sections.ini'")
    kernel.run("%config SqlMagic.displaycon = False")
    kernel.run("%sql --section shop")
    assert "user=with_password" in kernel.run("%pgrt connect --jupysql").text
    follows(kernel, node)
    kernel.run("%pgrt shutdown")
    assert "user=with_password" in kernel.run("%pgrt connect --section shop").text
    kernel.run("%pgrt connect --jupysql")  # is on already


FAILING = [
    "pgrt.start(url.set(port=1))",
    "pgrt.start(sqlalchemy.create_engine(url.set(port=1)))",
    "pgrt.start(url.set(query={'nope': 'x'}))",
    "pgrt.start(url.set(query={'sslmode': 'nope'}))",
    "pgrt.start(url.set(drivername='mysql+pymysql'))",
    "pgrt.start(url.set(username='nobody_at_all', database='nowhere'))",
    "pgrt.start(url.render_as_string(hide_password=False).replace('@', '@@'))",
    "pgrt.start(url.render_as_string(hide_password=False).replace('%', '@'))",
    "pgrt.start(place, password=lambda: 1 / len(s) + s)",
    "pgrt.start(place, password=broken)",
    "pgrt.start(place, password=lambda: s[1:])",
    "pgrt.start(place, password=s[1:])",
    "pgrt.start(place, password=[s])",
    "pgrt.destroy(url.set(port=1))",
]
SETUP = """
import sqlalchemy, pgrt_jupyter as pgrt
def broken():
    raise ValueError(f"no token for {s}")
s = os.environ.pop("CANARY")
"""


def test_whatever_fails_shows_no_password(start_kernel, node, place, tmp_path):
    """Under any %xmode, and neither does what works."""
    kernel = start_kernel(
        HOME=str(tmp_path), IPYTHONDIR=str(tmp_path / "ipython"), CANARY=SECRET, PLACE=place
    )
    kernel.run(
        "import logging, os; logging.basicConfig(filename=os.path.expanduser('~/log'),"
        " level=logging.DEBUG, force=True); logging.getLogger('sqlalchemy').setLevel('WARNING')"
    )
    kernel.run(SETUP)
    kernel.run(
        "place = os.environ['PLACE']; url = sqlalchemy.URL.create('postgresql+psycopg',"
        f" 'with_password', s, '127.0.0.1', {node.port}, 'postgres')"
    )
    for mode in MODES:
        kernel.run(f"%xmode {mode}")
        for cell in FAILING if mode == "Verbose" else FAILING[:: len(MODES)]:
            kernel.run(cell, fails=True)
    for way in ("url", "sqlalchemy.create_engine(url)", "place, password=lambda: s"):
        kernel.run(f"engine = pgrt.start({way}); print(engine, vars(engine), engine.server)")
        kernel.run("engine")
        follows(kernel, node)
        kernel.run("%pgrt status")
        kernel.run("pgrt.shutdown()")
    assert around("cAnArY", str(published(kernel)))[:2] == []
    kernel.close()
    saved = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "log" for path in saved)
    assert [path for path in saved if b"cAnArY" in path.read_bytes()] == []


@pytest.mark.parametrize(
    "line",
    [
        "--embedded --jupysql",
        "host=h --section shop",
        "--section shop --jupysql",
        "--file x",
        "--jupysql --file x",
        "--section",
    ],
)
def test_one_way_at_a_time(shell, line):
    """What does not fit together is said in a line."""
    ran = shell.run(f"%pgrt connect {line}")
    assert isinstance(ran.error, pgrt.UsageError)
    assert "Not connected" in shell.run("%pgrt status").text
