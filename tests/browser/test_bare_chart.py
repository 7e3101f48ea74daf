"""The chart in a real browser on a bare page: strict policy, no Jupyter."""

from __future__ import annotations

import base64
import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import expect

from pgrt_jupyter.testing import wait_until
from pgrt_jupyter.window import Shown

from .conftest import CHART
from .markup import HOSTILE, expect_text_only, watch
from .test_bare_access import serious

TYPES = {"at": "timestamptz", "local": "timestamp", "v": "float8", "w": "float8", "n": "int8"}
START = pd.Timestamp("2026-01-02 12:00", tz="UTC")
Open = Callable[..., Any]


def shown(version: int, frame: pd.DataFrame, **told: Any) -> Shown:
    rest = {"status": "live", "message": "", "truncated": False, **told}
    types = tuple(TYPES.get(str(name), "text") for name in frame.columns)
    now = dt.datetime.now(dt.UTC)
    return Shown(version=version, frame=frame, types=types, refreshed_at=now, **rest)


def waves(rows: int, shift: float = 0.0) -> pd.DataFrame:
    """Make two waves, a point each second."""
    at = pd.date_range(START, periods=rows, freq="s")
    phase = np.arange(rows) / max(1, rows) * 12 + shift
    return pd.DataFrame({"at": at, "v": np.sin(phase), "w": np.cos(phase) * 2})


def tip(one: Any, share: float) -> str:
    """Point at a share of the width and read what is said there."""
    one.page.mouse.move(*one.point(share, 0.4))
    one.page.mouse.move(*one.point(share))
    expect(one.place.locator(".tip")).to_be_visible()
    return one.place.locator(".tip").inner_text()  # type: ignore[no-any-return]


def second(one: Any, share: float) -> int:
    """Say how many seconds after the start a share of the width is."""
    found = re.search(r"2026-\d\d-\d\d \d\d:\d\d:\d\d", tip(one, share))
    assert found
    return int((pd.Timestamp(found[0], tz="UTC") - START).total_seconds())


@pytest.mark.parametrize("shadow", [False, True], ids=["light", "shadow"])
def test_the_chart_draws_in_light_dom_and_shadow_root(charted: Open, shadow: bool) -> None:
    """Our style and uPlot's arrive under the strict policy, wherever the chart stands."""
    one = charted(shadow=shadow)
    one.exchange()
    expect(one.place.locator(".note")).to_have_text("Waiting for the first result…")
    one.show(shown(1, waves(300)))
    expect(one.place.locator(".badge")).to_have_text("live")
    expect(one.place.locator(".note")).to_be_hidden()
    expect(one.over).to_have_css("position", "absolute")
    assert one.place.locator(".chart").bounding_box()["height"] == 320
    assert one.drawn() > 2_000


@pytest.mark.parametrize("kind", ["line", "area", "bar", "scatter"])
def test_an_update_changes_what_is_drawn(charted: Open, kind: str) -> None:
    """In the canvas that is there, whatever is drawn."""
    one = charted({"kind": kind})
    one.show(shown(1, waves(60)))
    before, canvas = one.pixels(), one.place.locator("canvas").element_handle()
    one.show(shown(2, waves(60, 2.0)))
    wait_until(lambda: one.pixels() != before)
    assert canvas.evaluate("canvas => canvas.isConnected")


def test_the_pointer_is_told_what_is_there(charted: Open) -> None:
    """Time, and each series' value; NULL is named."""
    one = charted()
    frame = waves(301)
    frame.loc[140:160, "w"] = None
    one.show(shown(1, frame))
    said = tip(one, 0.5)
    assert re.search(r"2026-01-02 12:02:(29|30|31)", said)
    assert re.search(r"v\s+-0\.", said)
    assert re.search(r"w\s+NULL", said)
    expect(one.place.locator(".u-cursor-pt:visible")).to_have_count(1)
    one.page.mouse.move(5, 5)
    expect(one.place.locator(".tip")).to_be_hidden()


