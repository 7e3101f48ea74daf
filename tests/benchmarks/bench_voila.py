"""Measure what viewers of one Voilà dashboard take: memory, connections, refreshes, and what is left."""

from __future__ import annotations

import os
import re
import shlex
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import nbformat
import psutil
import psycopg

from pgrt_jupyter.testing import wait_until
from tests.browser.conftest import browser_path

VIEWERS = (1, 5, 20)
SECONDS = 15
CHANGES = 10  # a second
GONE_WITHIN = 90.0
PAGE = Path(__file__).parents[2] / "docs" / "voila.md"
HELD = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgrt_jupyter'"
LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
CELLS = (
    "%load_ext pgrt_jupyter",
    "%%livequery totals\nSELECT status, count(*), sum(amount) FROM voila GROUP BY status ORDER BY 1",
    "%%livequery newest\nSELECT id, status, amount FROM voila ORDER BY changed DESC, id LIMIT 50",
    "import os, time\n"
    "def note(change):\n"
    "    with open(os.environ['BENCH_NOTES'], 'a') as file:\n"
    "        print(time.time(), file=file)\n"
    "totals.observe(note, 'df')\n"
    "newest.observe(note, 'df')",
)


def test_viewers(durable: str, write_down: Callable[..., None], tmp_path: Path) -> None:
    """Open more and more pages of one dashboard, while a program changes ten rows a second."""
    from playwright.sync_api import sync_playwright

    with psycopg.connect(durable, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE voila (id int PRIMARY KEY, status text, amount int, changed timestamptz)"
        )
        connection.execute(
            "INSERT INTO voila SELECT i, (ARRAY['new', 'paid', 'sent'])[1 + i % 3], i, now()"
            " FROM generate_series(1, 10000) AS i"
        )
        with sync_playwright() as playwright:
            options = {"executable_path": browser_path(), "args": ["--no-sandbox"]}
            with closing(playwright.chromium.launch(**options)) as browser:
                numbers = {n: _measure(durable, connection, browser, n, tmp_path) for n in VIEWERS}
    rows = [
        "| viewers | a page is live after | memory of a kernel | of Voilà itself | connections | locks "
        "| results published/s | all gone after they vanish |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for count, found in numbers.items():
        rows.append(
            f"| {count} | {found['open']:.0f} s | {found['kernel']:.0f} MB | {found['server']:.0f} MB "
            f"| {found['connections']} | {found['locks']} | {found['published']:.1f} "
            f"| {found['gone']:.0f} s |"
        )
    write_down("voila", "\n".join(rows), numbers)


def _measure(
    conninfo: str, connection: psycopg.Connection[Any], browser: Any, count: int, folder: Path
) -> dict[str, Any]:
    """Measure so many viewers, from opening their pages until nothing of them is left."""
    notes = folder / f"notes-{count}"
    notes.touch()
    with _voila(folder, PGRT_DSN=conninfo, BENCH_NOTES=str(notes)) as (process, address):
        pages, opening = [], []
        for _ in range(count):
            begin = time.monotonic()
            page = browser.new_page()
            page.goto(address, timeout=120_000)
            for badge in (0, 1):
                page.locator(".pgrt .badge", has_text="live").nth(badge).wait_for(timeout=120_000)
            pages.append(page)
            opening.append(time.monotonic() - begin)
        with _changing(conninfo):
            time.sleep(2)
            since, connections, locks = time.time(), [], []
            while time.time() < since + SECONDS:
                connections.append(_count(connection, HELD))
                locks.append(_count(connection, LOCKS))
                time.sleep(0.5)
            until = time.time()
        told = [float(line) for line in notes.read_text().split()]
        kernels = psutil.Process(process.pid).children(recursive=True)
        memory = [kernel.memory_full_info().pss / 1e6 for kernel in kernels]
        server = psutil.Process(process.pid).memory_full_info().pss / 1e6
        begin = time.monotonic()
        for page in pages:
            page.context.close()  # without a word to the server, as a machine that falls asleep
        wait_until(lambda: _count(connection, HELD) == 0, GONE_WITHIN)
        gone = time.monotonic() - begin
    found = {
        "open": statistics.median(opening),
        "kernel": statistics.median(memory),
        "server": server,
        "connections": max(connections),
        "locks": max(locks),
        "published": sum(since <= moment < until for moment in told) / (until - since),
        "gone": gone,
    }
    print(f"{count} viewers: {found}", flush=True)
    return found


def _count(connection: psycopg.Connection[Any], query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    return int(row[0]) if row else 0


@contextmanager
def _voila(folder: Path, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Serve the dashboard by the command line that docs/voila.md tells."""
    cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    nbformat.write(notebook, folder / "dashboard.ipynb")
    found = re.search(r"```sh\n(voila .+?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    program, *options = shlex.split(found[1].replace("\\\n", " "))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).parent / program), *options, f"--Voila.port={port}"]
    process = subprocess.Popen(
        [*command, "--Voila.ip=127.0.0.1"],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(f"{address}/voila/static/voila.js"), 60)
        yield process, address
    finally:
        process.terminate()
        process.wait(60)


def _answers(address: str) -> bool:
    try:
        return bool(urlopen(address, timeout=5).status == 200)
    except OSError:
        return False


@contextmanager
def _changing(conninfo: str) -> Iterator[None]:
    """Change ten rows a second meanwhile."""
    stop = threading.Event()

    def change() -> None:
        with psycopg.connect(conninfo, autocommit=True) as writer:
            at = 0
            while not stop.wait(1 / CHANGES):
                at += 1
                writer.execute(
                    "UPDATE voila SET amount = amount + 1, changed = now() WHERE id = %s", (at,)
                )

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
