"""Remember for a while what texts depend on: for other values of one, it need not be analysed again."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import date, datetime
from decimal import Decimal
from types import NoneType
from uuid import UUID

from .analysis import Analysed
from .subscription import Spec

_SECONDS = 30.0  # for which a text is not analysed again where no definition has changed
_SIMPLE = (bool, int, float, str, Decimal, date, datetime, UUID, NoneType)


class Known:
    """Hold what was found out about texts; `now` is the time of the engine's loop."""

    def __init__(self) -> None:
        self._by_text: dict[Hashable, tuple[float, Analysed]] = {}  # and when it was analysed

    def find(self, spec: Spec, now: float) -> Analysed | None:
        """Give what is known of a query's text, for whatever values."""
        seen, known = self._by_text.get(_text_of(spec), (0.0, None))
        return known if now - seen <= _SECONDS else None

    def note(self, spec: Spec, analysed: Analysed, now: float) -> None:
        """Remember it."""
        recent = {k: v for k, v in self._by_text.items() if now - v[0] <= _SECONDS}
        text = _text_of(spec)
        self._by_text = recent | ({} if text is None else {text: (now, analysed)})


def _text_of(spec: Spec) -> Hashable:
    """Give what a query's dependencies follow from; None where they may follow from its values, too."""
    values = spec.statement.values
    if not all(type(value) in _SIMPLE for value in values):
        return None
    if any(isinstance(value, int) and abs(value) >= 2**63 for value in values):
        return None
    return (spec.conninfo.value, spec.statement.text, tuple(map(type, values)))
