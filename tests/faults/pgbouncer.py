"""Run PgBouncer between an engine and a server.

with PgBouncer(node.port, "transaction") as pooler:
    pooler.conninfo(dsn)
    pooler.admin("PAUSE"); pooler.restart()
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Literal

import psycopg
from psycopg.conninfo import make_conninfo

from pgrt_jupyter.testing import wait_until

from .servers import free_port

_PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
_SETTINGS = """
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
pool_mode = {mode}
auth_type = trust
auth_file = {folder}/users
admin_users = postgres
server_round_robin = 1
server_login_retry = 0.2
ignore_startup_parameters = extra_float_digits
logfile = {folder}/log
"""


def is_installed() -> bool:
    """Say whether there is a PgBouncer on this machine."""
    return _PROGRAM is not None


class PgBouncer:
    """Own one PgBouncer."""

    def __init__(self, server: int, mode: Literal["session", "transaction"]) -> None:
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="pgrt-pgbouncer-"))
        settings = _SETTINGS.format(server=server, port=self.port, mode=mode, folder=self._folder)
        (self._folder / "settings.ini").write_text(settings, "utf-8")
        (self._folder / "users").write_text('"postgres" ""\n', "utf-8")
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None  # it refuses root
        if self._user is not None:
            for path in (self._folder, *self._folder.iterdir()):
                os.chown(path, self._user.pw_uid, self._user.pw_gid)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start, and wait until connections are accepted."""
        assert _PROGRAM is not None
        self._process = subprocess.Popen(
            [_PROGRAM, "-q", str(self._folder / "settings.ini")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self._user.pw_uid if self._user else None,
            group=self._user.pw_gid if self._user else None,
            extra_groups=[] if self._user else None,
        )
        wait_until(self._answers, 20)

    def _answers(self) -> bool:
        try:
            self.admin("SHOW VERSION")
        except psycopg.Error:
            return False
        return True

    def stop(self) -> None:
        """End it at once, its connections with it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def admin(self, command: str) -> None:
        """Run a command of the console."""
        where = make_conninfo(
            host="127.0.0.1", port=self.port, user="postgres", dbname="pgbouncer", connect_timeout=5
        )
        with psycopg.connect(where, autocommit=True) as console:
            console.execute(command.encode())

    def conninfo(self, dsn: str) -> str:
        """Give `dsn` by way of this pooler."""
        return make_conninfo(dsn, host="127.0.0.1", port=self.port)

    def close(self) -> None:
        """Stop and remove its folder."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> PgBouncer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
