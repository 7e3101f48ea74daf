"""Passwords and rows are in nothing that is shown, logged, recorded or saved without being asked for."""

from __future__ import annotations

import json
import logging
import os
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

import pgrt_jupyter as pgrt
from pgrt_jupyter.testing import wait_until

ROW = "rOwCaNaRy"
MODES = ("Plain", "Context", "Verbose", "Minimal", "Docs")


@pytest.fixture
def db(connect: Callable[..., Any]) -> Any:
    """Give a connection to a database with canaries in a table."""
    connection = connect()
    connection.execute("CREATE TABLE numbers (id int PRIMARY KEY, note text)")
    connection.execute("INSERT INTO numbers VALUES (1, %s)", [ROW])
    connection.execute("GRANT SELECT ON numbers TO public")
    return connection


@pytest.fixture
def password(dsn: str, db: Any, make_role: Callable[..., Any], monkeypatch: Any) -> str:
    """Give the password of the role in PGRT_DSN."""
    role = make_role("installer")
    db.execute(f"GRANT CREATE ON DATABASE {db.info.dbname} TO {role.name}")
    db.execute(f"ALTER TABLE numbers OWNER TO {role.name}")
    monkeypatch.setenv("PGRT_DSN", role.conninfo(dsn))
    monkeypatch.setenv("CANARY", role.password)
    return str(role.password)


# The URL's password is the canary behind something that ends it too early, or not.
WRONG = [
    *(
        f'f"postgresql://me:x{mark}{{s}}@127.0.0.1:1/db"'
        for mark in ("@", "/", "%", " ", "#", "?", ":")
    ),
    *(f'f"postgresql://me:{{s}}{mark}x@127.0.0.1:1/db"' for mark in ("@", "/", "%", " ", "[")),
    'f"postgresql://me:{s}%ff@127.0.0.1:1/db"',
    'f"postgresql://me:{s}@[::1/db"',
    'f"postgresql://me:{s}@::1:1/db"',
    'f"postgresql://me:{s}@[::1]:1/db"',
    'f"postgresql+psycopg://me:{s}@host:port/db"',
    'f"postgresql://me@127.0.0.1:1/db?password={s}&nope=1"',
    'f"host=127.0.0.1 port=1 password={s}"',
    'f"host=127.0.0.1 port=1 password=x {s}"',
    'f"host=127.0.0.1 port=1 password=\'{s}"',
    "f\"{os.environ['PGRT_DSN']} user=nobody_at_all dbname=nowhere\"",
    "f\"{os.environ['PGRT_DSN']} sslmode=verify-full sslrootcert=/nowhere host=127.0.0.1 port=1\"",
    'f"{s}"',
]
FAILING = [
    *(f"pgrt.Engine({url}).start()" for url in WRONG),
    *(f"pgrt.sub('x', 'SELECT 1', query_conninfo={url})" for url in WRONG[:1] + WRONG[-4:-2]),
    f"pgrt.destroy({WRONG[0]})",
    "pgrt.sub('x', 'SELECT nope')",
    "pgrt.sub('x', 'SELECT note::int FROM numbers')",
    "pgrt.sub('x', 'SELECT 1 / (id - 1) FROM numbers')",
    "pgrt.sub('nope')",
    "copy.deepcopy(engine)",
    "pickle.dumps(engine)",
    "pickle.dumps(numbers)",
    "%%livequery x\nSELECT note::int FROM numbers",
    "%%livequery x --query host=127.0.0.1 port=1\nSELECT 1",
    "%%livequery x --query $dsn\nSELECT 1",
    "%pgrt connect {dsn}",
    "1 / 0  # of the user's own",
]
WORKING = [
    "print(engine, repr(engine), vars(engine), vars(engine._loop), engine._conninfo)",
    "print(f'{engine._conninfo!s} {engine._conninfo!r} {engine._conninfo}', numbers, [numbers])",
    "engine",
    "engine?",
    "numbers?",
    "%pgrt status",
    "%livequery",
    "%whos Engine LiveQuery",
    "%pgrt connect",
    "import warnings; warnings.warn(f'{engine} {numbers}')",
    "import faulthandler; faulthandler.dump_traceback(open(os.devnull, 'w'))",
    "pgrt.start(dsn)",
]
SETUP = """
import copy, logging, os, pickle
import pgrt_jupyter as pgrt
logging.basicConfig(filename=os.environ['LOG'], level=logging.DEBUG, force=True)
s, dsn = os.environ['CANARY'], os.environ['PGRT_DSN']
engine = pgrt.start()
"""
LIVE = "%%livequery numbers --throttle 0\nSELECT id, note FROM numbers ORDER BY id"