def test_a_zoom_stays_while_results_come(charted: Open) -> None:
    """Dragged, then rolled, moved and reset; unzoomed the newest is in view."""
    one = charted()
    one.show(shown(1, waves(300)))
    reset = one.place.get_by_role("button", name="Show all")
    expect(reset).to_be_hidden()
    one.drag(0.2, 0.4)
    expect(reset).to_be_visible()
    low, high = second(one, 0.02), second(one, 0.98)
    assert 55 <= low <= 65 and 115 <= high <= 125
    for version in range(2, 5):
        one.show(shown(version, waves(300 + 100 * version)))
    assert (second(one, 0.02), second(one, 0.98)) == (low, high)
    one.page.mouse.move(*one.point(0.5))
    one.page.mouse.wheel(0, -300)
    wait_until(lambda: second(one, 0.98) - second(one, 0.02) < high - low - 5)
    one.page.keyboard.press("ArrowRight")
    one.over.dblclick()
    expect(reset).to_be_hidden()
    assert second(one, 0.02) < 20 and second(one, 0.98) > 670


def test_the_wheel_scrolls_the_page_until_somebody_has_clicked(charted: Open) -> None:
    """A long notebook can be scrolled over its charts."""
    one = charted()
    one.show(shown(1, waves(300)))
    reset = one.place.get_by_role("button", name="Show all")
    one.page.mouse.move(*one.point(0.5))
    one.page.mouse.wheel(0, -200)
    expect(reset).to_be_hidden()
    one.page.mouse.click(*one.point(0.5))
    one.page.mouse.wheel(0, -200)
    expect(reset).to_be_visible()
    before = second(one, 0.5)
    one.page.keyboard.down("Shift")
    one.drag(0.5, 0.3)
    one.page.keyboard.up("Shift")
    wait_until(lambda: second(one, 0.5) > before + 5)


def test_unzoomed_a_window_rolls(charted: Open) -> None:
    """The newest minute is in view."""
    one = charted({"window": "1min"})
    for version, rows in ((1, 100), (2, 300)):
        one.show(shown(version, waves(rows)))
        assert abs(second(one, 0.02) - (rows - 61)) < 5
        assert abs(second(one, 0.98) - rows) < 5


def test_a_million_points_are_drawn_and_zooming_brings_all_of_them(charted: Open) -> None:
    """A few thousand at a time."""
    one = charted({"y": "v"})
    one.show(shown(1, waves(1_000_000)))
    told = one.place.locator(".drawn")
    expect(told).to_have_text(re.compile(r"^1,\d\d\d of 1,000,000 points drawn$"))
    assert max(sum(map(len, message.get("buffers", []))) for message in one.sent) < 50_000
    for _ in range(3):
        before = len(one.sent)
        one.drag(0.5, 0.52)
        one.until(lambda before=before: len(one.sent) > before)
    message = one.sent[-1]
    assert 5 < message["high"] - message["low"] < 12
    x = np.frombuffer(base64.b64decode(message["buffers"][0]))
    assert (np.diff(x) == 1).all()  # every second there is


def test_series_are_hidden_and_shown(charted: Open) -> None:
    """By a click on their key; updates leave it so; Shift shows one alone."""
    one = charted()
    one.show(shown(1, waves(300)))
    key = one.place.get_by_role("button", name="w", exact=True)
    expect(key).to_have_attribute("aria-pressed", "true")
    before = one.pixels()
    key.click()
    expect(key).to_have_attribute("aria-pressed", "false")
    wait_until(lambda: one.pixels() != before)
    one.show(shown(2, waves(310)))
    expect(key).to_have_attribute("aria-pressed", "false")
    assert "w" not in tip(one, 0.5)
    key.click(modifiers=["Shift"])
    expect(key).to_have_attribute("aria-pressed", "true")
    other = one.place.get_by_role("button", name="v", exact=True)
    expect(other).to_have_attribute("aria-pressed", "false")
    key.click(modifiers=["Shift"])
    expect(other).to_have_attribute("aria-pressed", "true")


