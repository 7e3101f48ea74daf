"""Fetch a result and make a DataFrame of it: describe, fetch, parse.

A result travels as `COPY (query) TO STDOUT (FORMAT CSV)`: for a million rows ten times quicker than a
cursor, and it is the server's own text of each value. One that was small comes as `small` reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pandas as pd
import psycopg
import pyarrow as pa
from psycopg import generators, pq, sql, waiting
from psycopg.abc import PQGen
from psycopg.errors import error_from_result

from pgrt_jupyter.engine.model import Column
from pgrt_jupyter.engine.pieces import LEAST, Cutter, Fetched, Piece
from pgrt_jupyter.engine.progress import Progress
from pgrt_jupyter.engine.types import Form, Kind, kind_of
from pgrt_jupyter.engine.values import (
    DtypeBackend,
    Values,
    joined,
    read_anything,
    read_exactly,
    read_texts,
    to_pandas,
)

# Columns of values of pieces, by the digest of their text.
Known = Mapping[bytes, Sequence[Values]]

# The text forms that `parse` reads. TimeZone is not among them: setting it would change what
# `current_date` or `date_trunc('day', …)` mean; instants carry their offset in the text anyway.
# A DateStyle without an order leaves the reading of `01/02/2024` to the session.
SETTINGS: tuple[tuple[str, str], ...] = (
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO"),
    ("IntervalStyle", "postgres"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
)

_COPIES_ON_WRITE = int(pd.__version__.partition(".")[0]) >= 3

_COPY = sql.SQL("COPY ({}\n) TO STDOUT (FORMAT CSV)")
_COPY_SOME = sql.SQL("COPY (SELECT * FROM ({}\n) AS q LIMIT {}) TO STDOUT (FORMAT CSV)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """Say what a statement takes and gives."""

    columns: tuple[Column, ...]
    parameter_oids: tuple[int, ...]  # type oids of $1, $2, …


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """Hold a result as values."""

    frame: pd.DataFrame
    known: Known = field(default_factory=dict)  # what the next result may have as well


def describe(
    connection: psycopg.Connection[Any],
    query: str,
    parameter_oids: Sequence[int] = (),
    *,
    after: Sequence[bytes] = (),
) -> Described:
    """Ask the server about a statement without running it; other statements may go `after` which it is.

    One trip to the server for all. Uses the extended protocol, which takes one statement only.
    `parameter_oids` fixes types of parameters, 0 leaves one to the server. Raises psycopg's errors.
    """

    def ask(pgconn: pq.abc.PGconn) -> None:
        pgconn.send_prepare(b"", query.encode(), list(parameter_oids) or None)
        pgconn.send_describe_prepared(b"")

    found = answers(connection, after, ask)
    for answer in found:
        if answer.status == pq.ExecStatus.FATAL_ERROR:
            raise error_from_result(answer, encoding=connection.info.encoding)
    described = found[-1]
    return Described(
        columns=columns_of(described),
        parameter_oids=tuple(described.param_type(i) for i in range(described.nparams)),
    )


def fetch(
    connection: psycopg.Connection[Any],
    select: str,
    *,
    max_rows: int | None = None,
    progress: Progress | None = None,
) -> Fetched:
    """Run a query in the current transaction and read its result, at most `max_rows` rows.

    `select` is final text of one statement without a closing semicolon. Raises psycopg's errors.
    Where no transaction is open, the query is one of its own.
    """
    cutter = Cutter(max_rows)
    for rows in _copy(connection, _statement(select, max_rows)):
        cutter.add(rows)
        if progress is not None:
            progress.arrived(len(rows))
    return cutter.fetched()


def parse(
    fetched: Fetched,
    columns: Sequence[Column],
    *,
    dtype_backend: DtypeBackend = "pyarrow",
    known: Known | None = None,
) -> Parsed:
    """Make the DataFrame of a result, its columns named as in SQL, duplicates included.

    `columns` must describe the same statement; `pyarrow.ArrowInvalid` if their number differs.
    `known` is that of a result of the same columns and `dtype_backend`.
    """
    values, known = read(fetched, columns, known=known)
    frame = framed(values, columns, fetched.rows, dtype_backend=dtype_backend)
    # Other backends copy, so that what they were made of would be held in vain.
    return Parsed(frame=frame, known=known if dtype_backend == "pyarrow" else {})


def read(
    fetched: Fetched, columns: Sequence[Column], *, known: Known | None = None
) -> tuple[list[Values], Known]:
    """Read a result into one column of values for each of its columns; raises as `parse` does."""
    kinds = [kind_of(column.type_oid, column.typmod) for column in columns]
    return _read(fetched, kinds, known or {}) if kinds else ([], {})


def framed(
    values: Sequence[Values],
    columns: Sequence[Column],
    rows: int,
    *,
    dtype_backend: DtypeBackend = "pyarrow",
) -> pd.DataFrame:
    """Make the DataFrame of the first of these values, as many as there are columns."""
    names, index = _names(tuple(column.name for column in columns)), pd.RangeIndex(rows)
    if not columns:
        return pd.DataFrame(index=index, columns=names)
    shown = zip(values, columns, strict=False)
    arrays = {i: to_pandas(column, dtype_backend) for i, (column, _) in enumerate(shown)}
    frame = pd.DataFrame(arrays, index=index, copy=False)
    frame.columns = names
    return frame


@lru_cache(1024)
def _names(names: tuple[str, ...]) -> pd.Index:
    """Make the labels of columns; they never change, so that frames may share them."""
    return pd.Index(names, dtype="str")


def empty(columns: Sequence[Column], *, dtype_backend: DtypeBackend = "pyarrow") -> pd.DataFrame:
    """Make a DataFrame without rows, of the dtypes that rows would have."""
    return parse(Cutter().fetched(), columns, dtype_backend=dtype_backend).frame


def own(frame: pd.DataFrame) -> pd.DataFrame:
    """Give a frame to somebody who may change it, while the original stays as it is.

    From pandas 3 on nothing is copied before it is written to; Arrow data never is.
    """
    return frame.copy(deep=not _COPIES_ON_WRITE)


def _read(fetched: Fetched, kinds: Sequence[Kind], known: Known) -> tuple[list[Values], Known]:
    """Read a result into one column of values for each kind, as far as it is not known."""
    if fetched.texts is not None:
        with suppress(pa.ArrowInvalid):  # a database in SQL_ASCII holds anything
            return read_texts(fetched.texts, kinds), {}
    # A list is the user's to change, and falls back by the values of the whole column.
    if not any(kind.form is Form.LIST for kind in kinds):
        try:
            found = {
                piece.digest: known.get(piece.digest) or _read_piece(piece, kinds)
                for piece in fetched.pieces
            }
        except pa.ArrowInvalid:
            pass
        else:
            parts = [found[piece.digest] for piece in fetched.pieces]
            return [joined([p[i] for p in parts], kind) for i, kind in enumerate(kinds)], found
    return read_anything(b"".join(piece.text for piece in fetched.pieces), kinds), {}


def _read_piece(piece: Piece, kinds: Sequence[Kind]) -> list[Values]:
    """Read a piece; Arrow keeps what it worked with, a quarter of the frame by the end, if it may."""
    values = read_exactly(piece.text, kinds)
    if piece.rows >= LEAST:
        pa.default_memory_pool().release_unused()
    return values


def ask(
    connection: psycopg.Connection[Any], query: str, parameters: Sequence[bytes]
) -> tuple[tuple[Column, ...], list[list[bytes | None]]]:
    """Run a query of few rows with parameters $1, $2, …, all text; gives its columns, and texts by column.

    Raises psycopg's errors.
    """
    connection.pgconn.send_query_params(query.encode(), list(parameters))
    return columns_of(answer := _answer(connection, pq.ExecStatus.TUPLES_OK)), texts(answer)


def texts(answer: pq.abc.PGresult) -> list[list[bytes | None]]:
    """Give the values of an answer by columns."""
    rows = range(answer.ntuples)
    return [[answer.get_value(row, column) for row in rows] for column in range(answer.nfields)]


def _copy(
    connection: psycopg.Connection[Any], statement: sql.Composed
) -> Iterator[list[memoryview]]:
    """Yield the rows of a COPY, as many as have come; to be read to the end.

    `cursor.copy` speaks the simple protocol, where text that closes our parenthesis could bring
    a second statement; the extended protocol takes one only. And it waits for each row, which
    takes three times as long as the row itself.
    """
    pgconn = connection.pgconn
    pgconn.send_query_params(statement.as_bytes(connection), None)
    _answer(connection, pq.ExecStatus.COPY_OUT)
    size = 0
    while size >= 0:
        rows = []
        while (found := pgconn.get_copy_data(1))[0] > 0:
            rows.append(found[1])
        if rows:
            yield rows
        size = found[0]
        if size == 0:
            connection.wait(_more(pgconn))
    _answer(connection)


def _more(pgconn: pq.abc.PGconn) -> PQGen[None]:
    """Wait until the server has sent more."""
    while not (yield waiting.WAIT_R):
        continue
    pgconn.consume_input()


def _answer(
    connection: psycopg.Connection[Any], expected: pq.ExecStatus = pq.ExecStatus.COMMAND_OK
) -> pq.abc.PGresult:
    """Wait for the answer to what was sent; raise the error it may be."""
    answer = connection.wait(generators.execute(connection.pgconn))[-1]
    if answer.status != expected:
        raise error_from_result(answer, encoding=connection.info.encoding)
    return answer


def answers(
    connection: psycopg.Connection[Any],
    statements: Sequence[bytes],
    ask: Callable[[pq.abc.PGconn], None] | None = None,
) -> list[pq.abc.PGresult]:
    """Send statements, and what `ask` sends, in one trip; gives an answer to each, errors included."""
    pgconn = connection.pgconn
    pgconn.enter_pipeline_mode()
    try:
        for statement in statements:
            pgconn.send_query_params(statement, None)
        if ask is not None:
            ask(pgconn)
        pgconn.pipeline_sync()
        return connection.wait(_until_synchronised(pgconn))
    finally:
        with suppress(psycopg.OperationalError):  # the connection was lost, which is being raised
            pgconn.exit_pipeline_mode()


def _until_synchronised(pgconn: pq.abc.PGconn) -> PQGen[list[pq.abc.PGresult]]:
    """Give the answers to everything that was sent in a pipeline."""
    yield from generators.send(pgconn)
    found: list[pq.abc.PGresult] = []
    while True:
        few = yield from generators.fetch_many(pgconn)
        if few and few[-1].status == pq.ExecStatus.PIPELINE_SYNC:
            return found
        found += few


def columns_of(answer: pq.abc.PGresult) -> tuple[Column, ...]:
    """Read the description of what a statement gives."""
    return tuple(_column(answer, position) for position in range(answer.nfields))


def _column(answer: pq.abc.PGresult, position: int) -> Column:
    """Read the description of one output column."""
    return Column(
        name=(answer.fname(position) or b"").decode(),
        type_oid=answer.ftype(position),
        typmod=answer.fmod(position),
        relation=answer.ftable(position),
        attnum=answer.ftablecol(position),
    )


def _statement(select: str, max_rows: int | None) -> sql.Composed:
    """Wrap a query for COPY, on lines of its own: it may end in a comment."""
    if max_rows is None:
        return _COPY.format(sql.SQL(select))
    # A subquery of that form keeps its ORDER BY and its duplicate names.
    return _COPY_SOME.format(sql.SQL(select), sql.Literal(max_rows + 1))
