"""The table in a real browser on a bare page: strict policy, no Jupyter."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from playwright.sync_api import expect

from pgrt_jupyter.window import Shown

from .markup import HOSTILE, expect_text_only, watch


def shown(version: int, frame: pd.DataFrame, **values: Any) -> Shown:
    told: dict[str, Any] = {"status": "live", "message": "", "truncated": False, **values}
    if "order_id" in frame.columns:
        told.setdefault("key", ("order_id",))
    types = tuple("int8" if kind == "int64" else "text" for kind in frame.dtypes.astype(str))
    now = dt.datetime.now(dt.UTC)
    return Shown(version=version, frame=frame, types=types, refreshed_at=now, **told)


def orders(rows: int, **changed: int) -> pd.DataFrame:
    """Make orders, with other totals for those named `row_<number>`."""
    frame = pd.DataFrame({"order_id": range(rows), "total": 100, "note": "fast"})
    for name, total in changed.items():
        frame.loc[int(name.removeprefix("row_")), "total"] = total
    return frame


Open = Callable[..., Any]


@pytest.mark.parametrize("shadow", [False, True], ids=["light", "shadow"])
def test_the_table_draws_in_light_dom_and_shadow_root(bare: Open, shadow: bool) -> None:
    """Our style arrives under the strict policy, wherever the table stands."""
    one = bare(shadow=shadow)
    one.exchange()
    expect(one.place.locator(".note")).to_have_text("Waiting for the first result…")
    one.show(shown(1, orders(20)))
    expect(one.cell(0, 0)).to_have_text("0")
    expect(one.cell(0, 0)).to_have_css("text-align", "end")
    expect(one.place.locator(".count")).to_have_text("rows 1–8 of 20")
    assert one.place.locator(".pgrt").bounding_box()["height"] == 320


def test_an_update_flashes_what_changed_and_moves_nothing(bare: Open) -> None:
    """Scroll position and elements stay; the changed cell says in which direction."""
    one = bare()
    one.exchange()
    one.show(shown(1, orders(1000)))
    one.scroll(5_000)
    expect(one.cell(186, 1)).to_have_text("100")
    element = one.cell(186, 1).element_handle()
    one.show(shown(2, orders(1000, row_186=99, row_187=101)))
    expect(one.cell(186, 1)).to_have_attribute("data-flash", "down")
    expect(one.cell(187, 1)).to_have_attribute("data-flash", "up")
    expect(one.place.locator("[data-flash]")).to_have_count(2)
    assert element.text_content() == "99"
    assert one.scroll_top == 5_000
    expect(one.place.locator("[data-flash]")).to_have_count(0)


def test_a_row_that_only_moved_does_not_flash(bare: Open) -> None:
    """An inserted row pushes others down; only itself is new."""
    one = bare()
    one.exchange()
    one.show(shown(1, orders(20).iloc[1:]))
    one.show(shown(2, orders(20)))
    expect(one.place.locator("[data-flash=new]")).to_have_count(3)
    expect(one.cell(0, 0)).to_have_attribute("data-flash", "new")


def test_nothing_flashes_for_who_wants_less_motion(bare: Open) -> None:
    """prefers-reduced-motion is respected."""
    one = bare(media={"reduced_motion": "reduce"})
    one.exchange()
    one.show(shown(1, orders(5)))
    one.show(shown(2, orders(5, row_1=7)))
    expect(one.cell(1, 1)).to_have_text("7")
    expect(one.place.locator("[data-flash]")).to_have_count(0)


def test_a_million_rows_scroll_to_both_ends(bare: Open) -> None:
    """The DOM stays small, rows not here yet show as such, and a busy kernel is named."""
    one = bare()
    one.exchange()
    one.show(shown(1, orders(1_000_000)))
    one.scroll(100_000_000)
    expect(one.place.locator(".count")).to_have_text("rows 999,993–1,000,000 of 1,000,000")
    expect(one.cell(999_999, 0)).to_have_class("number pending")
    expect(one.place.locator(".chip:visible")).to_have_text("kernel busy")
    one.exchange()
    expect(one.cell(999_999, 0)).to_have_text("999999")
    expect(one.place.locator(".chip:visible")).to_have_count(0)
    assert one.place.locator("tbody tr").count() < 40
    one.scroll(0)
    expect(one.place.locator(".count")).to_have_text("rows 1–8 of 1,000,000")
    one.exchange()
    expect(one.cell(0, 0)).to_have_text("0")
    grid = one.place.locator("[role=grid]")
    expect(grid).to_have_attribute("aria-rowcount", "1000001")


def test_the_end_of_a_table_that_has_just_become_higher(bare: Open) -> None:
    """Is the end: a browser tells of scrolling before it tells of another height."""
    one = bare()
    one.show(shown(1, orders(1_000_000)))
    view = one.place.locator(".view")
    view.evaluate("view => { view.style.maxHeight = '120px' }")
    expect(one.place.locator(".count")).to_have_text(re.compile("^rows 1–[23] of"))
    view.evaluate("view => { view.style.maxHeight = ''; view.scrollTop = 1e8 }")
    expect(one.place.locator(".count")).to_have_text("rows 999,993–1,000,000 of 1,000,000")


def test_a_wheel_turn_in_a_million_rows_moves_a_few(bare: Open) -> None:
    """The shortened scroll bar does not make the wheel coarse."""
    one = bare()
    one.exchange()
    one.show(shown(1, orders(1_000_000)))
    one.place.locator(".view").hover()
    for _ in range(5):
        one.page.mouse.wheel(0, 54)
    expect(one.place.locator(".count")).to_have_text("rows 11–18 of 1,000,000")


def test_only_columns_in_view_are_drawn(bare: Open) -> None:
    """PostgreSQL allows 1,600 columns."""
    one = bare()
    one.exchange()
    one.show(shown(1, pd.DataFrame([range(1600)] * 50)))
    assert one.place.locator("tbody td").count() < 800
    one.place.locator(".view").evaluate("view => { view.scrollLeft = 10_000_000 }")
    expect(one.cell(0, 1599)).to_have_text("1599")
    expect(one.place.locator("thead th").last).to_contain_text("1599")


def test_a_failure_and_recovery_are_told(bare: Open) -> None:
    """The message shows with the rows it concerns, and goes."""
    one = bare()
    one.exchange()
    one.show(shown(1, orders(3), truncated=True))
    expect(one.place.locator(".chip:visible")).to_have_text("truncated")
    evil = "<img src=x onerror=alert(1)>"
    one.show(shown(1, orders(3), status="error", message=evil))
    expect(one.place.locator(".badge")).to_have_text("error")
    expect(one.place.locator(".message")).to_have_text(evil)
    expect(one.cell(2, 0)).to_have_text("2")
    one.show(shown(2, orders(4)))
    expect(one.place.locator(".message")).to_be_hidden()


def test_a_shorter_result_keeps_the_height(bare: Open) -> None:
    """What stands below the table on a page does not jump."""
    one = bare()
    one.exchange()
    one.show(shown(1, orders(6)))
    before = one.place.locator(".pgrt").bounding_box()["height"]
    one.show(shown(2, orders(0)))
    expect(one.place.locator(".note")).to_have_text("No rows")
    assert one.place.locator(".pgrt").bounding_box()["height"] == before < 320


def test_a_closed_view_says_bye_and_listens_no_more(bare: Open) -> None:
    """Nothing of it stays on the page or in the kernel."""
    one = bare()
    one.exchange()
    assert one.table.viewers == 1
    assert one.page.evaluate("close_view()") == 0
    one.exchange()
    assert one.table.viewers == 0
    assert one.page.evaluate("document.body.childElementCount") == 2


def test_a_table_taken_off_the_page_and_back_is_where_it_was(bare: Open) -> None:
    """JupyterLab detaches cells that are scrolled away; the browser then forgets the scroll bar."""
    one = bare()
    one.exchange()
    one.show(shown(1, orders(1000)))
    one.scroll(5_000)
    expect(one.cell(186, 0)).to_have_text("186")
    page = one.page
    page.evaluate("window.taken = document.querySelector('#place > div')")
    page.evaluate("new Promise(done => { taken.remove(); setTimeout(done, 50) })")
    one.show(shown(2, orders(1000, row_186=99)))
    page.evaluate("document.getElementById('place').append(taken)")
    expect(one.cell(186, 1)).to_have_text("99")
    assert one.scroll_top == 5_000


@pytest.mark.parametrize("shadow", [False, True], ids=["light", "shadow"])
def test_nothing_in_the_data_is_markup(bare: Open, shadow: bool) -> None:
    """Values, names, the title, the status and its reason are text, first and when patched in."""
    one = bare(shadow=shadow, title=HOSTILE[0])
    asked = watch(one.page)
    one.exchange()
    frame = pd.DataFrame(
        {name: [text] for name, text in zip(HOSTILE, reversed(HOSTILE), strict=True)}
    )
    one.show(shown(1, pd.DataFrame({"id": range(len(HOSTILE)), HOSTILE[1]: ["x"] * len(HOSTILE)})))
    one.show(shown(2, pd.DataFrame({"id": range(len(HOSTILE)), HOSTILE[1]: HOSTILE})))
    expect_text_only(one.page, one.place, asked)
    for status in HOSTILE:
        one.show(shown(3, frame, status=status, message=status, truncated=True))
    one.place.locator(".view").evaluate("view => { view.scrollLeft = 1e6 }")
    one.place.hover()
    assert (
        one.place.locator("img, svg:not(.icon), script, iframe, style, a, [href], [src]").count()
        == 0
    )
    assert one.page.evaluate("window.__xss") is None
    assert [url for url in asked if "elsewhere" in url] == []
