"""Keep a forked child away from the connections of its parent.

After a fork both hold the same sockets. A child that closes one politely ends the parent's session, one
that sends on it garbles it, and one that merely keeps it keeps the session alive when the parent is
killed. So the child gets /dev/null in the place of each, and nothing of ours uses them again.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg

_opened: weakref.WeakSet[psycopg.Connection[Any] | psycopg.AsyncConnection[Any]] = weakref.WeakSet()
_kept: list[object] = []  # of the parent; collecting them as garbage would only warn about them


def remember(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
    """Note a connection that a forked child must let go of."""
    _opened.add(connection)


def in_child(call: Callable[[], object]) -> None:
    """Have something called in every forked child; where there is no fork, nothing."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=call)


def _let_go() -> None:
    """Put /dev/null in the place of the parent's sockets."""
    connections = list(_opened)
    _opened.clear()
    _kept.extend(connections)
    null = os.open(os.devnull, os.O_RDWR)
    for connection in connections:
        with suppress(OSError, psycopg.Error):
            os.dup2(null, connection.pgconn.socket, inheritable=False)
    os.close(null)


in_child(_let_go)
