"""Nothing moves under a person's eyes or hands while rows change ten times a second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from pgrt_jupyter.testing import wait_until

Open = Callable[..., Any]

TEN_A_SECOND = "void (window.stop_changes = kernel.run(100, 6, {added}))"


def first_row(one: Any) -> str:
    """Read the identity, the number and the place on the screen of the topmost row in view."""
    return str(
        one.place.locator(".view").evaluate(
            """view => {
              const head = view.querySelector("thead").getBoundingClientRect().bottom;
              const rows = [...view.querySelectorAll("tbody tr")]
                .map(row => [row.getBoundingClientRect().top, row])
                .filter(([top]) => top > head - 27).sort((one, other) => one[0] - other[0]);
              const [top, row] = rows[0];
              return `${row.querySelector("[aria-colindex='2']").textContent} at ${Math.round(top)}`;
            }"""
        )
    )


def after_updates(one: Any, count: int = 8) -> None:
    """Wait for some updates and for what they set going."""
    start = one.page.evaluate("kernel.version")
    wait_until(lambda: one.page.evaluate("kernel.version") >= start + count)


@pytest.mark.parametrize("rows", [1_000, 1_000_000])
def test_rows_put_on_top_move_nothing_in_view(paged: Open, rows: int) -> None:
    """The rows in view stay where they are; the scroll bar tells how many are above."""
    one = paged(rows=rows)
    one.scroll(5_000)
    one.page.wait_for_timeout(300)
    before = first_row(one)
    one.page.evaluate(TEN_A_SECOND.format(added=3))
    after_updates(one)
    one.page.evaluate("stop_changes()")
    one.page.wait_for_timeout(300)
    assert first_row(one) == before
    assert one.page.evaluate("kernel.added") >= 24


def test_at_the_very_top_new_rows_are_let_in(paged: Open) -> None:
    """Who looks at the newest rows sees newer ones come."""
    one = paged(rows=1_000)
    one.page.evaluate("kernel.update(0, 1)")
    expect(one.cell(0, 0)).to_have_text("101000")
    assert one.scroll_top == 0


def test_text_being_selected_stays_selected(paged: Open) -> None:
    """In a changing cell as well, at the same characters; rows above push it nowhere."""
    one = paged(rows=1_000)
    one.scroll(2_700)
    cell = one.cell(103, 3)
    box = cell.bounding_box()
    one.page.mouse.move(box["x"] + box["width"] - 40, box["y"] + 12)
    one.page.mouse.down()
    one.page.mouse.move(box["x"] + box["width"] - 14, box["y"] + 12, steps=4)
    selected = "({ text: String(getSelection()), from: getSelection().anchorOffset })"
    before = one.page.evaluate(selected)
    one.page.evaluate(TEN_A_SECOND.format(added=2))
    after_updates(one)
    during = one.page.evaluate(selected)
    one.page.mouse.up()
    one.page.evaluate("stop_changes()")
    assert len(before["text"]) > 1
    assert during["from"] == before["from"]
    assert len(during["text"]) == len(before["text"])


def test_selected_text_outlives_scrolling_away_and_back(paged: Open) -> None:
    """The row it is in is not reused for another."""
    one = paged(rows=1_000)
    one.cell(2, 1).evaluate("cell => getSelection().selectAllChildren(cell)")
    text = one.page.evaluate("String(getSelection())")
    one.scroll(10_000)
    one.page.wait_for_timeout(200)
    assert one.page.evaluate("String(getSelection())") == text
    one.scroll(0)
    expect(one.cell(2, 1)).to_have_text(text)
    assert one.page.evaluate("String(getSelection())") == text


def test_the_scroll_bar_stays_under_the_hand(paged: Open) -> None:
    """Updates write no scroll position while the bar is dragged."""
    one = paged(rows=1_000)
    view = one.place.locator(".view")
    box = view.bounding_box()
    one.page.evaluate(
        """() => { window.written = 0;
        const place = Object.getOwnPropertyDescriptor(Element.prototype, "scrollTop");
        Object.defineProperty(document.querySelector(".view"), "scrollTop",
          { get() { return place.get.call(this) },
            set(value) { window.written += 1; place.set.call(this, value) } }) }"""
    )
    view.evaluate(
        """view => view.dispatchEvent(new PointerEvent("pointerdown", { bubbles: true, buttons: 1 }))"""
    )
    one.page.evaluate(TEN_A_SECOND.format(added=1))
    for top in range(100, 4_000, 600):
        view.evaluate(
            """(view, top) => Object.getOwnPropertyDescriptor(Element.prototype, "scrollTop")
               .set.call(view, top)""",
            top,
        )
        one.page.wait_for_timeout(60)
    after_updates(one, 3)
    assert one.page.evaluate("written") == 0
    one.page.evaluate("stop_changes()")
    one.page.mouse.move(box["x"] + 50, box["y"] + 100)  # without a button: the hand let go


def test_the_wheel_turns_on_through_updates(paged: Open) -> None:
    """Every turn arrives, none is taken back."""
    one = paged(rows=1_000_000)
    one.scroll(4_000_000)
    one.page.wait_for_timeout(400)
    one.page.evaluate(TEN_A_SECOND.format(added=1))
    one.place.locator(".view").hover()
    seen = []
    for _ in range(12):
        one.page.mouse.wheel(0, 81)
        one.page.wait_for_timeout(50)
        seen.append(int(first_row(one).split(" ")[0] or 0))
    one.page.evaluate("stop_changes()")
    known = [number for number in seen if number]
    assert known == sorted(known)
    assert known[-1] - known[0] >= 25


def test_the_keyboard_stays_in_its_row(paged: Open) -> None:
    """The cell that has the focus keeps it, whatever comes above it."""
    one = paged(rows=1_000)
    one.cell(3, 1).click()
    name = one.cell(3, 0).text_content()
    one.page.evaluate(TEN_A_SECOND.format(added=1))
    after_updates(one)
    one.page.evaluate("stop_changes()")
    active = (
        "document.activeElement.closest('tr')?.querySelector('[aria-colindex=\"2\"]')?.textContent"
    )
    wait_until(lambda: one.page.evaluate(active) == name)


def test_a_menu_stays_open_while_rows_change(paged: Open) -> None:
    """Nothing that is being read or typed goes away."""
    one = paged(rows=1_000)
    one.menu(3, "Filter…")
    one.place.locator(".form input").fill("12")
    one.page.evaluate(TEN_A_SECOND.format(added=1))
    after_updates(one)
    one.page.evaluate("stop_changes()")
    expect(one.place.locator(".form input")).to_have_value("12")
    expect(one.place.locator(".form input")).to_be_focused()


def test_rows_that_came_are_announced_politely(paged: Open) -> None:
    """Together, not one by one."""
    one = paged(rows=1_000)
    live = one.place.locator("[aria-live=polite]")
    one.page.evaluate("kernel.update(0, 2)")
    expect(live).to_have_text("2 rows added")
    one.page.evaluate("kernel.update(0, 1); kernel.update(0, 1)")
    expect(live).to_have_text("2 rows added")


def test_lights_can_be_switched_off(paged: Open) -> None:
    """The legend is the switch."""
    one = paged(rows=100)
    one.place.locator(".legend").click()
    one.page.evaluate("kernel.update(20)")
    expect(one.place.locator("td[data-flash]")).to_have_count(0)
    one.place.locator(".legend").click()
    one.page.evaluate("kernel.update(40)")
    expect(one.place.locator("td[data-flash]").first).to_be_attached()


def test_a_touch_scrolls(paged: Open) -> None:
    """A finger moves the rows and marks nothing."""
    one = paged(rows=1_000, media={"has_touch": True})
    session = one.page.context.new_cdp_session(one.page)
    box = one.cell(4, 1).bounding_box()
    x, top = box["x"] + 20, box["y"]
    touches = [("touchStart", top), *[("touchMove", top - step) for step in range(15, 150, 15)]]
    for kind, y in touches:
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    wait_until(lambda: one.scroll_top > 50)
    expect(one.place.locator("td.block")).to_have_count(0)
