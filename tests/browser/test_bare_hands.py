"""What hands do with the table in a real browser: sort, filter, select, copy, export, lay out columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from playwright.sync_api import expect

from .test_bare_page import orders, shown

Open = Callable[..., Any]


def people() -> pd.DataFrame:
    """Make rows with NULL, empty and long text, dangerous text, JSON and many digits."""
    return pd.DataFrame(
        {
            "order_id": range(6),
            "amount": pd.array([1234567.5, 30, 200, 4, 50, 6], dtype="double[pyarrow]"),
            "name": ["Eve", "bob", None, "", "=1+1", "Mallory " * 60],
            "items": ['{"a":[1,{"b":"x"}],"n":12345678901234567890}'] * 6,
        }
    )


def show(one: Any, frame: pd.DataFrame | None = None, version: int = 1, **values: Any) -> Any:
    """Publish people, as the database would type them."""
    frame = people() if frame is None else frame
    told = shown(version, frame, **values)
    types = ("int8", "numeric", "text", "jsonb")[: frame.shape[1]]
    one.show(
        type(told)(**{name: getattr(told, name) for name in told.__slots__} | {"types": types})
    )
    return one


def test_clicks_on_heads_sort_and_updates_keep_the_order(bare: Open) -> None:
    """Once ascending, twice descending; with shift another column is added; numbers sort as numbers."""
    one = show(bare())
    one.head(1).click()
    one.exchange()
    assert one.column(0) == ["3", "5", "1", "4", "2", "0"]
    expect(one.head(1)).to_have_attribute("aria-sort", "ascending")
    one.head(1).click()
    one.exchange()
    assert one.column(0) == ["0", "2", "4", "1", "5", "3"]
    frame = people()
    frame.loc[3, "amount"] = 500.0
    show(one, frame, 2)
    assert one.column(0) == ["0", "3", "2", "4", "1", "5"]
    assert one.table.sort == [("amount", "desc")]


def test_sorting_by_two_columns_numbers_them(bare: Open) -> None:
    """The order of columns in the sorting shows in their heads."""
    one = bare()
    frame = pd.DataFrame({"order_id": range(4), "a": ["x", "y", "x", "y"], "b": [1, 2, 3, 4]})
    one.show(shown(1, frame))
    one.head(1).click()
    one.head(2).click(modifiers=["Shift"])
    one.head(2).click(modifiers=["Shift"])
    one.exchange()
    assert one.column(0) == ["2", "0", "3", "1"]
    expect(one.head(1).locator(".order")).to_have_text("↑1")
    expect(one.head(2).locator(".order")).to_have_text("↓2")


def test_a_filter_made_in_the_menu_shows_as_a_chip(bare: Open) -> None:
    """What passes is counted, the chip edits and removes it."""
    one = show(bare())
    one.menu(1, "Filter…")
    form = one.place.locator(".form")
    form.locator("select").select_option("gt")
    form.locator("input").fill("40")
    form.locator("input").press("Enter")
    one.exchange()
    assert one.column(0) == ["0", "2", "4"]
    expect(one.place.locator(".count")).to_have_text("3 rows (filtered from 6)")
    expect(one.place.locator(".filter .edit")).to_have_text("amount > 40")
    one.place.locator(".filter .edit").click()
    expect(form.locator("select")).to_have_value("gt")
    form.locator("input").fill("100")
    form.get_by_role("button", name="Apply").click()
    one.exchange()
    assert one.column(0) == ["0", "2"]
    one.place.locator(".filter .small").click()
    one.exchange()
    assert len(one.column(0)) == 6
    expect(one.place.locator(".filters")).to_be_hidden()


def test_a_filter_that_makes_no_sense_is_told(bare: Open) -> None:
    """The rows stay, the message names the column."""
    one = show(bare())
    one.menu(1, "Filter…")
    one.place.locator(".form select").select_option("gt")
    one.place.locator(".form input").fill("many")
    one.place.locator(".form input").press("Enter")
    one.exchange()
    expect(one.place.locator(".wrong")).to_contain_text("amount")
    assert len(one.column(0)) == 6


def test_search_looks_into_every_column(bare: Open) -> None:
    """Typing is enough; what Python searches for shows in the field."""
    one = show(bare())
    one.place.get_by_role("searchbox").fill("mall")
    one.until(lambda: one.column(0) == ["5"])
    one.place.get_by_role("searchbox").press("Escape")
    one.until(lambda: len(one.column(0)) == 6)
    one.place.locator(".view").focus()
    one.table.search = "bob"
    one.exchange()
    expect(one.place.get_by_role("searchbox")).to_have_value("bob")
    assert one.column(0) == ["1"]
    one.table.search = "nobody"
    one.exchange()
    expect(one.place.locator(".note")).to_have_text("No row passes the filters")


def test_selected_rows_are_read_in_python_and_follow_their_keys(bare: Open) -> None:
    """Click, ctrl and shift on row numbers; sorting and updates leave the choice alone."""
    one = show(bare())
    one.gutter(1).click()
    one.gutter(4).click(modifiers=["Control"])
    one.until(lambda: list(one.table.selected["order_id"]) == [1, 4])
    one.head(1).click()
    one.exchange()
    rows = one.place.locator('tr[aria-selected="true"] [aria-colindex="2"]')
    assert sorted(rows.all_text_contents()) == ["1", "4"]
    one.gutter(0).click()
    one.gutter(2).click(modifiers=["Shift"])
    one.until(lambda: sorted(one.table.selected["order_id"]) == [1, 3, 5])
    expect(one.place.locator(".selection")).to_have_text("3 rows selected")
    show(one, people().iloc[2:], 2)
    one.until(lambda: sorted(one.table.selected["order_id"]) == [3, 5])
    one.table.selected = [2]
    one.exchange()
    expect(one.place.locator('tr[aria-selected="true"] [aria-colindex="2"]')).to_have_text("2")
    one.gutter(0).click()
    one.page.keyboard.press("Escape")
    one.until(lambda: one.table.selected.empty)


def copied(one: Any) -> str:
    """Copy with the keyboard and give what reached the clipboard."""
    one.page.evaluate(
        """() => { window.copied = null; document.addEventListener("copy", event => {
            window.copied = event.clipboardData.getData("text/plain") }, { once: true }) }"""
    )
    one.page.keyboard.press("Control+c")
    return str(one.page.evaluate("copied"))


def test_a_block_of_cells_is_copied_as_it_is_not_as_it_looks(bare: Open) -> None:
    """Digits are not grouped, NULL is nothing; columns come as shown."""
    one = show(bare())
    expect(one.cell(0, 1)).to_have_text("1,234,567.5")
    one.cell(0, 1).click()
    one.cell(2, 2).click(modifiers=["Shift"])
    assert copied(one) == "1234567.5\tEve\n30\tbob\n200\t"
    expect(one.place.locator("td.block")).to_have_count(6)
    one.page.keyboard.press("ArrowDown")
    assert copied(one) == ""
    one.page.keyboard.press("ArrowUp")
    one.page.keyboard.press("ArrowLeft")
    assert copied(one) == "200"


def test_a_hand_that_leaves_its_cell_marks_a_block(bare: Open) -> None:
    """Inside one cell it selects text."""
    one = show(bare())
    start, end = one.cell(1, 1).bounding_box(), one.cell(3, 2).bounding_box()
    mouse = one.page.mouse
    mouse.move(start["x"] + 20, start["y"] + 12)
    mouse.down()
    mouse.move(end["x"] + 20, end["y"] + 12, steps=5)
    mouse.up()
    expect(one.place.locator("td.block")).to_have_count(6)
    name = one.cell(0, 2).bounding_box()
    mouse.move(name["x"] + 10, name["y"] + 12)
    mouse.down()
    mouse.move(name["x"] + 60, name["y"] + 12, steps=5)
    mouse.up()
    assert one.page.evaluate("String(getSelection())") == "Eve"
    expect(one.place.locator("td.block")).to_have_count(0)
    assert copied(one) == ""  # the browser copies the text itself


def test_selected_rows_are_copied_by_the_kernel(bare: Open) -> None:
    """They may be more than the browser holds; long values come whole."""
    one = bare(media={"permissions": ["clipboard-read", "clipboard-write"]})
    show(one)
    one.gutter(4).click()
    one.gutter(5).click(modifiers=["Control"])
    one.until(lambda: len(one.table.selected) == 2)
    one.more("Copy with column names")
    one.exchange()
    expect(one.place.locator(".told")).to_have_text("Copied 2 rows")
    lines = one.page.evaluate("navigator.clipboard.readText()").splitlines()
    assert lines[0] == "order_id\tamount\tname\titems"
    assert ("Mallory " * 60).strip() in lines[2]


def test_all_that_passes_the_filters_is_exported(bare: Open, tmp_path: Path) -> None:
    """In the order and with the columns shown, safe for spreadsheets."""
    one = bare()
    one.show(shown(1, orders(5000)))
    one.table.filters = [("order_id", "ge", 1000)]
    one.exchange()
    one.menu(2, "Hide column")
    with one.page.expect_download() as waiting:
        one.more("Export as CSV")
        one.exchange()
    file = tmp_path / "out.csv"
    waiting.value.save_as(file)
    assert waiting.value.suggested_filename == "orders.csv"
    rows = list(csv.reader(io.StringIO(file.read_text())))
    assert rows[0] == ["order_id", "total"]
    assert [int(row[0]) for row in rows[1:]] == list(range(1000, 5000))
    expect(one.place.locator(".told")).to_have_text("Exported 4,000 rows")


def test_formulas_are_exported_as_text(bare: Open, tmp_path: Path) -> None:
    """A spreadsheet runs nothing that was in the database."""
    one = show(bare())
    with one.page.expect_download() as waiting:
        one.more("Export as CSV")
        one.exchange()
    waiting.value.save_as(tmp_path / "out.csv")
    assert "'=1+1" in (tmp_path / "out.csv").read_text()


def test_an_export_can_be_stopped(bare: Open) -> None:
    """The kernel hears of it and sends no more."""
    one = show(bare())
    one.more("Export as CSV")
    expect(one.place.locator(".export")).to_be_visible()
    one.place.get_by_role("button", name="Stop the export").click()
    expect(one.place.locator(".told")).to_have_text("Export stopped")
    expect(one.place.locator(".export")).to_be_hidden()
    assert "export_stop" in [message["type"] for message in one.page.evaluate("outbox")]


def test_a_long_value_opens_whole_and_json_laid_out(bare: Open) -> None:
    """By Enter or a double click; Escape gives the keyboard back to the cell."""
    one = show(bare())
    one.cell(5, 2).click()
    one.page.keyboard.press("Enter")
    one.exchange()
    expect(one.place.locator(".value pre")).to_have_text("Mallory " * 60)
    one.page.keyboard.press("Escape")
    expect(one.place.locator(".value")).to_have_count(0)
    expect(one.cell(5, 2)).to_be_focused()
    one.cell(0, 3).dblclick()
    expect(one.place.locator(".value pre")).to_contain_text('"n": 12345678901234567890')
    assert one.place.locator(".value pre").inner_text().startswith('{\n  "a": [\n    1,')


def test_columns_are_pulled_dragged_hidden_and_brought_back(bare: Open) -> None:
    """The others keep their width; cells follow their heads."""
    one = show(bare())
    widths = [one.head(place).bounding_box()["width"] for place in range(4)]
    grip = one.head(1).locator(".grip").bounding_box()
    mouse = one.page.mouse
    mouse.move(grip["x"] + 5, grip["y"] + 20)
    mouse.down()
    mouse.move(grip["x"] + 65, grip["y"] + 20, steps=4)
    mouse.up()
    after = [one.head(place).bounding_box()["width"] for place in range(4)]
    assert [round(new - old) for old, new in zip(widths, after, strict=True)] == [0, 60, 0, 0]
    assert one.cell(0, 1).bounding_box()["width"] == after[1]

    from_box, to_box = one.head(0).bounding_box(), one.head(2).bounding_box()
    mouse.move(from_box["x"] + from_box["width"] / 2, from_box["y"] + 12)
    mouse.down()
    mouse.move(to_box["x"] + 30, to_box["y"] + 12, steps=6)
    mouse.up()
    names = one.place.locator("thead b")
    expect(names).to_have_text(["amount", "name", "order_id", "items"])
    expect(one.cell(1, 2)).to_have_text("1")
    assert one.table.sort == []  # dragging is not clicking

    one.menu(0, "Hide column")
    expect(names).to_have_text(["name", "order_id", "items"])
    one.more("Columns (1 hidden)")
    one.choose("amount")
    expect(names).to_have_text(["amount", "name", "order_id", "items"])
    one.choose("Show all")
    expect(names).to_have_text(["order_id", "amount", "name", "items"])


def test_verbs_reach_the_query(bare: Open) -> None:
    """Pause becomes resume; an error shows its SQLSTATE."""
    one = show(bare(), acts=True)
    buttons = one.place.get_by_role("toolbar").get_by_role("button")
    buttons.nth(0).click()
    buttons.nth(1).click()
    one.exchange()
    assert one.acted == ["pause", "refresh"]
    show(one, acts=True, status="paused")
    expect(buttons.nth(0)).to_have_accessible_name("Resume")
    buttons.nth(0).click()
    one.exchange()
    assert one.acted[-1] == "resume"
    failure = {"message": 'relation "x" does not exist', "sqlstate": "42P01"}
    show(one, acts=True, status="error", message="x", error=failure)
    expect(one.place.locator(".message")).to_have_text('relation "x" does not exist SQLSTATE 42P01')


def test_two_views_share_sorting_and_selection_but_not_columns(bare: Open) -> None:
    """As in a notebook that shows one table twice."""
    one = show(bare())
    one.page.evaluate("open_view({ again: true })")
    one.exchange()
    first, second = one.place.nth(0), one.place.nth(1)
    first.locator(".gutter").nth(2).click()
    first.locator('thead [aria-colindex="3"]').click()
    one.until(lambda: len(one.table.selected) == 1)
    expect(second.locator('tr[aria-selected="true"]')).to_have_count(1)
    expect(second.locator('thead [aria-colindex="3"]')).to_have_attribute("aria-sort", "ascending")
    first.locator('thead [aria-colindex="3"]').click(button="right")
    first.locator(".item").filter(has_text="Hide").click()
    expect(first.locator("thead b")).to_have_count(3)
    expect(second.locator("thead b")).to_have_count(4)
