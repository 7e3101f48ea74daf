"""Live queries in a real kernel, seen as a front end sees them: by its messages."""

from __future__ import annotations

import signal

import pytest

from pgrt_jupyter.testing import wait_until

SETUP = """
import threading, time
import psycopg, pgrt_jupyter as pgrt
"""
LIVE = "%%livequery numbers --throttle 0\nSELECT id, n FROM numbers ORDER BY id"


@pytest.fixture
def writer(connect):
    """Give a connection to a database with a table of three numbers."""
    connection = connect()
    connection.execute("CREATE TABLE numbers (id int PRIMARY KEY, n int)")
    connection.execute("INSERT INTO numbers SELECT g, 10 * g FROM generate_series(1, 3) g")
    return connection


@pytest.fixture
def live(kernel, writer):
    """Run the first cells: imports, and a live query."""
    kernel.run(SETUP)
    kernel.run(LIVE)
    return kernel


def opened(kernel):
    """Give the comm ids of the tables in this kernel."""
    return [
        message["content"]["comm_id"]
        for message in kernel.messages
        if message["msg_type"] == "comm_open" and "title" in message["content"]["data"]["state"]
    ]


def carries(message, kind):
    """Say whether a message is a table's custom message of a kind."""
    data = message["content"].get("data", {})
    is_custom = message["msg_type"] == "comm_msg" and data.get("method") == "custom"
    return is_custom and data["content"]["type"] == kind


def printed(kernel, text):
    """Wait for a line of output and give its message."""
    return kernel.until(
        lambda m: m["msg_type"] == "stream" and text in m["content"]["text"], since=0
    )


def test_a_cell_shows_a_table(kernel, writer):
    """The output is a widget, with an HTML snapshot and a text that stays the same for others."""
    kernel.run(SETUP)
    ran = kernel.run(LIVE)
    [shown] = [m["content"]["data"] for m in ran.messages if m["msg_type"] == "display_data"]
    assert shown["text/plain"] == "LiveQuery(name='numbers')"
    assert shown["application/vnd.jupyter.widget-view+json"]["model_id"] in opened(kernel)
    assert "<table" in shown["text/html"]


def test_an_error_is_short(live):
    """A wrong query fails its cell with a few lines, and no trace of our inside."""
    ran = live.run("%%livequery numbers\nSELECT id, m FROM numbers", fails=True)
    assert ran.error["ename"] == "QueryFailed"
    assert ran.error["traceback"] == [
        'QueryFailed: column "m" does not exist [SQLSTATE 42703]',
        "",
        "LINE 1: SELECT id, m FROM numbers",
        "                   ^",
    ]
    assert live.run("%livequery numbers").text == "LiveQuery(name='numbers')"
    assert live.run("%pgrt connect --bogus", fails=True).error["ename"] == "UsageError"


def test_a_blocking_cell_sees_updates(live, dsn):
    """`wait_for` and `df` move while the cell that asks keeps the kernel busy."""
    ran = live.run(
        f"c = psycopg.connect({dsn!r}, autocommit=True)\n"
        "c.execute('INSERT INTO numbers VALUES (4, 40)')\n"
        "print(len(numbers.wait_for(lambda df: len(df) == 4)), len(numbers.df))\n"
        "c.close()"
    )
    assert ran.text == "4 4\n"


def test_observers_run_on_the_main_thread(live, writer):
    """They run after a cell that blocked, once, and print where they were registered."""
    registered = live.run(
        "def handler(change):\n"
        "    main = threading.current_thread() is threading.main_thread()\n"
        "    print('observed', change.new['n'].iloc[0], main)\n"
        "numbers.observe(handler, 'df')"
    )
    blocking = live.submit(
        "print('begun')\n"
        "numbers.wait_for(lambda df: df['n'].iloc[0] == 2)\n"
        "time.sleep(0.3)\n"
        "print('ended')"
    )
    printed(live, "begun")
    writer.execute("UPDATE numbers SET n = 1 WHERE id = 1")
    writer.execute("UPDATE numbers SET n = 2 WHERE id = 1")
    live.finish(blocking)
    said = printed(live, "observed")
    assert said["content"]["text"] == "observed 2 True\n"
    assert said["parent_header"]["msg_id"] == registered.id
    assert live.messages.index(said) > live.messages.index(printed(live, "ended"))
    writer.execute("UPDATE numbers SET n = 3 WHERE id = 1")
    assert printed(live, "observed 3")["parent_header"]["msg_id"] == registered.id


