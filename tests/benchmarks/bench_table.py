"""Measure what an update of a table costs: bytes to the browser, time in the kernel, beside other tables.

The frame has ten columns of the usual types; a view shows 60 rows of it. Nothing here needs a
kernel: what would go over the comm is counted as the JSON and the buffers a kernel would send.
"""

from __future__ import annotations

import datetime as dt
import importlib.util
import json
import statistics
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import comm
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from comm.base_comm import BaseComm

from pgrt_jupyter.arrange import arrange
from pgrt_jupyter.arrangement import read
from pgrt_jupyter.testing import wait_until
from pgrt_jupyter.widget import LiveTable
from pgrt_jupyter.window import Shown

SIZES = (1_000, 100_000, 1_000_000)
WINDOW = 60
ROUNDS = 9
TYPES = ("int8", "text", "text", "numeric", "timestamptz", "bool", "int4", "float8", "text", "date")
DAY = dt.date(2026, 1, 1)


def orders(rows: int) -> pd.DataFrame:
    """Make orders, as the engine makes frames."""
    numbers = np.arange(rows)
    random = np.random.default_rng(7)
    words = np.array(["new", "paid", "shipped", "returned"])
    names = pa.array([f"Customer {n * 7919 % 100_003:06d}" for n in range(rows)])
    columns = {
        "order_id": pa.array(numbers),
        "customer": names,
        "status": pa.array(words[random.integers(0, 4, rows)]),
        "amount": pa.array(random.integers(100, 900_000, rows)).cast(pa.decimal128(19, 0)),
        "ordered_at": pa.array(1_700_000_000_000_000 + numbers * 1_000_000).cast(
            pa.timestamp("us", "UTC")
        ),
        "paid": pa.array(random.random(rows) < 0.5),
        "items": pa.array(random.integers(1, 20, rows).astype(np.int32)),
        "weight": pa.array(random.random(rows) * 100),
        "note": pa.array([None if n % 3 else f"note {n}" for n in range(rows)]),
        "due": pa.array((numbers % 365 + 20_000).astype(np.int32)).view(pa.date32()),
    }
    columns["amount"] = columns["amount"].view(pa.decimal128(19, 2))
    arrays = {n: pd.arrays.ArrowExtensionArray(pa.chunked_array([a])) for n, a in columns.items()}
    return pd.DataFrame(arrays, copy=False)


def changed(frame: pd.DataFrame, cells: int, turn: int) -> pd.DataFrame:
    """Give the next result: that many cells of the shown rows changed, or every one for -1."""
    if cells < 0:
        copy = frame.copy(deep=False)
        for name in frame.columns[1:]:
            data = frame[name].array._pa_array
            parts = [*data.slice(turn).chunks, *data.slice(0, turn).chunks]
            copy[name] = pd.arrays.ArrowExtensionArray(pa.chunked_array(parts))
        return copy
    spread = {"items": cells} if cells <= WINDOW else {"items": WINDOW, "weight": cells - WINDOW}
    copy = frame.copy(deep=False)
    first = len(frame) // 2
    for name, count in spread.items():
        values = frame[name].array._pa_array.to_numpy().copy()
        values[first : first + count] += turn
        copy[name] = pd.arrays.ArrowExtensionArray(pa.chunked_array([pa.array(values)]))
    return copy


def shown(version: int, frame: pd.DataFrame) -> Shown:
    now = dt.datetime.now(dt.UTC)
    return Shown(version=version, frame=frame, types=TYPES, status="live", message="",
                 refreshed_at=now, truncated=False, key=("order_id",))  # fmt: skip


class Wire(BaseComm):
    """Count what would go to a browser."""

    bytes = 0

    def publish_msg(self, msg_type: str, data: Any = None, buffers: Any = None, **_: Any) -> None:
        Wire.bytes += len(json.dumps(data, default=str).encode()) if data else 0
        Wire.bytes += sum(memoryview(part).nbytes for part in buffers or [])


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> type[Wire]:
    """Have every widget speak over a wire that counts."""
    monkeypatch.setattr(comm, "create_comm", lambda **options: Wire(**options))
    Wire.bytes = 0
    return Wire


