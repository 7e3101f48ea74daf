"""The magics do what they say, and say what is wrong in a few lines."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

import pgrt_jupyter as pgrt
from pgrt_jupyter import magic
from pgrt_jupyter.embedded import server as servers
from pgrt_jupyter.errors import (
    ConfigurationError,
    EngineRunning,
    PasswordInCell,
    QueryFailed,
    QueryRefused,
    ServerUnavailable,
    SubscriptionNotFound,
    UsageError,
)
from pgrt_jupyter.magic_options import SUBSCRIBE

ORDERS = "CREATE TABLE orders (id int PRIMARY KEY, status text, amount numeric(10, 2));"
ROWS = "INSERT INTO orders VALUES (1, 'pending', 10.5), (2, 'paid', 3)"


@pytest.fixture
def orders(connect: Callable[..., Any]) -> Any:
    """Give a connection to a database with two orders."""
    connection = connect()
    connection.execute(ORDERS + ROWS)
    return connection


@pytest.fixture
def private_server(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let --embedded start a server that ends with the test."""
    monkeypatch.setattr(servers, "_servers", {})
    yield
    pgrt.shutdown()
    for server in servers._servers.values():
        server.stop()


def test_cell_makes_a_query_live(shell, orders):
    """The name becomes a variable, the table is shown, and the engine came from the environment."""
    ran = shell.run(
        "%%livequery pending --throttle 0\nSELECT id FROM orders WHERE status = 'pending'"
    )
    assert ran.error is None
    [shown] = ran.displayed
    assert shown.data["text/plain"] == "LiveQuery(name='pending')"
    assert "application/vnd.jupyter.widget-view+json" in shown.data
    assert "<table" in shown.data["text/html"]
    query = shell.ip.user_ns["pending"]
    assert query is pgrt.sub("pending")
    orders.execute("INSERT INTO orders VALUES (3, 'pending', 1)")
    assert shell.run("len(pending.wait_for(lambda df: len(df) == 2))").result == 2


def test_running_a_cell_again(shell, orders):
    """The query is replaced; the object and its table stay."""
    shell.run("%%livequery q\nSELECT id FROM orders")
    query, table = shell.ip.user_ns["q"], shell.ip.user_ns["q"].own_table
    shell.run("%%livequery q --height 200\nSELECT status FROM orders")
    assert shell.ip.user_ns["q"] is query
    assert list(query.df) == ["status"]
    assert query.own_table is table
    assert table.height == 200


def test_variables_of_the_notebook(shell, orders):
    """`:name` takes the notebook's variable, `--params` anything else, and nothing is expanded."""
    shell.run("wanted, other = 'paid', 'pending'")
    shell.run(
        "%%livequery a --quiet\nSELECT id, '{wanted} $wanted' FROM orders WHERE status = :wanted"
    )
    assert shell.ip.user_ns["a"].params == {"wanted": "paid"}
    assert shell.ip.user_ns["a"].df.iloc[0].tolist() == [2, "{wanted} $wanted"]
    shell.run(
        '%%livequery b --params {"wanted": other}\nSELECT id FROM orders WHERE status = :wanted'
    )
    assert shell.ip.user_ns["b"].df["id"].tolist() == [1]
    shell.run("%%livequery c --params [other]\nSELECT id FROM orders WHERE status = $1")
    assert shell.ip.user_ns["c"].df["id"].tolist() == [1]


def test_options(shell, orders):
    """Every option reaches the subscription."""
    ran = shell.run(
        '%%livequery q --throttle 20 --max-age 60000 --refresh {"orders": {"status": "paid"}}'
        " --key id, status --max-rows 1 --height 200 --quiet\nTABLE orders ORDER BY id"
    )
    assert ran.error is None
    assert ran.displayed == []
    query = shell.ip.user_ns["q"]
    assert (query.throttle_ms, query.key, len(query.df)) == (20, ("id", "status"), 1)
    assert query.own_table.height == 200
    orders.execute("UPDATE orders SET id = 7 WHERE status = 'pending'")
    orders.execute("UPDATE orders SET id = 0 WHERE status = 'paid'")
    assert query.wait_for(lambda df: df["id"][0] == 0) is query.df
    assert query.refresh_count == 2


def test_query_as_another_role(shell, orders, dsn, make_role):
    """`--query` runs one query as a role of its own."""
    reader = make_role("reader", "NOLOGIN")
    orders.execute(f"GRANT {reader.name} TO postgres; GRANT SELECT ON orders TO {reader.name}")
    ran = shell.run(
        f"%%livequery q --query {dsn} options='-c role={reader.name}' --quiet\n"
        "SELECT current_user::text AS me FROM orders LIMIT 1"
    )
    assert ran.error is None, ran.error
    assert shell.ip.user_ns["q"].df["me"].tolist() == [reader.name]


