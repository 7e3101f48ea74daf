"""Say what to do with a trigger function that an engine of another version installed.

The first line of a body tells its edition, the oldest edition that can read what it announces, and, by a
digest, the table it was made for. The rules:

- An older edition, or a body that tells none, is replaced.
- A newer one never is: the engine that made it would put it back, and the two would go on for ever.
- A newer one serves an engine that can read it, where the table is still the one it was made for: else it
  might keep silent about a column. Where it does not serve, queries poll and say so.

The digest and the form of the first line are the same in every edition.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from hashlib import sha256

_FIRST_LINE = re.compile(
    r"-- pgrt_jupyter ([0-9]{1,9})"
    r"(?:, read by ([0-9]{1,9}) and later(?:, made for '([0-9a-f]{16})')?)?:",
    re.ASCII,
)


class Standing(enum.Enum):
    """How what is installed stands to what this engine would install."""

    SAME = "same"
    OLDER = "older"  # or missing, altered, of this edition but for another table: to be replaced
    NEWER = "newer"  # serves as well
    BEYOND = "beyond"  # newer and of no use here


@dataclass(frozen=True, slots=True)
class _Edition:
    """Hold what a first line tells."""

    number: int = 0
    readers: int = 0  # the oldest edition that can read what it announces
    table: str = ""  # digest of what it was made for


def standing(found: str | None, ours: str) -> Standing:
    """Compare an installed body, None where there is no usable one, with the one of this version."""
    if found == ours:
        return Standing.SAME
    theirs, mine = _read(found or ""), _read(ours)
    if theirs.number <= mine.number:
        return Standing.OLDER
    readable = theirs.readers <= mine.number and theirs.table == mine.table
    return Standing.NEWER if readable else Standing.BEYOND


def digest(*facts: object) -> str:
    """Tell one state of a table from another, the same in every process and version."""
    return sha256(repr(facts).encode()).hexdigest()[:16]


def _read(body: str) -> _Edition:
    """Read a body's first line; one that tells nothing is older than any."""
    match = _FIRST_LINE.match(body)
    if match is None:
        return _Edition()
    number, readers, table = match.groups()
    return _Edition(int(number), int(readers or number), table or "")
