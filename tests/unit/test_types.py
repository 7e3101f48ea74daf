"""A type decides the kind of a column, without its rows."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pgrt_jupyter.engine.types import DECIMAL, TEXT, Form, kind_of

NUMERIC = 1700


def typmod(precision: int, scale: int) -> int:
    """Encode as PostgreSQL does."""
    return (precision << 16 | scale & 0x7FF) + 4


@pytest.mark.parametrize(
    ("precision", "scale", "arrow"),
    [
        (12, 2, pa.decimal128(12, 2)),
        (38, 0, pa.decimal128(38, 0)),
        (2, -3, pa.decimal128(5, 0)),
        (3, 5, pa.decimal128(5, 5)),
    ],
)
def test_declared_numeric(precision: int, scale: int, arrow: pa.DataType) -> None:
    """Declared precision and scale make an Arrow decimal that holds every value."""
    assert kind_of(NUMERIC, typmod(precision, scale)).arrow == arrow


@pytest.mark.parametrize("modifier", [-1, typmod(39, 2), typmod(1000, 1000), typmod(20, -30)])
def test_wide_numeric(modifier: int) -> None:
    """A numeric that no decimal128 is sure to hold becomes Decimal objects."""
    assert kind_of(NUMERIC, modifier) == DECIMAL


def test_unknown_type() -> None:
    """A type that is not listed keeps its text."""
    assert kind_of(987654) == TEXT


def test_array_of_numeric() -> None:
    """The type modifier of an array is that of its elements."""
    kind = kind_of(1231, typmod(12, 2))
    assert kind.form is Form.LIST
    assert kind.element is not None
    assert kind.element.arrow == pa.decimal128(12, 2)
