"""Split SQL text into plain parts and parameters, without understanding more than its lexical rules.

The rules are those of PostgreSQL (documentation, "Lexical Structure"): quoted strings, `E''`
strings with backslashes, quoted identifiers, dollar quotes and nested comments are left alone,
and so are `::`, `:=` and the colon of an array slice. `:name` and `$1` outside of those are parameters.
Nothing is refused here except missing parameters: the server's own parser has the last word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigurationError

_TOKEN = re.compile(
    r"""
    (?P<comment>--[^\n]*|/\*)
  | (?P<escape>(?<![\w$])[eE]'(?:[^'\\]|\\.|'')*'?)
  | (?P<string>'(?:[^']|'')*'?)
  | (?P<quoted>"(?:[^"]|"")*"?)
  | (?P<dollar>(?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$)
  | (?P<number>(?<![\w$])\$(?P<index>\d+))
  | (?P<word>[^\W\d][\w$]*)
  | (?P<cast>::|:=)
  | (?P<name>:(?P<key>[^\W\d]\w*))
  | (?P<open>\[)
  | (?P<close>\])
  | (?P<end>;)
  | (?P<space>\s+)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")


@dataclass(frozen=True, slots=True)
class Token:
    """Name one lexical piece of the text: its kind, its place and its text."""

    kind: str
    start: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Hold a query with its parameters taken out."""

    original: str  # as the user wrote it
    parts: tuple[str | int, ...]  # text, or the 1-based number of a parameter
    starts: tuple[int, ...]  # where each part begins in `original`
    values: tuple[Any, ...]  # the parameters' values, in order of their numbers

    @property
    def text(self) -> str:
        """Give the query with `$1, $2, …` for its parameters."""
        return "".join(f"${part}" if isinstance(part, int) else part for part in self.parts)

    def bound(self, literals: Sequence[str]) -> str:
        """Give the query with an SQL literal in each parameter's place."""
        return "".join(literals[part - 1] if isinstance(part, int) else part for part in self.parts)

    def original_position(self, position: int) -> int:
        """Translate a 1-based position in `text` to one in `original`."""
        passed = 0
        for part, start in zip(self.parts, self.starts, strict=True):
            length = len(f"${part}") if isinstance(part, int) else len(part)
            if position <= passed + length:
                offset = 0 if isinstance(part, int) else position - passed - 1
                return start + offset + 1
            passed += length
        return len(self.original)


def parse(sql: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> Statement:
    """Take the parameters out of a query; raises ConfigurationError when one has no value."""
    if "\x00" in sql:
        raise ConfigurationError("The query contains a NUL character.")
    if isinstance(params, (str, bytes)):
        raise ConfigurationError("params must be a sequence for $1, $2, … or a mapping for :name.")
    tokens = _without_end(list(_tokens(sql)))
    named = params is None or isinstance(params, Mapping)
    mapping = params if isinstance(params, Mapping) else {}
    sequence = [] if named or params is None else list(params)
    return _assemble(sql, tokens, mapping, sequence, named)


def _assemble(
    sql: str,
    tokens: list[Token],
    mapping: Mapping[str, Any],
    sequence: list[Any],
    named: bool,
) -> Statement:
    """Number the parameters in order and look their values up."""
    parts: list[str | int] = []
    starts: list[int] = []
    names: dict[str, int] = {}
    highest = 0
    for token in tokens:
        if token.kind == "number":
            highest = max(highest, int(token.text[1:]))
            part: str | int = int(token.text[1:])
        elif token.kind == "name" and named:
            part = names.setdefault(token.text[1:], len(names) + 1)
        elif parts and isinstance(parts[-1], str):
            parts[-1] += token.text
            continue
        else:
            part = token.text
        parts.append(part)
        starts.append(token.start)
    values = _named_values(names, mapping, highest) if names else _numbered(sequence, highest)
    return Statement(original=sql, parts=tuple(parts), starts=tuple(starts), values=values)


def _named_values(
    names: dict[str, int], mapping: Mapping[str, Any], highest: int
) -> tuple[Any, ...]:
    """Look up the values of `:name` parameters."""
    if highest:
        raise ConfigurationError("Use either :name or $1 parameters in one query, not both.")
    missing = [name for name in names if name not in mapping]
    if missing:
        listed = ", ".join(f":{name}" for name in missing)
        raise ConfigurationError(
            f"No value for parameter {listed}.",
            hint=f"pass params={{{missing[0]!r}: …}}, or define {missing[0]} in the notebook.",
        )
    return tuple(mapping[name] for name in names)


def _numbered(sequence: list[Any], highest: int) -> tuple[Any, ...]:
    """Check the values of `$n` parameters."""
    if highest > len(sequence):
        raise ConfigurationError(
            f"No value for parameter ${len(sequence) + 1}: the query has parameters up to "
            f"${highest}, and {len(sequence)} value(s) were passed.",
            hint="pass params=[…] with a value for each.",
        )
    if highest < len(sequence):
        raise ConfigurationError(
            f"{len(sequence)} parameter value(s) were passed, but the query uses {highest}."
        )
    return tuple(sequence)


def parameter_names(sql: str) -> tuple[str, ...]:
    """List the `:name` parameters of a query in order of appearance."""
    found = (token.text[1:] for token in _tokens(sql) if token.kind == "name")
    return tuple(dict.fromkeys(found))


def _without_end(tokens: list[Token]) -> list[Token]:
    """Drop what follows the last piece of the statement: one semicolon, space and comments."""
    last = len(tokens)
    while last and tokens[last - 1].kind in ("space", "comment"):
        last -= 1
    if last and tokens[last - 1].kind == "end":
        return tokens[: last - 1]
    return tokens


def _tokens(sql: str) -> list[Token]:
    """Cut the text into tokens; a colon that slices an array comes out as plain text."""
    tokens: list[Token] = []
    brackets: list[bool] = []  # for each open bracket: whether it is an ARRAY constructor
    before: Token | None = None  # the last token that is neither space nor comment
    position = 0
    while match := _TOKEN.match(sql, position):
        kind = match.lastgroup if match.lastgroup not in ("tag", "index", "key") else None
        kind = kind or next(k for k in ("dollar", "number", "name") if match[k] is not None)
        end = _end_of(sql, match, kind)
        if kind == "name" and brackets and not brackets[-1] and _ends_value(before):
            kind, end = "other", match.start() + 1
        token = Token(kind, match.start(), sql[match.start() : end])
        _track(brackets, token, before)
        tokens.append(token)
        if kind not in ("space", "comment"):
            before = token
        position = end
    return tokens


def _end_of(sql: str, match: re.Match[str], kind: str) -> int:
    """Find the end of a token that a regular expression cannot close."""
    if kind == "dollar":
        close = sql.find(f"${match['tag']}$", match.end())
        return len(sql) if close < 0 else close + len(match["tag"]) + 2
    if kind == "comment" and match.group() == "/*":
        return _end_of_comment(sql, match.end())
    return match.end()


def _end_of_comment(sql: str, position: int) -> int:
    """Find the end of a block comment, which may hold others."""
    depth = 1
    for edge in _COMMENT_EDGE.finditer(sql, position):
        depth += 1 if edge.group() == "/*" else -1
        if not depth:
            return edge.end()
    return len(sql)


def _track(brackets: list[bool], token: Token, before: Token | None) -> None:
    """Keep the stack of open brackets."""
    if token.kind == "open":
        constructor = before is not None and before.text.upper() == "ARRAY"
        inner = before is not None and before.text in ("[", ",") and bool(brackets and brackets[-1])
        brackets.append(constructor or inner)
    elif token.kind == "close" and brackets:
        brackets.pop()


def _ends_value(before: Token | None) -> bool:
    """Ask whether a colon after this token, inside a subscript, separates slice bounds."""
    if before is None or before.text in ("[", "]", ")"):
        return True
    return before.kind in ("word", "string", "quoted", "number", "name", "escape") or (
        before.text.isdigit()
    )
