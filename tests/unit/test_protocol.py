"""What goes over the wire, in both directions; the browser's tests read the same samples."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pgrt_jupyter import incoming, window
from pgrt_jupyter.viewer import Viewer

SAMPLES = Path(__file__).parent.parent / "protocol"
BROWSER = json.loads((SAMPLES / "from_browser.json").read_text())
KERNEL = json.loads((SAMPLES / "from_kernel.json").read_text())
AT = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


def shown(version: int, frame: pd.DataFrame, **values: Any) -> window.Shown:
    told = {"status": "live", "message": "", "truncated": False, **values}
    return window.Shown(
        version=version, frame=frame, types=("int8", "text"), refreshed_at=AT, **told
    )


def frame(ids: list[int], words: list[str | None]) -> pd.DataFrame:
    words_column = pd.Series(words, dtype=object)
    return pd.concat([pd.Series(ids, name="id"), words_column.rename("?column?")], axis=1)


def test_the_kernel_writes_the_sample_messages() -> None:
    """A first result, a change in place and a failure are written as the samples say."""
    one = frame([2**53 + 1, 2, 3, 4], ["NULL", None, "", "<b>"])
    two = frame([2**53 + 1, 1, 3, 4], ["NULL", None, "new", None])
    failed = {"status": "error", "message": "division by zero [SQLSTATE 22012]"}
    steps = [
        shown(1, one),
        shown(2, two, truncated=True),
        shown(2, two, truncated=True, **failed),
    ]
    viewer = Viewer("0123456789abcdef01234567")
    viewer.want(0, 30)
    clock = AT + dt.timedelta(seconds=2.5)
    written = [
        viewer.compose(step, window.Text(step.frame), seq=seq, now=0.0, clock=clock)
        for seq, step in enumerate(steps, 1)
    ]
    assert json.loads(json.dumps(written)) == list(KERNEL.values())


@pytest.mark.parametrize("message", BROWSER["valid"], ids=lambda message: message["type"])
def test_a_browsers_message_is_read(message: dict[str, Any]) -> None:
    """A valid message comes out as it went in."""
    assert incoming.read(message) == message


@pytest.mark.parametrize("message", BROWSER["invalid"], ids=json.dumps)
def test_a_hostile_message_is_dropped(message: object) -> None:
    """What is not a message of the protocol is nothing."""
    assert incoming.read(message) is None


def test_unknown_fields_do_not_get_in() -> None:
    """Only the fields of the message's type are taken."""
    message = {"type": "bye", "seq": 1, "viewer": "a", "start": -1, "sql": "DROP"}
    assert incoming.read(message) == {"type": "bye", "seq": 1, "viewer": "a"}


def test_no_message_has_a_field_named_id() -> None:
    """A string `id` would take over ipykernel's routing of replies."""
    messages = [*BROWSER["valid"], *KERNEL.values()]
    assert all("id" not in message for message in messages)
