"""What the pages say of the code is so: tests they name, messages they quote, files they link."""

from __future__ import annotations

import ast
import re
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")])
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
QUOTE = re.compile(r'"([^"\n]{12,})"')
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(?:#([^)\s]+))?\)")


def ids(path: object) -> str:
    """Name a page by its path."""
    return str(path.relative_to(ROOT)) if isinstance(path, Path) else str(path)


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page: Path) -> None:
    """Every file and every heading that a page links is there."""
    for target, anchor in LINK.findall(page.read_text("utf-8")):
        path = page.parent / target
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path), f"{target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """List the anchors of a page's headings, as they are made of them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_tests_that_are_named_exist() -> None:
    """Who names a test as proof names one that runs."""
    named = set(chain.from_iterable(TEST.findall(page.read_text("utf-8")) for page in PAGES))
    assert len(named) > 30
    for path, name in sorted(named):
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert name in names, f"{path}::{name}"


def texts() -> str:
    """Join every text of the source: strings, docstrings, SQL; `…` stands for what is put in."""
    found: list[str] = []
    for path in sorted((ROOT / "pgrt_jupyter").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else "…" for p in node.values)
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(re.sub(r"%[sr]|%\.?\d*g|%\.\d+f", "…", node.value))
    sql = (path.read_text("utf-8") for path in (ROOT / "pgrt_jupyter").rglob("*.sql"))
    return "\n".join([*found, *(re.sub(r"'\s*\n\s*'", "", text) for text in sql)])


def test_messages_that_are_quoted_are_said() -> None:
    """Each stands in the source, with `…` for what differs."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    said = texts()
    quoted = QUOTE.findall(re.sub(r"`[^`\n]*\"[^`\n]*`", "", page))
    assert len(quoted) > 40
    unknown = [quote for quote in quoted if not in_source(quote, said)]
    assert not unknown


def in_source(quote: str, said: str) -> bool:
    """Look a quoted message up; its `…` may stand for more than one thing that is put in."""
    parts = [re.escape(part) for part in quote.split("…")]
    return re.search(r"[^\n]{0,60}?".join(parts).strip(), said) is not None


def test_figures_are_those_that_were_measured() -> None:
    """Each line of a table that is marked as measured stands in the benchmarks' page as it stands there."""
    written = (ROOT / "tests" / "benchmarks" / "README.md").read_text("utf-8").splitlines()
    pages = "\n".join(page.read_text("utf-8") for page in (ROOT / "docs").glob("*.md"))
    tables = re.findall(r"<!-- measured -->\n(.+?)<!-- /measured -->", pages, re.DOTALL)
    assert len(tables) >= 3
    unknown = [line for table in tables for line in table.splitlines() if line not in written]
    assert not unknown