def counted(wire: type[Wire], work: Callable[[], object]) -> tuple[float, int]:
    """Give the milliseconds of this process' CPUs and the bytes of some work."""
    wire.bytes = 0
    begun = time.process_time()
    work()
    return (time.process_time() - begun) * 1000, wire.bytes


class Ours:
    """A live table with one view, in the middle of the result."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.table = LiveTable(title="orders")
        self.version = 0
        self.sent: list[int] = []
        send = self.table.send

        def noted(message: dict[str, Any], buffers: Any = None) -> None:
            send(message, buffers)
            self.sent.append(message["seq"])

        self.table.send = noted  # type: ignore[method-assign]
        self.show(frame)

    def show(self, frame: pd.DataFrame) -> None:
        """Publish a result and wait until it is pushed."""
        before = len(self.sent)
        self.version += 1
        self.table.show(shown(self.version, frame))
        if self.table.viewers:
            wait_until(lambda: len(self.sent) > before, 60)

    def hello(self, start: int) -> None:
        """Open a view and wait for its first window."""
        self.say("hello", start=start, count=WINDOW, anchor=None, revision=0)
        wait_until(lambda: self.sent, 60)
        self.acknowledge()

    def acknowledge(self) -> None:
        """Confirm what was pushed last."""
        self.say("ack", of=self.sent[-1])

    def say(self, kind: str, **fields: Any) -> None:
        """Say something, as a browser does."""
        self.table._receive(self.table, {"type": kind, "seq": 1, "viewer": "b", **fields}, [])


def test_updates(wire: type[Wire], write_down: Callable[..., None]) -> None:
    """Bytes and time of a push, by how many of the shown cells changed and by the size of the result."""
    measured: dict[str, dict[str, tuple[float, int]]] = {}
    for rows in SIZES:
        frame = orders(rows)
        one = Ours(frame)
        first = counted(wire, lambda one=one: one.hello(len(one.table._content.shown.frame) // 2))
        measured[f"{rows:,}"] = {"first window": first}
        for name, cells in (("1 cell", 1), ("100 cells", 100), ("all cells", -1)):
            runs = []
            for turn in range(1, ROUNDS + 1):
                following = changed(frame, cells, turn)
                runs.append(counted(wire, lambda one=one, f=following: one.show(f)))
                one.acknowledge()
            measured[f"{rows:,}"][name] = _best(runs)
        one.table.close()
    lines = ["| rows | first window | 1 cell | 100 cells | all cells |", "|---|---|---|---|---|"]
    for rows, columns in measured.items():
        cells = " | ".join(f"{ms:.1f} ms, {_size(size)}" for ms, size in columns.values())
        lines.append(f"| {rows} | {cells} |")
    write_down("table_updates", "\n".join(lines), measured)


def test_arranging(write_down: Callable[..., None]) -> None:
    """Time to sort, filter and search a million rows, off the kernel's main loop."""
    frame = orders(1_000_000)
    numeric = pd.Series([Decimal(n) / 100 for n in range(1_000_000)], dtype=object)
    frame["tax"] = numeric.sample(frac=1, random_state=1).to_numpy()
    types = (*TYPES, "numeric")
    asked: dict[str, dict[str, Any]] = {
        "sort by a whole number": {"sort": [("items", "desc")]},
        "sort by numeric(19,2)": {"sort": [("amount", "desc")]},
        "sort by numeric": {"sort": ["tax"]},
        "sort by a time": {"sort": [("ordered_at", "desc")]},
        "sort by text": {"sort": ["customer"]},
        "sort by text and number": {"sort": ["status", ("amount", "desc")]},
        "filter by a number": {"filters": [("amount", ">", "500.5")]},
        "filter by text": {"filters": [("customer", "contains", "0042")]},
        "filter and sort": {"filters": [("status", "=", "paid")], "sort": ["customer"]},
        "search for a word": {"search": "shipped"},
        "search for a number": {"search": "4242"},
    }
    measured = {}
    for name, options in asked.items():
        wanted = read(options.get("sort"), options.get("search", ""), options.get("filters"))
        times = []
        for _ in range(3):
            begun = time.process_time()
            order = arrange(frame, types, wanted)
            times.append((time.process_time() - begun) * 1000)
        assert order.positions is not None
        assert not order.problems
        measured[name] = (min(times), len(order.positions))
    lines = ["| 1,000,000 rows, 11 columns | time | rows left |", "|---|---|---|"]
    lines += [f"| {name} | {ms:.0f} ms | {rows:,} |" for name, (ms, rows) in measured.items()]
    write_down("table_arranging", "\n".join(lines), measured)


