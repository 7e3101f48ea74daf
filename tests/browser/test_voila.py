"""A live query in Voilà: open the page, change a row from outside, see the cell change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, expect

from .servers import cell, running_voila, write_notebook


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
