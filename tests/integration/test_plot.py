"""Charts and links of a real query where there is no kernel."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import psycopg
import pytest

import pgrt_jupyter as pgrt
from pgrt_jupyter.testing import wait_until

Connection = psycopg.Connection[Any]


@pytest.fixture
def db(dsn: str, connect: Callable[..., Any]) -> Connection:
    """Give a connection to a database with three measurements."""
    connection: Connection = connect(dsn)
    connection.execute(
        "CREATE TABLE measured (at timestamptz PRIMARY KEY, day date, amount numeric, price numeric(10, 2),"
        " weight float8, n int, name text);"
        "INSERT INTO measured SELECT to_timestamp(g), date '2026-01-01' + g, g * 1.25, g * 1.5, g * 2.5, g,"
        " chr(96 + g) FROM generate_series(1, 3) g;"
        "INSERT INTO measured (at) VALUES (to_timestamp(4))"
    )
    return connection


@pytest.fixture(params=["pyarrow", "numpy_nullable"])
def engine(dsn: str, db: Connection, request: pytest.FixtureRequest) -> Iterator[pgrt.Engine]:
    """Give a running engine that does not wait between runs, with either kind of dtypes."""
    with pgrt.Engine(dsn, throttle_ms=0, dtype_backend=request.param) as engine:
        yield engine


class Watched:
    """Look at a chart, in place of a browser."""

    def __init__(self, plot: pgrt.LivePlot) -> None:
        self.plot = plot
        self.window: dict[str, Any] = {}
        self.points: dict[str, list[tuple[float, float]]] = {}
        plot.send = self._send  # type: ignore[method-assign]
        self._say("hello", width=800, low=None, high=None)

    def _say(self, kind: str, **fields: Any) -> None:
        self.plot._receive(self.plot, {"type": kind, "seq": 1, "viewer": "a", **fields}, [])

    def _send(self, message: dict[str, Any], buffers: Any = None) -> None:
        if message["type"] == "window":
            self.window = message
            numbers = [np.frombuffer(part).tolist() for part in buffers or []]
            self.points = {
                line["label"]: list(zip(numbers[line["x"]], numbers[line["y"]], strict=True))
                for line in message["series"]
            }
        threading.Thread(target=self._say, args=("ack",), kwargs={"of": message["seq"]}).start()


def test_every_type_that_is_drawn(engine: pgrt.Engine) -> None:
    """Times are seconds, decimals and integers numbers, NULL a gap."""
    query = engine.sub("measured", "SELECT * FROM measured ORDER BY at")
    plot = query.plot()
    seen = Watched(plot)
    wait_until(lambda: seen.points)
    for name, factor in (("amount", 1.25), ("price", 1.5), ("weight", 2.5), ("n", 1)):
        expected = [(at, at * factor) for at in (1, 2, 3)] + [(4, np.nan)]
        np.testing.assert_array_equal(seen.points[name], expected)
    assert seen.window["role"] == "instant"
    days = query.plot(x="day", y="n")
    other = Watched(days)
    wait_until(lambda: other.points)
    midnight = 1767225600
    assert other.points["n"] == [(midnight + 86400 * n, n) for n in (1, 2, 3)]
    for made in (plot, days):
        made.close()


def test_a_chart_follows_what_is_written(engine: pgrt.Engine, db: Connection) -> None:
    """Once writes stop, it shows the result; so does one whose query was replaced."""
    query = engine.sub("measured", "SELECT n, weight FROM measured WHERE n > 0")
    plot = query.plot(x="n")
    seen = Watched(plot)
    for n in range(4, 40):
        db.execute(
            "INSERT INTO measured (at, n, weight) VALUES (to_timestamp(%s), %s, %s)", [n + 9, n, -n]
        )
    wait_until(
        lambda: (39, -39) in seen.points.get("weight", []) and len(seen.points["weight"]) == 39
    )
    engine.sub("measured", "SELECT n, name FROM measured")
    wait_until(lambda: "no column of numbers" in seen.window.get("problem", ""))
    engine.sub("measured", "SELECT n, n * 2 AS twice FROM measured WHERE n < 3")
    wait_until(lambda: seen.points == {"twice": [(1, 2), (2, 4)]})
    plot.close()


def test_a_linked_figure_follows_what_is_written(engine: pgrt.Engine, db: Connection) -> None:
    """On the delivery thread; one that raises stops neither others nor itself."""
    query = engine.sub("count", "SELECT count(*) AS n FROM measured")
    seen: list[int] = []

    def update(figure: list[int], df: Any) -> None:
        figure.append(int(df["n"].iloc[0]))
        if len(figure) == 2:
            raise SystemError("in the figure")

    links = [query.link(seen, update), query.link([], lambda figure, df: 1 / 0)]
    assert seen == [4]
    for n in (5, 6):
        db.execute("INSERT INTO measured (at) VALUES (to_timestamp(%s))", [n])
        wait_until(lambda n=n: seen[-1] == n)
    for link in links:
        link.close()
    db.execute("DELETE FROM measured")
    query.wait_for(lambda df: df["n"].iloc[0] == 0)
    query.refresh()
    assert seen == [4, 5, 6]
