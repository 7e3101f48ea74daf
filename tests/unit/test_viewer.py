"""When a view is sent something, what it is sent, and when it counts as gone."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

from pgrt_jupyter import window
from pgrt_jupyter.protocol import FromKernel
from pgrt_jupyter.viewer import SILENT, UNANSWERED, Viewer

CLOCK = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def shown(version: int, values: list[int], status: str = "live") -> window.Shown:
    return window.Shown(
        version=version,
        frame=pd.DataFrame({"a": values, "b": 0}),
        types=("int4", "int4"),
        status=status,
        message="",
        refreshed_at=CLOCK,
        truncated=False,
    )


class Talk:
    """Count the messages to one viewer."""

    def __init__(self) -> None:
        self.viewer = Viewer("a")
        self.viewer.want(0, 30)
        self.seq = 0

    def push(self, result: window.Shown, now: float = 0.0) -> FromKernel:
        self.seq += 1
        text = window.Text(result.frame)
        return self.viewer.compose(result, text, seq=self.seq, now=now, clock=CLOCK)


@pytest.fixture
def talk() -> Talk:
    return Talk()


def test_the_first_message_is_a_whole_window(talk: Talk) -> None:
    """A view that holds nothing gets rows, not changes."""
    assert talk.push(shown(1, [1, 2, 3]))["type"] == "window"


def test_a_small_change_is_a_patch(talk: Talk) -> None:
    """Changed cells alone travel, with the version they build on."""
    talk.push(shown(1, [1, 2, 3]))
    message = talk.push(shown(2, [1, 5, 3]))
    assert message["type"] == "patch"
    assert (message["base"], message["changes"]) == (1, [(0, [1], ["5"])])


def test_a_change_outside_the_window_is_an_empty_patch(talk: Talk) -> None:
    """A new version reaches the view even if none of its cells differ."""
    talk.push(shown(1, [1, 2]))
    message = talk.push(shown(2, [1, 2]))
    assert message["type"] == "patch"
    assert message["changes"] == []


@pytest.mark.parametrize("values", [[7, 8, 9], [1, 2], [1, 2, 3, 4]])
def test_a_large_change_or_another_length_is_a_window(talk: Talk, values: list[int]) -> None:
    """Where a patch would be no shorter, or impossible, all rows travel."""
    result = shown(1, [1, 2, 3])
    talk.push(result)
    changed = shown(2, values)
    if len(values) == 3:
        changed.frame["b"] = 1  # type: ignore[index]
    assert talk.push(changed)["type"] == "window"


def test_a_new_status_alone_is_a_state(talk: Talk) -> None:
    """No rows travel when only the status changed."""
    talk.push(shown(1, [1]))
    message = talk.push(shown(1, [1], status="stale"))
    assert message["type"] == "state"
    assert message["state"]["status"] == "stale"


def test_after_asking_for_rows_a_view_gets_a_window(talk: Talk) -> None:
    """A request is answered in full, even if nothing changed."""
    talk.push(shown(1, [1]))
    talk.viewer.want(0, 30)
    assert talk.push(shown(1, [1]))["type"] == "window"


def test_one_push_is_in_flight(talk: Talk) -> None:
    """The next update waits for the acknowledgement of the last."""
    talk.push(shown(1, [1]))
    talk.viewer.behind = True
    assert not talk.viewer.may_be_sent(0.5)
    talk.viewer.acknowledge(1)
    assert talk.viewer.may_be_sent(0.5)


def test_a_late_acknowledgement_of_an_older_push_frees_nothing(talk: Talk) -> None:
    """Only the newest push counts as in flight."""
    talk.push(shown(1, [1]))
    talk.push(shown(2, [2]))
    talk.viewer.behind = True
    talk.viewer.acknowledge(1)
    assert not talk.viewer.may_be_sent(0.5)


def test_a_kernel_that_cannot_hear_goes_on_pushing_slowly(talk: Talk) -> None:
    """Without an acknowledgement the next push goes out a second later."""
    talk.push(shown(1, [1]), now=10.0)
    talk.viewer.behind = True
    assert not talk.viewer.may_be_sent(10.9)
    assert talk.viewer.may_be_sent(11.0)


def test_a_view_that_is_up_to_date_is_sent_nothing(talk: Talk) -> None:
    """Nothing is due right after a push."""
    talk.push(shown(1, [1]))
    talk.viewer.acknowledge(1)
    assert not talk.viewer.may_be_sent(1000.0)


def test_a_view_that_does_not_acknowledge_is_gone(talk: Talk) -> None:
    """Ten seconds of a kernel free to hear, and no acknowledgement: nobody looks."""
    talk.push(shown(1, [1]))
    talk.viewer.free(UNANSWERED - 1)
    assert not talk.viewer.is_gone
    talk.viewer.free(1)
    assert talk.viewer.is_gone


def test_a_silent_view_is_gone_later(talk: Talk) -> None:
    """With nothing in flight silence lasts longer than two beats before it means anything."""
    talk.push(shown(1, [1]))
    talk.viewer.acknowledge(1)
    talk.viewer.free(SILENT - 1)
    assert not talk.viewer.is_gone
    talk.viewer.heard()
    talk.viewer.free(SILENT - 1)
    assert not talk.viewer.is_gone
    talk.viewer.free(1)
    assert talk.viewer.is_gone
