"""The reference says what the code says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import pgrt_jupyter

SCRIPT = Path(__file__).parents[2] / "docs" / "reference.py"


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """Load the script that writes the page."""
    spec = importlib.util.spec_from_file_location("reference", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_code_says(reference: ModuleType) -> None:
    """After a change of a signature, a docstring or a trait: make docs."""
    assert reference.page() == reference.PAGE.read_text("utf-8")


def test_every_public_name_is_described(reference: ModuleType) -> None:
    """Nothing is left out but the two functions that IPython calls."""
    page = reference.page()
    names = {name for name in pgrt_jupyter.__all__ if "ipython" not in name}
    assert not {name for name in names if name not in page}
