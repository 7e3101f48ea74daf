"""Text that would run as a script or leave the page if anything took it for markup."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import BrowserContext, Page, expect

RUN = "window.__xss = (window.__xss || 0) + 1"
HOSTILE = (
    f"<img src=x onerror='{RUN}'>",
    f'<svg/onload="{RUN}">',
    f"</script><script>{RUN}</script>",
    "</td></table><iframe srcdoc='<script>parent.__xss = 1</script>'></iframe>",
    f"javascript:{RUN}",
    f"<a href='javascript:{RUN}'>click</a>",
    f"\" autofocus onfocus='{RUN}' x=\"",
    f"<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror={RUN}&gt;'>",
    "<style>@import 'http://elsewhere.example/x.css';</style>",
    "<img src='http://elsewhere.example/pixel.png'>",
    "background:url(http://elsewhere.example/css.png)",
    "{{constructor.constructor('window.__xss = 1')()}}",
    "&lt;img src=x onerror=window.__xss=1&gt;",
    "\u202etxt.exe\u200b\u2066",
)


def watch(page: Page | BrowserContext) -> list[str]:
    """Note every address the page asks for."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    return asked


def expect_text_only(page: Page, place: Any, asked: list[str]) -> None:
    """Require that nothing ran and nothing was fetched, and that the table holds text alone."""
    for text in HOSTILE[:3]:
        expect(place.get_by_text(text, exact=True).first).to_be_attached(timeout=30_000)
    # The table's own icons apart, which carry this class and no data.
    made = (
        "img, svg:not(.icon), script, iframe, style, a, object, embed, form, "
        "[onerror], [onload], [href], [src]"
    )
    assert place.locator(made).count() == 0
    assert page.evaluate("window.__xss") is None
    assert [url for url in asked if "elsewhere" in url] == []
