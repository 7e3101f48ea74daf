"""A chart in a real kernel, spoken to as its view in a browser does; and figures of others."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pgrt_jupyter.testing import wait_until

VIEWER = "0123456789abcdef01234567"
LIVE = "%%livequery numbers --throttle 0 --quiet\nSELECT id, n, word FROM numbers ORDER BY id"


class Browser:
    """Speak the protocol with one chart, acknowledging what is pushed; hold its newest points."""

    def __init__(self, kernel: Any, comm: str) -> None:
        self._kernel = kernel
        self._comm = comm
        self._seen = 0
        self.points: dict[str, list[tuple[float, float]]] = {}
        self.message: dict[str, Any] = {}
        self.pushes = 0

    def say(self, kind: str, **fields: Any) -> None:
        message = {"type": kind, "seq": 1, "viewer": VIEWER, **fields}
        self._kernel.send_to_comm(self._comm, message, None)

    def hello(self) -> None:
        self.say("hello", width=800, low=None, high=None)

    def until(self, done: Callable[[], Any], timeout: float = 20) -> None:
        """Take messages until something is so."""
        wait_until(lambda: self._listen() or done(), timeout, message=lambda: str(self.message))

    def _listen(self) -> None:
        try:
            self._kernel.until(lambda _message: False, timeout=0.02)
        except TimeoutError:
            pass
        fresh = self._kernel.messages[self._seen :]
        self._seen = len(self._kernel.messages)
        for message in fresh:
            content = message["content"]
            is_ours = message["msg_type"] == "comm_msg" and content["comm_id"] == self._comm
            if is_ours and content["data"].get("method") == "custom":
                self._take(content["data"]["content"], message["buffers"])

    def _take(self, message: dict[str, Any], buffers: list[Any]) -> None:
        self.pushes += 1
        self.message = message
        self.say("ack", of=message["seq"])
        if message["type"] == "window":
            numbers = [np.frombuffer(part).tolist() for part in buffers]
            self.points = {
                line["label"]: list(zip(numbers[line["x"]], numbers[line["y"]], strict=True))
                for line in message["series"]
            }


@pytest.fixture
def writer(connect: Callable[..., Any]) -> Any:
    """Give a connection to a database with a table of numbers."""
    connection = connect()
    connection.execute("CREATE TABLE numbers (id int PRIMARY KEY, n numeric, word text)")
    connection.execute("INSERT INTO numbers SELECT g, g * 1.5, 'ab' FROM generate_series(1, 5) g")
    return connection


def chart(kernel: Any, code: str) -> Browser:
    """Make a chart in the kernel and open a view on it."""
    before = len(kernel.messages)
    kernel.run(code)
    [comm] = [
        message["content"]["comm_id"]
        for message in kernel.messages[before:]
        if message["msg_type"] == "comm_open" and "title" in message["content"]["data"]["state"]
    ]
    return Browser(kernel, comm)


def test_a_chart_follows_the_database(kernel: Any, writer: Any) -> None:
    """Also while a cell keeps the kernel busy; a view that left is sent nothing more."""
    kernel.run("import time")
    kernel.run(LIVE)
    browser = chart(kernel, "plot = numbers.plot(x='id'); plot")
    browser.hello()
    browser.until(lambda: browser.points)
    assert browser.points == {"n": [(at, at * 1.5) for at in range(1, 6)]}
    assert browser.message["state"]["status"] == "live"
    busy = kernel.submit("time.sleep(4)")
    writer.execute("UPDATE numbers SET n = 100 WHERE id = 2")
    browser.until(lambda: browser.points["n"][1] == (2, 100))
    assert not any(m["content"].get("execution_state") == "idle" for m in kernel.of(busy))
    kernel.finish(busy)
    browser.say("bye")
    wait_until(lambda: kernel.run("print(plot.viewers)").text.strip() == "0")
    before = browser.pushes
    writer.execute("UPDATE numbers SET n = 200 WHERE id = 2")
    kernel.run("_ = numbers.wait_for(lambda df: df['n'].max() == 200)")
    browser.until(lambda: True)
    assert browser.pushes == before


def test_charts_of_one_query_are_each_their_own(kernel: Any, writer: Any) -> None:
    """A line, bars of text, and what a result was."""
    kernel.run(LIVE)
    line = chart(kernel, "line = numbers.plot(x='id', y=['n']); line")
    bars = chart(kernel, "bars = numbers.plot('bar', x='word', y='id'); bars")
    history = chart(kernel, "past = numbers.plot(x='id', window=100, mode='append'); past")
    for browser in (line, bars, history):
        browser.hello()
        browser.until(lambda browser=browser: browser.points)
    assert (bars.message["kind"], bars.message["categories"]) == ("bar", ["ab"])
    writer.execute("DELETE FROM numbers WHERE id < 5")
    line.until(lambda: len(line.points["n"]) == 1)
    bars.until(lambda: bars.points == {"id": [(0, 5)]})
    writer.execute("INSERT INTO numbers VALUES (6, 60)")
    history.until(lambda: history.points["n"][-1] == (6, 60))
    assert [x for x, _ in history.points["n"]] == [1, 2, 3, 4, 5, 6]


def test_a_wrong_column_is_an_error_that_names_those_there_are(kernel: Any, writer: Any) -> None:
    """In the cell that asked."""
    kernel.run(LIVE)
    error = kernel.run("numbers.plot(y='amount')", fails=True).error
    assert error["ename"] == "ConfigurationError"
    assert len(error["traceback"]) < 8
    there_are = "there are id (int4), n (numeric), word (text)"
    assert error["evalue"] == f"y='amount': there is no such column; {there_are}"


def test_no_number_gets_into_the_notebook(kernel: Any, writer: Any) -> None:
    """Neither into widget state nor into the output; with `persist` the first rows do."""
    writer.execute("UPDATE numbers SET n = 424242.5 WHERE id = 3")
    kernel.run(LIVE)
    browser = chart(kernel, "numbers.plot(x='id')")
    browser.hello()
    browser.until(lambda: (3, 424242.5) in browser.points.get("n", []))
    saved = [m["content"] for m in kernel.messages if m["msg_type"] != "stream"]
    assert "424242" not in json.dumps(saved, default=str)
    kept = kernel.run("numbers.plot(x='id', persist=True)")
    assert "424242.5" in json.dumps([m["content"] for m in kept.messages], default=str)


MATPLOTLIB = """
import threading, matplotlib
matplotlib.use("agg")
from matplotlib.figure import Figure

