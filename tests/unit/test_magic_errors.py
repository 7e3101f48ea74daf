"""An error of a magic is shown in a few lines."""

from __future__ import annotations

import pytest

from pgrt_jupyter.errors import PasswordInCell, QueryFailed
from pgrt_jupyter.magic_errors import WIDTH, lines, pointed, short_errors


@pytest.mark.parametrize(
    ("text", "position", "shown"),
    [
        ("SELECT x", 8, ["LINE 1: SELECT x", "               ^"]),
        ("SELECT 1,\n  x\nFROM t", 13, ["LINE 2:   x", "          ^"]),
        ("SELECT\n\tx", 9, ["LINE 2:  x", "         ^"]),
        ("SELECT '日本', x", 14, ["LINE 1: SELECT '日本', x", " " * 23 + "^"]),
        ("SELECT", 7, ["LINE 1: SELECT", "              ^"]),
        ("SELECT\n", 99, ["LINE 2: ", "        ^"]),
    ],
)
def test_caret(text: str, position: int, shown: list[str]) -> None:
    """The caret stands below the character the server points at."""
    assert pointed(text, position) == shown


@pytest.mark.parametrize("position", [1, 2_501, 5_000])
def test_long_line(position: int) -> None:
    """Of a long line the part around the error is shown."""
    text = "".join("X" if place == position else "." for place in range(1, 5_001))
    line, caret = pointed(text, position)
    assert len(line) == len("LINE 1: ") + WIDTH
    assert line[caret.index("^")] == "X"


def test_query_failed() -> None:
    """Message, SQLSTATE, place, detail and hint, each on its line."""
    error = QueryFailed(
        "no such column", sqlstate="42703", hint="try y", detail="why", position=8, text="SELECT x"
    )
    assert lines(error) == [
        "QueryFailed: no such column [SQLSTATE 42703]",
        "",
        "LINE 1: SELECT x",
        "               ^",
        "Detail: why",
        "Hint: try y",
    ]


def test_exception_passes() -> None:
    """The exception goes on, with its short text for IPython."""
    with pytest.raises(PasswordInCell) as caught, short_errors():
        raise PasswordInCell
    assert caught.value._render_traceback_() == lines(caught.value)  # type: ignore[attr-defined]
    with pytest.raises(ZeroDivisionError) as other, short_errors():
        raise ZeroDivisionError
    assert not hasattr(other.value, "_render_traceback_")
