"""Encrypted connections: a certificate that is wrong is no reason to do without one."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy
from psycopg.conninfo import make_conninfo

import pgrt_jupyter as pgrt
from pgrt_jupyter.testing import wait_until

from .conftest import SLACK, Scene
from .servers import Node
from .test_connections import AT_ONCE

Stage = Callable[..., Scene]
SYSTEM = Path("/usr/lib/postgresql")


def _with_tls() -> Path | None:
    """Find a server that was built with TLS; the one in the wheel was not."""
    found = sorted(SYSTEM.glob("[0-9]*/bin"), reverse=True)
    return found[0] if found and shutil.which("openssl") else None


pytestmark = pytest.mark.skipif(
    _with_tls() is None,
    reason="no PostgreSQL with TLS and openssl here (Debian: apt install postgresql openssl)",
)


class Certificates:
    """Make certificates of a server, each signed by itself."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.current = node.folder / "server.crt"

    def make(self, name: str, file: str) -> None:
        """Make one for a host."""
        folder = self._node.folder
        subprocess.run(
            ["openssl", "req", "-new", "-x509", "-days", "2", "-nodes", "-subj", f"/CN={name}"]
            + ["-addext", f"subjectAltName=DNS:{name}"]
            + ["-keyout", str(folder / f"{file}.key"), "-out", str(folder / f"{file}.crt")],
            check=True,
            capture_output=True,
        )

    def use(self, file: str) -> None:
        """Have the server present it from now on."""
        folder, owner = self._node.folder, self._node.data.stat()
        for kind in ("crt", "key"):
            target = folder / f"server.{kind}"
            shutil.copy(folder / f"{file}.{kind}", target)
            os.chown(target, owner.st_uid, owner.st_gid)
            target.chmod(0o600 if kind == "key" else 0o644)
        self._node.execute("SELECT pg_reload_conf()")


@pytest.fixture(scope="module")
def secured() -> Iterator[tuple[Node, Certificates]]:
    """Give a server with TLS, and its certificates."""
    with Node(bin_dir=_with_tls()) as node:
        certificates = Certificates(node)
        for name, file in (("localhost", "right"), ("elsewhere.example", "wrong")):
            certificates.make(name, file)
        certificates.use("right")
        folder = node.folder
        for name, value in (
            ("ssl_cert_file", folder / "server.crt"),
            ("ssl_key_file", folder / "server.key"),
            ("ssl", "on"),
        ):
            node.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        node.execute("SELECT pg_reload_conf()")
        wait_until(lambda: node.execute("SHOW ssl") == [("on",)])
        yield node, certificates


def verified(scene: Scene, node: Node) -> str:
    """Give the conninfo that insists on the right certificate."""
    return make_conninfo(
        scene.route,
        host="localhost",
        hostaddr="127.0.0.1",
        sslmode="verify-full",
        sslrootcert=str(node.folder / "right.crt"),
    )


def test_a_wrong_certificate_is_never_worked_around(
    stage: Stage, secured: tuple[Node, Certificates]
) -> None:
    node, certificates = secured
    scene = stage(on=node, begin=False)
    scene.begin(conninfo=verified(scene, node))
    plain = (
        "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE NOT ssl"
        " AND application_name = 'pgrt_jupyter'"
    )
    with scene.fault(
        "A19",
        "TLS: server's certificate is for another name",
        "certificate replaced",
        bound=AT_ONCE,
    ) as fault:
        certificates.use("wrong")
        scene.execute("SELECT pg_terminate_backend(%s)", scene.listener())
        scene.write()
        fault.noticed("stale", within=SLACK)
        wait_until(lambda: "certificate" in scene.query._shown().message, message=scene.story)
        began = time.monotonic()
        while time.monotonic() - began < 1:
            assert node.execute(plain) == [(0,)]
        certificates.use("right")
        fault.healed = time.monotonic()


def test_starting_with_a_wrong_certificate_is_a_clear_error(
    stage: Stage, secured: tuple[Node, Certificates]
) -> None:
    node, certificates = secured
    scene = stage(on=node, begin=False)
    certificates.use("wrong")
    try:
        with pytest.raises(pgrt.ServerUnavailable, match="certificate"):
            pgrt.Engine(verified(scene, node)).start()
    finally:
        certificates.use("right")


def test_what_sqlalchemy_says_of_encryption_holds(
    stage: Stage, secured: tuple[Node, Certificates]
) -> None:
    """In a URL as in an engine's arguments: a certificate for another name is refused, the right one used."""
    node, certificates = secured
    scene = stage(on=node, begin=False)
    wanted = {"sslmode": "verify-full", "sslrootcert": str(node.folder / "right.crt")}
    url = sqlalchemy.URL.create(
        "postgresql+psycopg", "postgres", host="localhost", port=node.port, database=scene.name
    )
    ways = (
        url.set(query=wanted),
        sqlalchemy.create_engine(url, connect_args=wanted),
        url.set(query=wanted).render_as_string(),
    )
    secured_ones = (
        "SELECT bool_and(ssl), count(*) > 0 FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
        " WHERE application_name = 'pgrt_jupyter'"
    )
    for way in ways:
        with pgrt.Engine(way) as engine:
            assert len(engine.sub("one", "SELECT 1 AS n").df) == 1
            assert node.execute(secured_ones) == [(True, True)]
            assert "TLS" in engine.server
    certificates.use("wrong")
    try:
        for way in ways:
            with pytest.raises(pgrt.ServerUnavailable, match="certificate"):
                pgrt.Engine(way).start()
    finally:
        certificates.use("right")
