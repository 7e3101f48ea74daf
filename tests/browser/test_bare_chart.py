"""The chart in a real browser on a bare page: strict policy, no Jupyter."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import expect

from pgrt_jupyter.window import Shown

TYPES = {"at": "timestamptz", "v": "float8", "w": "float8", "k": "text", "n": "int8"}
START = pd.Timestamp("2026-01-02 12:00", tz="UTC")
Open = Callable[..., Any]


def shown(version: int, frame: pd.DataFrame, **told: Any) -> Shown:
    rest = {"status": "live", "message": "", "truncated": False, **told}
    types = tuple(TYPES.get(str(name), "text") for name in frame.columns)
    now = dt.datetime.now(dt.UTC)
    return Shown(version=version, frame=frame, types=types, refreshed_at=now, **rest)


def waves(rows: int, shift: float = 0.0, step: str = "1s") -> pd.DataFrame:
    at = pd.date_range(START, periods=rows, freq=step)
    phase = np.arange(rows) / max(1, rows) * 12 + shift
    return pd.DataFrame({"at": at, "v": np.sin(phase), "w": np.cos(phase) * 2})


@pytest.mark.parametrize("shadow", [False, True], ids=["light", "shadow"])
def test_the_chart_draws_in_light_dom_and_shadow_root(charted: Open, shadow: bool) -> None:
    """Our style and uPlot's arrive under the strict policy, wherever the chart stands."""
    one = charted(shadow=shadow)
    one.exchange()
    expect(one.place.locator(".note")).to_have_text("Waiting for the first result…")
    one.show(shown(1, waves(300)))
    expect(one.place.locator(".badge")).to_have_text("live")
    expect(one.over).to_have_css("position", "absolute")
    assert one.place.locator(".chart").bounding_box()["height"] == 320
    assert one.drawn() > 2_000
    one.page.screenshot(path="/tmp/chart.png")
