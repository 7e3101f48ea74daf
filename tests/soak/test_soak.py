"""The soak runs, and what it judges by can fail."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest

from pgrt_jupyter.testing import wait_until

ROOT = Path(__file__).parents[2]
QUICK = "terminate_listener,kill_backend,drop_trigger,reset,hostile_flood,truncate,restart_fast"


def test_a_short_soak_finds_nothing_wrong(tmp_path: Path) -> None:
    """Writes, faults, comparisons, an observer: all of it for some seconds, with shortened timings."""
    path = tmp_path / "soak.json"
    options = [
        "--minutes",
        "0.17",
        "--scale",
        "0.05",
        "--every",
        "3",
        "--seed",
        "short",
        "--rows",
        "2000",
    ]
    ended = subprocess.run(
        [sys.executable, "-m", "tests.soak", *options, "--faults", QUICK, "--json", str(path)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-3000:]
    found = json.loads(path.read_text())
    assert found["mismatches"] == 0
    assert found["compared"] >= 48
    assert found["writes"]["writes"] > 50
    assert len(found["injected"]) >= 1


def test_a_mistyped_fault_is_named() -> None:
    """What can be asked for is listed."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.soak", "--faults", "earthquake"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2
    assert "earthquake" in ended.stderr and "kill_backend" in ended.stderr


def test_a_frame_and_the_drivers_rows_have_one_digest() -> None:
    """Equal results are equal, whichever way they came."""
    from . import canonical

    frame = pd.DataFrame({"a": [1, None], "b": [Decimal("1.00"), None]})
    frame["a"] = frame["a"].astype("int64[pyarrow]")
    rows = [(1, Decimal("1.00")), (None, None)]
    assert canonical.digest(canonical.rows(frame)) == canonical.digest(rows)


@pytest.mark.parametrize(
    "other",
    [[(1, "a")], [(1, "a"), (2, None), (2, None)], [(2, None), (1, "a")], [(1, "a"), (2, "")]],
    ids=["a row less", "a row more", "another order", "an empty text for NULL"],
)
def test_a_different_result_has_another_digest(other: list[Any]) -> None:
    """What the soak calls a mismatch is one."""
    from . import canonical

    frame = pd.DataFrame({"n": [1, 2], "t": ["a", None]}).astype({"t": "string[pyarrow]"})
    assert canonical.digest(canonical.rows(frame)) == canonical.digest([(1, "a"), (2, None)])
    assert canonical.digest(canonical.rows(frame)) != canonical.digest(other)


@pytest.fixture
def shown() -> SimpleNamespace:
    """Stand for a live query that shows the counter of `orders`."""
    return SimpleNamespace(status="live", df=pd.DataFrame({"tick": [1]}))


@pytest.fixture
def watching(tmp_path: Path, shown: SimpleNamespace) -> Iterator[Any]:
    """Give an observer with a bound of 0.2 s and the ledger it looks into."""
    from .ledger import Ledger
    from .observer import Observer

    ledger = Ledger(tmp_path / "ledger")
    engine = SimpleNamespace(subscriptions=lambda: {"tick_orders": shown})
    observer = Observer(cast(Any, engine), ledger, 0.2)
    yield observer, ledger
    observer.stop()


def test_live_with_an_old_result_is_a_violation(watching: Any) -> None:
    """The observer notices what it is there for."""
    observer, ledger = watching
    ledger.committed("orders", 2, time.monotonic())
    assert wait_until(observer.take_problems)[0].startswith("tick_orders is live at an age of")


@pytest.mark.parametrize("case", ["stale", "current"])
def test_honest_statuses_are_no_violation(case: str, watching: Any, shown: Any) -> None:
    """An old result may be shown as stale, and one without a successor is never old."""
    observer, ledger = watching
    if case == "stale":
        shown.status = "stale"
        ledger.committed("orders", 2, time.monotonic() - 100)
    else:
        ledger.committed("orders", 1, time.monotonic() - 100)
    wait_until(lambda: "tick_orders" in observer.ages()["now"])
    assert observer.take_problems() == []


def test_a_leak_has_a_slope_and_a_plateau_has_none() -> None:
    """Memory that goes up and down around a level is flat; half a megabyte a minute more is not."""
    from .measure import slope

    swinging = [(float(t), 200 + 9 * math.sin(t / 37)) for t in range(0, 3000, 5)]
    level = slope(swinging)
    leaking = slope([(t, value + t / 120) for t, value in swinging])
    assert level is not None and leaking is not None
    assert abs(level.per_hour) <= level.margin + 1
    assert abs(leaking.per_hour - 30) <= leaking.margin + 3
