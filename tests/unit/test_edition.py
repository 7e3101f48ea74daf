"""What is installed is replaced where it is older, and left alone where it is newer."""

from __future__ import annotations

import pytest

from pgrt_jupyter.engine.edition import Standing, digest, standing
from pgrt_jupyter.engine.sql import load

TABLE, OTHER = digest("orders", 1), digest("orders", 2)


def body(number: int, readers: int, table: str = TABLE, rest: str = "BEGIN END") -> str:
    """Write a body with its first line."""
    return f"-- pgrt_jupyter {number}, read by {readers} and later, made for '{table}': …\n{rest}"


OURS = body(5, 4)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (OURS, Standing.SAME),
        (None, Standing.OLDER),
        ("", Standing.OLDER),
        ("BEGIN END", Standing.OLDER),
        ("-- pgrt_jupyter 1: announces changes to live queries", Standing.OLDER),
        (body(4, 4), Standing.OLDER),
        (body(5, 4, rest="BEGIN RETURN; END"), Standing.OLDER),
        (body(5, 4, OTHER), Standing.OLDER),
        (body(5, 6), Standing.OLDER),
        (body(6, 4), Standing.NEWER),
        (body(6, 5), Standing.NEWER),
        (body(10, 5), Standing.NEWER),
        (body(6, 6), Standing.BEYOND),
        (body(6, 5, OTHER), Standing.BEYOND),
        ("-- pgrt_jupyter 6: in another form", Standing.BEYOND),
        ("-- pgrt_jupyter 6, read by 5 and later: made for no table", Standing.BEYOND),
        (f"\n{body(6, 5)}", Standing.OLDER),
        (body(10**9, 5), Standing.OLDER),
    ],
)
def test_how_a_body_stands_follows_from_its_first_line(
    found: str | None, expected: Standing
) -> None:
    """Number, readers and table decide; of one's own number everything but the same is replaced."""
    assert standing(found, OURS) is expected


def test_a_digest_is_the_same_everywhere() -> None:
    """Engines of all versions compare it, so its value is fixed."""
    facts = (16_384, (("id", 4), ('Sta"tus', -1)), ["kind"], ("id",))
    assert digest(*facts) == "2a882c7e9391b66c"


def test_both_functions_are_of_one_edition() -> None:
    """One number stands for all that is installed: it is raised in both texts."""
    first, second = (
        load(name).partition(", made for ")[0].partition(":")[0]
        for name in ("capture_body", "capture_image_body")
    )
    assert first == second