figure = Figure()
axes = figure.subplots()
[line] = axes.plot([], [])
threads = []

def update(figure, df):
    threads.append(threading.current_thread() is threading.main_thread())
    line.set_data(df["id"], df["n"].astype("Float64"))
    axes.relim(); axes.autoscale_view()
    figure.canvas.draw()

link = numbers.link(figure, update)
"""
PLOTLY = """
import plotly.graph_objects as go

figure = go.FigureWidget([go.Scatter()])

def update(figure, df):
    with figure.batch_update():
        figure.data[0].x, figure.data[0].y = df["id"].tolist(), df["n"].astype(float).tolist()

link = numbers.link(figure, update)
figure
"""
ALTAIR = """
import altair as alt

def draw(df):
    return alt.Chart(df.astype({"n": float})).mark_line().encode(x="id", y="n")

figure = alt.JupyterChart(draw(numbers.df))

def update(figure, df):
    figure.chart = draw(df)

link = numbers.link(figure, update)
figure
"""
READ = {
    MATPLOTLIB: "[float(n) for n in line.get_ydata()]",
    PLOTLY: "list(figure.data[0].y)",
    ALTAIR: "[row['n'] for row in list(figure.spec['datasets'].values())[0]]",
}


@pytest.mark.parametrize("recipe", READ, ids=["matplotlib", "plotly", "altair"])
def test_figures_of_others_follow_the_database(kernel: Any, writer: Any, recipe: str) -> None:
    """Drawn at once and after each update, on the main thread, until the link is closed."""
    kernel.run(LIVE)
    kernel.run(recipe)

    def drawn() -> list[float]:
        return json.loads(kernel.run(f"print({READ[recipe]})").text)

    assert drawn() == [1.5, 3, 4.5, 6, 7.5]
    writer.execute("UPDATE numbers SET n = 9 WHERE id = 1")
    wait_until(lambda: drawn() == [9, 3, 4.5, 6, 7.5], 20)
    kernel.run("link.close()")
    writer.execute("UPDATE numbers SET n = 10 WHERE id = 1")
    kernel.run("_ = numbers.wait_for(lambda df: df['n'].max() == 10)")
    assert drawn()[0] == 9
    if recipe is MATPLOTLIB:
        assert kernel.run("print(all(threads))").text.strip() == "True"


def test_an_update_that_raises_is_shown_and_goes_no_further(kernel: Any, writer: Any) -> None:
    """In the cell that linked; the next result is drawn."""
    kernel.run(LIVE)
    code = "def update(log, df):\n    log.append(len(df))\n    if len(df) == 6: 1 / 0\n"
    linked = kernel.run(f"log = []\n{code}link = numbers.link(log, update)")
    writer.execute("INSERT INTO numbers VALUES (6, 6)")
    wait_until(lambda: kernel.run("print(log)").text.strip() == "[5, 6]", 20)
    shown = [m for m in kernel.of(linked.id) if m["msg_type"] in ("error", "stream")]
    assert "ZeroDivisionError" in json.dumps([m["content"] for m in shown])
    writer.execute("INSERT INTO numbers VALUES (7, 7)")
    wait_until(lambda: kernel.run("print(log)").text.strip() == "[5, 6, 7]", 20)
