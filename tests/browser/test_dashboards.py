"""The dashboards in `notebooks/`, each in Voilà on a server and a simulated world of its own."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from pgrt_jupyter.testing import wait_until

from .servers import cell, running_voila

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
CHANGE = (
    60.0  # seconds in which anything shown has changed: the rarest, failures, come eight a minute
)


@pytest.fixture
def opened(chromium: Browser) -> Iterator[Callable[[str], Page]]:
    """Give a function that opens a dashboard; in the end nothing of it runs any more."""
    before = set(psutil.Process().children())
    with contextlib.ExitStack() as stack:

        def open_one(notebook: str) -> Page:
            page = chromium.new_page(viewport={"width": 1100, "height": 2400})
            stack.callback(page.close)
            page.goto(stack.enter_context(running_voila(NOTEBOOKS / notebook)))
            expect(page.locator(".pgrt .badge").first).to_have_text("live", timeout=60_000)
            return page

        yield open_one
        ours = [
            process
            for served in set(psutil.Process().children()) - before
            for process in [served, *served.children(recursive=True)]
        ]
        assert any("pgrt_jupyter.demo.simulator" in process.cmdline() for process in ours)
    _, alive = psutil.wait_procs(ours, 30)
    assert not alive


def shown(page: Page, title: str) -> Locator:
    """Find a table or chart by its title."""
    named = page.locator(".title", has_text=re.compile(f"^{title}$"))
    return page.locator(".pgrt", has=named)


def look(view: Locator) -> str:
    """Give what a table's rows say, or a chart's picture."""
    if (canvas := view.locator("canvas")).count():
        return str(canvas.first.evaluate("canvas => canvas.toDataURL()"))
    return view.locator("tbody").inner_text()


def expect_changes(page: Page, *titles: str) -> None:
    """Wait until each of these shows something else than it does now."""
    views = {title: shown(page, title) for title in titles}
    for view in views.values():
        expect(view.locator(".badge")).to_have_text(re.compile("live|polling"), timeout=60_000)
    before = {title: look(view) for title, view in views.items()}
    same = set(titles)

    def all_changed() -> bool:
        same.difference_update({title for title in same if look(views[title]) != before[title]})
        return not same

    wait_until(all_changed, CHANGE, message=lambda: f"still as before: {same}")


def test_shop(opened: Callable[[str], Page]) -> None:
    """Orders, revenue and stock change; the dropdown chooses whose orders are listed."""
    page = opened("04_dashboard.ipynb")
    expect_changes(page, "states", "revenue", "stock_alerts", "latest", "top_products")
    for status in ("cancelled", "delivered"):
        page.locator("select").select_option(status)
        expect(cell(shown(page, "latest"), 0, 1)).to_have_text(status)
    expect_changes(page, "latest")


def test_operations(opened: Callable[[str], Page]) -> None:
    """States, ages, throughput and failures change."""
    page = opened("09_operations.ipynb")
    expect_changes(page, "states", "oldest", "throughput", "errors", "failures")


def test_sensors(opened: Callable[[str], Page]) -> None:
    """Charts and table move; the dropdown chooses whose fifty lines are drawn."""
    page = opened("10_sensors.ipynb")
    expect_changes(page, "spread", "lines", "latest")
    lines = shown(page, "lines")
    for hall, first, other in (("south", "51", "1"), ("north", "1", "51")):
        page.locator("select").select_option(hall)
        expect(lines.get_by_role("button", name=first, exact=True)).to_be_visible()
        expect(lines.get_by_role("button", name=other, exact=True)).to_have_count(0)
        expect(lines.locator(".key")).to_have_count(50)
        expect_changes(page, "lines")
