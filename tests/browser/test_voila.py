"""A live query in Voilà: open the page, change a row from outside, see the cell change."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Error, expect

from pgrt_jupyter.testing import wait_until

from .markup import HOSTILE, expect_text_only, watch
from .servers import cell, running_voila, write_notebook

QUIET_WITHIN = 15.0  # seconds after which an abandoned kernel sends nothing more: a promise


def test_a_page_follows_the_database(
    dsn: str, connect: Callable[..., Any], chromium: Browser, tmp_path: Path
) -> None:
    """Two visitors see a change, each with a kernel and a search of their own."""
    writer = connect()
    writer.execute("CREATE TABLE numbers (id int PRIMARY KEY, n int)")
    writer.execute("INSERT INTO numbers SELECT g, 10 * g FROM generate_series(1, 5) g")
    write_notebook(
        tmp_path / "page.ipynb",
        "%load_ext pgrt_jupyter",
        "%%livequery numbers --throttle 0\nSELECT id, n FROM numbers ORDER BY id",
    )
    with running_voila(tmp_path / "page.ipynb", PGRT_DSN=dsn) as address:
        pages = [chromium.new_page() for _ in range(2)]
        for page in pages:
            page.goto(address)
            expect(cell(page, 1, 1)).to_have_text("20", timeout=60_000)
            expect(page.locator(".badge")).to_have_text("live")
        for n in (777, 778):
            writer.execute("UPDATE numbers SET n = %s WHERE id = 2", [n])
            for page in pages:
                expect(cell(page, 1, 1)).to_have_text(str(n))
        pages[0].get_by_role("searchbox").fill("778")
        expect(pages[0].locator(".count")).to_have_text("1 row (filtered from 5)")
        expect(pages[1].locator(".count")).to_have_text("5 rows")
        for page in pages:
            page.close()


def test_a_chart_follows_the_database(
    dsn: str, connect: Callable[..., Any], chromium: Browser, tmp_path: Path
) -> None:
    """It is drawn, and drawn anew when a row changes; the pointer is told the new value."""
    writer = connect()
    writer.execute("CREATE TABLE numbers (id int PRIMARY KEY, n int)")
    writer.execute("INSERT INTO numbers SELECT g, 10 * g FROM generate_series(1, 5) g")
    write_notebook(
        tmp_path / "page.ipynb",
        "%load_ext pgrt_jupyter",
        "%%livequery numbers --throttle 0 --quiet\nSELECT id, n FROM numbers",
        "numbers.plot('bar', x='id')",
    )
    with running_voila(tmp_path / "page.ipynb", PGRT_DSN=dsn) as address:
        page = chromium.new_page()
        page.goto(address)
        chart = page.locator(".chart")
        canvas = chart.locator("canvas")
        expect(canvas).to_be_visible(timeout=60_000)
        before = canvas.evaluate("canvas => canvas.toDataURL()")
        writer.execute("UPDATE numbers SET n = 777 WHERE id = 3")
        wait_until(lambda: canvas.evaluate("canvas => canvas.toDataURL()") != before)
        chart.locator(".u-over").hover()
        expect(chart.locator(".tip")).to_contain_text("777")
        page.close()


TIMED = """
import time, pgrt_jupyter
from pgrt_jupyter.widget import LiveTable
send = LiveTable.send
def timed(self, *arguments):
    with open({path!r}, "a") as file:
        print(time.time(), file=file)
    return send(self, *arguments)
LiveTable.send = timed
"""


def test_an_abandoned_page(
    dsn: str, connect: Callable[..., Any], chromium: Browser, tmp_path: Path
) -> None:
    """A page full of markup runs none of it; when it crashes, traffic stops, the kernel is culled, and
    its sessions and locks are gone, however much goes on in the database."""
    writer = connect()
    writer.execute("CREATE TABLE texts (id int PRIMARY KEY, t text)")
    writer.cursor().executemany("INSERT INTO texts VALUES (%s, %s)", enumerate(HOSTILE))
    sent = tmp_path / "sent"
    sent.touch()
    write_notebook(
        tmp_path / "page.ipynb",
        "%load_ext pgrt_jupyter",
        TIMED.format(path=str(sent)),
        f"%%livequery texts --throttle 100\nSELECT id, t AS {_identifier(HOSTILE[0])} FROM texts",
    )
    soon = (
        "--MappingKernelManager.cull_idle_timeout=3",
        "--MappingKernelManager.cull_interval=1",
    )
    ours = (
        "SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'pgrt_jupyter'), (SELECT count(*) FROM pg_locks"
        " JOIN pg_database d ON d.oid = database"
        " WHERE locktype = 'advisory' AND datname = current_database())"
    )
    with running_voila(tmp_path / "page.ipynb", *soon, PGRT_DSN=dsn) as address:
        context = chromium.new_context()
        page = context.new_page()
        asked = watch(page)
        page.goto(address)
        expect(page.locator(".pgrt .badge")).to_have_text("live", timeout=60_000)
        expect_text_only(page, page.locator(".pgrt"), asked)
        with _writing(writer), contextlib.closing(context):
            wait_until(lambda: len(sent.read_text().splitlines()) > 5)
            with contextlib.suppress(Error):
                page.goto("chrome://crash", timeout=5_000)
            crashed = time.time()
            wait_until(lambda: writer.execute(ours).fetchone() == (0, 0), 60)
        last = float(sent.read_text().splitlines()[-1])
        print(
            f"last message {last - crashed:.1f} s after, gone {time.time() - crashed:.1f} s after"
        )
        assert last - crashed < QUIET_WITHIN


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextlib.contextmanager
def _writing(writer: Any) -> Any:
    """Change a row five times a second meanwhile."""
    stop = threading.Event()

    def write() -> None:
        while not stop.wait(0.2):
            writer.execute("UPDATE texts SET t = t || '.' WHERE id = 9")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
