"""Engines of several versions get along on one database: the newest has its way, and nothing is lost."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

import pgrt_jupyter as pgrt
from pgrt_jupyter import api
from pgrt_jupyter.engine import capture, interest
from pgrt_jupyter.engine.listener import Pulse
from pgrt_jupyter.engine.loop import EngineLoop
from pgrt_jupyter.engine.sql import load
from pgrt_jupyter.testing import wait_until

Connection = psycopg.Connection[Any]

OLDEST = Path(__file__).parent / "installed_by_edition_1.sql"
ORDERS = "SELECT id, status, amount FROM orders ORDER BY id"
PENDING = {"orders": {"status": "pending"}}
OURS = re.match(r"-- pgrt_jupyter \d+", load("capture_body"))[0]  # type: ignore[index]

# An engine as a program, so that it can be another version's.
ENGINE = """
import sys, pgrt_jupyter as pgrt
from functools import partial
from pgrt_jupyter import api
from pgrt_jupyter.engine.loop import EngineLoop
api.EngineLoop = partial(EngineLoop, audit_seconds=0.2)
with pgrt.Engine(sys.argv[1], throttle_ms=0) as engine:
    engine.sub("orders", sys.argv[2])
    print("live", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def db(connect: Callable[..., Any]) -> Connection:
    """Give a connection to a database with a few orders."""
    connection: Connection = connect()
    connection.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, status text, amount numeric);"
        "INSERT INTO orders SELECT n, 'new', 0 FROM generate_series(1, 4) AS n"
    )
    return connection


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have engines look after themselves several times a second."""
    loop = partial(EngineLoop, pulse=Pulse(interval=0.1, deadline=3.0), audit_seconds=0.2)
    monkeypatch.setattr(api, "EngineLoop", loop)


def install_oldest(db: Connection) -> None:
    """Put in place what the first version made."""
    ((oid,),) = db.execute("SELECT 'orders'::regclass::oid").fetchall()
    text = OLDEST.read_text("utf-8").replace("OID", str(oid))
    for name, what in (("RELATION_KEY", 0), ("EVERY_KEY", 1), ("ROWS_KEY", 2)):
        text = text.replace(name, str(interest.key(oid, what)))
    db.execute(text.encode())


def first_line(db: Connection) -> str:
    """Give the first line of the trigger function as it is."""
    return function(db)[0].partition("\n")[0]


def function(db: Connection) -> tuple[str, str]:
    """Give the body of the trigger function, and what differs once it was replaced."""
    ((source, stamp),) = db.execute(
        "SELECT prosrc, xmin::text FROM pg_proc WHERE proname LIKE 'capture%'"
        " AND pronamespace = '_pgrt'::regnamespace"
    ).fetchall()
    return source, stamp


def shows(db: Connection) -> Callable[[Any], bool]:
    """Say whether a DataFrame is what the query gives now."""
    return lambda df: [*df.itertuples(index=False, name=None)] == db.execute(ORDERS).fetchall()


@contextmanager
def newer_engine(folder: Path, dsn: str, *, readers: int = 2) -> Iterator[None]:
    """Run the engine of a later version: this one's, with a higher number and other texts."""
    package = Path(pgrt.__file__).parent
    shutil.copytree(package, folder / "pgrt_jupyter", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("capture_body", "capture_image_body"):
        path = folder / "pgrt_jupyter" / "engine" / "sql" / f"{name}.sql"
        line = rf"-- pgrt_jupyter 99, read by {readers} and later"
        text, count = re.subn(
            r"^-- pgrt_jupyter \d+, read by \d+ and later", line, path.read_text()
        )
        assert count == 1
        path.write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    process = subprocess.Popen(
        [sys.executable, "-c", ENGINE, dsn, ORDERS],
        env=environment,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "live\n"
        yield
    finally:
        process.communicate("")
    assert process.returncode == 0


def audits(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Note each time that engines of this process look at the triggers."""
    seen: list[object] = []
    complete = capture.complete

    def noted(*arguments: Any, **named: Any) -> capture.Completion:
        done = complete(*arguments, **named)
        seen.append(done)
        return done

    monkeypatch.setattr(capture, "complete", noted)
    return seen


@pytest.mark.every_server
def test_an_older_edition_is_replaced_under_writers(
    dsn: str, db: Connection, connect: Callable[..., Any], quick: None
) -> None:
    """No write fails while it happens, and every one is shown."""
    install_oldest(db)
    stop, errors = threading.Event(), list[BaseException]()

    def write(writer: Connection, row: int) -> None:
        while not stop.is_set():
            try:
                writer.execute(
                    "UPDATE orders SET amount = amount + 1, status ="
                    " CASE status WHEN 'new' THEN 'pending' ELSE 'new' END WHERE id = %s",
                    (row,),
                )
            except psycopg.Error as error:
                errors.append(error)

    writers = [threading.Thread(target=write, args=(connect(), row)) for row in (1, 2, 3)]
    for writer in writers:
        writer.start()
    with pgrt.Engine(dsn, throttle_ms=50) as engine:
        plain = engine.sub("plain", ORDERS)
        filtered = engine.sub("filtered", ORDERS, refresh=PENDING)
        wait_until(lambda: (plain.status, filtered.status) == ("live", "live"))
        assert first_line(db).startswith(OURS)
        stop.set()
        for writer in writers:
            writer.join()
        plain.wait_for(shows(db))
        filtered.wait_for(shows(db))
        db.execute("UPDATE orders SET status = 'pending' WHERE id = 4")
        plain.wait_for(shows(db))
        filtered.wait_for(shows(db))
    assert not errors


@pytest.mark.every_server
def test_what_was_written_under_an_older_edition_is_shown(
    dsn: str, db: Connection, connect: Callable[..., Any], quick: None
) -> None:
    """Its triggers found nobody waiting; the transaction ends after the query was subscribed to."""
    install_oldest(db)
    writer = connect(autocommit=False)
    writer.execute("UPDATE orders SET amount = 1 WHERE id = 1")
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        lq = engine.sub("orders", ORDERS)
        assert lq.status == "polling" and "being written to" in lq._shown().message
        writer.commit()
        lq.wait_for(shows(db))
        wait_until(lambda: lq.status == "live")
        assert first_line(db).startswith(OURS)


def test_a_newer_edition_is_left_alone_and_heard(
    tmp_path: Path, dsn: str, db: Connection, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two engines of different versions do not install in turns; both hear every change."""
    seen = audits(monkeypatch)
    with newer_engine(tmp_path, dsn):
        before = function(db)
        assert before[0].startswith("-- pgrt_jupyter 99, ")
        with pgrt.Engine(dsn, throttle_ms=0) as engine:
            lq = engine.sub("orders", ORDERS)
            filtered = engine.sub("filtered", ORDERS, refresh=PENDING)
            done = len(seen)
            wait_until(lambda: len(seen) >= done + 5)
            assert (lq.status, filtered.status) == ("live", "live")
            db.execute("UPDATE orders SET amount = 7, status = 'pending' WHERE id = 2")
            lq.wait_for(shows(db))
            filtered.wait_for(shows(db))
            assert function(db) == before
            assert lq.status == "live"


def test_a_newer_edition_replaces_this_one_once(
    tmp_path: Path, dsn: str, db: Connection, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine that was there first goes on hearing, and leaves it so."""
    seen = audits(monkeypatch)
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        lq = engine.sub("orders", ORDERS)
        assert first_line(db).startswith(OURS)
        with newer_engine(tmp_path, dsn):
            before = function(db)
            assert before[0].startswith("-- pgrt_jupyter 99, ")
            done = len(seen)
            wait_until(lambda: len(seen) >= done + 5)
        db.execute("UPDATE orders SET amount = 8 WHERE id = 3")
        lq.wait_for(shows(db))
        assert (function(db), lq.status) == (before, "live")


def test_a_newer_edition_that_cannot_be_read_is_polled_and_told(
    tmp_path: Path, dsn: str, db: Connection, quick: None
) -> None:
    """The query runs by time, and no trigger is touched."""
    with newer_engine(tmp_path, dsn, readers=99):
        before = function(db)
        with pgrt.Engine(dsn, throttle_ms=0) as engine:
            lq = engine.sub("orders", ORDERS, max_age_ms=100)
            wait_until(lambda: lq.status == "polling")
            assert "a newer version of pgrt_jupyter" in lq._shown().message
            assert "update pgrt_jupyter here" in lq._shown().message
            db.execute("UPDATE orders SET amount = 9 WHERE id = 2")
            lq.wait_for(shows(db))
            assert function(db) == before


def test_a_newer_edition_is_not_trusted_with_a_column_it_does_not_know(
    tmp_path: Path, dsn: str, db: Connection, quick: None
) -> None:
    """It was made for other columns and would be silent: the query polls until a newer engine has been."""
    with newer_engine(tmp_path / "first", dsn):
        pass
    db.execute("ALTER TABLE orders ADD COLUMN note text")
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        lq = engine.sub(
            "notes", "SELECT id, coalesce(note, '') AS note FROM orders ORDER BY id", max_age_ms=100
        )
        wait_until(lambda: lq.status == "polling")
        db.execute("UPDATE orders SET note = 'seen' WHERE id = 1")
        lq.wait_for(lambda df: df["note"].iloc[0] == "seen")
        with newer_engine(tmp_path / "second", dsn):
            wait_until(lambda: lq.status == "live")
        db.execute("UPDATE orders SET note = 'heard' WHERE id = 1")
        lq.wait_for(lambda df: df["note"].iloc[0] == "heard")


def test_what_a_newer_edition_left_can_be_made_anew(
    tmp_path: Path, dsn: str, db: Connection, quick: None
) -> None:
    """Where the newer engine is gone, the schema is dropped by hand and this version installs its own."""
    with newer_engine(tmp_path, dsn, readers=99):
        pass
    with pgrt.Engine(dsn, throttle_ms=0) as engine:
        lq = engine.sub("orders", ORDERS, max_age_ms=100)
        wait_until(lambda: lq.status == "polling")
        db.execute("DROP SCHEMA _pgrt CASCADE")
        wait_until(lambda: lq.status == "live")
        assert first_line(db).startswith(OURS)