def test_configuration(shell, orders):
    """`%config` sets defaults, which options overrule."""
    shell.run("%config LiveQueryMagics.throttle_ms = 250")
    shell.run("%config LiveQueryMagics.max_rows = 1")
    shell.run("%%livequery a --quiet\nSELECT id FROM orders")
    shell.run("%%livequery b --quiet --throttle 5 --max-rows 9\nSELECT id FROM orders")
    a, b = shell.ip.user_ns["a"], shell.ip.user_ns["b"]
    assert (a.throttle_ms, len(a.df), b.throttle_ms, len(b.df)) == (250, 1, 5, 2)


def test_tending(shell, orders):
    """`%livequery` lists, gives, pauses, resumes, refreshes and stops."""
    assert "Nothing is live" in shell.run("%livequery").text
    shell.run("%%livequery q --quiet\nSELECT id FROM orders")
    query = shell.ip.user_ns["q"]
    assert shell.run("%livequery q").result is query
    listed = shell.run("%livequery").result
    assert listed.loc["q", ["status", "rows", "version"]].tolist() == ["live", 2, 1]
    assert re.fullmatch(r"\d+ s", listed.loc["q", "age"])
    assert shell.run("%livequery --pause q").text == "q: paused, 2 rows, version 1\n"
    assert query.status == "paused"
    shell.run("%livequery --resume q")
    orders.execute("INSERT INTO orders VALUES (9, 'paid', 1)")
    assert shell.run("%livequery --refresh q").text.startswith("q: live, 3 rows")
    assert shell.run("%livequery --stop q").text.startswith("q: closed, 3 rows")
    assert pgrt.subscriptions() == {}


@pytest.mark.parametrize("line", ["%livequery nope", "%livequery --stop nope"])
def test_unknown_name(shell, orders, line):
    """A name that nothing has is answered with those there are."""
    shell.run("%%livequery known --quiet\nSELECT 1")
    ran = shell.run(line)
    assert isinstance(ran.error, SubscriptionNotFound)
    assert ran.shown.endswith("running subscriptions: known.")


def test_wrong_query(shell, orders):
    """Message, SQLSTATE, line with a caret and hint; what was running stays."""
    shell.run("%%livequery q --quiet\nSELECT id FROM orders")
    ran = shell.run("%%livequery q\nSELECT id,\n       amuont\nFROM orders")
    assert isinstance(ran.error, QueryFailed)
    assert ran.shown == (
        'QueryFailed: column "amuont" does not exist [SQLSTATE 42703]\n'
        "\n"
        "LINE 2:        amuont\n"
        "               ^\n"
        'Hint: Perhaps you meant to reference the column "orders.amount".'
    )
    assert ran.text.strip() == ran.shown
    assert shell.ip.user_ns["q"].status == "live"
    assert shell.ip.user_ns["q"].sql == "SELECT id FROM orders"


@pytest.mark.parametrize(
    ("cell", "kind", "said"),
    [
        ("%%livequery q\nDELETE FROM orders", QueryRefused, "nothing was executed"),
        ("%%livequery q\nSELECT 1; SELECT 2", QueryRefused, ""),
        ("%%livequery q\nSELECT :missing", ConfigurationError, ":missing"),
        ("%%livequery q\n\n", UsageError, "below the line"),
        ("%%livequery\nSELECT 1", UsageError, "the name is missing"),
        ("%%livequery 1st\nSELECT 1", UsageError, "must be a Python name"),
        ("%%livequery class\nSELECT 1", UsageError, "must be a Python name"),
        ("%%livequery q --bogus 5\nSELECT 1", UsageError, "Unknown option --bogus"),
        ("%%livequery q --params nope\nSELECT 1", UsageError, "--params: NameError"),
        ("%%livequery q --refresh {'nope': {'a': 1}}\nSELECT id FROM orders", Exception, "nope"),
        ("%%livequery q --key nope\nSELECT id FROM orders", ConfigurationError, "nope"),
        ("%livequery q SELECT 1", UsageError, "below a %%livequery line"),
        ("%pgrt", UsageError, "connect, status, shutdown, destroy"),
        ("%pgrt status now", UsageError, "takes no more words"),
        ("%pgrt destroy", UsageError, "add --yes"),
        ("%pgrt connect host=h --embedded", UsageError, "not both"),
        ("%pgrt connect $dsn", UsageError, "pgrt_jupyter.start"),
    ],
)
def test_bad_input(shell, orders, cell, kind, said):
    """Each mistake gets a short answer of its own, the cell fails, and nothing was changed."""
    ran = shell.run(cell)
    assert isinstance(ran.error, kind)
    assert said in ran.shown
    assert len(ran.shown.splitlines()) <= 6
    assert "q" not in shell.ip.user_ns
    assert orders.execute("SELECT count(*) FROM orders").fetchone() == (2,)