def test_an_observer_that_raises_stops_no_other(live, writer):
    """Its error shows where it was registered; the next observer runs."""
    first = live.run("numbers.observe(lambda change: 1 / 0, 'df')")
    live.run("numbers.observe(lambda change: print('second'), 'df')")
    writer.execute("DELETE FROM numbers WHERE id = 1")
    printed(live, "second")
    error = live.until(lambda m: m["msg_type"] == "error", since=0)
    assert error["content"]["ename"] == "ZeroDivisionError"
    assert error["parent_header"]["msg_id"] == first.id


def test_tables_are_pushed_to_while_a_cell_runs(live, writer):
    """A view that has said hello gets a change although the kernel's main thread sleeps."""
    [table] = opened(live)
    live.send_to_comm(table, {"type": "hello", "seq": 1, "viewer": "test", "start": 0, "count": 9})
    live.until(lambda m: carries(m, "window"), since=0)
    sleeping = live.submit("print('asleep'); time.sleep(3)")
    printed(live, "asleep")
    writer.execute("UPDATE numbers SET n = 77 WHERE id = 2")
    patch = live.until(lambda m: carries(m, "patch"))
    assert "77" in str(patch["content"]["data"]["content"])
    idle = [m for m in live.of(sleeping) if m["msg_type"] == "status"]
    assert [m["content"]["execution_state"] for m in idle] == ["busy"]
    live.finish(sleeping)


def test_running_a_cell_again_opens_no_comm(live):
    """Twenty runs of a cell leave as many comms, threads and connections as one."""
    count = (
        "import comm\n"
        "print(len(comm.get_comm_manager().comms), threading.active_count(),"
        " len(pgrt.subscriptions()))"
    )
    before = live.run(count).text
    for number in range(20):
        live.run(LIVE if number % 2 else LIVE.replace("n FROM", "n + 1 AS n FROM"))
    wait_until(lambda: live.run(count).text == before)
    assert len(opened(live)) == 1


@pytest.mark.parametrize("how", ["shutdown", "kill"])
def test_nothing_is_left_of_a_kernel(live, writer, how):
    """However a kernel ends, its connections end."""
    ours = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'pgrt_jupyter'"
    )
    assert writer.execute(ours).fetchone()[0] > 0
    if how == "kill":
        live.manager.signal_kernel(signal.SIGKILL)
    else:
        live.manager.shutdown_kernel(now=False)
    wait_until(lambda: writer.execute(ours).fetchone()[0] == 0)


def test_a_password_is_in_no_message(start_kernel, dsn, connect, make_role):
    """Neither what works nor what fails shows the password from the environment or a cell."""
    role = make_role("owner")
    connection = connect()
    database = connection.info.dbname
    connection.execute(f"GRANT CREATE ON DATABASE {database} TO {role.name}")
    connection.execute(f"GRANT ALL ON SCHEMA public TO {role.name}")
    connection.execute("CREATE TABLE numbers (id int PRIMARY KEY, n int)")
    connection.execute(f"ALTER TABLE numbers OWNER TO {role.name}")
    kernel = start_kernel(PGRT_DSN=role.conninfo(dsn))
    kernel.run("%pgrt connect postgresql://me:typed1n@localhost/db", fails=True)
    kernel.run(LIVE)
    kernel.run("import pgrt_jupyter as pgrt\nprint(pgrt.start(), vars(pgrt.start()), numbers)")
    kernel.run("%pgrt status")
    kernel.run("%livequery")
    kernel.run("%%livequery bad\nSELECT nope", fails=True)
    kernel.run("%pgrt shutdown")
    kernel.run("import os\nos.environ['PGRT_DSN'] += ' host=127.0.0.1 port=1'")
    assert kernel.run(LIVE, fails=True).error["ename"] == "ServerUnavailable"
    kernel.run("pgrt.start()", fails=True)
    sent = [m for m in kernel.messages if m["msg_type"] != "execute_input"]
    assert role.password not in str(sent)
    assert "typed1n" not in str(sent)