def published(kernel: Any) -> list[Any]:
    """List what a kernel said, but for what it was asked and for rows on their way to a browser."""
    return [
        message["content"]
        for message in kernel.messages
        if message["msg_type"] != "execute_input"
        and message["content"].get("data", {}).get("method") != "custom"
    ]


def around(word: str, text: str) -> list[str]:
    """Give what stands around each place where a word is."""
    return [text[max(0, m.start() - 300) : m.end() + 100] for m in re.finditer(word, text)]


def test_nothing_shows_the_password(
    start_kernel: Callable[..., Any], password: str, db: Any, tmp_path: Path
) -> None:
    """Whatever fails and whatever `%xmode`: no output, log or history has it; nor rows, unasked."""
    folder = str(tmp_path / "ipython")
    kernel = start_kernel(LOG=str(tmp_path / "log"), IPYTHONDIR=folder)
    kernel.run(SETUP)
    kernel.run(LIVE)
    for mode in MODES:
        kernel.run(f"%xmode {mode}")
        for cell in FAILING if mode == "Verbose" else FAILING[:: len(MODES)]:
            kernel.run(cell, fails=True)
    for cell in WORKING:
        kernel.run(cell)
    table = next(m for m in kernel.messages if m["msg_type"] == "comm_open" and "title" in str(m))
    hello = {"type": "hello", "seq": 1, "viewer": "v", "start": 0, "count": 9}
    kernel.send_to_comm(table["content"]["comm_id"], hello)
    kernel.until(lambda m: ROW in str(m["content"]), since=0)
    db.execute("ALTER TABLE numbers RENAME COLUMN note TO other")  # fails from now on
    db.execute("UPDATE numbers SET other = other")
    kernel.run("import time\nwhile numbers.status != 'error': time.sleep(0.01)")
    kernel.run("%pgrt shutdown")
    said = str(published(kernel))
    assert around(password, said)[:2] == []
    assert "EngineNotRunning" not in said
    rows = [m for m in published(kernel) if ROW in str(m)]
    assert rows
    assert all("invalid input syntax" in str(m) for m in rows)  # the server's words, to who asked
    kernel.close()
    logged = (tmp_path / "log").read_text()
    assert "pgrt_jupyter" in logged
    assert password not in logged
    assert ROW not in logged
    with sqlite3.connect(next(tmp_path.rglob("history.sqlite"))) as history:
        dump = "\n".join(history.iterdump())
    assert "numbers" in dump
    assert password not in dump
    assert ROW not in dump
    left = [p for p in tmp_path.rglob("*") if p.is_file() and password.encode() in p.read_bytes()]
    assert left == []


def executed(cells: list[str], folder: Path) -> str:
    """Run a notebook as papermill and nbconvert do, widget state included; give the file's text."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(
        notebook, kernel_name="python3", store_widget_state=True, allow_errors=True, timeout=60
    ).execute()
    nbformat.write(notebook, folder / "saved.ipynb")
    return (folder / "saved.ipynb").read_text()


def test_a_saved_notebook(password: str, db: Any, tmp_path: Path) -> None:
    """No row and no password by default, widget state included; the first rows with `persist`."""
    first = ["%load_ext pgrt_jupyter", LIVE]
    more = [
        "numbers.table()",
        "%pgrt status",
        "%livequery",
        "import pgrt_jupyter\npgrt_jupyter.sub('numbers').wait_for(lambda df: len(df) == 1); None",
        "%%livequery bad\nSELECT id, nope FROM numbers",
        "pgrt_jupyter.sub('numbers')",
    ]
    saved = executed([*first, *more], tmp_path)
    assert "1 row" in saved
    assert ROW not in saved
    assert password not in saved
    saved = executed(
        [
            first[0],
            LIVE.replace("numbers ", "numbers --persist ", 1),
            "numbers.table(persist=True)",
            "%config LiveQueryMagics.persist = True",
            LIVE.replace("numbers ", "other ", 1),
        ],
        tmp_path,
    )
    assert saved.count(f"<td>{ROW}</td>") == 3
    assert ROW not in str(json.loads(saved)["metadata"])


def test_the_default_log_has_no_values(dsn: str, db: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A run that fails on a value logs its class and code; the words are in `error`, for who may read."""
    caplog.set_level(logging.DEBUG)
    query = "SELECT id, CASE WHEN id > 1 THEN note::int END AS n FROM numbers"
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        lq = engine.sub("numbers", query)
        db.execute("INSERT INTO numbers VALUES (2, %s)", [ROW])
        wait_until(lambda: lq.status == "error")
        wait_until(lambda: "22P02" in caplog.text)
        assert ROW in str(lq.error)
        db.execute("ALTER TABLE numbers RENAME COLUMN note TO other")
        wait_until(lambda: "does not exist" in caplog.text)
    assert ROW not in caplog.text


