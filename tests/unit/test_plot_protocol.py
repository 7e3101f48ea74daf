"""What goes over a chart's wire, in both directions; the browser's tests read the same samples."""

from __future__ import annotations

import datetime as dt
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pgrt_jupyter import window
from pgrt_jupyter.plot import protocol
from pgrt_jupyter.plot.columns import choose
from pgrt_jupyter.plot.drawing import Picture
from pgrt_jupyter.plot.options import read
from pgrt_jupyter.plot.series import Slots, draw, finished
from pgrt_jupyter.plot.viewer import PlotViewer, Wish, thinned

SAMPLES = Path(__file__).parent.parent / "protocol"
BROWSER = json.loads((SAMPLES / "chart_from_browser.json").read_text())
KERNEL = json.loads((SAMPLES / "chart_from_kernel.json").read_text())
AT = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
START = AT.timestamp()


def picture(
    frame: pd.DataFrame, types: tuple[str, ...], revision: int, log: bool = False, **told: Any
) -> Picture:
    rest = {"status": "live", "message": "", "truncated": False, "refreshed_at": AT, **told}
    shown = window.Shown(version=revision, frame=frame, types=types, **rest)
    options = read("line", None, None, None, None, "replace", log)
    drawn = draw(frame, choose(frame, types, options), AT)
    return Picture(shown, finished(drawn, options, Slots()), revision)


def written() -> dict[str, Any]:
    """Write what one view is sent: a first result, a status, many points, and part of them."""
    viewer = PlotViewer("0123456789abcdef01234567")
    at = pd.date_range(AT, periods=3, freq="s")
    few = pd.DataFrame({"at": at, "v": [1, None, 3], "w": [4.5, 5, 6]})
    first = picture(few, ("timestamptz", "int4", "float8"), 1)
    many = pd.DataFrame({"x": np.arange(10_000.0), "y": np.arange(10_000.0) % 7})
    wide = picture(many, ("float8", "float8"), 2)
    small = pd.DataFrame({"x": np.arange(4.0), "y": [100.0, 0.0, None, 0.5]})
    failed = {"status": "error", "error": {"message": "no <b>", "sqlstate": "42P01"}}
    steps = {
        "first": (first, Wish(800)),
        "failed": (picture(few, ("timestamptz", "int4", "float8"), 1, **failed), None),
        "thinned": (wide, Wish(30)),
        "zoomed": (wide, Wish(30, 100.0, 110.0)),
        "logarithmic": (picture(small, ("float8", "float8"), 3, log=True), Wish(30)),
    }
    samples = {}
    for seq, (name, (shown, wish)) in enumerate(steps.items(), 1):
        made = None if wish is None else thinned(shown, wish)
        clock = AT + dt.timedelta(seconds=2.5)
        message, buffers = viewer.compose(shown, made, seq=seq, now=0.0, clock=clock)
        samples[name] = {"message": message, "buffers": [numbers(part) for part in buffers or []]}
    return samples


def numbers(buffer: bytes) -> list[float | None]:
    found = np.frombuffer(buffer, "<f8").tolist()
    return [None if math.isnan(number) else number for number in found]


def test_the_kernel_writes_the_sample_messages() -> None:
    """Points in buffers, the state alone, a thinned picture, part of it, and a logarithmic one."""
    assert json.loads(json.dumps(written())) == KERNEL


def test_samples_have_the_fields_described() -> None:
    """No more and no fewer."""
    for sample in KERNEL.values():
        kinds = {"window": protocol.Window, "state": protocol.StateOnly}
        message = sample["message"]
        described = kinds[message["type"]].__annotations__
        assert set(message) == set(described)
        assert set(message["state"]) == set(protocol.State.__annotations__)
        for line in message.get("series", []):
            assert set(line) == set(protocol.Line.__annotations__)


@pytest.mark.parametrize("message", BROWSER["valid"])
def test_a_valid_message_is_read(message: dict[str, Any]) -> None:
    """As it is, without what else may be in it."""
    assert protocol.read({**message, "more": 1}) == message


@pytest.mark.parametrize("message", BROWSER["invalid"])
def test_an_invalid_message_is_not_read(message: object) -> None:
    """Of no known type, or with fields out of bounds."""
    assert protocol.read(message) is None


def test_numbers_that_json_does_not_have_are_not_read() -> None:
    """Python's reader takes them all the same."""
    for low in (math.nan, -math.inf, 10**400):
        message = {"type": "window", "seq": 1, "viewer": "a", "width": 9, "low": low, "high": 5}
        assert protocol.read(message) is None
