"""A result is cut into pieces, and only pieces that are new are read."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from zlib import crc32

import pandas as pd
import pytest

from pgrt_jupyter.engine import frames, pieces
from pgrt_jupyter.engine.diff import delta
from pgrt_jupyter.engine.frames import Known, Parsed, parse
from pgrt_jupyter.engine.model import Column
from pgrt_jupyter.engine.pieces import Cutter, Fetched

INT8, TEXT, DATE, NUMERIC, INT4_ARRAY = 20, 25, 1082, 1700, 1007
COLUMNS = tuple(
    Column(name=name, type_oid=oid)
    for name, oid in (("id", INT8), ("note", TEXT), ("due", DATE), ("total", NUMERIC))
)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "LEAST", 2)
    monkeypatch.setattr(pieces, "MOST", 8)
    monkeypatch.setattr(pieces, "SMALL", (1 << 32) // 3)


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """List the pieces that are read."""
    found: list[bytes] = []
    exactly = frames.read_exactly

    def noted(text: bytes, kinds: Any) -> Any:
        found.append(text)
        return exactly(text, kinds)

    monkeypatch.setattr(frames, "read_exactly", noted)
    return found


def line(number: int, note: str = "n", due: str = "2024-01-01") -> bytes:
    return f"{number},{note},{due},{number}.50\n".encode()


def fetched(rows: list[bytes], *, at_once: int = 3, max_rows: int | None = None) -> Fetched:
    cutter = Cutter(max_rows)
    for begin in range(0, len(rows), at_once):
        cutter.add(rows[begin : begin + at_once])
    return cutter.fetched()


def read(rows: list[bytes], known: Known | None = None) -> Parsed:
    return parse(fetched(rows), COLUMNS, known=known)


def cells(frame: pd.DataFrame) -> list[tuple[object, ...]]:
    return list(frame.itertuples(index=False, name=None))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 8, 9, 100])
def test_cuts_depend_on_rows_alone(count: int) -> None:
    """However the rows came, their pieces and their digest are the same."""
    rows = [line(number) for number in range(count)]
    cut = [fetched(rows, at_once=at_once) for at_once in (1, 2, 4, 5, 1000)]
    assert all(one == cut[0] for one in cut)
    assert b"".join(piece.text for piece in cut[0].pieces) == b"".join(rows)
    assert cut[0].rows == count
    assert all(2 <= piece.rows <= 8 for piece in cut[0].pieces[:-1])


@pytest.mark.parametrize("number", [1, 2])
def test_rows_that_are_all_alike(number: int) -> None:
    """Check sums that are all small, or none, make the shortest pieces, or the longest."""
    cut = fetched([line(number)] * 16)
    assert {piece.rows for piece in cut.pieces} == {2 if crc32(line(number)) < pieces.SMALL else 8}


@pytest.mark.parametrize("max_rows", [0, 1, 4, 6, 8])
def test_rows_beyond_the_limit(max_rows: int) -> None:
    """What is more than was asked for is left out, and said to be."""
    rows = [line(number) for number in range(max_rows + 1)]
    some = fetched(rows, max_rows=max_rows)
    assert (some.rows, some.truncated) == (max_rows, True)
    assert not fetched(rows[:-1], max_rows=max_rows).truncated
    assert some.digest != fetched(rows[:-1]).digest


@pytest.mark.parametrize("place", [0, 5, 50, 99])
@pytest.mark.parametrize("kind", ["changed", "came", "went"])
def test_what_is_known_is_not_read(kind: str, place: int, texts: list[bytes]) -> None:
    """After a change of one row one or two pieces are read, and the values are those of reading all."""
    rows = [line(number) for number in range(100)]
    before = read(rows)
    rows[place : place + (kind != "came")] = [line(1000, "new")] * (kind != "went")
    anew = read(rows)
    texts.clear()
    after = read(rows, before.known)
    assert len(texts) <= 3
    assert cells(after.frame) == cells(anew.frame)
    assert list(after.frame.dtypes) == list(anew.frame.dtypes)
    assert set(after.known) == {piece.digest for piece in fetched(rows).pieces}


def test_rows_that_moved(texts: list[bytes]) -> None:
    """Pieces are found wherever they stand now."""
    rows = [line(number) for number in range(100)]
    before = read(rows)
    texts.clear()
    turned = [*rows[50:], *rows[:50]]
    assert cells(read(turned, before.known).frame) == cells(
        before.frame.iloc[[*range(50, 100), *range(50)]]
    )
    assert len(texts) <= 5


def test_a_column_falls_back_as_a_whole() -> None:
    """A value that its type cannot hold changes the column in known pieces, too, until it is gone."""
    rows = [line(number) for number in range(8)]
    before = read(rows)
    odd = [*rows[:7], line(7, due="infinity")]
    fallen = read(odd, before.known)
    assert fallen.frame["due"].tolist() == ["2024-01-01"] * 7 + ["infinity"]
    assert not fallen.known
    again = read(rows, fallen.known)
    assert list(again.frame.dtypes) == list(before.frame.dtypes)


def test_lists_are_read_anew() -> None:
    """A list is an object that a user may have changed."""
    columns = (Column(name="l", type_oid=INT4_ARRAY),)
    once = parse(fetched([b'"{1,2}"\n'] * 6), columns)
    once.frame["l"].iloc[0].append(3)
    again = parse(fetched([b'"{1,2}"\n'] * 6), columns, known=once.known)
    assert again.frame["l"].tolist() == [[1, 2]] * 6


def test_only_arrow_data_is_handed_on() -> None:
    """Frames of another backend are made of copies."""
    assert not parse(fetched([line(1)]), COLUMNS, dtype_backend="numpy_nullable").known


def test_text_that_begins_with_a_byte_order_mark() -> None:
    """U+FEFF belongs to the value, at the beginning of any piece."""
    columns = (Column(name="t", type_oid=TEXT),)
    rows = ["\ufeffa\n".encode()] * 6
    assert parse(fetched(rows), columns).frame["t"].tolist() == ["\ufeffa"] * 6


def test_changes_beside_shared_pieces() -> None:
    """Rows that changed are found in results that share data, whether rows moved or not."""
    rows = [line(number) for number in range(13)]
    before = read(rows)
    following = [line(0), line(2), line(3, "x"), *rows[4:], line(20)]
    after = read(following, before.known)
    found = delta(before.frame, after.frame, ["id"])
    assert found is not None
    assert cells(found.updated) == [(3, "x", pd.Timestamp("2024-01-01").date(), Decimal("3.50"))]
    assert found.previous["note"].tolist() == ["n"]
    assert found.inserted["id"].tolist() == [20]
    assert found.deleted["id"].tolist() == [1]
