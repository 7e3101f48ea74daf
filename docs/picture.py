"""Film docs/live.png, the README's moving picture, from JupyterLab on the simulated shop: `make picture`.

Nothing is drawn here: each frame is a screenshot, shown for as long as it took to come.
"""

from __future__ import annotations

import io
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from pgrt_jupyter.demo import open_shop
from tests.browser.conftest import browser_path
from tests.browser.servers import running_lab, write_notebook

PICTURE = Path(__file__).with_name("live.png")
SIZE = {"width": 900, "height": 700}
LENGTH = 14.0  # seconds
RATE = 6.0  # things that happen in the shop a second
BETWEEN = 0.12  # seconds from one frame to the next, at least
COLOURS = 128

CELLS = (
    "%load_ext pgrt_jupyter\n%pgrt connect",
    """\
%%livequery open_orders --throttle 250 --height 202
SELECT status, count(*) AS orders, sum(pieces) AS pieces, sum(total) AS total
FROM shop.orders JOIN shop.order_totals ON order_id = id
WHERE status IN ('pending', 'paid', 'shipped')
GROUP BY status""",
    'open_orders.plot("line", y="orders", by="status", mode="append", window="15s", height=220)',
)


def main() -> None:
    """Film, and write the picture."""
    os.environ["PGRT_DSN"] = open_shop(rate=RATE)
    with notebook() as page:
        frames = list(film(page))
    write(frames)
    print(f"{PICTURE.name}: {len(frames)} frames, {PICTURE.stat().st_size / 1024:.0f} kB")


@contextmanager
def notebook() -> Iterator[Page]:
    """Open the cells in JupyterLab, nothing but the notebook on the page, and the first one run."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        os.environ["JUPYTERLAB_SETTINGS_DIR"] = f"{folder}/settings"
        with running_lab(Path(folder)) as lab:
            write_notebook(Path(folder, "live.ipynb"), *CELLS)
            browser = playwright.chromium.launch(
                executable_path=browser_path(), args=["--no-sandbox"]
            )
            page = browser.new_page(viewport=SIZE)
            page.goto(f"{lab.address}/doc/tree/live.ipynb?reset")
            expect(page.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=60_000)
            cells = page.locator(".jp-Notebook .jp-Cell")
            cells.first.locator(".cm-content").click()
            run(page)
            expect(cells.first).to_contain_text("Connected", timeout=60_000)
            yield page
            browser.close()


def run(page: Page) -> None:
    """Run the cell that is chosen, and go on to the next."""
    page.keyboard.press("Shift+Enter")


def film(page: Page) -> Iterator[tuple[Image.Image, float]]:
    """Run the other cells, and give pictures with the seconds that each was to be seen."""
    began = time.monotonic()
    steps = [(0.8, run), (3.5, run)]
    last, shown = look(page), began
    while (now := time.monotonic()) < began + LENGTH:
        if steps and now - began > steps[0][0]:
            steps.pop(0)[1](page)
        page.wait_for_timeout(max(0.0, shown + BETWEEN - now) * 1000)
        picture = look(page)
        yield last, (after := time.monotonic()) - shown
        last, shown = picture, after
    yield last, 2.0


def look(page: Page) -> Image.Image:
    """Take a picture with the second cell at the top, wherever JupyterLab has scrolled to."""
    page.locator(".jp-Notebook .jp-Cell").nth(1).evaluate("cell => cell.scrollIntoView()")
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def write(frames: list[tuple[Image.Image, float]]) -> None:
    """Write an animated PNG of few colours, the same for every frame, which goes on for ever."""
    palette = side_by_side([picture for picture, _ in frames[::8]]).quantize(COLOURS)
    pictures = [
        picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture, _ in frames
    ]
    pictures[0].save(
        PICTURE,
        save_all=True,
        append_images=pictures[1:],
        duration=[round(seconds * 1000) for _, seconds in frames],
        loop=0,
        optimize=True,
    )


def side_by_side(pictures: list[Image.Image]) -> Image.Image:
    """Join pictures of one size into one."""
    width, height = pictures[0].size
    joined = Image.new("RGB", (width * len(pictures), height))
    for place, picture in enumerate(pictures):
        joined.paste(picture, (place * width, 0))
    return joined


if __name__ == "__main__":
    main()
