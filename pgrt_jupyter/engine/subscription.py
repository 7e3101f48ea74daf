"""Say what a subscription asks for, and what it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from ..config import Conninfo
from ..errors import PgrtError
from .model import Dependencies, Refresh, Snapshot, Status
from .outcomes import Backend, Difference, Kind
from .statement import Statement

_PLAIN = (str, int, float, bool, Decimal, date, datetime, UUID)  # their repr says all about them


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """Say what a subscription asks for; equal specs share one group."""

    statement: Statement
    conninfo: Conninfo
    refresh: Refresh
    throttle_ms: int
    max_age_ms: int | None
    key: tuple[str, ...] | None  # None: the primary key, where the result carries it
    max_rows: int | None
    dtype_backend: Backend
    incremental: bool | None = None  # None: where a result is large, or takes long


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Tell subscribers how their query stands."""

    status: Status
    snapshot: Snapshot | None
    difference: Difference | None
    error: PgrtError | None
    message: str  # for people: why the status is what it is
    key: tuple[str, ...]
    dependencies: Dependencies
    refreshed_at: datetime | None
    refresh_count: int
    plan: str  # for people: how the query is brought up to date, and why so
    refresh_kind: Kind | None
    refresh_kinds: Mapping[str, int]


class Subscriber(Protocol):
    """Take states, on the engine's loop: keep it and return."""

    def told(self, state: State) -> None:
        """Take the newest state."""


def shared(spec: Spec) -> tuple[Any, ...]:
    """Give what must be equal for two subscriptions to share a group."""
    refresh, values = spec.refresh, spec.statement.values
    try:
        hash(refresh)
        rule: Any = refresh
    except TypeError:
        rule = repr(refresh) if _is_plain(refresh) else id(refresh)
    return (
        spec.statement.text,
        repr(values) if _is_plain(values) else id(values),
        spec.conninfo.value,
        rule,
        spec.throttle_ms,
        spec.max_age_ms,
        spec.key,
        spec.max_rows,
        spec.dtype_backend,
        spec.incremental,
    )


def _is_plain(value: Any) -> bool:
    """Say whether a value's text says all about it."""
    if isinstance(value, Mapping):
        return all(_is_plain(key) and _is_plain(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or type(value) in _PLAIN
