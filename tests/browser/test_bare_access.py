"""The table for keyboards, screen readers, other themes, directions and widths; and what it costs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from .conftest import BUNDLE
from .test_bare_hands import show

Open = Callable[..., Any]

AXE = Path(__file__).parents[2] / "js" / "node_modules" / "axe-core" / "axe.min.js"


def serious(one: Any) -> list[str]:
    """Let axe look at the table; name what it finds grave."""
    one.page.evaluate(AXE.read_text() + ";0")
    found = one.page.evaluate("axe.run('#place').then(result => result.violations)")
    grave = [rule for rule in found if rule["impact"] in ("serious", "critical")]
    return [f"{rule['id']}: {node['html']}" for rule in grave for node in rule["nodes"]]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(bare: Open, theme: str) -> None:
    """With everything shown at once, and in the menus and forms."""
    one = bare(media={"color_scheme": theme})
    failure = {"message": "division by zero", "sqlstate": "22012"}
    show(one, acts=True, truncated=True, status="error", message="x", error=failure)
    one.table.sort = [("amount", "desc"), ("name", "asc")]
    one.table.filters = [("amount", "gt", 1), ("name", "notnull")]
    one.table.selected = [0, 1]
    one.exchange()
    one.cell(1, 1).click()
    assert serious(one) == []
    for entry in ("Columns…", None):
        one.place.locator(".tools [aria-haspopup=menu]").click()
        if entry:
            one.choose(entry)
        assert serious(one) == []
        one.page.keyboard.press("Escape")
    one.menu(2, "Filter…")
    assert serious(one) == []
    one.page.keyboard.press("Escape")
    one.cell(0, 3).dblclick()
    assert serious(one) == []


def focused(one: Any) -> str:
    """Name what has the focus."""
    return str(
        one.page.evaluate(
            """() => { let at = document.activeElement;
              while (at.shadowRoot) at = at.shadowRoot.activeElement;
              return at.getAttribute("aria-label") || at.textContent || at.tagName }"""
        )
    )


@pytest.mark.parametrize("shadow", [False, True], ids=["light", "shadow"])
def test_everything_is_reached_by_the_keyboard(bare: Open, shadow: bool) -> None:
    """One stop for the grid, arrows inside; the head sorts, resizes, moves columns and has its menu."""
    one = show(bare(shadow=shadow), acts=True)
    press = one.page.keyboard.press
    one.place.get_by_role("searchbox").focus()
    stops = []
    for _ in range(5):
        press("Tab")
        stops.append(focused(one))
    assert stops[:3] == ["Pause", "Refresh now", "Columns, copy, export"]
    assert stops[3].startswith("order_id")
    press("Shift+Tab")
    press("ArrowRight")
    expect(one.head(1)).to_be_focused()
    press("Enter")
    one.exchange()
    assert one.table.sort == [("amount", "asc")]
    width = one.head(1).bounding_box()["width"]
    press("Shift+ArrowRight")
    expect(one.head(1)).to_have_css("width", f"{width + 16:g}px")
    press("Control+Shift+ArrowRight")
    expect(one.place.locator("thead b")).to_have_text(["order_id", "name", "amount", "items"])
    expect(one.head(2)).to_be_focused()
    press("Alt+ArrowDown")
    expect(one.place.locator(".item").first).to_be_focused()
    press("h")
    press("Enter")
    expect(one.place.locator("thead b")).to_have_text(["order_id", "name", "items"])
    press("ArrowDown")
    press(" ")
    one.until(lambda: list(one.table.selected["order_id"]) == [3])
    press("Control+a")
    one.until(lambda: len(one.table.selected) == 6)
    press("Shift+ArrowDown")
    expect(one.place.locator("td.block")).to_have_count(2)
    press("Escape")
    expect(one.place.locator("td.block")).to_have_count(0)
    press("Control+End")
    assert focused(one).startswith("{")


def test_the_grid_says_where_things_are(bare: Open) -> None:
    """Counts, indexes, sorting and selection are there to be read."""
    one = show(bare())
    one.head(1).click()
    one.exchange()
    one.gutter(2).click()
    one.until(lambda: len(one.table.selected) == 1)
    grid = one.place.get_by_role("grid", name="orders")
    for name, value in {
        "aria-rowcount": "7",
        "aria-colcount": "5",
        "aria-multiselectable": "true",
        "aria-readonly": "true",
        "aria-busy": "false",
    }.items():
        expect(grid).to_have_attribute(name, value)
    expect(one.head(1)).to_have_attribute("aria-sort", "ascending")
    expect(one.head(0)).to_have_attribute("aria-sort", "none")
    expect(grid.get_by_role("row", selected=True)).to_have_attribute("aria-rowindex", "4")


def test_text_from_right_to_left(bare: Open) -> None:
    """A page in Hebrew has its first column on the right, and its keys the other way round."""
    one = bare()
    one.page.evaluate("document.documentElement.dir = 'rtl'")
    show(one)
    assert one.head(0).bounding_box()["x"] > one.head(1).bounding_box()["x"]
    assert one.gutter(0).bounding_box()["x"] > one.cell(0, 0).bounding_box()["x"]
    one.cell(0, 0).click()
    one.page.keyboard.press("ArrowLeft")
    expect(one.cell(0, 1)).to_be_focused()
    one.page.keyboard.press("End")
    expect(one.cell(0, 3)).to_be_focused()
    expect(one.cell(0, 3)).to_be_in_viewport()


def test_forced_colours_keep_what_is_selected_visible(bare: Open) -> None:
    """High contrast has its own colours for that."""
    one = show(bare(media={"forced_colors": "active"}))
    one.gutter(1).click()
    one.until(lambda: len(one.table.selected) == 1)
    colour = "element => getComputedStyle(element).backgroundColor"
    assert one.cell(1, 1).evaluate(colour) != one.cell(2, 1).evaluate(colour)


@pytest.mark.parametrize("width", [320, 520, 1600])
def test_narrow_and_wide_places(bare: Open, width: int) -> None:
    """Nothing reaches over the edge, and the tools are all there."""
    one = show(bare(width=width), acts=True)
    edge = one.place.locator(".pgrt").bounding_box()
    for tool in one.place.locator(".tool, .search, .legend").all():
        box = tool.bounding_box()
        assert box["x"] >= edge["x"]
        assert box["x"] + box["width"] <= edge["x"] + edge["width"]
    assert one.page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_menu_is_not_cut_off_by_a_short_table(bare: Open) -> None:
    """It stands above the page, inside the table's own root."""
    one = show(bare(height=160))
    one.head(1).click(button="right")
    box = one.place.locator(".menu").bounding_box()
    assert box["height"] > 160
    assert one.page.evaluate("document.body.childElementCount") == 2
    item = one.place.locator(".item").last.bounding_box()
    point = f"document.elementFromPoint({item['x'] + 20}, {item['y'] + 10})"
    assert one.page.evaluate(f"{point}.closest('.menu') !== null")


