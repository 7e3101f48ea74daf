"""Voilà as docs/voila.md says to run it: what is closed is gone, what is not shown holds nothing."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Route, expect

from pgrt_jupyter.testing import wait_until

from .servers import cell, running_voila, write_notebook

PAGE = Path(__file__).parents[2] / "docs" / "voila.md"
HELD = (
    "SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'pgrt_jupyter'), (SELECT count(*) FROM pg_locks"
    " JOIN pg_database AS d ON d.oid = database"
    " WHERE locktype = 'advisory' AND datname = current_database())"
)

WAITING = (
    "SELECT count(DISTINCT pid) FROM pg_locks JOIN pg_database AS d ON d.oid = database"
    " WHERE locktype = 'advisory' AND datname = current_database()"
)


def documented() -> list[str]:
    """Read the options of the command line that the page tells."""
    found = re.search(r"```sh\n(voila .+?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    command, notebook, *options = shlex.split(found[1].replace("\\\n", " "))
    assert (command, notebook) == ("voila", "dashboard.ipynb")
    return [option for option in options if option != "--no-browser"]  # the fixture's


@pytest.fixture
def writer(connect: Callable[..., Any]) -> Any:
    """Give a connection to a database with a few numbers."""
    connection = connect()
    connection.execute("CREATE TABLE numbers (id int PRIMARY KEY, n int)")
    connection.execute("INSERT INTO numbers SELECT g, 10 * g FROM generate_series(1, 5) g")
    return connection


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    """Write a dashboard that notes in a file how far its kernels have come."""
    write_notebook(
        tmp_path / "page.ipynb",
        "%load_ext pgrt_jupyter",
        f"print('ready', file=open({str(tmp_path / 'ready')!r}, 'a'))",
        "%%livequery numbers --throttle 0\nSELECT id, n FROM numbers ORDER BY id",
    )
    return tmp_path / "page.ipynb"


def cut_off(context: BrowserContext) -> set[str]:
    """Let a browser reach this machine only; note whom else it asked."""
    others: set[str] = set()

    def decide(route: Route) -> None:
        host = urlsplit(route.request.url).hostname
        if host in ("127.0.0.1", None):
            route.continue_()
        else:
            others.add(str(host))
            route.abort()

    context.route("**/*", decide)
    return others


def test_pages_that_have_gone_hold_nothing(
    dsn: str, writer: Any, chromium: Browser, notebook: Path
) -> None:
    """A page that is closed and one that crashes free their kernels' connections and locks; a reload
    leaves none behind; and none of it needs another machine."""
    with running_voila(notebook, *documented(), PGRT_DSN=dsn) as address:
        closing, crashing = chromium.new_context(), chromium.new_context()
        others = [cut_off(context) for context in (closing, crashing)]
        with contextlib.closing(closing), contextlib.closing(crashing):
            pages = [context.new_page() for context in (closing, crashing)]
            for page in pages:
                page.goto(address)
                expect(page.locator(".pgrt .badge")).to_have_text("live", timeout=60_000)
            one, _ = writer.execute(HELD).fetchone()
            pages[0].reload()
            expect(pages[0].locator(".pgrt .badge")).to_have_text("live", timeout=60_000)
            wait_until(lambda: writer.execute(HELD).fetchone()[0] <= one, 60)
            writer.execute("UPDATE numbers SET n = 777 WHERE id = 2")
            for page in pages:
                expect(cell(page, 1, 1)).to_have_text("777")
            assert writer.execute(HELD).fetchone() > (0, 0)
            pages[0].close(run_before_unload=True)
            with contextlib.suppress(Error):
                pages[1].goto("chrome://crash", timeout=5_000)
            wait_until(
                lambda: writer.execute(HELD).fetchone() == (0, 0),
                60,
                message=lambda: f"still held: {writer.execute(HELD).fetchone()}",
            )
        assert set().union(*others) <= {"cdn.jsdelivr.net"}  # Voilà's icons


def test_kernels_made_ready_ahead_hold_nothing(
    dsn: str, writer: Any, chromium: Browser, notebook: Path
) -> None:
    """They have done their imports and wait; a page that takes one is live, and the other still waits."""
    ahead = ("--preheat_kernel=True", "--VoilaConfiguration.default_pool_size=2")
    ready = notebook.with_name("ready")
    with running_voila(notebook, *documented(), *ahead, PGRT_DSN=dsn) as address:
        wait_until(lambda: ready.exists() and len(ready.read_text().splitlines()) == 2, 60)
        assert writer.execute(HELD).fetchone() == (0, 0)
        page = chromium.new_page()
        page.goto(address)
        expect(page.locator(".pgrt .badge")).to_have_text("live", timeout=60_000)
        wait_until(lambda: len(ready.read_text().splitlines()) == 3, 60)  # the next one, made ready
        writer.execute("UPDATE numbers SET n = 778 WHERE id = 2")
        expect(cell(page, 1, 1)).to_have_text("778")
        assert writer.execute(WAITING).fetchone() == (1,)
        page.close()
