"""Decide what to say of how a query stands: the most telling of the states that apply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..errors import PgrtError, ServerUnavailable
from .model import Status


@dataclass(slots=True)
class Doubts:
    """Hold why a result may be another than a run would give now."""

    synced: bool = True  # ran since the listener last came back
    outage: str = ""  # what to tell people while nothing can be heard
    behind: str = ""  # what to tell people while a replica lacks a change that was heard of
    overdue: str = ""  # what to tell people while a run does not end
    polls_because: dict[str, str] = field(default_factory=dict)  # by cause: what to tell people


def standing(
    doubts: Doubts, error: PgrtError | None, unwatchable: Sequence[str], slow: str
) -> tuple[Status, str]:
    """Give the status of a query that has run, and the message for people.

    `slow` is what the throttle says where runs take longer than their interval.
    """
    if doubts.outage or not doubts.synced or isinstance(error, ServerUnavailable):
        return Status.STALE, doubts.outage or str(error or doubts.behind or "catching up")
    if doubts.behind or doubts.overdue:
        return Status.STALE, doubts.behind or doubts.overdue
    if error is not None:
        return Status.ERROR, str(error)
    told = [slow] if slow else []
    if doubts.polls_because or unwatchable:
        cannot = [f"cannot be watched: {', '.join(unwatchable)}"] if unwatchable else []
        return Status.POLLING, "; ".join([*doubts.polls_because.values(), *cannot, *told])
    return Status.LIVE, "; ".join(told)