def test_without_a_server_it_says_what_to_type(start_kernel):
    """With nothing in the environment the error names both ways to connect."""
    kernel = start_kernel(PGHOST="127.0.0.1", PGPORT="1")
    ran = kernel.run("%%livequery q\nSELECT 1", fails=True)
    assert "%pgrt connect --embedded" in "\n".join(ran.error["traceback"])
    kernel.run("%pgrt connect --embedded")
    assert kernel.run("%%livequery q --quiet\nSELECT 1 AS one").error is None


def test_updates_in_an_async_cell(live, writer):
    """`async for` sees deltas while the kernel's loop goes on."""
    cell = live.submit(
        "print('ready')\n"
        "async for delta in numbers.updates():\n"
        "    print(len(delta.inserted), len(delta.updated), len(delta.deleted))\n"
        "    break"
    )
    printed(live, "ready")
    with writer.transaction():
        writer.execute("UPDATE numbers SET n = 0 WHERE id = 1")
        writer.execute("DELETE FROM numbers WHERE id = 2")
    assert live.finish(cell).text.endswith("0 1 1\n")


def test_help_and_completion(live):
    """`?` explains a magic, and Tab completes on its line."""
    help_ = live.ask(live.client.inspect("%%livequery"))
    assert "--throttle MS" in help_["data"]["text/plain"]
    shown = live.run("%%livequery?")
    assert "--throttle MS" in str(shown.reply["payload"])
    completed = live.ask(live.client.complete("%%livequery numbers --thr"))
    assert completed["matches"] == ["--throttle"]
    assert completed["cursor_start"] == len("%%livequery numbers ")
    assert live.ask(live.client.complete("%livequery --stop "))["matches"] == ["numbers"]


def test_an_observer_may_do_anything(live, writer):
    """On the kernel's main loop it may end, replace, run and begin queries, spoil its frame and leave."""
    live.run("%%livequery other --throttle 0\nSELECT n FROM numbers")
    live.run(
        "seen = []\n"
        "def handler(change):\n"
        "    change.new['n'] = 0\n"
        "    pgrt.unsub('other')\n"
        "    new = pgrt.sub('new', 'SELECT count(*) AS c FROM numbers', throttle_ms=0)\n"
        "    seen.append((len(new.df), len(numbers.refresh())))\n"
        "    pgrt.sub('numbers', 'SELECT id FROM numbers', throttle_ms=0)\n"
        "    numbers.unobserve(handler, 'df')\n"
        "    raise SystemExit\n"
        "numbers.observe(handler, 'df')\n"
        "numbers.observe(lambda change: print('the other one'), 'df')"
    )
    writer.execute("INSERT INTO numbers VALUES (4, 40)")
    printed(live, "the other one")
    writer.execute("INSERT INTO numbers VALUES (5, 50)")
    live.run("numbers.wait_for(lambda df: list(df) == ['id'] and len(df) == 5)")
    live.run("pgrt.sub('new').wait_for(lambda df: df['c'][0] == 5)")
    assert (
        live.run("print(seen, sorted(pgrt.subscriptions()))").text
        == "[(1, 4)] ['new', 'numbers']\n"
    )


def test_verbs_in_an_async_cell(live, writer):
    """They may block the loop, or wait on a thread."""
    live.run(
        "import asyncio\n"
        "a = await asyncio.to_thread(pgrt.sub, 'a', 'SELECT n FROM numbers', throttle_ms=0)\n"
        "b = pgrt.sub('b', 'SELECT n FROM numbers', throttle_ms=0)\n"
        "both = await asyncio.gather(*(asyncio.to_thread(q.refresh) for q in (a, b)))\n"
        "assert [len(df) for df in both] == [3, 3]"
    )
    writer.execute("DELETE FROM numbers WHERE id = 3")
    live.run("await asyncio.to_thread(a.wait_for, lambda df: len(df) == 2)")
