"""Give benchmarks a server that keeps what it commits, and a place for their numbers."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgrt_jupyter.embedded import start_server

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def durable() -> Iterator[str]:
    """Give the conninfo of a private server with fsync on: writers' costs are those of real commits."""
    server = start_server(
        options={"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
    )
    yield server.conninfo
    server.stop()


@pytest.fixture
def write_down(durable: str) -> Callable[[str, str, Any], None]:
    """Give a function that puts a table into README.md and its numbers into results/NAME.json."""
    with psycopg.connect(durable) as connection:
        version = connection.info.server_version // 10000

    def write(name: str, table: str, numbers: Any) -> None:
        print(f"\n{table}")
        machine = f"PostgreSQL {version}, Python {platform.python_version()}, {platform.machine()}"
        readme = HERE / "README.md"
        text = readme.read_text("utf-8")
        section = f"<!-- {name} -->\n{table}\n\n{machine}\n<!-- /{name} -->"
        pattern = re.compile(f"<!-- {name} -->.*?<!-- /{name} -->", re.DOTALL)
        readme.write_text(pattern.sub(lambda match: section, text), "utf-8")
        (HERE / "results").mkdir(exist_ok=True)
        (HERE / "results" / f"{name}.json").write_text(
            json.dumps({"machine": machine, "numbers": numbers}, indent=1) + "\n", "utf-8"
        )

    return write
