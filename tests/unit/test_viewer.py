"""When a view is sent something, what it is sent, and when it counts as gone."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd
import pytest

from pgrt_jupyter import window
from pgrt_jupyter.arrangement import Arrangement
from pgrt_jupyter.displayed import Displayed, display
from pgrt_jupyter.presence import SILENT, UNANSWERED
from pgrt_jupyter.viewer import Viewer

PLAIN = Arrangement()
CLOCK = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def shown(
    version: int, values: list[int], status: str = "live", key: tuple[str, ...] = ()
) -> window.Shown:
    return window.Shown(
        version=version,
        frame=pd.DataFrame({"a": values, "b": 0}),
        key=key,
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
        self.displayed: Displayed | None = None

    def push(self, result: window.Shown, now: float = 0.0, arrangement: Arrangement = PLAIN) -> Any:
        self.seq += 1
        self.displayed = display(self.displayed, result, arrangement, result.version)
        return self.viewer.compose(self.displayed, seq=self.seq, now=now, clock=CLOCK)


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


def test_a_large_change_is_a_window(talk: Talk) -> None:
    """Where a patch would be no shorter all rows travel."""
    talk.push(shown(1, [*range(30)]))
    changed = shown(2, [*range(30, 60)])
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


KEYED = ("a",)


def test_a_row_that_came_is_all_that_travels(talk: Talk) -> None:
    """The rows below it have moved, not changed."""
    talk.push(shown(1, [*range(1, 9)], key=KEYED))
    message = talk.push(shown(2, [99, *range(1, 9)], key=KEYED))
    assert message["type"] == "patch"
    assert message["rows"] == [{"rows": [8], "cells": [["99"], ["0"]]}, {"place": 0, "count": 8}]
    assert message["changes"] == []
    assert message["state"]["next"] == 9


def test_a_changed_cell_of_a_row_that_moved_is_told_by_its_row(talk: Talk) -> None:
    """What changed is known by the row's key, wherever the row is now."""
    talk.push(shown(1, [1, 2, 3, 4, 5, 6], key=KEYED))
    moved = shown(2, [6, 1, 2, 3, 4, 5], key=KEYED)
    moved.frame.loc[3, "b"] = 7  # type: ignore[union-attr]
    message = talk.push(moved)
    assert message["rows"] == [{"place": 5, "count": 1}, {"place": 0, "count": 5}]
    assert message["changes"] == [(1, [3], ["7"])]


def test_a_row_that_went_is_left_out(talk: Talk) -> None:
    """What was held on either side is all there is to say."""
    talk.push(shown(1, [1, 2, 3, 4], key=KEYED))
    message = talk.push(shown(2, [1, 2, 4], key=KEYED))
    assert message["rows"] == [{"place": 0, "count": 2}, {"place": 3, "count": 1}]
    assert (message["state"]["next"], message["state"]["total"]) == (4, 3)


LONG = [*range(10_000)]


def test_the_window_moves_along_with_its_anchor(talk: Talk) -> None:
    """Rows that come above the screen do not push anything out of it."""
    talk.push(shown(1, LONG, key=KEYED))
    talk.viewer.want(4_980, 60, 5_000, 1)
    talk.push(shown(1, LONG, key=KEYED))
    message = talk.push(shown(2, [*range(-300, 0), *LONG], key=KEYED))
    assert message["type"] == "patch"
    assert (message["start"], message["shift"]) == (5_280, 300)
    assert message["rows"] is None
    assert message["changes"] == []
    message = talk.push(shown(3, LONG[100:], key=KEYED))
    assert (message["start"], message["shift"]) == (4_880, -400)


def test_the_next_row_stands_for_an_anchor_that_went(talk: Talk) -> None:
    """Deleting the first row on the screen moves the rest up by one, no more."""
    talk.push(shown(1, LONG, key=KEYED))
    talk.viewer.want(4_980, 60, 5_000, 1)
    talk.push(shown(1, LONG, key=KEYED))
    message = talk.push(shown(2, [*range(4_000), *range(5_003, 10_000)], key=KEYED))
    assert message["shift"] == -1_003
    assert message["start"] == 3_977
    message = talk.push(shown(3, [*range(4_000), 77_777, *range(5_003, 10_000)], key=KEYED))
    assert message["shift"] == 1


def test_without_an_anchor_the_window_stays(talk: Talk) -> None:
    """At the very top new rows come into view."""
    talk.push(shown(1, LONG, key=KEYED))
    talk.viewer.want(0, 60, None, 1)
    talk.push(shown(1, LONG, key=KEYED))
    message = talk.push(shown(2, [-1, *LONG], key=KEYED))
    assert (message["start"], message["shift"]) == (0, 0)
    assert message["rows"] == [
        {"rows": [10_000], "cells": [["-1"], ["0"]]},
        {"place": 0, "count": 59},
    ]


def test_a_new_arrangement_moves_nothing(talk: Talk) -> None:
    """Who sorts wants to see what is first now, not where the anchor went."""
    talk.push(shown(1, LONG, key=KEYED))
    talk.viewer.want(0, 60, 20, 1)
    talk.push(shown(1, LONG, key=KEYED))
    result = shown(2, LONG, key=KEYED)
    message = talk.push(result, arrangement=Arrangement(sort=(("a", "desc"),)))
    assert (message["type"], message["start"], message["shift"]) == ("window", 0, 0)
    assert message["rows"][:2] == [9_999, 9_998]
    assert message["arrangement"]["sort"] == [(0, "desc")]


def test_a_request_counted_in_an_older_revision_is_followed(talk: Talk) -> None:
    """A window asked for while an update was under way is where the view's rows are now."""
    talk.push(shown(1, LONG, key=KEYED))
    talk.push(shown(2, [*range(-50, 0), *LONG], key=KEYED))
    talk.viewer.want(1_000, 60, 1_020, 1)
    message = talk.push(shown(2, [*range(-50, 0), *LONG], key=KEYED))
    assert (message["start"], message["shift"]) == (1_050, 50)


def test_what_is_shared_is_told_once(talk: Talk) -> None:
    """The arrangement and the selection travel when they are news to the view."""
    first = talk.push(shown(1, [1, 2]))
    assert {"arrangement", "selected"} <= first.keys()
    second = talk.push(shown(2, [1, 3]))
    assert not {"arrangement", "selected"} & second.keys()
    talk.viewer.want(0, 30)
    talk.viewer.forget()
    assert {"arrangement", "selected"} <= talk.push(shown(2, [1, 3])).keys()


def test_without_a_key_rows_are_known_by_their_place(talk: Talk) -> None:
    """Nothing is said to have moved; a change is what differs in its place."""
    talk.push(shown(1, [*range(10)]))
    message = talk.push(shown(2, [99, *range(10)]))
    assert message["state"]["keyed"] is False
    assert message["type"] == "window" or message["changes"]
