"""Show an error of a magic in a few lines: what is wrong, where in the query, and what to do.

The exception stays what it is: `Run All` stops, nbclient and nbval fail, and code that calls a
magic can catch it. Only the traceback, which would show the inside of this package, gives way.
"""

from __future__ import annotations

import contextlib
import unicodedata
from collections.abc import Iterator

from .errors import PgrtError, QueryFailed

WIDTH = 100  # characters of a query's line that are shown around the error


@contextlib.contextmanager
def short_errors() -> Iterator[None]:
    """Let errors pass with a short text in place of their traceback."""
    try:
        yield
    except (PgrtError, TimeoutError) as error:
        text = lines(error)
        error._render_traceback_ = text.copy  # type: ignore[union-attr]
        raise


def lines(error: BaseException) -> list[str]:
    """Describe an error."""
    name = type(error).__name__
    if not isinstance(error, PgrtError):
        return [f"{name}: {error}"]
    state = f" [SQLSTATE {error.sqlstate}]" if error.sqlstate else ""
    shown = f"{name}: {error.message}{state}".splitlines()
    if isinstance(error, QueryFailed):
        if error.position is not None:
            shown += ["", *pointed(error.text, error.position)]
        if error.detail:
            shown.append(f"Detail: {error.detail}")
    if error.hint:
        shown.append(f"Hint: {error.hint}")
    return shown


def pointed(text: str, position: int) -> list[str]:
    """Give the line of a text that holds a 1-based position, and a caret below it."""
    before = text[: position - 1]
    number = before.count("\n") + 1
    start = before.rfind("\n") + 1
    line = text[start:].split("\n", 1)[0].rstrip().expandtabs(1)
    column = min(position - 1 - start, len(line))
    if len(line) > WIDTH:
        first = max(0, min(column - WIDTH // 2, len(line) - WIDTH))
        line, column = line[first : first + WIDTH], column - first
    head = f"LINE {number}: "
    return [head + line, " " * (len(head) + sum(map(_width, line[:column]))) + "^"]


def _width(character: str) -> int:
    """Count the columns a character takes in a fixed-width font."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
