"""Ask for a password where somebody can answer: nothing of it is shown, or saved with the notebook."""

from __future__ import annotations

import getpass
import sys
from typing import Any

from IPython.core.error import StdinNotImplementedError

from .config import Conninfo
from .errors import UsageError
from .wording import plain


def can_ask(shell: Any) -> bool:
    """Say whether somebody is at the other end: a front end that takes input, or a terminal."""
    kernel = getattr(shell, "kernel", None)
    if kernel is not None:
        return bool(getattr(kernel, "_allow_stdin", False))
    return sys.stdin is not None and sys.stdin.isatty()


def ask(conninfo: Conninfo) -> str:
    """Ask for the password of a role; raises UsageError where nobody can be asked."""
    try:
        return getpass.getpass(f"Password for {plain(str(conninfo))}: ")
    except (StdinNotImplementedError, EOFError):
        pass
    raise UsageError("Nobody can be asked for a password here: put it into PGRT_DSN or ~/.pgpass.")
