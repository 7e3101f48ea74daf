"""Start a server under a script that ends it when the pipe from its owner closes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..errors import ServerUnavailable
from . import postmaster
from .account import Account, choose, reachable_binaries, reachable_data

START_TIMEOUT = 60.0  # seconds; initdb takes about 1, several where others start at the same time
STOP_TIMEOUT = 30.0  # seconds; a checkpoint of kept data may take some

# $1 runtime folder  $2 data folder  $3 folder of binaries  $4 signal that stops the server
# A background job of a shell ignores SIGINT and SIGQUIT until it installs handlers of its own, as
# the server does; the signal is therefore repeated until the server has gone.
SCRIPT = """
runtime=$1 data=$2 bin=$3 signal=$4
shift 4
exec 3<&0 </dev/null
umask 077
sync=; [ "$signal" = INT ] || sync=--no-sync
end() { while kill -s "$signal" "$1"; do sleep 0.2; done 2>/dev/null; }
if [ -e "$data/PG_VERSION" ] ||
    "$bin/initdb" -D "$data" -U postgres -A trust -E UTF8 --locale=C --no-instructions $sync
then
    "$bin/postgres" -D "$data" "$@" 3<&- &
    server=$!
    { read -r _ <&3; end "$server"; } &
    watchdog=$!
    trap 'end "$server"' HUP INT TERM
    while kill -0 "$server" 2>/dev/null; do wait "$server"; done
    kill "$watchdog" 2>/dev/null
fi
rm -rf "$runtime"
"""

# The port only names the socket: nothing listens on TCP.
SETTINGS = {"listen_addresses": "", "port": "5432", "timezone": "UTC", "log_timezone": "UTC"}
# Nothing of a temporary server is wanted after a crash.
TEMPORARY = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "256MB"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """Hold a running server: its script, and the pipe whose closing ends both."""

    process: subprocess.Popen[bytes]
    pipe: int  # the writing end
    runtime: Path  # the folder of its socket and log
    data: Path
    conninfo: str


def launch(path: Path | None, binaries: Path, options: Mapping[str, str]) -> Launched:
    """Start a server on `path`, or a temporary one, and wait until it accepts connections."""
    account = choose(path)
    runtime = Path(tempfile.mkdtemp(prefix="pgrt-"))
    try:
        account.own(runtime)
        account.require(runtime, "set TMPDIR to a folder it can reach")
        binaries = reachable_binaries(account, binaries, runtime)
        settings = {
            **SETTINGS,
            **(TEMPORARY if path is None else {}),
            **options,
            "unix_socket_directories": f'"{runtime}"',
        }
        with open(runtime / "log", "w+b") as log:
            process, pipe = _spawn(account, runtime, path, binaries, settings, log)
            return _ready(process, pipe, runtime, path or runtime / "data", log)
    except BaseException:
        shutil.rmtree(runtime, ignore_errors=True)
        raise


def _spawn(
    account: Account,
    runtime: Path,
    path: Path | None,
    binaries: Path,
    settings: Mapping[str, str],
    log: IO[bytes],
) -> tuple[subprocess.Popen[bytes], int]:
    """Start the script; give it and the writing end of the pipe that keeps it going."""
    data, inherited = (runtime / "data", ()) if path is None else reachable_data(account, path)
    # Data that are kept are written out at the end; others need no such care.
    arguments = [str(runtime), str(data), str(binaries), "QUIT" if path is None else "INT"]
    for name, value in settings.items():
        arguments += ["-c", f"{name}={value}"]
    reading, writing = os.pipe()
    try:
        process = subprocess.Popen(
            ["/bin/sh", "-c", SCRIPT, "pgrt-postgres", *arguments],
            stdin=reading,
            stdout=log,
            stderr=log,
            cwd="/",
            # PGPORT, PGDATA and their like would change what the server does.
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            start_new_session=True,
            pass_fds=inherited,
            user=account.uid,
            group=account.gid,
            extra_groups=account.groups,
        )
    except BaseException:
        os.close(writing)
        raise
    finally:
        for descriptor in (reading, *inherited):
            os.close(descriptor)
    return process, writing


def _ready(
    process: subprocess.Popen[bytes], pipe: int, runtime: Path, data: Path, log: IO[bytes]
) -> Launched:
    """Wait until the server says ready, or end it and raise with the last words of its log."""
    deadline = time.monotonic() + START_TIMEOUT
    try:
        while process.poll() is None and time.monotonic() < deadline:
            said = postmaster.read(data)
            # A file left by a crash may say ready as well: the socket's folder tells them apart.
            if said and said.folder == str(runtime) and said.status == "ready":
                return Launched(
                    process=process, pipe=pipe, runtime=runtime, data=data, conninfo=said.conninfo
                )
            time.sleep(0.01)
    except BaseException:
        os.close(pipe)
        raise
    os.close(pipe)
    await_end(process, runtime)
    log.seek(0)
    last = log.read().decode(errors="replace").strip().splitlines()[-5:]
    raise ServerUnavailable(
        f"The embedded PostgreSQL did not start in {data}.", hint="\n".join(last)
    )


def await_end(process: subprocess.Popen[bytes], runtime: Path) -> None:
    """Wait until the script, whose pipe is closed, has stopped the server; kill what does not stop."""
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(runtime, ignore_errors=True)
