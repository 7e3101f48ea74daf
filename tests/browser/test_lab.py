"""A live query in JupyterLab: run all, change a row from outside, see the cell change."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from pgrt_jupyter.testing import wait_until

from .markup import HOSTILE, expect_text_only, watch
from .servers import Lab, cell, running_lab

SETUP = "%load_ext pgrt_jupyter\nimport time, pgrt_jupyter as pgrt\nengine = pgrt.start({!r})"
LIVE = "%%livequery numbers --throttle 0\nSELECT id, n FROM numbers ORDER BY id"


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Run one JupyterLab for all tests."""
    with running_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture
def lab(running: Lab, dsn: str) -> Iterator[Lab]:
    """End a test's kernels before its database goes."""
    yield running
    running.end_kernels()


@pytest.fixture
def page(chromium: Browser, lab: Lab) -> Iterator[Page]:
    """Open a page that must not ask any other host for anything."""
    page = chromium.new_page(viewport={"width": 1200, "height": 900})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    yield page
    page.close()
    ours = (lab.address, lab.address.replace("http", "ws"), "blob:", "data:")
    assert [url for url in asked if not url.startswith(ours)] == []


@pytest.fixture
def writer(connect: Callable[..., Any]) -> Any:
    """Give a connection to a database with a table of five numbers."""
    connection = connect()
    connection.execute("CREATE TABLE numbers (id int PRIMARY KEY, n int)")
    connection.execute("INSERT INTO numbers SELECT g, 10 * g FROM generate_series(1, 5) g")
    return connection


def test_a_cell_follows_the_database(lab: Lab, page: Page, writer: Any, dsn: str) -> None:
    """A change made elsewhere appears in the notebook's table, and so do new rows."""
    lab.open(page, SETUP.format(dsn), LIVE)
    lab.run_all(page)
    table = page.locator(".jp-OutputArea-output .pgrt")
    expect(cell(table, 1, 1)).to_have_text("20", timeout=30_000)
    expect(table.locator(".badge")).to_have_text("live")
    writer.execute("UPDATE numbers SET n = 777 WHERE id = 2")
    expect(cell(table, 1, 1)).to_have_text("777")
    writer.execute("INSERT INTO numbers VALUES (6, NULL)")
    expect(cell(table, 5, 0)).to_have_text("6")
    expect(table.locator(".count")).to_have_text("6 rows")


def test_it_follows_while_a_cell_runs(lab: Lab, page: Page, writer: Any, dsn: str) -> None:
    """A change appears while another cell sleeps for ten seconds."""
    lab.open(page, SETUP.format(dsn), LIVE, "time.sleep(10)")
    lab.run_all(page)
    table = page.locator(".jp-OutputArea-output .pgrt")
    expect(cell(table, 1, 1)).to_have_text("20", timeout=30_000)
    for n in (777, 778):
        writer.execute("UPDATE numbers SET n = %s WHERE id = 2", [n])
        expect(cell(table, 1, 1)).to_have_text(str(n))
        lab.expect_prompt(page, "[*]:")
    lab.expect_prompt(page, "[3]:")


def test_a_cell_that_ran_again_has_one_live_table(
    lab: Lab, page: Page, writer: Any, dsn: str
) -> None:
    """Run All again leaves one table, which is live, and the queries' errors are short."""
    lab.open(page, SETUP.format(dsn), LIVE, "%%livequery wrong\nSELECT m\nFROM numbers")
    for prompt in ("[3]:", "[6]:"):
        lab.run_all(page)
        error = page.locator(".jp-OutputArea-output").filter(has_text="QueryFailed")
        expect(error).to_contain_text('column "m" does not exist', timeout=30_000)
        expect(error).not_to_contain_text("Traceback")
        lab.expect_prompt(page, prompt)
    table = page.locator(".jp-OutputArea-output .pgrt")
    expect(table).to_have_count(1)
    writer.execute("UPDATE numbers SET n = 5 WHERE id = 1")
    expect(cell(table, 0, 1)).to_have_text("5")


EVIL = """
names = {hostile!r}
quoted = '"' + names[0].replace('"', '""') + '"'
evil = engine.sub(names[1], f"SELECT id, t AS {{quoted}} FROM texts ORDER BY id", throttle_ms=0)
evil
"""


