"""Compare what is installed in a user's database with the text that was reviewed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pgrt_jupyter as pgrt

REVIEWED = Path(__file__).parent / "installed.sql"


def test_what_is_installed_is_what_was_reviewed(dsn: str, connect: Callable[..., Any]) -> None:
    """Functions, triggers and the table of images are as in installed.sql.

    After a change on purpose: PGRT_REVIEW=1 pytest tests/integration/test_installed.py, and read the diff.
    """
    connection = connect()
    connection.execute(
        'CREATE TABLE "Orders" (id int PRIMARY KEY, "Sta""tus" text, amount numeric)'
    )
    with pgrt.Engine(dsn) as engine:
        engine.sub("orders", 'SELECT * FROM "Orders"')
    found = _dump(connection)
    if os.environ.get("PGRT_REVIEW"):
        REVIEWED.write_text(found, "utf-8")
    assert found == REVIEWED.read_text("utf-8")


def _dump(connection: Any) -> str:
    """Write every object of ours, with OID, KEY and DIGEST in place of what differs between databases."""
    functions = connection.execute(
        "SELECT pg_get_functiondef(p.oid), p.proacl::text FROM pg_proc AS p"
        " WHERE p.pronamespace = '_pgrt'::regnamespace ORDER BY p.proname DESC"
    ).fetchall()
    triggers = connection.execute(
        "SELECT pg_get_triggerdef(oid), tgenabled::text FROM pg_trigger"
        " WHERE tgname LIKE '\\_pgrt\\_%' ORDER BY tgname"
    ).fetchall()
    columns = connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = '_pgrt.changes'::regclass AND attnum > 0 ORDER BY attnum"
    ).fetchall()
    (oid,) = connection.execute("SELECT '\"Orders\"'::regclass::oid").fetchone()
    parts = [definition for definition, _ in functions]
    parts += [f"{definition}; -- enabled: {enabled}" for definition, enabled in triggers]
    parts += [f"-- _pgrt.changes.{name} {kind}" for name, kind in columns]
    text = "\n".join(parts) + "\n"
    text = re.sub(r"made for '[0-9a-f]{16}'", "made for DIGEST", text)
    return re.sub(r"(?: -)?\b\d{12,}\b", "KEY", text.replace(str(oid), "OID"))
