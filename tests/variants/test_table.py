"""The page that lists the broken engines tells the truth."""

from __future__ import annotations

from .broken import VARIANTS
from .table import README, caught, page


def test_every_variant_is_caught_and_the_page_says_by_what():
    """No variant is without a test, and README.md is what the code says; `python -m tests.variants.table`."""
    found = caught()
    assert [name for name in VARIANTS if not found.get(name)] == []
    assert README.read_text() == page(found)
