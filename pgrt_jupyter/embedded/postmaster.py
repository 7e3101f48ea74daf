"""Read what a server says about itself in its data folder."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import make_conninfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Postmaster:
    """Hold postmaster.pid, which a killed server leaves behind as it was."""

    pid: int
    port: str
    folder: str  # of the socket
    status: str  # "starting", "ready", "standby", "stopping"

    @property
    def conninfo(self) -> str:
        """Give the superuser's conninfo."""
        return make_conninfo(host=self.folder, port=self.port, user="postgres", dbname="postgres")

    def answers(self) -> bool:
        """Say whether something accepts connections on the socket."""
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(f"{self.folder}/.s.PGSQL.{self.port}")
            except OSError:
                return False
        return True


def read(data: Path) -> Postmaster | None:
    """Read postmaster.pid; None when there is none or the server is still writing it."""
    try:
        lines = (data / "postmaster.pid").read_text(errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if len(lines) < 8:
        return None
    pid, _, _, port, folder, _, _, status = (line.strip() for line in lines[:8])
    return Postmaster(pid=int(pid), port=port, folder=folder, status=status)
