"""Rows are matched by key and compared as they are shown."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgrt_jupyter.engine.diff import delta

INT, TEXT, FLOAT = (pd.ArrowDtype(t) for t in (pa.int64(), pa.string(), pa.float64()))


def table(rows: list[tuple[object, ...]], *dtypes: object) -> pd.DataFrame:
    """Make a frame with the columns id, a, b, …"""
    names = ["id", *"abcdef"][: len(dtypes)]
    lists = list(zip(*rows, strict=True)) or [()] * len(dtypes)
    return pd.DataFrame(
        {
            name: pd.Series(list(cells), dtype=dtype)
            for name, cells, dtype in zip(names, lists, dtypes, strict=True)
        }
    )


def rows(frame: pd.DataFrame) -> list[tuple[object, ...]]:
    return list(frame.itertuples(index=False, name=None))


def ints(*pairs: tuple[object, object]) -> pd.DataFrame:
    return table(list(pairs), INT, INT)


def test_first_result() -> None:
    """Without a previous result all rows are inserted."""
    found = delta(None, ints((1, 10), (2, 20)), ["id"])
    assert found is not None
    assert rows(found.inserted) == [(1, 10), (2, 20)]
    assert [len(part) for part in (found.updated, found.previous, found.deleted)] == [0, 0, 0]


def test_each_kind_in_its_order() -> None:
    """Inserted and updated rows keep the new order, deleted ones the old."""
    found = delta(
        ints((1, 10), (2, 20), (3, 30), (4, 40), (5, 50)),
        ints((9, 90), (4, 41), (8, 80), (3, 30), (2, 21)),
        ["id"],
    )
    assert found is not None
    assert rows(found.inserted) == [(9, 90), (8, 80)]
    assert rows(found.updated) == [(4, 41), (2, 21)]
    assert rows(found.previous) == [(4, 40), (2, 20)]
    assert rows(found.deleted) == [(1, 10), (5, 50)]
    assert found.key == ("id",)


def test_old_and_new_values_align() -> None:
    """Updated and previous rows can be subtracted."""
    found = delta(ints((1, 10), (2, 20)), ints((2, 25), (1, 11)), ["id"])
    assert found is not None
    assert (found.updated["a"] - found.previous["a"]).tolist() == [5, 1]


def test_equal_frames() -> None:
    """Nothing changed: four empty frames of the same dtypes."""
    frame = ints((1, 10), (2, None))
    found = delta(frame, frame.copy(), ["id"])
    assert found is not None
    for part in (found.inserted, found.updated, found.previous, found.deleted):
        assert len(part) == 0
        assert part.dtypes.tolist() == frame.dtypes.tolist()


@pytest.mark.parametrize(
    ("key", "current"),
    [
        ([], ints((1, 10))),
        (["missing"], ints((1, 10))),
        (["id"], ints((1, 10), (1, 11))),
        (["id"], ints((None, 10))),
        (["id"], table([(1, "x")], INT, TEXT)),
        (["id"], ints((1, 10)).rename(columns={"a": "z"})),
        (["id"], ints((1, 10)).set_axis(["id", "id"], axis=1)),
    ],
    ids=["no key", "missing", "not unique", "NULL", "other dtype", "other name", "twice"],
)
def test_rows_that_cannot_be_told_apart(key: list[str], current: pd.DataFrame) -> None:
    """Without a usable key there is no delta."""
    assert delta(ints((1, 10)), current, key) is None


def test_unusable_key_before() -> None:
    """The previous result has to be unique as well."""
    assert delta(ints((1, 10), (1, 11)), ints((1, 10)), ["id"]) is None


def test_unhashable_key() -> None:
    """Lists are no key."""
    frame = pd.DataFrame({"id": pd.Series([[2], [1]], dtype=object)})
    assert delta(frame, frame.iloc[::-1].reset_index(drop=True), ["id"]) is None


@pytest.mark.parametrize(
    ("dtype", "old", "new"),
    [
        (INT, 1, None),
        (INT, None, 1),
        (INT, 9007199254740992, 9007199254740993),
        (FLOAT, 0.0, -0.0),
        (FLOAT, None, float("nan")),
        (TEXT, "", None),
        (object, Decimal("1.0"), Decimal("1.00")),
        (object, [1, None], [1, 2]),
        (object, b"a", b"b"),
        ("Int64", 1, None),
        ("Float64", 1.5, 2.5),
        ("string", "a", "b"),
        ("datetime64[us, UTC]", pd.Timestamp(0, tz="UTC"), pd.NaT),
    ],
)
def test_different_values(dtype: object, old: object, new: object) -> None:
    """Everything that shows is an update."""
    found = delta(changing(dtype, old), changing(dtype, new), ["id"])
    assert found is not None
    assert len(found.updated) == 1


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (INT, None),
        (FLOAT, float("nan")),
        (FLOAT, None),
        ("Float64", None),
        ("string", None),
        (object, pd.NA),
        (object, Decimal("NaN")),
        (object, [1.5, float("nan"), None]),
        ("datetime64[us, UTC]", pd.NaT),
    ],
)
def test_equal_values(dtype: object, value: object) -> None:
    """NULL equals NULL and NaN equals NaN."""
    found = delta(changing(dtype, value), changing(dtype, value), ["id"])
    assert found is not None
    assert len(found.updated) == 0


def changing(dtype: object, value: object) -> pd.DataFrame:
    """Make a frame of one row with the key 1 and a value, NaN kept apart from NULL."""
    if dtype == FLOAT:
        column: object = pd.arrays.ArrowExtensionArray(pa.array([value], pa.float64()))
    elif dtype is object:
        column = np.fromiter([value], object, 1)
    else:
        column = pd.array([value], dtype=dtype)  # type: ignore[call-overload]
    return pd.DataFrame({"id": pd.array([1], dtype=INT), "value": column})


KEYS = st.tuples(st.integers(0, 4), st.sampled_from("xyz"))
RESULTS = st.lists(
    st.tuples(KEYS, st.none() | st.integers(0, 2)), max_size=8, unique_by=lambda r: r[0]
)


@given(RESULTS, RESULTS)
@settings(deadline=None, max_examples=50)
def test_any_two_results(
    before: list[tuple[tuple[int, str], int | None]],
    after: list[tuple[tuple[int, str], int | None]],
) -> None:
    """A delta is what a dictionary of the rows says, for keys of two columns in any order."""
    old, new = dict(before), dict(after)
    updated = [key for key in new if key in old and new[key] != old[key]]
    found = delta(keyed(before), keyed(after), ["id", "a"])
    assert found is not None
    assert unkeyed(found.inserted) == [(k, v) for k, v in after if k not in old]
    assert unkeyed(found.updated) == [(key, new[key]) for key in updated]
    assert unkeyed(found.previous) == [(key, old[key]) for key in updated]
    assert unkeyed(found.deleted) == [(k, v) for k, v in before if k not in new]


def keyed(pairs: list[tuple[tuple[int, str], int | None]]) -> pd.DataFrame:
    return table([(*key, value) for key, value in pairs], INT, TEXT, INT)


def unkeyed(frame: pd.DataFrame) -> list[tuple[tuple[object, object], object]]:
    return [((i, a), None if b is pd.NA else b) for i, a, b in rows(frame)]


@given(st.permutations(range(7)), st.sets(st.integers(0, 6)))
@settings(deadline=None, max_examples=30)
def test_any_order(order: list[int], changed: set[int]) -> None:
    """Rows that only moved are not updates."""
    current = ints(*((i, i + 100 * (i in changed)) for i in order))
    found = delta(ints(*((i, i) for i in range(7))), current, ["id"])
    assert found is not None
    assert found.updated["id"].tolist() == [i for i in order if i in changed]
    assert found.previous["a"].tolist() == [i for i in order if i in changed]
    assert len(found.inserted) == len(found.deleted) == 0