def test_beside_others(wire: type[Wire], write_down: Callable[..., None]) -> None:
    """The same frames shown and updated with other tables, each in the way its documentation tells."""
    measured: dict[str, dict[str, Any]] = {}
    for rows in SIZES:
        frame = orders(rows)
        for name, opened in OTHERS.items():
            if rows > LIMITS.get(name, rows) or not _is_installed(name):
                continue
            measured.setdefault(name, {})[f"{rows:,}"] = _costs(opened, frame, wire)
    lines = ["| | rows | opening | 1 cell changed | all cells changed |", "|---|---|---|---|---|"]
    for name, sizes in measured.items():
        for rows, results in sizes.items():
            cells = " | ".join(f"{ms:.1f} ms, {_size(size)}" for ms, size in results.values())
            lines.append(f"| {name} | {rows} | {cells} |")
    write_down("table_beside", "\n".join(lines), measured)


def _costs(opened: Any, frame: pd.DataFrame, wire: type[Wire]) -> dict[str, tuple[float, int]]:
    """Open one table on a frame and update it."""
    updates: list[Callable[[pd.DataFrame], None]] = []
    costs = {"opening": counted(wire, lambda: updates.append(opened(frame, wire)))}
    for label, cells in (("1 cell", 1), ("all cells", -1)):
        following = [changed(frame, cells, turn) for turn in range(1, 4)]
        costs[label] = _best([counted(wire, lambda f=f: updates[0](f)) for f in following])
    return costs


