"""Lead a live query from what it shows to what it shows next.

The engine tells states, one query at a time; users see one object that goes on when its query is replaced:
versions and runs are counted on, and the first delta of another query says what it changed in what was shown.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .engine.model import Snapshot, Status
from .engine.outcomes import Difference
from .view import View, view_of

if TYPE_CHECKING:
    from .engine.subscription import State
    from .following import Standing


class Succession:
    """Hold the newest view; whoever changes it holds the query's lock, and anybody may read it."""

    def __init__(self) -> None:
        self.view: View | None = None
        self.source: tuple[str, Any] = ("", None)  # the query's text and parameters
        self._snapshot: Snapshot | None = None
        self._across: tuple[Snapshot, Difference] | None = None  # to another query's first result
        self._runs_before = 0  # of the queries this one replaced

    def turn(self, state: State | None, source: tuple[str, Any], *, counts_anew: bool) -> None:
        """Go over to another query, whose runs the engine may count anew."""
        if counts_anew and self.view is not None:
            self._runs_before = self.view.refresh_count
        self.source = source
        before, now = self._snapshot, state.snapshot if state is not None else None
        if state is not None and before is not None and now is not None and now is not before:
            self._across = (now, Difference(before.frame, now.frame, state.key))

    def take(self, state: State, *, paused: bool, unsettled: Standing | None) -> None:
        """Make a state the view; `unsettled` says how things stand where other values are wanted."""
        published = state.snapshot is not self._snapshot
        if self._across is not None and self._across[0] is state.snapshot:
            state = replace(state, difference=self._across[1])
        elif published:
            self._across = None
        view = view_of(
            state,
            self.view,
            status=Status.PAUSED.value if paused else state.status.value,
            version=(self.view.version if self.view is not None else 0) + published,
            runs_before=self._runs_before,
            source=self.source,
        )
        if unsettled is not None and not paused and state.status is not Status.CLOSED:
            view = replace(
                view,
                status=unsettled.status.value,
                error=unsettled.error,
                message=unsettled.message,
            )
        self.view, self._snapshot = view, state.snapshot

    def say(self, status: Status, message: str = "") -> None:
        """Say of what is shown that it stands otherwise now."""
        if self.view is not None:
            self.view = replace(self.view, status=status.value, message=message)
