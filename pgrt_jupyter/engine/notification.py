"""Decode what a trigger sends.

A payload is `oid operation columns[ i]`: the relation's oid, one letter of I U D T, the tags of
the changed columns separated by commas (`*`: any), and ` i` when row images were written to
`_pgrt.changes`. A trigger whose own work failed sends `oid ? sqlstate`. No payload carries a value.
Any role may send anything on the channel, so whatever does not match is Unreadable: counted, never acted on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .model import Operation

CHANNEL = "pgrt_jupyter"

_CHANGE = re.compile(r"(\d{1,10}) ([IUDT]) (\*|\d{1,10}(?:,\d{1,10}){0,49})( i)?", re.ASCII)
_UNSURE = re.compile(r"(\d{1,10}) \? ([0-9A-Z]{5})", re.ASCII)
_OPERATIONS = {
    "I": Operation.INSERT,
    "U": Operation.UPDATE,
    "D": Operation.DELETE,
    "T": Operation.TRUNCATE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Say that a statement changed rows of a relation."""

    relation: int  # oid
    operation: Operation | None  # None: the trigger could not tell
    tags: frozenset[int] | None  # of the changed columns; None: any of them
    images: bool = False  # the rows are in _pgrt.changes
    sqlstate: str = ""  # why the trigger could not tell


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stand for a payload that none of our triggers sent."""

    length: int


def decode(payload: str) -> Change | Unreadable:
    """Turn a payload into a Change, or say that it is not one of ours."""
    if match := _CHANGE.fullmatch(payload):
        oid, letter, columns, images = match.groups()
        tags = None if columns == "*" else frozenset(map(int, columns.split(",")))
        return Change(
            relation=int(oid), operation=_OPERATIONS[letter], tags=tags, images=images is not None
        )
    if match := _UNSURE.fullmatch(payload):
        return Change(relation=int(match[1]), operation=None, tags=None, sqlstate=match[2])
    return Unreadable(len(payload))
