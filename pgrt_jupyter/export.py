"""Write displayed rows as CSV (RFC 4180) or, for the clipboard, as tab-separated text.

A spreadsheet takes a cell that begins with one of = + - @, a tab or a line break for a formula, which
can send data away. So text that does gets an apostrophe in front, as OWASP advises, unless `raw`;
numbers, times and booleans stay as they are. NULL is an empty field, the empty string a quoted one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from . import window
from .displayed import Displayed
from .texts import Positions, texts

PART = 512 * 1024  # bytes of one part, about
MAX_CELL = 1_000_000  # characters of one cell that travel to a browser when asked for
MAX_COPIED_CELLS = 200_000
MAX_COPIED = 4_000_000  # characters

_FIRST_ROWS = 500
_MOST_ROWS = 50_000
_FORMULA = "^[=+\\-@\t\r\n＝＋－＠]"
_PLAIN_KINDS = ("number", "time", "boolean")


class Export:
    """Write all rows of one moment part by part."""

    def __init__(
        self,
        displayed: Displayed,
        columns: Sequence[int] | None = None,
        *,
        raw: bool = False,
        size: int = PART,
    ) -> None:
        self.displayed = displayed
        self.total = displayed.rows
        self.rows = 0  # written so far
        self._columns = _known(displayed, columns)
        self._raw = raw
        self._size = size
        self._step = _FIRST_ROWS
        self._begun = False

    @property
    def is_done(self) -> bool:
        """Tell whether everything is written."""
        return self._begun and self.rows >= self.total

    def part(self) -> str:
        """Write the next part; the first begins with the columns' names."""
        head = "" if self._begun else self._head()
        self._begun = True
        rows = range(self.rows, min(self.total, self.rows + self._step))
        written = head + "".join(f"{line}\r\n" for line in self._lines(rows))
        self.rows = rows.stop
        wanted = self._step * self._size // max(1, len(written))
        self._step = max(1, min(wanted, 4 * self._step, _MOST_ROWS))
        return written

    def parts(self) -> Iterator[str]:
        """Write everything."""
        while not self.is_done:
            yield self.part()

    def _head(self) -> str:
        names = [self.displayed.columns[place]["name"] for place in self._columns]
        safe = names if self._raw else [_harmless(name) for name in names]
        return ",".join(_quoted(name, '[",\r\n]') for name in safe) + "\r\n"

    def _lines(self, rows: range) -> list[str]:
        part = self.displayed.part(rows, self._columns)
        fields = [
            self._fields(column, place) for column, place in zip(part, self._columns, strict=True)
        ]
        if not fields:
            return [""] * len(rows)
        lines: list[str] = pc.binary_join_element_wise(*fields, ",").to_pylist()
        return lines

    def _fields(self, column: pd.Series, place: int) -> pa.Array:
        field = texts(column).combine_chunks()
        if not self._raw and self.displayed.columns[place]["kind"] not in _PLAIN_KINDS:
            risky = pc.match_substring_regex(field, _FORMULA)
            field = pc.if_else(risky, pc.binary_join_element_wise("'", field, ""), field)
        special = pc.or_(pc.match_substring_regex(field, '[",\r\n]'), pc.equal(field, ""))
        doubled = pc.replace_substring(field, '"', '""')
        field = pc.if_else(special, pc.binary_join_element_wise('"', doubled, '"', ""), field)
        return pc.fill_null(field, "")


def tab_separated(
    displayed: Displayed, positions: Positions, columns: Sequence[int] | None, *, header: bool
) -> str:
    """Write rows for the clipboard; raises ValueError when they are too many for it."""
    places = _known(displayed, columns)
    too_much = "too much for the clipboard: export it"
    if len(positions) * max(1, len(places)) > MAX_COPIED_CELLS:
        raise ValueError(too_much)
    fields = [
        ["" if cell is None else _quoted(cell, '["\t\r\n]') for cell in texts(column).to_pylist()]
        for column in displayed.taken(positions, places)
    ]
    lines = ["\t".join(row) for row in zip(*fields, strict=True)]
    if header:
        names = [displayed.columns[place]["name"] for place in places]
        lines.insert(0, "\t".join(_quoted(name, '["\t\r\n]') for name in names))
    written = "".join(f"{line}\r\n" for line in lines)
    if len(written) > MAX_COPIED:
        raise ValueError(too_much)
    return written


def cell(displayed: Displayed, number: int, column: int) -> tuple[str | None, bool]:
    """Give the text of one cell, and whether it had to be cut; raises ValueError."""
    position = displayed.identities.position(number)
    if position < 0 or column >= len(displayed.columns):
        raise ValueError("this row is gone")
    [value] = window.values(displayed.frame.iloc[position : position + 1, column])
    text = window.text(value, MAX_CELL + 1)
    if text is None or len(text) <= MAX_CELL:
        return text, False
    return text[:MAX_CELL], True


def file_name(title: str) -> str:
    """Name the file of an export."""
    return (re.sub(r"[^\w.-]+", "_", title).strip("._") or "table")[:100] + ".csv"


def _known(displayed: Displayed, columns: Sequence[int] | None) -> list[int]:
    """Keep the columns there are, each once."""
    there = range(len(displayed.columns))
    return [*there] if columns is None else [c for c in dict.fromkeys(columns) if c in there]


def _harmless(text: str) -> str:
    return f"'{text}" if re.match(_FORMULA, text) else text


def _quoted(text: str, special: str) -> str:
    return '"' + text.replace('"', '""') + '"' if not text or re.search(special, text) else text
