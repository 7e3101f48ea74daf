"""Make of what all views of a table share traits that Python reads, sets and observes.

None of them is synced: `selected` holds rows, and what is synced is saved with the notebook.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import pandas as pd
import traitlets

from . import selection
from .arrangement import Arrangement, read
from .content import Content
from .delivery import Observer
from .identity import Identities

T = TypeVar("T")

NAMES = ("sort", "search", "filters", "selected")


class FromContent(traitlets.TraitType[T, Any]):
    """Read and write a trait where the table keeps it; browsers change it as well."""

    def get(self, obj: Any, cls: Any = None) -> Any:
        """Give the value that is true now, whatever observers have been told yet."""
        return obj._read(str(self.name))

    def set(self, obj: Any, value: Any) -> None:
        """Have the table take a value; raises TraitError for one that makes no sense."""
        try:
            obj._write(str(self.name), value)
        except (ValueError, TypeError) as error:
            raise traitlets.TraitError(f"{self.name}: {error}") from None


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """Hold what observers were told."""

    arrangement: Arrangement
    selection: selection.Selection
    identities: Identities | None  # of the rows that are selected, if any

    def differs(self, other: Told, name: str) -> bool:
        """Tell whether a trait's value may be another."""
        if name == "selected":
            same = self.selection is other.selection and self.identities is other.identities
            return not same
        return bool(getattr(self.arrangement, name) != getattr(other.arrangement, name))

    def value(self, name: str) -> Any:
        """Work out a trait's value."""
        if name != "selected":
            return plain(self.arrangement, name)
        return self.selection.frame(self.identities) if self.identities else pd.DataFrame()


class Shared(traitlets.HasTraits):
    """Hold the traits; a table is one of these."""

    sort: FromContent[list[tuple[str, str]]] = FromContent(
        help="[(column, 'asc' or 'desc'), …], the first counting most"
    )
    search: FromContent[str] = FromContent(
        help="text that a row must hold in any column, in either case"
    )
    filters: FromContent[list[tuple[Any, ...]]] = FromContent(
        help="[(column, operator, value), …], all of which must be met"
    )
    selected: FromContent[pd.DataFrame] = FromContent(
        help="DataFrame of the selected rows, in the result's order; settable"
    )

    _content: Content
    _lock: threading.RLock

    def _share(self, lock: threading.RLock, content: Content) -> None:
        """Begin, before the traits are used."""
        self._lock = lock
        self._content = content
        self._told = self._now()
        self._is_telling = False

    def observe(self, handler: Any, names: Any = traitlets.All, type: Any = "change") -> None:
        """Call `handler(change)` when a trait changes; what it raises stops no other observer."""
        wanted = {names} if isinstance(names, str) else set(names or ())
        ours = bool(wanted) and wanted <= set(NAMES)
        wrap = ours and not isinstance(handler, (Observer, traitlets.EventHandler))
        super().observe(Observer(handler) if wrap else handler, names=names, type=type)

    def _on_main(self, call: Callable[[], None]) -> None:
        """Call where observers run."""
        raise NotImplementedError

    def _read(self, name: str) -> Any:
        """Give the value of a trait."""
        content = self._content
        if name != "selected":
            return plain(content.arrangement, name)
        with self._lock:
            displayed, selected, shown = content.displayed, content.selection, content.shown
        if displayed is not None:
            return selected.frame(displayed.identities)
        return pd.DataFrame() if shown.frame is None else shown.frame.iloc[:0]

    def _write(self, name: str, value: Any) -> None:
        """Take the value of a trait from Python, and tell observers before returning."""
        if name == "selected":
            identities = self._content.current().identities
            self._content.select("replace", selection.chosen(value, identities))
        else:
            now = self._content.arrangement
            parts = {"sort": now.sort, "search": now.search, "filters": now.filters, name: value}
            self._content.arrange(read(**parts))
        self._tell_observers()

    def _tell_observers_soon(self) -> None:
        """Have observers notified where they run; merged while it has not begun."""
        with self._lock:
            if self._is_telling or self._now() == self._told:
                return
            self._is_telling = True
        self._on_main(self._tell_observers)

    def _tell_observers(self) -> None:
        """Notify observers of what differs from what they were told."""
        with self._lock:
            before, now = self._told, self._now()
            self._told, self._is_telling = now, False
        for name in NAMES:
            if before.differs(now, name) and self._is_observed(name):
                values = {"old": before.value(name), "new": now.value(name)}
                self.notify_change(traitlets.Bunch(name=name, owner=self, type="change", **values))

    def _now(self) -> Told:
        displayed, selected = self._content.displayed, self._content.selection
        identities = displayed.identities if displayed is not None and len(selected) else None
        return Told(self._content.arrangement, selected, identities)

    def _is_observed(self, name: str) -> bool:
        """Say whether a trait's values are worth working out."""
        found = self._trait_notifiers
        return any(found.get(which, {}).get("change") for which in (name, traitlets.All))


def plain(arrangement: Arrangement, name: str) -> Any:
    """Write part of an arrangement as Python's users write it."""
    value = getattr(arrangement, name)
    if name == "sort":
        return list(value)
    if name == "filters":
        return [
            (one.column, one.op) if one.value is None else (one.column, one.op, one.value)
            for one in value
        ]
    return value