def test_nothing_in_the_data_is_markup(lab: Lab, page: Page, writer: Any, dsn: str) -> None:
    """Values, column names, the query's name and errors are text, in the table and around it."""
    asked = watch(page)
    writer.execute("CREATE TABLE texts (id int PRIMARY KEY, t text)")
    writer.cursor().executemany("INSERT INTO texts VALUES (%s, %s)", enumerate(HOSTILE))
    wrong = "engine.sub('wrong', 'SELECT \\'' + names[0].replace(\"'\", \"''\") + '\\'::int')"
    lab.open(page, SETUP.format(dsn), EVIL.format(hostile=HOSTILE), wrong, "%livequery")
    lab.run_all(page)
    table = page.locator(".jp-OutputArea-output .pgrt")
    expect(table.locator(".badge")).to_have_text("live", timeout=30_000)
    expect_text_only(page, table, asked)
    error = page.locator(".jp-OutputArea-output").filter(has_text="QueryFailed")
    expect(error).to_contain_text(HOSTILE[0])
    writer.execute("ALTER TABLE texts RENAME COLUMN t TO u")
    writer.execute("UPDATE texts SET id = id + 100")
    expect(table.locator(".badge")).to_have_text("error")
    expect(table.locator(".title")).to_have_text(HOSTILE[1])
    expect_text_only(page, table, asked)


def viewers(lab: Lab, page: Page) -> str:
    """Run the last cell and give what it prints."""
    page.locator(".jp-Cell .jp-InputPrompt").last.click()
    page.keyboard.press("Control+Enter")
    said = page.locator(".jp-OutputArea-output pre").last
    return said.inner_text().strip() if said.count() else ""


def test_reloading_and_clearing(lab: Lab, page: Page, writer: Any, dsn: str) -> None:
    """A reloaded page has the live table again; a cleared output is watched by nobody."""
    lab.open(page, SETUP.format(dsn), LIVE, "print('watched by', numbers.own_table.viewers)")
    lab.run_all(page)
    table = page.locator(".jp-OutputArea-output .pgrt")
    expect(cell(table, 1, 1)).to_have_text("20", timeout=30_000)
    page.keyboard.press("Control+s")
    page.reload()
    expect(cell(table, 1, 1)).to_have_text("20", timeout=60_000)
    writer.execute("UPDATE numbers SET n = 777 WHERE id = 2")
    expect(cell(table, 1, 1)).to_have_text("777")
    wait_until(lambda: viewers(lab, page) == "watched by 1", 40)
    page.get_by_role("menuitem", name="Edit", exact=True).click()
    page.get_by_role("menuitem", name="Clear Outputs of All Cells", exact=True).click()
    expect(table).to_have_count(0)
    wait_until(lambda: viewers(lab, page) == "watched by 0", 40)


TELLING = """table = numbers.table(height=250)
def tell(_):
    table.title = f"{table.sort} {list(table.selected['id'])}"
table.observe(tell, ["sort", "selected"])
table"""


def test_the_table_and_python_know_the_same(lab: Lab, page: Page, writer: Any, dsn: str) -> None:
    """Sorted and selected by hand, read in Python, kept by updates; paused and resumed."""
    lab.open(page, SETUP.format(dsn), LIVE, TELLING)
    lab.run_all(page)
    table = page.locator(".jp-OutputArea-output .pgrt").nth(1)
    expect(cell(table, 0, 1)).to_have_text("10", timeout=30_000)
    amount = table.locator('thead [aria-colindex="3"]')
    for order in ("ascending", "descending"):
        amount.click()
        expect(amount).to_have_attribute("aria-sort", order)
    expect(cell(table, 0, 1)).to_have_text("50")
    table.locator("tbody .gutter").filter(has_text="2").click()
    expect(table.locator(".title")).to_have_text("[('n', 'desc')] [4]")
    writer.execute("UPDATE numbers SET n = 99 WHERE id = 1")
    expect(cell(table, 0, 1)).to_have_text("99")
    expect(table.locator('tr[aria-selected="true"]')).to_have_attribute("aria-rowindex", "4")
    table.get_by_role("button", name="Pause").click()
    expect(table.locator(".badge")).to_have_text("paused")
    writer.execute("UPDATE numbers SET n = 100 WHERE id = 1")
    table.get_by_role("button", name="Resume").click()
    expect(cell(table, 0, 1)).to_have_text("100")


