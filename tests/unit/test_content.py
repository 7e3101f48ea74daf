"""What is wanted becomes what is displayed: few rows at once, many on the worker, nothing unwatched."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pgrt_jupyter import content as module
from pgrt_jupyter.arrangement import Arrangement
from pgrt_jupyter.content import Content
from pgrt_jupyter.testing import wait_until
from pgrt_jupyter.window import Shown
from pgrt_jupyter.worker import Worker

DOWN = Arrangement(sort=(("k", "desc"),))


class Watched(Content):
    """Count the news, and remember who worked."""

    def __init__(self) -> None:
        self.watched = True
        self.heard = 0
        super().__init__(threading.RLock(), lambda: self.watched, self.hear)

    def hear(self) -> None:
        self.heard += 1


@pytest.fixture
def content() -> Iterator[Watched]:
    made = Watched()
    yield made
    made.worker.close()


def shown(version: int, count: int, **values: Any) -> Shown:
    told: dict[str, Any] = {"status": "live", "message": "", "truncated": False, "key": ("k",)}
    frame = values.pop("frame", None)
    return Shown(
        version=version,
        frame=pd.DataFrame({"k": range(count), "v": version}) if frame is None else frame,
        types=("int4", "int4"),
        refreshed_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        **{**told, **values},
    )


def test_few_rows_are_displayed_at_once(content: Watched) -> None:
    """Without another thread."""
    content.show(shown(1, 10))
    assert content.displayed is not None
    assert (content.displayed.revision, content.displayed.rows) == (1, 10)
    content.arrange(DOWN)
    assert content.displayed.numbers(range(2)) == [9, 8]
    assert content.displayed.revision == 2


def test_many_rows_are_worked_out_by_the_worker(
    content: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the delivery thread nor the kernel's main thread waits for a sort."""
    workers: list[str] = []
    display = module.display

    def noted(*arguments: Any) -> Any:
        workers.append(threading.current_thread().name)
        return display(*arguments)

    monkeypatch.setattr(module, "display", noted)
    content.show(shown(1, module.QUICK_ROWS + 1))
    wait_until(lambda: content.displayed is not None)
    content.arrange(DOWN)
    wait_until(lambda: content.displayed.revision == 2)
    assert workers == ["pgrt-table-work"] * 2
    wait_until(lambda: content.heard == 2)


def test_only_the_newest_is_worked_out(content: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came while the worker was busy is skipped."""
    began, go_on = threading.Event(), threading.Event()
    display = module.display

    def slow(*arguments: Any) -> Any:
        began.set()
        assert go_on.wait(10)
        return display(*arguments)

    monkeypatch.setattr(module, "display", slow)
    content.show(shown(1, module.QUICK_ROWS + 1))
    assert began.wait(10)
    for version in range(2, 20):
        content.show(shown(version, module.QUICK_ROWS + 1))
    go_on.set()
    wait_until(lambda: content.displayed is not None and content.displayed.shown.version == 19)
    assert content.displayed.revision == 2


def test_a_new_status_alone_is_displayed_at_once(content: Watched) -> None:
    """Whatever the number of rows, and even while they are worked out."""
    first = shown(1, module.QUICK_ROWS + 1)
    content.show(first)
    wait_until(lambda: content.displayed is not None)
    content.show(shown(1, 0, frame=first.frame, status="stale"))
    assert content.displayed.shown.status == "stale"
    assert content.displayed.revision == 1


def test_a_status_told_while_rows_are_worked_out_is_not_lost(
    content: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows come with the newest status."""
    began, go_on = threading.Event(), threading.Event()
    display = module.display

    def slow(*arguments: Any) -> Any:
        began.set()
        assert go_on.wait(10)
        return display(*arguments)

    monkeypatch.setattr(module, "display", slow)
    first = shown(1, module.QUICK_ROWS + 1)
    content.show(first)
    assert began.wait(10)
    content.show(shown(1, 0, frame=first.frame, status="stale"))
    go_on.set()
    wait_until(lambda: content.displayed is not None)
    assert content.displayed.shown.status == "stale"


def test_unwatched_nothing_is_worked_out(content: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither order nor identities, until somebody cares or asks."""
    content.watched = False
    content.show(shown(1, 10))
    content.arrange(DOWN)
    assert content.displayed is None
    assert content.current().numbers(range(1)) == [9]
    content.show(shown(2, 10))
    assert content.displayed is None
    content.watched = True
    content.renew()
    assert content.displayed is not None
    assert content.displayed.shown.version == 2


def test_a_selection_is_watched_like_a_view(content: Watched) -> None:
    """Selected rows keep their identity with no view open."""
    content.watched = False
    content.show(shown(1, 10))
    content.current()
    content.select("add", np.array([3, 4, 99]))
    content.show(shown(2, 4))
    assert content.selection.numbers.tolist() == [3]


def test_asking_waits_for_the_worker(content: Watched) -> None:
    """Python sees what it has just asked for."""
    content.show(shown(1, module.QUICK_ROWS + 1))
    content.arrange(DOWN)
    assert content.current().numbers(range(1)) == [module.QUICK_ROWS]


def test_many_threads_leave_the_newest(content: Watched) -> None:
    """Results, arrangements and questions at once: no thread is stuck, nothing is lost."""
    sizes = [10, module.QUICK_ROWS + 1]

    def publish(start: int) -> None:
        for version in range(start, 30, 3):
            content.show(shown(version, sizes[version % 2]))
            content.arrange(Arrangement(search=str(version % 3)))
            content.current()

    threads = [threading.Thread(target=publish, args=(start,)) for start in range(1, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    last = content.current()
    assert last.shown.frame is content.shown.frame
    assert last.arrangement is content.arrangement


def test_the_worker_outlives_what_a_task_raises() -> None:
    """The next task is done all the same, and the thread ends when there is none."""
    done: list[int] = []
    worker = Worker("pgrt-test")
    worker.put(lambda: 1 / 0)
    worker.put(lambda: done.append(1))
    wait_until(lambda: done == [1])
    wait_until(lambda: worker._thread is None)
    worker.close()
    worker.put(lambda: done.append(2))
    assert done == [1]
