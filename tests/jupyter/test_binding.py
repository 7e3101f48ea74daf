"""Parameters follow real widgets in a real kernel, moved as a browser moves them."""

from __future__ import annotations

import pytest

SETUP = """
import time, threading
import ipywidgets as widgets, psycopg, pgrt_jupyter as pgrt
chosen = "new"
"""
LIVE = """%%livequery orders --throttle 0
SELECT id, status FROM orders WHERE status = :chosen ORDER BY id"""
SHOWS = """
def shows(ids, status="live"):
    orders.wait_for(lambda df: list(df["id"]) == ids and orders.status == status)
    return orders.params
"""


@pytest.fixture
def db(connect):
    """Give a connection to a database with six orders, two of each status."""
    connection = connect()
    connection.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, status text);"
        "INSERT INTO orders SELECT i, (ARRAY['new', 'paid', 'sent'])[1 + i % 3]"
        " FROM generate_series(1, 6) AS i"
    )
    return connection


@pytest.fixture
def live(kernel, db):
    """Run the first cells: imports, and a live query."""
    kernel.run(SETUP + SHOWS)
    kernel.run(LIVE)
    return kernel


def opened(kernel, has):
    """Give the comm id of the widget whose state has a name."""
    [found] = [
        message["content"]["comm_id"]
        for message in kernel.messages
        if message["msg_type"] == "comm_open" and has in message["content"]["data"]["state"]
    ]
    return found


def choose(kernel, comm, **state):
    """Change a widget as its view does."""
    data = {"method": "update", "state": state, "buffer_paths": []}
    message = kernel.client.session.msg("comm_msg", {"comm_id": comm, "data": data})
    kernel.client.shell_channel.send(message)


def views(kernel, since):
    """Give, from a message on, what tables sent to their views."""
    return [
        message["content"]["data"]["content"]
        for message in kernel.messages[since:]
        if message["msg_type"] == "comm_msg"
        and message["content"]["data"].get("method") == "custom"
    ]


def test_a_table_follows_a_dropdown(live):
    """What is chosen in the browser appears in the table that is there, and in Python."""
    table = opened(live, "title")
    live.run("dropdown = widgets.Dropdown(options=['new', 'paid', 'sent'])")
    ran = live.run("orders.bind(chosen=dropdown)")
    assert ran.text == "Binding(chosen)"
    live.send_to_comm(table, {"type": "hello", "seq": 1, "viewer": "v", "start": 0, "count": 9})
    live.until(lambda m: "window" in str(m["content"]), since=0)
    choose(live, opened(live, "_options_labels"), index=2)
    live.until(lambda m: m["msg_type"] == "comm_msg" and "sent" in str(m["content"]))
    assert live.run("shows([2, 5])").text == "{'chosen': 'sent'}"
    assert live.run("'orders' in pgrt.subscriptions() and len(pgrt.subscriptions())").text == "1"


def test_observers_run_where_they_were_registered(live):
    """Other values are news like any other: told on the main thread, once."""
    live.run("slider = widgets.Dropdown(options=['new', 'paid', 'sent'])")
    registered = live.run(
        "def handler(change):\n"
        "    main = threading.current_thread() is threading.main_thread()\n"
        "    print('observed', list(change.new['id']), orders.params, main)\n"
        "orders.observe(handler, 'df')"
    )
    live.run("orders.bind(chosen=slider)")
    choose(live, opened(live, "_options_labels"), index=1)
    said = live.until(lambda m: m["msg_type"] == "stream", since=0)
    assert said["content"]["text"] == "observed [1, 4] {'chosen': 'paid'} True\n"
    assert said["parent_header"]["msg_id"] == registered.id


def test_a_cell_that_keeps_the_kernel_busy_sees_other_values(live):
    """Nothing that binding does waits for the kernel's main loop."""
    ran = live.run(
        "text = widgets.Text('new')\n"
        "orders.bind(chosen=text)\n"
        "text.value = 'paid'\n"
        "print(orders.status, shows([1, 4]))\n"
        "threading.Timer(0.1, lambda: setattr(text, 'value', 'sent')).start()\n"
        "print(shows([2, 5]))"
    )
    assert ran.text == "stale {'chosen': 'paid'}\n{'chosen': 'sent'}\n"


