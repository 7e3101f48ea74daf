"""Hold what a run needs and what it came to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import pandas as pd

from . import diff
from .connection import Connection
from .deltas import Base, Members
from .model import Delta, Snapshot
from .plans import Plan
from .progress import Progress
from .statement import Statement

Lend = Callable[[Callable[[Connection], Any]], Any]
Backend = Literal["pyarrow", "numpy_nullable"]
Kind = Literal["full", "delta"]  # all of it was read, or what changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Hold what a run needs."""

    statement: Statement
    select: str  # with literals in the parameters' places
    parameter_types: tuple[int, ...]
    key: tuple[str, ...]
    max_rows: int | None
    dtype_backend: Backend
    progress: Progress | None = None  # of who waits for the first result
    plan: Plan | None = None
    members: Members = field(default_factory=dict)  # of the plan's tables
    base: Base | None = None  # since which all changes are known; None: it has to be read whole
    lend: Lend | None = None  # does work with a session of the installing role; None: this is its


class Difference:
    """Compare two results when somebody asks, once; from any thread.

    Comparing takes longer than a small query, and most updates are only looked at. Of a patched result the
    rows that came and went are enough.
    """

    def __init__(
        self, previous: pd.DataFrame | None, current: pd.DataFrame, key: tuple[str, ...]
    ) -> None:
        self._lock = threading.Lock()
        self._inputs: tuple[pd.DataFrame | None, pd.DataFrame, tuple[str, ...]] | None = (
            previous,
            current,
            key,
        )
        self._delta: Delta | None = None

    def delta(self) -> Delta | None:
        """Give the rows that changed; None without a key that identifies them."""
        with self._lock:
            if self._inputs is not None:
                self._delta = diff.delta(*self._inputs)
                self._inputs = None
            return self._delta


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Say what a run found."""

    snapshot: Snapshot | None  # None: the result is what it was
    difference: Difference | None
    ran_at: datetime
    base: Base | None = None  # where the next run of a plan begins
    kind: Kind = "full"
    in_vain: bool = False  # keys of what changed were written, and all had to be read
    replan: bool = False  # the plan does not fit the tables any more
    seconds: float = 0  # that the server and reading took, without the way there and back
