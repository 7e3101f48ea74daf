"""Make text that others wrote fit to show, and to log.

Names and messages come from the database: a line break in one forges a log line, an escape sequence
rewrites a terminal, and a bidirectional control turns what follows around. What is logged is kept by
people who may not read the table, so the server's words about data are not: they quote values.
"""

from __future__ import annotations

import logging
import re

from .errors import FilterFailed, PermissionMissing, PgrtError, QueryFailed

_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
# SQLSTATE classes whose messages speak of names and of the server, never of a row's values.
_NAMES_ONLY = ("08", "0A", "25", "26", "28", "3D", "3F", "40", "42", "53", "54", "55", "57", "58")


def plain(text: str, *, keep: str = "") -> str:
    """Write control characters, line breaks and direction marks as escapes, except those to keep."""
    return _CONTROLS.sub(lambda found: _escaped(found[0], keep), text)


def _escaped(character: str, keep: str) -> str:
    return character if character in keep else repr(character)[1:-1]


def for_log(error: PgrtError) -> str:
    """Describe an error without values of rows: what is left out stands in `lq.error`."""
    state = f" [SQLSTATE {error.sqlstate}]" if error.sqlstate else ""
    if quotes_values(error):
        return f"{type(error).__name__}{state}; what the server said is in the query's `error`"
    return f"{error.message}{state}"


def quotes_values(error: PgrtError) -> bool:
    """Say whether an error's message may quote what stands in a row."""
    if isinstance(error, PermissionMissing) or not isinstance(error, QueryFailed):
        return isinstance(error, FilterFailed) and error.__cause__ is None
    return not (error.sqlstate or "").startswith(_NAMES_ONLY)


class _Plain(logging.Filter):
    """Let no record of ours span lines or carry controls."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = plain(record.getMessage()), None
        return True


log = logging.getLogger("pgrt_jupyter")
log.addFilter(_Plain())
