"""Show an error of a magic in a few lines: what is wrong, where in the query, and what to do.

The exception stays what it is: `Run All` stops, nbclient and nbval fail, and code that calls a
magic can catch it. Only the traceback, which would show the inside of this package, gives way.
"""

from __future__ import annotations

import contextlib
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from traceback import walk_tb
from types import TracebackType

from .errors import PgrtError, QueryFailed
from .wording import plain

WIDTH = 100  # characters of a query's line that are shown around the error


@contextlib.contextmanager
def short_errors() -> Iterator[None]:
    """Let errors pass with a short text in place of their traceback."""
    try:
        yield
    except (PgrtError, TimeoutError) as error:
        text = lines(error)
        error._render_traceback_ = text.copy  # type: ignore[method-assign, union-attr]
        raise


def lines(error: BaseException) -> list[str]:
    """Describe an error."""
    return [plain(line) for line in _lines(error)]


def _lines(error: BaseException) -> list[str]:
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


def whereabouts(traceback: TracebackType | None) -> list[str]:
    """Name the cells and lines that led into this package, innermost last."""
    here = str(Path(__file__).parent)
    ipython = sys.modules.get("IPython")  # not imported: errors are the engine's as well
    shell = ipython.get_ipython() if ipython is not None else None
    own = str(Path(str(ipython.__file__)).parent) if ipython is not None else here
    places = []
    for frame, line in walk_tb(traceback):
        file = frame.f_code.co_filename
        if file.startswith(here):
            break
        if not file.startswith(own):
            named = shell.compile.format_code_name(file) if shell is not None else None
            places.append(f"  in {' '.join(named) if named else file}, line {line}")
    return places


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