def test_what_is_logged_and_shown_spans_no_lines(
    dsn: str, connect: Callable[..., Any], shell: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Line breaks, escape sequences and direction marks in names are written out."""
    evil = "a\nERROR forged\x1b[2J\u202egnp\u2028"
    db = connect()
    db.execute("CREATE TABLE numbers (id int PRIMARY KEY, n int)")
    with pgrt.start(dsn, throttle_ms=0) as engine:
        lq = engine.sub(evil, "SELECT id, n FROM numbers")
        quoted = '"' + evil.replace('"', '""') + '"'
        db.execute(f"ALTER TABLE numbers RENAME COLUMN n TO {quoted}")
        db.execute("INSERT INTO numbers VALUES (1, 1)")
        wait_until(lambda: lq.status == "error")
        wait_until(lambda: "42703" in caplog.text)
        shown = shell.run("%livequery").result.to_string() + lq.own_table.title + repr(lq)
        message = lq._shown().message
        failed = shell.run(f"import pgrt_jupyter\npgrt_jupyter.sub({evil!r} + '?')").shown
        wrong = shell.run(f"pgrt_jupyter.sub('x', 'SELECT \"{quoted[1:-1]}\"'.replace('E', 'E'))")
    for text in (
        *(r.getMessage() for r in caplog.records if r.name == "pgrt_jupyter"),
        shown,
        failed,
    ):
        assert not set(text) & {"\x1b", "\u202e", "\u2028"}, repr(text)
    assert "\nERROR forged" not in caplog.text + shown + failed
    assert not set(message) & {"\x1b", "\u202e", "\u2028"}
    assert wrong.error is not None


@pytest.mark.parametrize(
    "option",
    [
        *("passfile=/tmp/x", "sslkey=/tmp/x", "sslcert=/tmp/x", "sslrootcert=/tmp/x", "sslcrl=x"),
        *("sslkeylogfile=/tmp/x", "gsslib=gssapi", "krbsrvname=x", "replication=database"),
        *("oauth_issuer=http://x", "oauth_client_id=x", "sslcrldir=/tmp"),
        *("password=x", "sslpassword=x", "oauth_client_secret=x", "scram_client_key=x"),
    ],
)
def test_options_that_a_cell_may_not_carry(shell: Any, option: str) -> None:
    """Secrets and files of the reader's machine are refused, by name and before anything connects."""
    for cell in (
        f"%pgrt connect host=127.0.0.1 port=1 {option}",
        f"%%livequery q --query host=127.0.0.1 port=1 {option}\nSELECT 1",
        f"%pgrt connect postgresql://127.0.0.1:1/db?{option}",
    ):
        ran = shell.run(cell)
        if "cannot be read" in ran.shown:  # a keyword that this libpq does not know
            continue
        assert isinstance(ran.error, pgrt.ConfigurationError), ran.shown
        assert "PGRT_DSN" in ran.shown
    assert "Not connected" in shell.run("%pgrt status").text


def test_connecting_says_where_to(shell: Any, dsn: str, db: Any) -> None:
    """What was left to the environment is shown as the server has it."""
    said = shell.run("%pgrt connect").text
    assert f"dbname={db.info.dbname}" in said
    assert f"user={db.info.user}" in said
    assert "PostgreSQL" in said
    assert os.environ["PGRT_DSN"] == dsn


def test_a_link_that_others_can_read_is_said(
    shell: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another host without required encryption is warned of once; sockets and loopback are not."""
    from pgrt_jupyter import api

    monkeypatch.setattr(api, "_warned", set())
    for _ in range(2):
        shell.run("%pgrt connect host=192.0.2.1 port=1 connect_timeout=1")
    warned = [r.getMessage() for r in caplog.records if "sslmode" in r.getMessage()]
    assert len(warned) == 1
    assert "192.0.2.1" in warned[0]
    caplog.clear()
    shell.run("%pgrt connect host=192.0.2.1 port=1 connect_timeout=1 sslmode=require")
    shell.run("%pgrt connect host=localhost port=1")
    assert "sslmode" not in caplog.text
