"""Cut a result into pieces of some thousand rows, each with a digest of its text.

A piece that the result before had as well is neither read nor held a second time: where one row of a
million changed, came or went, one piece is read, or two.

    a piece ends     behind a row whose check sum is small, which one in 8,192 is
    but              not before LEAST rows, and with MOST at the latest
    so that          equal results are cut alike, however they arrive, and behind a row that came or
                     went the cuts soon fall between the same rows again
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias
from zlib import crc32

Row: TypeAlias = "bytes | memoryview"
Texts: TypeAlias = "tuple[tuple[bytes | str | None, ...], ...]"  # by columns

# 1M x 10 rows: about 40 pieces of 3 MB. Larger ones are read no faster, smaller ones slow down what
# goes through all chunks of a column.
LEAST = 1 << 14
MOST = 1 << 16
SMALL = (1 << 32) >> 13  # check sums below end a piece; those of a million rows take 0.07 s


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Hold some rows of a result as the server wrote them."""

    text: bytes  # CSV
    digest: bytes
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Hold a result as the server wrote it."""

    pieces: tuple[Piece, ...]
    digest: bytes  # of the text and of `truncated`
    rows: int
    truncated: bool  # there were more rows than were asked for
    texts: Texts | None = None  # the same by columns, where it is small


class Cutter:
    """Take rows as they come, and cut them; `max_rows` at most."""

    def __init__(self, max_rows: int | None = None) -> None:
        self._room = max_rows  # None: any number
        self._pieces: list[Piece] = []
        self._truncated = False
        self._begin()

    def add(self, rows: Sequence[Row]) -> None:
        """Take the next rows; hashed at once, while the server writes more."""
        if self._room is not None:
            self._truncated |= len(rows) > self._room
            rows = rows[: self._room]
            self._room -= len(rows)
        while rows:
            last = self._last(rows)
            self._take(rows[:last])
            if last is None:
                return
            self._end()
            rows = rows[last:]

    def fetched(self) -> Fetched:
        """Give all of it; to be called once, at the end."""
        if self._rows:
            self._end()
        return _put_together(self._pieces, self._truncated)

    def _last(self, rows: Sequence[Row]) -> int | None:
        """Say how many of these rows the piece takes to its end; None: all, and it goes on."""
        first, most = max(0, LEAST - self._rows - 1), MOST - self._rows
        ends = rows[first:most]
        if ends and min(map(crc32, ends)) < SMALL:
            return first + next(n for n, row in enumerate(ends, 1) if crc32(row) < SMALL)
        return most if len(rows) >= most else None

    def _begin(self) -> None:
        self._parts: list[bytes] = []
        self._rows = 0
        self._digest = hashlib.sha256()

    def _take(self, rows: Sequence[Row]) -> None:
        part = b"".join(rows)
        self._parts.append(part)
        self._digest.update(part)
        self._rows += len(rows)

    def _end(self) -> None:
        text = b"".join(self._parts)
        self._pieces.append(Piece(text=text, digest=self._digest.digest(), rows=self._rows))
        self._begin()


def in_one(text: bytes, rows: int, texts: Texts) -> Fetched:
    """Hold a small result, which was not copied."""
    piece = Piece(text=text, digest=hashlib.sha256(text).digest(), rows=rows)
    return replace(_put_together([piece] if rows else [], truncated=False), texts=texts)


def _put_together(pieces: Sequence[Piece], truncated: bool) -> Fetched:
    """Hold a result that is there in pieces."""
    digest = hashlib.sha256(b"".join(piece.digest for piece in pieces))
    digest.update(b"+" if truncated else b"")
    return Fetched(
        pieces=tuple(pieces),
        digest=digest.digest(),
        rows=sum(piece.rows for piece in pieces),
        truncated=truncated,
    )
