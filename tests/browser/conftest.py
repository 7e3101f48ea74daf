"""Drive Chromium; serve the built table or chart on a bare page, with the test in the kernel's place.

def test_something(chromium):    the browser, shared by all tests
def test_something(bare):        bare(title="orders", shadow=True) opens a view and gives a Bare
def test_something(charted):     charted(options, shadow=True) opens a view of a chart and gives a Charted
def test_something(paged):       paged(rows=1000) opens one whose kernel is in the page, and gives a Paged
"""

from __future__ import annotations

import base64
import functools
import http.server
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, sync_playwright

import pgrt_jupyter
from pgrt_jupyter.plot import options as plot_options
from pgrt_jupyter.plot.widget import LivePlot
from pgrt_jupyter.testing import wait_until
from pgrt_jupyter.widget import LiveTable
from pgrt_jupyter.window import Shown
from pgrt_jupyter.worker import Worker

HERE = Path(__file__).parent / "page"
STATIC = Path(pgrt_jupyter.__file__).parent / "static"
BUNDLE, CHART = STATIC / "widget.js", STATIC / "chart.js"
POLICY = "default-src 'none'; script-src 'self' blob:; style-src 'self'; connect-src 'self'"


class _Handler(http.server.SimpleHTTPRequestHandler):
    def translate_path(self, path: str) -> str:
        built = {"/widget.js": BUNDLE, "/chart.js": CHART}.get(path)
        return str(built) if built is not None else super().translate_path(path)

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", POLICY)
        super().end_headers()

    def log_message(self, *_args: object) -> None:
        """Keep the test's output clean."""


def browser_path() -> str:
    """Find the system's Chromium, or the one PGRT_CHROMIUM names."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("PGRT_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    assert path, "no Chromium: install it, or set PGRT_CHROMIUM to its path"
    return path


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium, or the one PGRT_CHROMIUM names."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=["--no-sandbox"])
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


class View:
    """Hold a page with one view of a table."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.place = page.locator("#place > div")  # locators see into shadow roots
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(address)
        page.locator("body[data-ready]").wait_for(state="attached")

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

    def head(self, column: int) -> Locator:
        """Find the head of a column by its place."""
        return self.place.locator(f'thead [role=columnheader][aria-colindex="{column + 2}"]')

    def gutter(self, row: int) -> Locator:
        """Find a row's number."""
        return self.place.locator(f'tr[aria-rowindex="{row + 2}"] .gutter')

    def column(self, column: int) -> list[str]:
        """Read the drawn cells of a column, from the top."""
        rows = self.place.locator("tbody tr").evaluate_all(
            """(rows, index) => rows.map(row => [Number(row.getAttribute("aria-rowindex")),
                row.querySelector(`[role=gridcell][aria-colindex="${index}"]`)?.textContent])
                .sort((one, other) => one[0] - other[0])""",
            column + 2,
        )
        return [text for _, text in rows]

    def menu(self, column: int, item: str) -> None:
        """Choose from a column's menu."""
        self.head(column).click(button="right")
        self.choose(item)

    def more(self, item: str) -> None:
        """Choose from the table's menu."""
        self.place.locator(".tools [aria-haspopup=menu]").click()
        self.choose(item)

    def choose(self, item: str) -> None:
        """Choose from the menu that is open."""
        name = re.compile(f"^{re.escape(item)}")
        self.place.locator(".menu .item").filter(has_text=name).first.click()


