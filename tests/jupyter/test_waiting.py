"""A cell that has to wait says for what and how far it is, in one line that goes when the wait ends."""

from __future__ import annotations

import pytest

from pgrt_jupyter.testing import wait_until

# Rows come for some seconds, a few at a time; nothing in it hides what it reads.
SLOWLY = (
    "SELECT id, count, repeat('x', 3000) AS wide FROM numbers, LATERAL ("
    "SELECT count(*) FROM generate_series(1, 300000) AS g WHERE g % 7 = id % 7) AS counted"
)
SETUP = "import time, threading, psycopg\nimport pgrt_jupyter as pgrt\nprint('ready')"
SHOWN = ("display_data", "update_display_data")
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def db(connect):
    """Give a connection to a database with a table of numbers."""
    connection = connect()
    connection.execute("CREATE TABLE numbers AS SELECT g AS id FROM generate_series(1, 200) AS g")
    return connection


@pytest.fixture
def started(kernel, db):
    """Give a kernel that is connected."""
    kernel.run(SETUP)
    kernel.run("%pgrt connect")
    return kernel


def lines(outcome):
    """List what a cell showed of its waiting, in order; the last is empty when the line has gone."""
    shown = [m["content"] for m in outcome.messages if m["msg_type"] in SHOWN]
    own = [c for c in shown if WIDGET not in c["data"]]
    assert len({c["transient"]["display_id"] for c in own}) <= 1
    return [c["data"]["text/plain"] for c in own]


@pytest.mark.parametrize(
    "cell", [f"%%livequery q\n{SLOWLY}", f"q = pgrt.sub('q', {SLOWLY!r})"], ids=["magic", "sub"]
)
def test_a_first_result_that_takes_long(started, cell):
    """Rows so far, seconds, and that an interrupt cancels it; in the end nothing is left of it."""
    ran = started.run(cell)
    shown = [m["content"] for m in ran.messages if m["msg_type"] in SHOWN]
    if "%%" in cell:  # the table is in its place
        assert WIDGET in shown[-1]["data"]
        assert len({content["transient"]["display_id"] for content in shown}) == 1
        told = lines(ran)
    else:
        *told, last = lines(ran)
        assert last == ""
    assert told[0].startswith("q: running the query")
    assert "Interrupting the kernel cancels it." in told[0]
    assert [line for line in told if "rows so far" in line]
    assert started.run("len(q.df)").text == "200"


def test_nothing_is_shown_of_what_is_quick_or_quiet(started):
    """Neither of a query that takes no second, nor with --quiet."""
    assert lines(started.run("%%livequery q --quiet\nSELECT id FROM numbers")) == []
    assert lines(started.run("q = pgrt.sub('q', 'SELECT id FROM numbers')")) == []
    assert lines(started.run(f"%%livequery q --quiet\n{SLOWLY}")) == []


def test_a_thread_that_waits_shows_nothing(started):
    """Its output would land in whatever cell runs."""
    ran = started.run(
        f"threads = [threading.Thread(target=pgrt.sub, args=('q', {SLOWLY!r}))]\n"
        "threads[0].start(); threads[0].join()"
    )
    assert lines(ran) == []


def test_an_interrupt_cancels_it_and_the_line_goes(started, db):
    """On the server, too."""
    request = started.submit(f"%%livequery q\n{SLOWLY.replace('300000', '30000000')}")
    started.until(lambda m: "running the query" in str(m["content"]), since=0)
    started.manager.interrupt_kernel()
    outcome = started.finish(request)
    assert outcome.error["ename"] == "KeyboardInterrupt"
    assert lines(outcome)[-1] == ""
    running = (
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%30000000%'"
        " AND state = 'active' AND pid <> pg_backend_pid()"
    )
    wait_until(lambda: db.execute(running).fetchone() == (0,))


def test_a_query_that_fails_leaves_no_line(started):
    """What is left is the error."""
    failing = SLOWLY.replace("count(*)", "1 / (count(*) - count(*)) AS count")
    ran = started.run(f"%%livequery q\n{failing.replace('300000', '20000000')}", fails=True)
    assert "22012" in ran.error["evalue"]
    assert lines(ran)[-1:] == [""]


def test_an_export_that_takes_long(started):
    """Rows of rows, and the file is whole."""
    started.run(
        "wide = \"SELECT g, repeat('x', 60) || g AS a, repeat('y=', 40) AS b, now() AS c\"\n"
        "q = pgrt.sub('q', wide + ' FROM generate_series(1, 600000) AS g', max_age_ms=10**8)"
    )
    ran = started.run(
        "import tempfile, pathlib\n"
        "path = pathlib.Path(tempfile.mkdtemp(), 'q.csv')\n"
        "began = time.monotonic(); q.own_table.to_csv(path); took = time.monotonic() - began\n"
        "print(sum(1 for line in path.open()), took > 1.5)"
    )
    count, long = ran.text.split()
    assert count == "600001"
    if long == "True":  # a quick machine has nothing to say
        *told, last = lines(ran)
        assert told[0].startswith("exporting ")
        assert "of 600,000 rows" in told[0]
        assert last == ""


def test_a_busy_table_is_named_with_who_keeps_it_busy(started, connect, db):
    """The query does not wait for it: it polls, and says by whom the table is held."""
    writer = connect(application_name="some-importer")
    writer.autocommit = False
    writer.execute("INSERT INTO numbers VALUES (0)")
    started.run("q = pgrt.sub('q', 'SELECT id FROM numbers')")
    message = started.run("print(q.status, q._shown().message)").text
    assert message.startswith("polling public.numbers is being written to by process ")
    assert f"process {writer.info.backend_pid} (some-importer);" in message
    writer.rollback()
    started.run("while q.status != 'live': time.sleep(0.05)")
