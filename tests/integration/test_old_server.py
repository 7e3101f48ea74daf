"""A server that is too old says so at once, in words."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import pgrt_jupyter as pgrt
from pgrt_jupyter import errors

OURS = re.compile(rb"(?<=server_version\x00)\d\d")


def carry(source: socket.socket, target: socket.socket, change: Callable[[bytes], bytes]) -> None:
    """Hand on what comes until there is no more."""
    try:
        while piece := source.recv(65536):
            target.sendall(change(piece))
    except OSError:
        pass
    finally:
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)  # whoever reads from it sees the end


@pytest.fixture
def older(dsn: str) -> Iterator[str]:
    """Lead to the server by a relay that has it say it was PostgreSQL 13: the only way to meet one here."""
    given = conninfo_to_dict(dsn)
    folder, port = str(given.get("host", "")), int(given.get("port") or 5432)
    door = socket.create_server(("127.0.0.1", 0))
    threads, sockets = list[threading.Thread](), list[socket.socket]()

    def serve() -> None:
        while True:
            try:
                client, _ = door.accept()
            except OSError:
                return
            if folder.startswith("/"):
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(Path(folder, f".s.PGSQL.{port}")))
            else:
                server = socket.create_connection((folder or "127.0.0.1", port))
            sockets.extend((client, server))
            for way in (
                (client, server, lambda piece: piece),
                (server, client, lambda piece: OURS.sub(b"13", piece)),
            ):
                threads.append(threading.Thread(target=carry, args=way, daemon=True))
                threads[-1].start()

    threads.append(threading.Thread(target=serve, daemon=True))
    threads[0].start()
    host, door_port = door.getsockname()
    yield make_conninfo(dsn, host=host, port=door_port, sslmode="disable", gssencmode="disable")
    door.shutdown(socket.SHUT_RDWR)
    door.close()
    for thread in threads:
        thread.join(5)
    for each in sockets:
        each.close()


def test_an_engine_does_not_start_on_postgresql_13(older: str) -> None:
    """It says which version there is and which is needed."""
    with pytest.raises(errors.ServerUnavailable) as raised, pgrt.Engine(older):
        pass
    assert "is PostgreSQL 13; live queries need PostgreSQL 14 or newer" in str(raised.value)
    assert "upgrade the server" in raised.value.hint


def test_a_query_does_not_go_to_postgresql_13(
    older: str, dsn: str, connect: Callable[..., Any]
) -> None:
    """Nor does a query role's connection; what else runs is not concerned."""
    connect().execute("CREATE TABLE orders (id int PRIMARY KEY)")
    with pgrt.Engine(dsn) as engine:
        lq = engine.sub("orders", "SELECT * FROM orders")
        with pytest.raises(errors.ServerUnavailable, match="is PostgreSQL 13;"):
            engine.sub("older", "SELECT * FROM orders", query_conninfo=older)
        assert lq.status == "live"
