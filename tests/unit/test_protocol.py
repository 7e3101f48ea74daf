"""What goes over the wire, in both directions; the browser's tests read the same samples."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pgrt_jupyter import incoming, selection, window
from pgrt_jupyter.answers import Answers
from pgrt_jupyter.arrangement import Arrangement, Condition
from pgrt_jupyter.content import Content
from pgrt_jupyter.displayed import Displayed, display
from pgrt_jupyter.testing import wait_until
from pgrt_jupyter.viewer import Viewer

SAMPLES = Path(__file__).parent.parent / "protocol"
BROWSER = json.loads((SAMPLES / "from_browser.json").read_text())
KERNEL = json.loads((SAMPLES / "from_kernel.json").read_text())
AT = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


VIEWER = "0123456789abcdef01234567"


def shown(
    version: int, numbers: list[int], words: list[str | None], codes: str, **told: Any
) -> window.Shown:
    values = {"n": numbers, "?column?": pd.Series(words, dtype=object), "code": [*codes]}
    rest = {"status": "live", "message": "", "truncated": False, "refreshed_at": AT, **told}
    types = ("int8", "text", "varchar")
    key = ("code",)
    return window.Shown(version=version, frame=pd.DataFrame(values), types=types, key=key, **rest)


class Story:
    """Write what one view is sent, step by step."""

    def __init__(self) -> None:
        self.viewer = Viewer(VIEWER)
        self.viewer.want(0, 30, 0)
        self.displayed: Displayed | None = None
        self.arrangement = Arrangement()
        self.selection = selection.NOTHING
        self.written: list[Any] = []

    def show(self, result: window.Shown) -> None:
        before = self.displayed
        same = before is not None and before.shown.frame is result.frame
        if before is not None and same and before.arrangement is self.arrangement:
            self.displayed = before.told(result)
        else:
            revision = before.revision + 1 if before is not None else 1
            self.displayed = display(before, result, self.arrangement, revision)
        self.write()

    def write(self) -> None:
        clock = AT + dt.timedelta(seconds=2.5)
        seq = len(self.written) + 1
        message = self.viewer.compose(self.displayed, self.selection, seq=seq, now=0.0, clock=clock)
        self.written.append(message)


def test_the_kernel_writes_the_sample_messages() -> None:
    """A first result, changes in place and of rows, an arrangement, a selection and a failure."""
    story = Story()
    story.show(shown(1, [2**53 + 1, 2, 3, 4], ["NULL", None, "", "<b>"], "abcd"))
    words = ["NULL", None, "new", None]
    story.show(shown(2, [2**53 + 1, 1, 3, 4], words, "abcd", truncated=True))
    last = shown(3, [5, 2**53 + 1, 0, 4], ["above", "NULL", None, None], "eabd")
    story.show(last)
    story.arrangement = Arrangement((("n", "desc"),), "", (Condition("n", "gt", "1"),))
    story.viewer.want(0, 30)
    story.show(last)
    story.selection = selection.Selection(np.array([3, 4]))
    story.write()
    failure: Any = {"message": "division by zero", "sqlstate": "22012"}
    message = "division by zero [SQLSTATE 22012]"
    story.show(dataclasses.replace(last, status="error", message=message, error=failure))
    wanted = [
        KERNEL[name] for name in ("first", "changed", "moved", "arranged", "selected", "failed")
    ]
    assert json.loads(json.dumps(story.written)) == wanted


def test_the_kernel_answers_as_in_the_samples() -> None:
    """A cell, a copy and an export have the fields of the samples."""
    sent: list[dict[str, Any]] = []
    lock = threading.RLock()
    content = Content(lock, lambda: True, lambda: None)
    answers = Answers(lock, content, lambda _viewer, answer, _buffer: sent.append(answer) or 1)
    content.show(shown(1, [1], ["x"], "a"))
    viewer = Viewer(VIEWER)
    for kind, fields in {
        "cell": {"row": 0, "column": 1},
        "copy": {"revision": 1, "ranges": None, "columns": None, "header": True},
        "export": {"columns": None},
    }.items():
        request: Any = {"type": kind, "seq": 1, "viewer": VIEWER, **fields}
        answers.answer(viewer, request)
        wait_until(lambda: sent)
        named = {
            **sent.pop(),
            "seq": 1,
            "viewer": VIEWER,
            **({"name": ""} if kind == "export" else {}),
        }
        assert named.keys() == KERNEL[kind].keys()
        assert {name: type(value) for name, value in named.items()} == {
            name: type(value) for name, value in KERNEL[kind].items()
        }
    content.worker.close()


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
