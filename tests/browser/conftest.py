"""Drive Chromium; serve the built table on a bare page, with the test in the kernel's place.

def test_something(chromium):    the browser, shared by all tests
def test_something(bare):        bare(title="orders", shadow=True) opens a view and gives a Bare
"""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, sync_playwright

import pgrt_jupyter
from pgrt_jupyter.widget import LiveTable
from pgrt_jupyter.window import Shown

HERE = Path(__file__).parent / "page"
BUNDLE = Path(pgrt_jupyter.__file__).parent / "static" / "widget.js"
POLICY = "default-src 'none'; script-src 'self' blob:; style-src 'self'; connect-src 'self'"


class _Handler(http.server.SimpleHTTPRequestHandler):
    def translate_path(self, path: str) -> str:
        return str(BUNDLE) if path == "/widget.js" else super().translate_path(path)

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", POLICY)
        super().end_headers()

    def log_message(self, *_args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium, or the one PGRT_CHROMIUM names."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("PGRT_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    assert path, "no Chromium: install it, or set PGRT_CHROMIUM to its path"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def bare_page_address() -> Iterator[str]:
    """Serve the page and give its address."""
    handler = functools.partial(_Handler, directory=str(HERE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="page-server")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


class Bare:
    """Join a real LiveTable to a view on the page; messages flow only when `exchange` is called."""

    def __init__(self, page: Page, address: str, **options: Any) -> None:
        self.page = page
        self.table = LiveTable(title=options.get("title", "orders"))
        self.sent: list[dict[str, Any]] = []
        self._delivered = 0
        self.place = page.locator("#place > div")  # locators see into shadow roots
        self.table.send = self.sent.append  # type: ignore[method-assign]
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(address)
        page.locator("body[data-ready]").wait_for(state="attached")
        page.evaluate("options => open_view(options)", {"title": "orders", **options})

    def exchange(self) -> None:
        """Carry messages in both directions until nobody has anything more to say."""
        while True:
            received = self.page.evaluate("outbox.splice(0)")
            for content in received:
                self.table._receive(self.table, content, [])
            fresh = self.sent[self._delivered :]
            self._delivered = len(self.sent)
            self.page.evaluate("messages => deliver(messages)", fresh)
            if not received and not fresh:
                return

    def show(self, shown: Shown) -> None:
        """Publish a result and let it reach the page."""
        self.table.show(shown)
        self.exchange()

    def cell(self, row: int, column: int) -> Locator:
        """Find a cell by its row and column in the result."""
        return self.place.locator(
            f'tr[aria-rowindex="{row + 2}"] [role=gridcell][aria-colindex="{column + 2}"]'
        )

    def scroll(self, top: int) -> None:
        """Put the scroll bar somewhere, as a hand does."""
        self.place.locator(".view").evaluate("(view, top) => { view.scrollTop = top }", top)

    @property
    def scroll_top(self) -> int:
        """Tell where the scroll bar is."""
        return self.place.locator(".view").evaluate("view => view.scrollTop")


@pytest.fixture
def bare(chromium: Browser, bare_page_address: str) -> Iterator[Callable[..., Bare]]:
    """Give a function that opens a page with one view; fails on script errors and violations."""
    opened: list[Bare] = []

    def open_one(width: int = 1000, media: dict[str, Any] | None = None, **options: Any) -> Bare:
        page = chromium.new_page(viewport={"width": width, "height": 500}, **(media or {}))
        opened.append(Bare(page, bare_page_address, **options))
        return opened[-1]

    yield open_one
    for one in opened:
        assert one.errors == []
        assert one.page.evaluate("violations") == []
        one.page.close()
        one.table.close()