@pytest.mark.parametrize(
    "line",
    [
        "%pgrt connect postgresql://me:s3cret@localhost/db",
        "%pgrt connect postgresql+psycopg://me:s3cret@localhost/db",
        "%pgrt connect host=localhost password=s3cret",
        "%pgrt connect 'host=localhost password=s3cret'",
        "%pgrt connect --query 'host=localhost password=s3cret'",
        "%pgrt connect postgresql://localhost/db?password=s3cret",
        "%pgrt connect host=localhost password=s3cret --bogus",
        "%pgrt connect s3cret s3cret",
        "%pgrt postgresql://me:s3cret@localhost/db",
        "%%livequery q --query postgresql://me:s3cret@localhost/db\nSELECT 1",
    ],
)
def test_password_in_a_cell(shell, line):
    """A password is refused with the alternatives named, and repeated nowhere."""
    ran = shell.run(line)
    assert isinstance(ran.error, ConfigurationError)
    if "s3cret s" not in line and "bogus" not in line and "connect" in line:
        assert isinstance(ran.error, PasswordInCell)
        assert "PGPASSWORD" in ran.shown
    assert "s3cret" not in ran.shown + ran.text


def test_connecting(shell, dsn, private_server):
    """`connect` may be run again; another server needs a shutdown first."""
    assert "Not connected" in shell.run("%pgrt status").text
    assert "Connected to host=" in shell.run("%pgrt connect --embedded").text
    engine = magic.api.default_engine()
    assert shell.run("%pgrt connect --embedded").error is None
    assert shell.run("%pgrt connect").error is None
    assert magic.api.default_engine() is engine
    ran = shell.run(f"%pgrt connect {dsn}")
    assert isinstance(ran.error, EngineRunning)
    assert "%pgrt shutdown" in ran.shown
    assert shell.run("%pgrt shutdown").text == "Every live query has ended.\n"
    assert shell.run("%pgrt shutdown").text == "Nothing was running.\n"


def test_no_server(shell, monkeypatch):
    """Without a server a first query says what to type."""
    monkeypatch.setenv("PGRT_DSN", "host=127.0.0.1 port=1")
    ran = shell.run("%%livequery q\nSELECT 1")
    assert isinstance(ran.error, ServerUnavailable)
    assert "`%pgrt connect --embedded`" in ran.shown
    assert "`%pgrt connect postgresql://user@host/database`" in ran.shown


def test_destroying(shell, orders):
    """`destroy` needs an end of everything and a yes, and works on the server last used."""
    shell.run("%%livequery q --quiet\nSELECT id FROM orders")
    schema = "SELECT to_regnamespace('_pgrt') IS NOT NULL"
    assert orders.execute(schema).fetchone() == (True,)
    assert isinstance(shell.run("%pgrt destroy --yes").error, EngineRunning)
    shell.run("%pgrt shutdown")
    assert "schema _pgrt" in shell.run("%pgrt destroy --yes").text
    assert orders.execute(schema).fetchone() == (False,)
    assert shell.run("%pgrt destroy --yes").text == "There was nothing to drop.\n"


def test_loading_and_unloading(shell):
    """Loading twice is harmless; unloading takes everything away."""
    ip = shell.ip
    before = len(ip.Completer.custom_matchers), len(ip.configurables)
    magic.load_ipython_extension(ip)
    assert (len(ip.Completer.custom_matchers), len(ip.configurables)) == before
    shell.run("%unload_ext pgrt_jupyter")
    assert ip.find_cell_magic("livequery") is ip.find_line_magic("pgrt") is None
    assert len(ip.Completer.custom_matchers) == before[0] - 1
    magic.unload_ipython_extension(ip)
    shell.run("%load_ext pgrt_jupyter")
    assert "Not connected" in shell.run("%pgrt status").text


def test_help_names_every_option():
    """What `?` shows names every option."""
    text = inspect.getdoc(magic.LiveQueryMagics.subscribe)
    assert [name for name in SUBSCRIBE if f"--{name} " not in text] == []


@pytest.mark.parametrize(
    ("cell", "suggested"),
    [
        ("%%livequery known --thr", ["--throttle"]),
        ("%%livequery k", ["known"]),
        ("%%livequery known --quiet --q", ["--query"]),
        ("%livequery --stop ", ["known"]),
        ("%livequery --", ["--pause", "--refresh", "--resume", "--stop"]),
        ("q = %livequery kn", ["known"]),
        ("%pgrt de", ["destroy"]),
        ("%pgrt connect --e", ["--embedded"]),
        ("%%livequery known --params my_v", ["my_value"]),
        ("%%livequery known --params {'a': my_v", ["my_value"]),
    ],
)
def test_completion(shell, cell, suggested):
    """Options, subcommands and names complete; expressions complete as Python does."""
    shell.run("%%livequery known --quiet\nSELECT 1")
    shell.run("my_value = 1")
    _, found = shell.ip.Completer.complete(line_buffer=cell, cursor_pos=len(cell))
    assert found == suggested