def test_what_is_left_out_is_named(charted: Open) -> None:
    """More series than colours."""
    one = charted({"by": "k"})
    names = [f"k{at:02}" for at in range(60)]
    one.show(shown(1, pd.DataFrame({"at": START, "k": names, "v": 1.0})))
    expect(one.place.locator(".key")).to_have_count(50)
    expect(one.place.locator(".rest")).to_contain_text("not drawn: 10 more series (k50, k51,")


WHOLE = """list => {
    const { top, bottom } = list.getBoundingClientRect()
    const shown = [...list.children].filter(key => key.checkVisibility({ visibilityProperty: true }))
    const boxes = shown.map(key => key.getBoundingClientRect())
    return [shown.length, boxes.every(box => box.top >= top - 1 && box.bottom <= bottom + 1)]
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_many_keys_are_folded(charted: Open, theme: str) -> None:
    """Whole rows of them; a button says how many there are besides and opens them, by keyboard as well."""
    names = [str(at) for at in range(1, 51)]
    frame = pd.DataFrame({"at": START, "k": names, "v": 1.0})
    one = charted({"by": "k"}, width=1100, media={"color_scheme": theme})
    one.show(shown(1, frame))
    keys, more = one.place.locator(".list"), one.place.locator(".keys .link")
    expect(more).to_be_hidden()
    assert keys.evaluate(WHOLE) == [50, True]
    one.page.set_viewport_size({"width": 600, "height": 420})
    expect(more).to_have_text(re.compile(r"^… \d\d more$"))
    count, is_whole = keys.evaluate(WHOLE)
    assert is_whole
    assert more.inner_text() == f"… {50 - count} more"
    assert keys.get_by_role("button").count() == count  # for a screen reader, too
    keys.get_by_role("button", name=str(count), exact=True).focus()
    one.page.keyboard.press("Tab")
    expect(more).to_be_focused()
    one.page.keyboard.press("Enter")
    expect(more).to_have_attribute("aria-expanded", "true")
    expect(more).to_have_text("fewer")
    assert keys.evaluate(WHOLE) == [50, True]
    one.show(shown(2, frame.assign(v=2.0)))
    expect(keys.get_by_role("button")).to_have_count(50)
    assert serious(one) == []
    more.click()
    assert keys.evaluate(WHOLE) == [count, True]


def test_a_pause_is_of_the_drawing_alone(charted: Open) -> None:
    """It says so; what came meanwhile is there afterwards, and the state goes on."""
    one = charted()
    one.show(shown(1, waves(300)))
    one.place.get_by_role("button", name="Pause drawing").click()
    expect(one.place.locator(".held")).to_have_text("drawing paused")
    one.page.mouse.move(5, 5)
    before = wait_until(lambda: (now := one.pixels()) == one.pixels() and now)
    one.show(shown(2, waves(300, 3.0), status="stale"))
    expect(one.place.locator(".badge")).to_have_text("stale")
    assert one.pixels() == before
    one.place.get_by_role("button", name="Go on drawing").click()
    expect(one.place.locator(".held")).to_be_hidden()
    wait_until(lambda: one.pixels() != before)


def test_a_png_is_saved(charted: Open, tmp_path: Path) -> None:
    """Named after the chart, as large as the screen shows it, on the theme's paper."""
    one = charted(title="a/b")
    one.show(shown(1, waves(300)))
    with one.page.expect_download() as download:
        one.place.get_by_role("button", name="Save as PNG").click()
    assert download.value.suggested_filename == "a_b.png"
    download.value.save_as(tmp_path / "chart.png")
    data = (tmp_path / "chart.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    assert width > 700 and height > 250


def test_a_failure_shows_with_the_points_it_concerns(charted: Open) -> None:
    """A column that is gone, an error of the query, and recovery."""
    one = charted({"y": "v"})
    one.show(shown(1, waves(300)))
    failure = {"message": "no such table", "sqlstate": "42P01"}
    one.show(shown(1, waves(300), status="error", error=failure))
    expect(one.place.locator(".message")).to_have_text("no such table SQLSTATE 42P01")
    one.show(shown(2, waves(300)[["at", "w"]]))
    expect(one.place.locator(".note")).to_contain_text("y='v': there is no such column")
    expect(one.place.locator("canvas")).to_have_count(0)
    one.show(shown(3, waves(300)))
    expect(one.place.locator("canvas")).to_have_count(1)
    expect(one.place.locator(".message")).to_be_hidden()
    one.show(shown(4, waves(0)))
    expect(one.place.locator(".note")).to_have_text("No points")


def test_names_are_text_only(charted: Open) -> None:
    """Of columns, series, categories and the chart itself; in the legend and at the pointer."""
    one = charted({"by": "k"}, title=HOSTILE[0])
    asked = watch(one.page)
    frame = pd.DataFrame({"at": START, "k": [*HOSTILE], "v": 1.0})
    one.show(shown(1, frame.rename(columns={"v": HOSTILE[1]}), message=HOSTILE[2]))
    tip(one, 0.5)
    expect_text_only(one.page, one.place, asked)


def test_times_are_shown_in_the_zone_of_who_looks(charted: Open) -> None:
    """And it is named; times without a zone are shown as they are written, at the axis as well."""
    local = waves(3)
    local["at"] = local["at"].dt.tz_localize(None)
    local = local.rename(columns={"at": "local"})
    instants, plain = [], []
    for zone in ("Europe/Berlin", "UTC"):
        for frame, drawn in ((waves(3), instants), (local, plain)):
            one = charted(media={"timezone_id": zone})
            one.show(shown(1, frame))
            drawn.append((one.pixels(), tip(one, 0.5)))
    assert "2026-01-02 13:00:01" in instants[0][1]
    assert "2026-01-02 12:00:01" in instants[1][1]
    assert instants[0][0] != instants[1][0]
    assert "2026-01-02 12:00:01" in plain[0][1]
    assert plain[0] == plain[1]


def test_bars_of_text_and_numbers_beyond_reason(charted: Open) -> None:
    """Categories are named; infinities, NaN and NULL break nothing."""
    one = charted({"kind": "bar"})
    frame = pd.DataFrame({"k": ["a", "b", None, "d"], "v": [1, float("inf"), None, -4.5]})
    one.show(shown(1, frame))
    assert "d" in tip(one, 0.87) and "-4.5" in tip(one, 0.87)
    assert one.drawn() > 1_000
    huge = charted({"kind": "line"})
    far = pd.DataFrame({"at": [START, START], "v": [1e308, -1e308], "w": [5e-324, 0]})
    huge.show(shown(1, far))
    assert huge.drawn() > 500


HEIGHTS = """(canvas, shares) => {
    const { width, height } = canvas, dots = canvas.getContext("2d").getImageData(0, 0, width, height)
    const over = canvas.parentElement.querySelector(".u-over"), scale = width / canvas.clientWidth
    return shares.map(share => {
        const x = Math.round((over.offsetLeft + share * over.clientWidth) * scale)
        const rows = []
        for (let y = 0; y < height; y++) {
            const [r, g, b, a] = dots.data.slice(4 * (y * width + x))
            if (a > 200 && b - r > 80) rows.push(y)  // the first series' blue
        }
        return rows.reduce((sum, y) => sum + y, 0) / rows.length / scale
    })
}"""


def heights(one: Any, *shares: float) -> list[float]:
    """Say in pixels how far below the top the line is, at shares of the width."""
    canvas = one.place.locator("canvas")
    return canvas.evaluate(HEIGHTS, shares)  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", ["line", "area", "bar", "scatter"])
def test_a_logarithmic_axis(charted: Open, kind: str) -> None:
    """Ten times as much is as much higher everywhere; what has no logarithm is named."""
    frame = pd.DataFrame({"x": [1, 2, 3, 4, 5], "v": [1, 10, 100, 0, 1000.0]})
    asked = {"kind": kind, "x": "x", "log": True}
    one = charted(asked)
    one.show(shown(1, frame))
    expect(one.place.locator(".rest")).to_have_text("not drawn: 1 value of 0 or less")
    expect(one.figure).to_have_attribute("aria-label", re.compile("on a logarithmic axis"))
    assert one.drawn() > 1_000
    assert "10" in tip(one, 0.3 if kind == "bar" else 0.26)
    if kind == "line":
        ys = heights(one, 0.001, 0.25, 0.5)
        assert abs((ys[0] - ys[1]) - (ys[1] - ys[2])) < 3 < ys[1] - ys[2]
        plain = charted({**asked, "log": False})
        plain.show(shown(1, frame))
        ys = heights(plain, 0.001, 0.25, 0.5)
        assert (ys[1] - ys[2]) > 5 * (ys[0] - ys[1])


def test_the_theme_is_followed(charted: Open) -> None:
    """Colours of the canvas too, when the page's theme changes."""
    one = charted()
    one.show(shown(1, waves(300)))
    before = one.pixels()
    one.page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    expect(one.place.locator(".chart")).to_have_class(re.compile(r"\bdark\b"))
    wait_until(lambda: one.pixels() != before)


def test_a_narrow_page_and_a_wider_one(charted: Open) -> None:
    """The canvas has the width there is."""
    one = charted(width=320)
    one.show(shown(1, waves(300)))
    assert one.place.locator("canvas").bounding_box()["width"] <= 296
    one.page.set_viewport_size({"width": 1000, "height": 420})
    wait_until(lambda: one.place.locator("canvas").bounding_box()["width"] > 900)


def test_the_same_chart_drawn_again_is_as_it_was(charted: Open) -> None:
    """Zoom and hidden series outlive a view; the old view leaves nothing behind."""
    one = charted()
    one.show(shown(1, waves(300)))
    one.drag(0.2, 0.4)
    one.place.get_by_role("button", name="w", exact=True).click()
    assert one.page.evaluate("close_view()") == 0
    one.page.evaluate("open_view({ again: true })")
    one.exchange()
    expect(one.place.get_by_role("button", name="Show all")).to_be_visible()
    key = one.place.get_by_role("button", name="w", exact=True)
    expect(key).to_have_attribute("aria-pressed", "false")
    assert 55 <= second(one, 0.02) <= 65
    assert one.plot.viewers == 1


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(charted: Open, theme: str) -> None:
    """With everything shown at once; what is drawn is described."""
    one = charted(media={"color_scheme": theme})
    failure = {"message": "division by zero", "sqlstate": "22012"}
    one.show(shown(1, waves(10_000), status="error", truncated=True, error=failure))
    one.drag(0.2, 0.6)
    one.place.get_by_role("button", name="w", exact=True).click()
    one.place.get_by_role("button", name="Pause drawing").click()
    assert serious(one) == []
    expect(one.figure).to_have_attribute("aria-label", re.compile("^line chart over at: 2 series"))


def test_hands_on_the_keyboard_zoom_and_move(charted: Open) -> None:
    """The chart has the focus by Tab; Escape shows all."""
    one = charted()
    one.show(shown(1, waves(300)))
    one.figure.focus()
    expect(one.figure).to_have_attribute("aria-keyshortcuts", re.compile("Plus.*Home"))
    reset = one.place.get_by_role("button", name="Show all")
    for back in ("Escape", "Home", "0"):
        for key in ("+", "+", "ArrowRight"):
            one.page.keyboard.press(key)
        expect(reset).to_be_visible()
        assert second(one, 0.02) > 55 and second(one, 0.98) > 250
        one.page.keyboard.press(back)
        expect(reset).to_be_hidden()
    one.page.keyboard.press("Control+ArrowRight")
    one.page.keyboard.press("Control++")
    expect(reset).to_be_hidden()  # the browser's


# Whether the page is where it was five frames ago.
STILL = """async () => {
    const before = scrollY;
    for (let frame = 0; frame < 5; frame++) await new Promise(requestAnimationFrame);
    return scrollY === before;
}"""


class Fingers:
    """Touch a chart's page as hands do; places are shares of the plot's width and height."""

    def __init__(self, one: Any) -> None:
        self._one = one
        self._session = one.page.context.new_cdp_session(one.page)

    def put(self, kind: str, *places: tuple[float, float]) -> None:
        """Say where fingers are: `touchStart`, `touchMove`, or `touchEnd` with those that stay."""
        points = [dict(zip("xy", self._one.point(*place), strict=True)) for place in places]
        for number, point in enumerate(points):
            point["id"] = number
        self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def go(self, start: list[tuple[float, float]], end: list[tuple[float, float]]) -> None:
        """Move fingers from places to others, and lift them."""
        self.put("touchStart", *start)
        for part in (0.25, 0.5, 0.75, 1.0):
            steps = zip(start, end, strict=True)
            self.put(
                "touchMove",
                *((a + part * (c - a), b + part * (d - b)) for (a, b), (c, d) in steps),
            )
        self.put("touchEnd")


@pytest.fixture
def touched(charted: Open) -> Any:
    """Give a chart of 300 seconds on a touch screen, on a page that is longer than the screen."""
    one = charted(media={"has_touch": True})
    one.show(shown(1, waves(300)))
    one.page.evaluate("document.body.style.minHeight = '3000px'")
    return one


def test_fingers_zoom_and_move(touched: Any) -> None:
    """Two apart, then one across; a double tap shows all, and the page has not moved."""
    one, fingers = touched, Fingers(touched)
    reset = one.place.get_by_role("button", name="Show all")
    fingers.go([(0.4, 0.4), (0.6, 0.6)], [(0.2, 0.4), (0.8, 0.6)])
    expect(reset).to_be_visible()
    assert 90 < second(one, 0.02) < 115 and 185 < second(one, 0.98) < 210
    fingers.go([(0.7, 0.5)], [(0.3, 0.5)])
    assert 130 < second(one, 0.02) < 155
    fingers.go([(0.2, 0.5), (0.8, 0.5)], [(0.4, 0.5), (0.6, 0.5)])
    assert second(one, 0.98) - second(one, 0.02) > 250
    fingers.go([(0.4, 0.3), (0.6, 0.3)], [(0.2, 0.6), (0.8, 0.6)])  # down as well
    expect(reset).to_be_visible()
    for _ in range(2):
        fingers.put("touchStart", (0.5, 0.5))
        fingers.put("touchEnd")
    expect(reset).to_be_hidden()
    assert one.page.evaluate("[scrollY, visualViewport.scale]") == [0, 1]


def test_a_finger_going_up_scrolls_the_page(touched: Any) -> None:
    """From the chart on, zoomed or not; the picture stays."""
    one, fingers = touched, Fingers(touched)
    fingers.go([(0.4, 0.5), (0.6, 0.5)], [(0.2, 0.5), (0.8, 0.5)])
    seen = second(one, 0.02)
    fingers.go([(0.5, 0.8)], [(0.52, 0.2)])
    wait_until(lambda: one.page.evaluate("scrollY") > 50)
    wait_until(lambda: one.page.evaluate(STILL))  # it goes on for a while when the finger has left
    one.page.evaluate("scrollTo(0, 0)")
    wait_until(lambda: one.page.evaluate(STILL) and one.page.evaluate("scrollY") == 0)
    assert second(one, 0.02) == seen


def test_the_bundle_is_small_and_plain() -> None:
    """90 kB with its library and its licence; no import, no evaluation, no markup."""
    text = CHART.read_text()
    assert CHART.stat().st_size <= 90_000
    assert "MIT License" in text
    for word in (
        "innerHTML",
        "insertAdjacentHTML",
        "eval(",
        "new Function",
        "import(",
        'from"http',
    ):
        assert word not in text
