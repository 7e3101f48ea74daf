"""Read a small result again in one trip to the server, where the usual way takes four.

Begin, settings, the query and the end of the transaction are sent together. What comes back is written
as COPY would have written it, so that everything behind is the same. The usual way is taken where the
columns are not what they were, or where an error has a place in the text: it knows that place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import psycopg
from psycopg import pq
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result

from . import frames
from .model import Column, Snapshot
from .pieces import Fetched, in_one

Connection = psycopg.Connection[tuple[object, ...]]

CELLS = 4_000  # beyond, COPY costs less than looking at each value

_TEXT_OID = 25
# Where COPY quotes, besides what is told by its number: quotes, returns, empty values, the end of data.
_SUSPECT = ('"', "\r", ",,", ",\n", "\n,", "\n\n", "\\.")
_SPECIAL = re.compile(rb'[",\r\n]')
_SPECIAL_ALONE = re.compile(rb'[",\r\n]|(?:\A|\0)\\\.(?:\Z|\0)')  # the end of data, to old servers


def is_small(previous: Snapshot | None, max_rows: int | None) -> bool:
    """Say whether a result was small and may be expected to be so again."""
    return previous is not None and max_rows is None and previous.frame.size <= CELLS


def fetch(
    connection: Connection,
    select: str,
    columns: Sequence[Column],
    *,
    before: Sequence[bytes],
    after: Sequence[bytes],
) -> Fetched | None:
    """Run a query between other statements; None where the usual way is to be taken.

    Raises psycopg's errors; the statements `after` it have then not been executed.
    """
    answers = frames.answers(connection, [*before, select.encode(), *after])
    failed = next((a for a in answers if a.status == pq.ExecStatus.FATAL_ERROR), None)
    if failed is not None:
        if failed.error_field(pq.DiagnosticField.STATEMENT_POSITION):
            return None
        raise error_from_result(failed, encoding=connection.info.encoding)
    result = answers[len(before)]
    if frames.columns_of(result) != tuple(columns):
        return None
    return _plainly(connection, result) or _carefully(result)


def _plainly(connection: Connection, result: pq.abc.PGresult) -> Fetched | None:
    """Read a result of which nothing needs to be quoted; None where something does, or is NULL."""
    transformer = Transformer(connection)
    transformer.set_pgresult(result, set_loaders=False)
    transformer.set_loader_types([_TEXT_OID] * result.nfields, pq.Format.TEXT)
    try:
        rows = transformer.load_rows(0, result.ntuples, tuple)
        text = "".join(line + "\n" for line in map(",".join, rows))
    except (TypeError, UnicodeDecodeError):  # of NULL, and of what a database in SQL_ASCII may hold
        return None
    count, width = result.ntuples, result.nfields
    if not width or text.count(",") != count * (width - 1) or text.count("\n") != count:
        return None
    if any(suspect in text for suspect in _SUSPECT) or text.startswith((",", "\n")):
        return None
    return in_one(text.encode(), count, tuple(zip(*rows, strict=True)) or ((),) * width)


def _carefully(result: pq.abc.PGresult) -> Fetched:
    """Read any result, value by value."""
    texts = tuple(
        tuple(result.get_value(row, place) for row in range(result.ntuples))
        for place in range(result.nfields)
    )
    return in_one(_csv(texts, result.ntuples), result.ntuples, texts)


def _csv(texts: Sequence[Sequence[bytes | None]], rows: int) -> bytes:
    """Write a result, given by columns, as COPY does."""
    if not texts:
        return b"\n" * rows
    columns = [_written(column, alone=len(texts) == 1) for column in texts]
    return b"".join(b",".join(line) + b"\n" for line in zip(*columns, strict=True))


def _written(column: Sequence[bytes | None], *, alone: bool) -> list[bytes]:
    """Write the values of a column: NULL is nothing, and what could be taken for something else is quoted."""
    plain = [b"" if value is None else value or b'""' for value in column]
    special = _SPECIAL_ALONE if alone else _SPECIAL
    if not special.search(b"\0".join(value for value in column if value)):
        return plain
    return [
        b'"' + value.replace(b'"', b'""') + b'"' if value and special.search(value) else written
        for value, written in zip(column, plain, strict=True)
    ]
