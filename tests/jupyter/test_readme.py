"""What the README tells to write in a cell can be written there, in that order."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(?:python|sql)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SERVER = "postgresql://analyst@db.example.org/shop"

SCHEMA = """
CREATE TABLE orders (id int PRIMARY KEY, customer text, amount numeric, status text DEFAULT 'pending');
INSERT INTO orders SELECT i, 'Smith', 100 * i FROM generate_series(1, 10) AS i;
CREATE TABLE sales (at timestamptz PRIMARY KEY, region text, revenue numeric);
INSERT INTO sales SELECT now() - i * interval '1 min', 'Berlin', i FROM generate_series(1, 9) AS i;
CREATE TABLE products (product text PRIMARY KEY, pieces int, ordered int);
INSERT INTO products VALUES ('tea', 3, 1), ('coffee', 5, 2);
"""

# What a reader has by the time these sections come: queries of the names they use, and imports.
MEANWHILE = """
import os, tempfile
os.chdir(tempfile.mkdtemp())
import ipywidgets as widgets
import plotly.graph_objects
orders = pgrt.sub("orders", "SELECT id, status FROM orders WHERE status = :status", {"status": "sent"})
revenue = pgrt.sub("revenue", "SELECT at, region, revenue FROM sales ORDER BY at")
stock = pgrt.sub("stock", "SELECT product, pieces, ordered FROM products ORDER BY product")
waiting = pgrt.sub("waiting", "SELECT count(*) AS waiting FROM orders")
"""


def test_its_cells_run(kernel: Any, connect: Callable[..., Any], dsn: str) -> None:
    """Each comes to what the text beside it says, on a server of the reader's own."""
    connect().execute(SCHEMA)
    blocks = BLOCK.findall((ROOT / "README.md").read_text("utf-8"))
    open_, live, read, plain, more, bind, table, plot, link = (
        block.replace(SERVER, dsn) for block in blocks
    )
    assert "--section" in more, "lines to choose from, not a cell"
    for cell in (open_, live, read, plain, open_, live, MEANWHILE):
        kernel.run(cell)
    kernel.run(bind)
    kernel.run("assert len(orders.wait_for(lambda df: len(df) == 10)) == 10, orders.params")
    kernel.run(table)
    kernel.run("assert open('pending.csv').readline().strip() == 'id,customer,amount'")
    kernel.run("assert len(table.filters) == 2 and table.sort == [('amount', 'desc')], table.sort")
    for line in plot.splitlines():
        assert "LivePlot" in str(kernel.run(line).messages)
    kernel.run(link)
    kernel.run("assert list(figure.data[0].y) == revenue.df['revenue'].tolist()")