def _ours(frame: pd.DataFrame, _wire: type[Wire]) -> Callable[[pd.DataFrame], None]:
    one = Ours(frame)
    one.hello(len(frame) // 2)

    def update(following: pd.DataFrame) -> None:
        one.show(following)
        one.acknowledge()

    return update


def _ipydatagrid(frame: pd.DataFrame, _wire: type[Wire]) -> Callable[[pd.DataFrame], None]:
    from ipydatagrid import DataGrid

    grid = DataGrid(_plain(frame))
    return lambda following: setattr(grid, "data", _plain(following))


def _streaming(frame: pd.DataFrame, _wire: type[Wire]) -> Callable[[pd.DataFrame], None]:
    from ipydatagrid import StreamingDataGrid

    grid = StreamingDataGrid(_plain(frame))
    middle = len(frame) // 2
    rows = {"type": "data-request", "r1": middle, "r2": middle + WINDOW - 1, "c1": 0, "c2": 9}

    def update(following: pd.DataFrame) -> None:
        grid.data = _plain(following)
        grid.tick()
        grid._handle_comm_msg(grid, rows, [])  # which the tick makes its front end ask for

    return update


def _itables(frame: pd.DataFrame, _wire: type[Wire]) -> Callable[[pd.DataFrame], None]:
    from itables.widget import ITable

    table = ITable(_plain(frame), maxBytes=0)  # by default it shows 64 kB of the frame
    return lambda following: table.update(_plain(following), maxBytes=0)


def _perspective(frame: pd.DataFrame, wire: type[Wire]) -> Callable[[pd.DataFrame], None]:
    """Count what its grid reads after every update: the shown rows, as its clients get them."""
    import perspective
    from perspective.widget import PerspectiveWidget

    table = perspective.table(_arrow(frame), index="order_id")
    PerspectiveWidget(table)
    view = table.view()
    middle = len(frame) // 2

    def update(following: pd.DataFrame) -> None:
        table.update(_arrow(following))
        wire.bytes += len(view.to_arrow(start_row=middle, end_row=middle + WINDOW))

    return update


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Give the frame with the dtypes that other tables know."""
    plain = pd.DataFrame({name: frame[name].array._pa_array.to_pandas() for name in frame.columns})
    plain["amount"] = plain["amount"].astype(float)
    plain["due"] = pd.to_datetime(plain["due"])
    return plain


def _arrow(frame: pd.DataFrame) -> bytes:
    table = pa.table({name: frame[name].array._pa_array for name in frame.columns})
    table = table.set_column(3, "amount", table["amount"].cast(pa.float64()))
    at = table["ordered_at"].cast(pa.timestamp("ms"))
    table = table.set_column(4, "ordered_at", at)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


OTHERS: dict[str, Callable[..., Any]] = {
    "this table": _ours,
    "ipydatagrid 1.4": _ipydatagrid,
    "ipydatagrid 1.4, streaming": _streaming,
    "itables 2.9": _itables,
    "Perspective 5.6": _perspective,
}
MODULES = {"ipydatagrid": "ipydatagrid", "itables": "itables", "Perspective": "perspective"}


def _is_installed(name: str) -> bool:
    module = MODULES.get(name.partition(" ")[0])
    return module is None or importlib.util.find_spec(module) is not None


LIMITS = {"ipydatagrid 1.4": 100_000, "itables 2.9": 100_000}  # beyond, minutes and hundreds of MB


# -- in a browser

_spec = importlib.util.spec_from_file_location(
    "browser_fixtures", Path(__file__).parent.parent / "browser" / "conftest.py"
)
assert _spec is not None and _spec.loader is not None
_browser = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_browser)
chromium, bare_page_address = _browser.chromium, _browser.bare_page_address
opened, bare, paged = _browser.opened, _browser.bare, _browser.paged

FRAMES = """async (seconds) => {
  const view = document.querySelector("#place > div .view");
  const frames = [];
  let last = performance.now();
  const end = last + seconds * 1000;
  while (performance.now() < end) {
    const now = await new Promise(requestAnimationFrame);
    frames.push(now - last);
    last = now;
    view.scrollTop += 40;
  }
  frames.sort((one, other) => one - other);
  return { rate: 1000 * frames.length / frames.reduce((sum, one) => sum + one, 0),
    p95: frames[Math.floor(frames.length * 0.95)], worst: frames.at(-1) };
}"""


def test_in_a_browser(bare: Any, paged: Any, write_down: Callable[..., None]) -> None:
    """First paint with a real table, and frames while scrolling through updates, in headless Chromium."""
    measured: dict[str, Any] = {}
    for rows in (1_000, 1_000_000):
        frame = orders(rows)
        one = bare()
        begun = time.perf_counter()
        one.table.show(shown(1, frame))
        one.exchange()
        one.place.locator("tbody td").first.wait_for()
        measured[f"first paint, {rows:,} rows"] = (time.perf_counter() - begun) * 1000
    for name, updates in (("no updates", 0), ("10 updates/s of 20 cells", 10)):
        view = paged(rows=1_000_000)
        if updates:
            view.page.evaluate(
                "every => { window.stop_run = kernel.run(every, 20) }", 1000 / updates
            )
        view.page.evaluate(FRAMES, 1)
        frames = view.page.evaluate(FRAMES, 6)
        measured[f"scrolling 1,000,000 rows, {name}"] = frames
    lines = ["| headless Chromium, no GPU | |", "|---|---|"]
    for name, value in measured.items():
        if isinstance(value, dict):
            said = f"{value['rate']:.0f} frames/s, p95 {value['p95']:.0f} ms"
            lines.append(f"| {name} | {said} |")
        else:
            lines.append(f"| {name} | {value:.0f} ms |")
    write_down("table_browser", "\n".join(lines), measured)


def _best(runs: list[tuple[float, int]]) -> tuple[float, int]:
    """Give the shortest time, which others on the machine disturbed least, and the median of bytes."""
    return min(ms for ms, _ in runs), int(statistics.median(size for _, size in runs))


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000 or unit == "MB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close every widget a benchmark left open."""
    yield
    from ipywidgets import Widget

    Widget.close_all()