def test_a_slider_that_is_dragged(live, db):
    """Whatever is skipped, the last position is shown; of the queries on the way nothing is left."""
    live.run(
        "slider = widgets.IntSlider(0, 0, 1000)\n"
        "q = pgrt.sub('q', 'SELECT count(*) AS n FROM orders WHERE id <= :top', {'top': slider})"
    )
    [slider] = [
        m["content"]["comm_id"]
        for m in live.messages
        if m["msg_type"] == "comm_open"
        and m["content"]["data"]["state"].get("_model_name") == "IntSliderModel"
    ]
    for position in range(1, 200):
        choose(live, slider, value=position)
    choose(live, slider, value=3)
    live.run("while (q.status, q.params) != ('live', {'top': 3}): time.sleep(0.01)")
    assert live.run("q.df['n'][0]").text.endswith("3)") or live.run("int(q.df['n'][0])").text == "3"
    live.run("while len(pgrt.api.default_engine()._loop.runtime.groups) > 2: time.sleep(0.01)")


def test_what_is_typed_and_wrong_shows_in_the_table_only(live):
    """The cell that made it prints nothing for a value that fails, and the badge says what is wrong."""
    table = opened(live, "title")
    live.run(
        "%%livequery orders --throttle 0\nSELECT id FROM orders WHERE id <= :top::int ORDER BY id",
        fails=True,
    )
    live.run("import logging; logging.getLogger('pgrt_jupyter').addHandler(logging.NullHandler())")
    live.run("top = widgets.Text('2')")
    live.run(
        "%%livequery orders --throttle 0\nSELECT id FROM orders WHERE id <= :top::int ORDER BY id"
    )
    live.send_to_comm(table, {"type": "hello", "seq": 1, "viewer": "v", "start": 0, "count": 9})
    since = len(live.messages)
    [text] = [
        m["content"]["comm_id"]
        for m in live.messages
        if m["msg_type"] == "comm_open"
        and m["content"]["data"]["state"].get("_model_name") == "TextModel"
    ]
    choose(live, text, value="2x")
    live.until(lambda m: m["msg_type"] == "comm_msg" and "22P02" in str(m["content"]), since=since)
    assert live.run("print(orders.status, list(orders.df['id']))").text == "error [1, 2]\n"
    choose(live, text, value="3")
    assert live.run("shows([1, 2, 3])").text == "{'top': '3'}"
    outputs = ("stream", "error", "display_data")
    own = [m for m in live.messages[since:] if m["msg_type"] in outputs]
    assert [m["content"]["text"] for m in own] == ["error [1, 2]\n"]


def test_a_variable_that_is_a_widget_is_followed(live):
    """`:chosen` of a cell takes the widget's value, and follows it; run again it goes on to."""
    live.run("chosen = widgets.Dropdown(options=['new', 'paid', 'sent'], value='paid')")
    live.run(LIVE)
    assert live.run("shows([1, 4])").text == "{'chosen': 'paid'}"
    live.run("chosen.value = 'sent'")
    assert live.run("shows([2, 5])").text == "{'chosen': 'sent'}"
    live.run(LIVE.replace("ORDER BY id", "ORDER BY id DESC"))
    assert live.run("shows([5, 2])").text == "{'chosen': 'sent'}"
    live.run("chosen.value = 'new'")
    assert live.run("shows([6, 3])").text == "{'chosen': 'new'}"


def test_a_cell_that_runs_again_keeps_what_was_bound(live):
    """The variable of that name is what the query began with; the widget is what it follows."""
    live.run("dropdown = widgets.Dropdown(options=['new', 'paid', 'sent'], value='paid')")
    live.run("bound = orders.bind(chosen=dropdown)")
    live.run("shows([1, 4])")
    live.run(LIVE.replace("ORDER BY id", "ORDER BY id DESC"))
    assert live.run("shows([4, 1])").text == "{'chosen': 'paid'}"
    live.run("dropdown.value = 'sent'")
    assert live.run("shows([5, 2])").text == "{'chosen': 'sent'}"
    live.run("bound.close()")
    live.run(LIVE)
    assert live.run("orders.followed, shows([3, 6])").text == "({}, {'chosen': 'new'})"