def test_a_chart_follows_the_database(lab: Lab, page: Page, writer: Any, dsn: str) -> None:
    """It is drawn anew, also while a cell runs; the page's theme colours it; zoomed it stays."""
    lab.open(page, SETUP.format(dsn), LIVE, "numbers.plot(x='id')", "time.sleep(8)")
    lab.run_all(page)
    chart = page.locator(".jp-OutputArea-output .chart")
    canvas, over = chart.locator("canvas"), chart.locator(".u-over")
    expect(canvas).to_be_visible(timeout=30_000)
    expect(chart.locator(".badge")).to_have_text("live")
    before = canvas.evaluate("canvas => canvas.toDataURL()")
    writer.execute("UPDATE numbers SET n = 777 WHERE id = 3")
    wait_until(lambda: canvas.evaluate("canvas => canvas.toDataURL()") != before)
    lab.expect_prompt(page, "[*]:")
    chart.scroll_into_view_if_needed()
    over.hover()
    expect(chart.locator(".tip")).to_contain_text("777")
    lab.expect_prompt(page, "[4]:")
    box = over.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 20, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 50, steps=4)
    page.mouse.up()
    expect(chart.get_by_role("button", name="Show all")).to_be_visible()
    writer.execute("INSERT INTO numbers SELECT g, g FROM generate_series(6, 5000) g")
    expect(chart.locator(".drawn")).to_contain_text("of 5,000 points drawn")
    expect(chart.locator(".drawn")).to_be_visible()
    expect(chart.get_by_role("button", name="Show all")).to_be_visible()


def test_a_table_follows_a_dropdown(lab: Lab, page: Page, writer: Any, dsn: str) -> None:
    """Choosing in one cell's output changes the table of another, which stays the one it is."""
    least = "import ipywidgets\nleast = ipywidgets.Dropdown(options=[1, 4])\nleast"
    sql = (
        "%%livequery numbers --throttle 0\nSELECT id, n FROM numbers WHERE id >= :least ORDER BY id"
    )
    lab.open(page, SETUP.format(dsn), least, sql)
    lab.run_all(page)
    table = page.locator(".jp-OutputArea-output .pgrt")
    expect(cell(table, 0, 0)).to_have_text("1", timeout=30_000)
    page.locator(".jp-OutputArea-output select").first.select_option("4")
    expect(cell(table, 0, 0)).to_have_text("4")
    expect(table.locator(".badge")).to_have_text("live")
    expect(table.locator(".count")).to_have_text("2 rows")
    writer.execute("UPDATE numbers SET n = 777 WHERE id = 4")
    expect(cell(table, 0, 1)).to_have_text("777")


def test_a_line_tells_what_a_cell_waits_for(lab: Lab, page: Page, writer: Any, dsn: str) -> None:
    """It is there while the cell runs; then the table is in its place."""
    slow = "(SELECT count(*) FROM generate_series(1, 9000000) AS g WHERE g % 7 = id % 7) AS n"
    lab.open(page, SETUP.format(dsn), LIVE.replace("n FROM", f"{slow} FROM"))
    lab.run_all(page)
    line = page.locator(".jp-OutputArea-child").filter(has_text="running the query")
    expect(line).to_be_visible(timeout=30_000)
    expect(line).to_contain_text("Interrupting the kernel cancels it.")
    table = page.locator(".jp-OutputArea-output .pgrt")
    expect(table.locator(".badge")).to_have_text("live", timeout=30_000)
    expect(line).to_have_count(0)
    expect(page.locator(".jp-OutputArea-child")).to_have_count(1)


def test_a_line_that_has_gone_leaves_no_gap(lab: Lab, page: Page, writer: Any, dsn: str) -> None:
    """A cell that waited ends as high as one that did not, and its other outputs stay."""
    sql = "SELECT id, (SELECT count(*) FROM generate_series(1, {}) AS g WHERE g % 7 = id % 7) FROM numbers"
    texts = f"fast, slow = {sql!r}.format(9), {sql!r}.format(9000000)"
    alone = ["pgrt.sub('alone', fast);", "pgrt.sub('alone', slow);"]
    among = [f"print('before'); {one} print('after')" for one in alone]
    lab.open(page, f"{SETUP.format(dsn)}\n{texts}", *alone, *among, "once = 1")
    cells = page.locator(".jp-CodeCell")
    lab.run_all(page)
    for waits in (2, 4):
        line = cells.nth(waits).locator(".jp-OutputArea-child").filter(has_text="running")
        expect(line).to_be_visible(timeout=30_000)
        expect(line).to_have_count(0, timeout=30_000)
    lab.expect_prompt(page, "[6]:")
    heights = [cells.nth(at).evaluate("cell => cell.offsetHeight") for at in range(1, 5)]
    assert heights[0] == heights[1] < heights[2] == heights[3]
    expect(cells.nth(4).locator(".jp-OutputArea")).to_have_text(re.compile(r"before\s+after\s*"))