def test_the_kernel_busy_hint_comes_and_goes(paged: Open) -> None:
    """Rows that are not here yet show as such."""
    one = paged(rows=10_000)
    one.page.evaluate("window.busy = true")
    one.scroll(100_000)
    expect(one.place.locator("td.pending").first).to_be_visible()
    expect(one.place.locator(".chip:visible")).to_have_text("kernel busy")
    one.page.evaluate("busy = false; for (const message of outbox.splice(0)) kernel.take(message)")
    expect(one.place.locator("td.pending")).to_have_count(0)
    expect(one.place.locator(".chip:visible")).to_have_count(0)


def test_the_bundle_is_small_and_asks_nobody(bare: Open) -> None:
    """60 kB, no import, no evaluation, no markup; the page's server hears of nothing but the page."""
    text = BUNDLE.read_text()
    assert BUNDLE.stat().st_size <= 60_000
    for forbidden in (
        "innerHTML",
        "insertAdjacent",
        "document.write",
        "eval(",
        "new Function",
        "import(",
    ):
        assert forbidden not in text
    asked: list[str] = []
    one = bare()
    one.page.on("request", lambda request: asked.append(request.url))
    show(one)
    one.head(1).click()
    one.exchange()
    assert asked == []


def test_twenty_tables_cost_little() -> None:
    """What opening one sends, twenty times: the script is a trait of every instance."""
    from pgrt_jupyter.widget import LiveTable

    table = LiveTable(title="orders")
    opening = len(json.dumps(table.get_state(), default=str))
    table.close()
    assert 20 * opening <= 1_300_000
