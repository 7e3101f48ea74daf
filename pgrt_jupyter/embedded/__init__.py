"""Run a private PostgreSQL server for as long as its owner lives.

The server is started by a small shell script in a session of its own, so that an interrupt in a
notebook does not reach it. The script holds the reading end of a pipe whose writing end only this
process has: when the pipe closes, by `Server.stop` or by any death of the owner including SIGKILL,
the script stops the server and removes its files. There is no other way in which a server ends, but that
one which has not stopped half a minute later is killed.

PostgreSQL refuses to run as root. Started by root, the server runs as the user `postgres`, or
`nobody` where that does not exist; no user is created and no permission outside the server's own
folders is changed.
"""

from __future__ import annotations

from .binaries import find_binaries
from .server import Server, embedded_postgres, start_server

__all__ = ["Server", "embedded_postgres", "find_binaries", "start_server"]
