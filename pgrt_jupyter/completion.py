"""Complete the lines of our magics: subcommands, options and the names of live queries."""

from __future__ import annotations

import re
from typing import Any

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
)
from IPython.core.getipython import get_ipython

from .api import subscriptions
from .magic_options import PGRT, SUBSCRIBE, TEND, Options, Takes

_MAGIC = re.compile(r"^\s*(?:\w+\s*=\s*)?(?P<magic>%%?livequery|%pgrt)\s+(?P<rest>.*)$")
_NAME = re.compile(r"(?:[^\W\d]\w*)?$")  # at the end of an expression


@context_matcher()  # type: ignore[untyped-decorator,unused-ignore]
def complete(context: CompletionContext) -> SimpleMatcherResult:
    """Suggest what may follow on a magic's line; elsewhere nothing."""
    found = _MAGIC.match(context.text_until_cursor)
    if found is None or (found["magic"] == "%%livequery" and context.cursor_line != 0):
        return {"completions": [], "suppress": False}
    words = found["rest"].split()
    partial = "" if not words or found["rest"][-1].isspace() else words.pop()
    if not partial.startswith("--") and _in_expression(found["magic"], words):
        partial = _NAME.search(partial).group()  # type: ignore[union-attr]
        candidates = _variables() if partial else []
    else:
        candidates = _candidates(found["magic"], words)
    fitting = [text for text in candidates if text.startswith(partial)]
    return {
        "completions": [SimpleCompletion(text=text, type="magic") for text in fitting],
        "suppress": bool(fitting),
        "matched_fragment": partial,
    }


def install(completer: Any) -> None:
    """Add the completion, once."""
    if complete not in completer.custom_matchers:
        completer.custom_matchers.append(complete)


def remove(completer: Any) -> None:
    """Take the completion away."""
    if complete in completer.custom_matchers:
        completer.custom_matchers.remove(complete)


def _in_expression(magic: str, words: list[str]) -> bool:
    """Ask whether the last option is one whose value is Python."""
    last = next((word for word in reversed(words) if word.startswith("--")), "")
    return magic == "%%livequery" and SUBSCRIBE.get(last[2:]) is Takes.EXPRESSION


def _variables() -> list[str]:
    """List the notebook's own names."""
    shell: Any = get_ipython()
    return sorted(name for name in shell.user_ns if not name.startswith("_"))


def _candidates(magic: str, words: list[str]) -> list[str]:
    """List what may stand behind these words."""
    if magic == "%pgrt":
        return _options(PGRT.get(words[0], {}), words) if words else list(PGRT)
    options = SUBSCRIBE if magic == "%%livequery" else TEND
    last = words[-1] if words else ""
    takes = options.get(last.removeprefix("--")) if last.startswith("--") else None
    if takes is not None and takes is not Takes.NOTHING:
        return sorted(subscriptions()) if options is TEND else []
    return [*(sorted(subscriptions()) if not words else []), *_options(options, words)]


def _options(options: Options, words: list[str]) -> list[str]:
    return [f"--{name}" for name in options if f"--{name}" not in words]