class Joined(View):
    """Join a real widget to a view on the page; messages flow only when `exchange` is called."""

    widget: LiveTable | LivePlot
    worker: Worker

    def join(self, **options: Any) -> None:
        """Open the view; to be called once `widget` and `worker` are there."""
        self.sent: list[dict[str, Any]] = []
        self._delivered = 0
        self.widget.send = self._send  # type: ignore[method-assign]
        self.page.evaluate("options => open_view(options)", {"title": "orders", **options})

    def _send(self, message: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        parts = [base64.b64encode(part).decode() for part in buffers or []]
        self.sent.append({**message, "buffers": parts} if parts else message)

    def exchange(self) -> None:
        """Carry messages in both directions until nobody has anything more to say."""
        while True:
            received = self.page.evaluate("outbox.splice(0)")
            for content in received:
                self.widget._receive(self.widget, content, [])
            wait_until(lambda: self.worker._thread is None)
            fresh = self.sent[self._delivered :]
            self._delivered += len(fresh)
            self.page.evaluate("messages => deliver(messages)", fresh)
            if not received and not fresh:
                return

    def show(self, shown: Shown) -> None:
        """Publish a result and let it reach the page."""
        self.widget.show(shown)
        self.exchange()

    def until(self, condition: Callable[[], bool]) -> None:
        """Carry messages until a condition holds."""

        def holds() -> bool:
            self.exchange()
            return condition()

        wait_until(holds)


class Bare(Joined):
    """Hold a view of a table."""

    def __init__(self, page: Page, address: str, **options: Any) -> None:
        super().__init__(page, address)
        self.acted: list[str] = []
        title = options.get("title", "orders")
        self.table = self.widget = LiveTable(title=title, act=self.acted.append)
        self.worker = self.table._content.worker
        self.join(**options)


class Charted(Joined):
    """Hold a view of a chart; `asked` is how it is to be drawn."""

    def __init__(
        self, page: Page, address: str, asked: dict[str, Any] | None = None, **options: Any
    ) -> None:
        super().__init__(page, f"{address}?module=chart.js")
        plain = {"kind": "line", "x": None, "y": None, "by": None, "window": None}
        read = plot_options.read(**{**plain, "mode": "replace", **(asked or {})})
        self.plot = self.widget = LivePlot(title=options.get("title", "orders"), options=read)
        self.worker = self.plot._drawing.worker
        self.join(**options)
        self.figure = self.place.locator(".figure")
        self.over = self.place.locator(".u-over")

    def drawn(self) -> int:
        """Count the pixels of the canvas on which something is drawn."""
        return self.place.locator("canvas").evaluate(  # type: ignore[no-any-return]
            """canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
                .data.filter((_, at) => at % 4 === 3).reduce((sum, alpha) => sum + (alpha > 0), 0)"""
        )

    def pixels(self) -> str:
        """Read the canvas, to tell whether it changes."""
        return self.place.locator("canvas").evaluate("canvas => canvas.toDataURL()")  # type: ignore[no-any-return]

    def point(self, share: float, down: float = 0.5) -> tuple[float, float]:
        """Find a place in the plot by its share of width and height."""
        box = self.over.bounding_box()
        assert box is not None
        return box["x"] + share * box["width"], box["y"] + down * box["height"]

    def drag(self, first: float, last: float) -> None:
        """Drag over the plot, from one share of its width to another."""
        self.page.mouse.move(*self.point(first))
        self.page.mouse.down()
        self.page.mouse.move(*self.point((first + last) / 2))
        self.page.mouse.move(*self.point(last))
        self.page.mouse.up()


class Paged(View):
    """Hold a view that talks to a made-up kernel in the page (`page/kernel.js`)."""

    def __init__(self, page: Page, address: str, **options: Any) -> None:
        super().__init__(page, address)
        page.evaluate("options => open_kernel(options)", {"title": "orders", **options})
        if not options.get("busy"):
            self.place.locator("tbody td").first.wait_for()


@pytest.fixture
def opened(chromium: Browser) -> Iterator[Callable[..., Any]]:
    """Give a function that opens a page; fails on script errors and violations of the policy."""
    views: list[View] = []

    def open_one(
        kind: type[View], address: str, size: tuple[int, int], media: dict[str, Any], **options: Any
    ) -> View:
        viewport = {"width": size[0], "height": size[1]}
        page = chromium.new_page(viewport=viewport, **media)  # type: ignore[arg-type]
        views.append(kind(page, address, **options))
        return views[-1]

    yield open_one
    for one in views:
        assert one.errors == []
        assert one.page.evaluate("violations") == []
        one.page.close()
        if isinstance(one, Joined):
            one.widget.close()


@pytest.fixture
def bare(opened: Callable[..., Any], bare_page_address: str) -> Callable[..., Bare]:
    """Give a function that opens a page with one view of a real table."""

    def open_one(width: int = 1000, media: dict[str, Any] | None = None, **options: Any) -> Bare:
        return opened(Bare, bare_page_address, (width, 500), media or {}, **options)  # type: ignore[no-any-return]

    return open_one


@pytest.fixture
def charted(opened: Callable[..., Any], bare_page_address: str) -> Callable[..., Charted]:
    """Give a function that opens a page with one view of a real chart."""

    def open_one(
        asked: dict[str, Any] | None = None,
        width: int = 800,
        media: dict[str, Any] | None = None,
        **options: Any,
    ) -> Charted:
        size = (width, 420)
        return opened(Charted, bare_page_address, size, media or {}, asked=asked, **options)  # type: ignore[no-any-return]

    return open_one


@pytest.fixture
def paged(opened: Callable[..., Any], bare_page_address: str) -> Callable[..., Paged]:
    """Give a function that opens a page with a kernel of its own."""

    def open_one(width: int = 1000, media: dict[str, Any] | None = None, **options: Any) -> Paged:
        return opened(Paged, bare_page_address, (width, 600), media or {}, **options)  # type: ignore[no-any-return]

    return open_one
