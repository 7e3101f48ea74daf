"""Read the line of a magic: words, options and their values.

A number is one word; text or a Python expression is everything up to the next option, so that
`--refresh {"orders": {"status": "pending"}} --throttle 100` needs no quotes, while
`--refresh "{'orders': …}"` may have them. Inside brackets and quotes nothing is an option.

No message repeats a value: it may be a connection string with a password in it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from .errors import UsageError


class Takes(Enum):
    """Say what stands behind an option."""

    NOTHING = auto()
    NUMBER = auto()
    TEXT = auto()
    EXPRESSION = auto()


Options = Mapping[str, Takes]  # by name, without the dashes

SUBSCRIBE: Options = {
    "throttle": Takes.NUMBER,
    "max-age": Takes.NUMBER,
    "refresh": Takes.EXPRESSION,
    "params": Takes.EXPRESSION,
    "key": Takes.TEXT,
    "max-rows": Takes.NUMBER,
    "incremental": Takes.NOTHING,
    "no-incremental": Takes.NOTHING,
    "query": Takes.TEXT,
    "height": Takes.NUMBER,
    "persist": Takes.NOTHING,
    "quiet": Takes.NOTHING,
}
TEND: Options = dict.fromkeys(("stop", "pause", "resume", "refresh"), Takes.TEXT)
PGRT: Mapping[str, Options] = {
    "connect": {
        "embedded": Takes.NOTHING,
        "section": Takes.TEXT,
        "file": Takes.TEXT,
        "jupysql": Takes.NOTHING,
        "ask": Takes.NOTHING,
        "query": Takes.TEXT,
    },
    "status": {},
    "shutdown": {},
    "destroy": {"yes": Takes.NOTHING},
}


@dataclass(frozen=True, slots=True)
class Line:
    """Hold a line that has been read."""

    words: tuple[str, ...]  # what belongs to no option, as typed
    given: Mapping[str, str]  # options and their values, without quotes around the whole

    @property
    def text(self) -> str:
        """Give the words as one text, without quotes around the whole."""
        return unquoted(" ".join(self.words))

    def number(self, name: str) -> int | None:
        """Give the value of an option that takes a number; None when it is not given."""
        return int(self.given[name]) if name in self.given else None


def read(line: str, options: Options) -> Line:
    """Read a line; raises UsageError in one line."""
    words: list[str] = []
    given: dict[str, str] = {}
    pieces = list(_pieces(line))
    while pieces:
        start, end = pieces.pop(0)
        if _is_option(line[start:end]):
            name, value = _option(line, start, end, pieces, options)
            given[name] = value
        else:
            words.append(line[start:end])
    return Line(tuple(words), given)


def _option(
    line: str, start: int, end: int, pieces: list[tuple[int, int]], options: Options
) -> tuple[str, str]:
    """Read one option, taking its value from the pieces that follow or from behind its `=`."""
    name, equals, _ = line[start + 2 : end].partition("=")
    takes = _known(name, options)
    values = [(start + len(name) + 3, end)] if equals else []
    most = {Takes.NOTHING: 0, Takes.NUMBER: 1}.get(takes, len(pieces) + 1)
    while pieces and len(values) < most and not _is_option(line[slice(*pieces[0])]):
        values.append(pieces.pop(0))
    value = unquoted(line[values[0][0] : values[-1][1]]) if values else ""
    if takes is Takes.NOTHING and equals:
        raise UsageError(f"--{name} takes no value.")
    if takes is not Takes.NOTHING and not value:
        raise UsageError(f"--{name} needs a value.")
    if takes is Takes.NUMBER and not value.isdecimal():
        raise UsageError(f"--{name} takes a whole number.")
    return name, value


def unquoted(text: str) -> str:
    """Take away quotes that enclose the whole of a text."""
    text = text.strip()
    if len(text) > 1 and text[0] in "'\"" and _end_of_quote(text, 0) == len(text):
        return text[1:-1].replace("\\" + text[0], text[0])
    return text


def _is_option(word: str) -> bool:
    return re.match(r"--[a-zA-Z]", word) is not None


def _known(name: str, options: Options) -> Takes:
    """Look an option up."""
    if name in options:
        return options[name]
    close = difflib.get_close_matches(name, options, n=1)
    known = ", ".join(f"--{option}" for option in options) or "none"
    said = f"did you mean --{close[0]}?" if close else f"there are: {known}."
    raise UsageError(f"Unknown option --{name}: {said}")


def _pieces(line: str) -> Iterator[tuple[int, int]]:
    """Find where each word begins and ends."""
    start: int | None = None
    depth = position = 0
    while position < len(line):
        character = line[position]
        if character.isspace() and depth == 0:
            if start is not None:
                yield start, position
            start = None
            position += 1
            continue
        start = position if start is None else start
        if character in "'\"":
            position = _end_of_quote(line, position)
            continue
        depth = max(0, depth + (character in "([{") - (character in ")]}"))
        position += 1
    if depth:
        raise UsageError("A bracket is not closed.")
    if start is not None:
        yield start, len(line)


def _end_of_quote(text: str, start: int) -> int:
    """Give the position behind the quote that closes the one at `start`."""
    position = start + 1
    while position < len(text):
        if text[position] == "\\":
            position += 1
        elif text[position] == text[start]:
            return position + 1
        position += 1
    raise UsageError("A quote is not closed.")
