"""What is exported and copied: the displayed rows, harmless to a spreadsheet, readable by any parser."""

from __future__ import annotations

import csv
import datetime as dt
import io
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgrt_jupyter import export, window
from pgrt_jupyter.arrangement import Arrangement, Condition
from pgrt_jupyter.displayed import Displayed, display
from pgrt_jupyter.window import Shown

TRIGGERS = "=+-@\t\r\n＝＋－＠"


def displayed(
    columns: dict[str, tuple[str, list[Any]]],
    arrangement: Arrangement = Arrangement(),  # noqa: B008
) -> Displayed:
    frame = pd.concat(
        [pd.Series(v, name=n, dtype=object) for n, (_t, v) in columns.items()], axis=1
    )
    for place, (type_name, values) in enumerate(columns.values()):
        if type_name == "text":
            array = pd.arrays.ArrowExtensionArray(pa.chunked_array([pa.array(values, pa.string())]))
            frame.isetitem(place, array)
    shown = Shown(
        version=1,
        frame=frame,
        types=tuple(type_name for type_name, _ in columns.values()),
        status="live",
        message="",
        refreshed_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        truncated=False,
    )
    return display(None, shown, arrangement, 1)


def written(made: Displayed, **options: Any) -> str:
    return "".join(export.Export(made, **options).parts())


def parsed(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def test_rows_are_written_by_rfc_4180() -> None:
    """Quotes are doubled, line breaks kept, lines end with CR LF; NULL is not the empty string."""
    made = displayed(
        {"a": ("text", ['x"y', "1,2", "l\r\nm", None, ""]), "b": ("int4", [1, 2, 3, 4, 5])}
    )
    assert written(made) == 'a,b\r\n"x""y",1\r\n"1,2",2\r\n"l\r\nm",3\r\n,4\r\n"",5\r\n'


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.none() | st.text(max_size=5) | st.text(TRIGGERS + "a'\"", max_size=4), max_size=8),
    st.booleans(),
)
def test_no_text_begins_a_formula_and_raw_loses_nothing(
    values: list[str | None], raw: bool
) -> None:
    """Every cell comes out as it was, or with an apostrophe in front."""
    made = displayed({"name": ("text", values), "n": ("int4", [-1] * len(values))})
    rows = parsed(written(made, raw=raw))
    assert rows[0] == ["name", "n"]
    assert len(rows) == len(values) + 1
    for value, (text, number) in zip(values, rows[1:], strict=True):
        assert number == "-1"
        if raw:
            assert text == (value or "")
        else:
            assert not text or text[0] not in TRIGGERS
            assert text.removeprefix("'") == (value or "").removeprefix("'")


@pytest.mark.parametrize(
    ("type_name", "value", "text"),
    [
        ("numeric", Decimal("-1.50"), "-1.50"),
        ("money", "-$2.50", "-$2.50"),
        ("interval", "-1 days", "-1 days"),
        ("float8", -1e300, "-1e+300"),
        ("jsonb", "-1", "'-1"),
        ("text[]", ["=1"], "{=1}"),
        ("mood", "=1", "'=1"),
        ("", "@x", "'@x"),
    ],
)
def test_numbers_and_times_keep_their_sign(type_name: str, value: Any, text: str) -> None:
    """Only what a user could have typed as text is defused."""
    assert parsed(written(displayed({"a": (type_name, [value])})))[1] == [text]


def test_names_of_columns_are_defused_as_well() -> None:
    """An alias is chosen by whoever wrote the query."""
    made = displayed({"=1+1": ("int4", [1]), 'a"b': ("int4", [2])})
    assert written(made) == '\'=1+1,"a""b"\r\n1,2\r\n'
    assert written(made, raw=True).startswith("=1+1,")


def test_the_filtered_whole_is_written_in_the_order_shown() -> None:
    """Of chosen columns, in their order, each once."""
    arrangement = Arrangement((("n", "desc"),), "", (Condition("n", "gt", "1"),))
    made = displayed({"n": ("int4", [1, 2, 3]), "s": ("text", ["a", "b", "c"])}, arrangement)
    assert written(made) == "n,s\r\n3,c\r\n2,b\r\n"
    assert written(made, columns=[1, 0, 1, 7]) == "s,n\r\nc,3\r\nb,2\r\n"


def test_long_exports_come_in_parts() -> None:
    """Each about as long as wished, with the count of rows so far."""
    made = displayed({"n": ("int4", [*range(20_000)])})
    whole = export.Export(made, size=10_000)
    sizes, counts = [], []
    for part in whole.parts():
        sizes.append(len(part))
        counts.append(whole.rows)
    assert whole.is_done
    assert counts[-1] == whole.total == 20_000
    assert len(sizes) > 5
    assert max(sizes) < 25_000
    assert parsed(written(made))[1:] == [[str(n)] for n in range(20_000)]


def test_an_empty_result_has_a_head() -> None:
    """One part, which is the last."""
    whole = export.Export(displayed({"n": ("int4", [])}))
    assert (whole.part(), whole.is_done) == ("n\r\n", True)


def test_the_clipboard_gets_tabs() -> None:
    """As spreadsheets write it themselves: quotes only where a tab, a quote or a line break is."""
    made = displayed({"a": ("text", ["=x", 'y"z', None, "t\tu"]), "b": ("int4", [1, 2, 3, 4])})
    positions = np.array([1, 0, 3])
    copied = export.tab_separated(made, positions, None, header=True)
    assert copied == 'a\tb\r\n"y""z"\t2\r\n=x\t1\r\n"t\tu"\t4\r\n'
    assert export.tab_separated(made, positions, [1], header=False) == "2\r\n1\r\n4\r\n"


def test_too_much_for_the_clipboard_is_refused() -> None:
    """By cells and by characters."""
    made = displayed({"a": ("text", ["x" * 50_000] * 100)})
    with pytest.raises(ValueError, match="export"):
        export.tab_separated(made, np.arange(100), None, header=False)
    with pytest.raises(ValueError, match="export"):
        export.tab_separated(made, np.arange(export.MAX_COPIED_CELLS + 1), None, header=False)


def test_a_cell_is_given_whole() -> None:
    """Beyond what a window carries of it, up to a bound."""
    long, longer = "x" * 10_000, "y" * (export.MAX_CELL + 1)
    made = displayed({"a": ("text", [long, longer, None]), "b": ("bytea", [b"\x00" * 500] * 3)})
    assert window.text(long) != long
    assert export.cell(made, 0, 0) == (long, False)
    assert export.cell(made, 1, 0) == ("y" * export.MAX_CELL, True)
    assert export.cell(made, 2, 0) == (None, False)
    assert export.cell(made, 0, 1) == ("\\x" + "00" * 500, False)


@pytest.mark.parametrize(("row", "column"), [(3, 0), (10**15, 0), (0, 2), (0, 1_000)])
def test_a_cell_that_is_not_there_is_an_error(row: int, column: int) -> None:
    """A row that is gone, or that never was."""
    made = displayed({"a": ("int4", [1, 2, 3]), "b": ("int4", [1, 2, 3])})
    with pytest.raises(ValueError, match="gone"):
        export.cell(made, row, column)


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("orders", "orders.csv"),
        ("../../etc/passwd", "etc_passwd.csv"),
        ("", "table.csv"),
        ("ä b", "ä_b.csv"),
    ],
)
def test_the_file_is_named_after_the_query(title: str, name: str) -> None:
    """With nothing in it that a path could be made of."""
    assert export.file_name(title) == name
