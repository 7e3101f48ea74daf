"""A change matters when the default or the filter says so, and in doubt."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from pgrt_jupyter.engine.interest import tag
from pgrt_jupyter.engine.model import Operation, RowChange
from pgrt_jupyter.engine.notification import Change
from pgrt_jupyter.engine.relevance import (
    Condition,
    InResult,
    OneOf,
    Verdict,
    by_conditions,
    by_default,
    by_default_for_row,
    watched,
)

STATUS = watched({"id", "status"}, every_column=False)
ANYTHING = watched(set(), every_column=True)
PENDING = [{"status": OneOf(("pending",))}]


def change(operation: Operation | None, *columns: str) -> Change:
    """Make a notification; no columns means any."""
    tags = frozenset(map(tag, columns)) if columns else None
    return Change(relation=1, operation=operation, tags=tags)


def update(old: dict[str, Any], new: dict[str, Any], hashed: Collection[str] = ()) -> RowChange:
    """Make the image of an updated row."""
    changes = {name: (old[name], new[name]) for name in new if old[name] != new[name]}
    return RowChange(
        operation="update", table="t", row=new, old=old, changes=changes, hashed=frozenset(hashed)
    )


def no_result(name: str) -> Collection[Any]:
    """Stand for a result nobody should look at."""
    raise AssertionError(name)


@pytest.mark.parametrize("operation", [Operation.INSERT, Operation.DELETE, Operation.TRUNCATE])
def test_rows_that_come_or_go_matter(operation: Operation) -> None:
    """An insert, a delete and a truncate refresh whatever columns are read."""
    assert by_default(change(operation), STATUS) is Verdict.REFRESH


def test_an_update_of_a_column_read_matters() -> None:
    """One column in common is enough."""
    assert by_default(change(Operation.UPDATE, "note", "status"), STATUS) is Verdict.REFRESH


def test_an_update_of_other_columns_does_not_matter() -> None:
    """Columns the query does not read leave it alone."""
    assert by_default(change(Operation.UPDATE, "note"), STATUS) is Verdict.IGNORE


def test_an_update_of_any_column_matters_to_who_reads_all() -> None:
    """count(*) and whole rows depend on everything."""
    assert by_default(change(Operation.UPDATE, "note"), ANYTHING) is Verdict.REFRESH


def test_an_update_that_names_no_columns_matters() -> None:
    """A trigger that could not compare says any, and any matters."""
    assert by_default(change(Operation.UPDATE), STATUS) is Verdict.REFRESH


def test_a_trigger_that_failed_makes_unsure() -> None:
    """What a trigger could not tell is looked at."""
    assert by_default(change(None), STATUS) is Verdict.UNSURE


def test_the_default_decides_alike_from_a_row() -> None:
    """TRACKED_COLUMNS means for a row what the default means for a notification."""
    row = update({"status": "a", "note": "x"}, {"status": "b", "note": "x"})
    other = update({"status": "a", "note": "x"}, {"status": "a", "note": "y"})
    insert = RowChange(operation="insert", table="t", row={"note": "x"}, old=None)
    assert by_default_for_row(row, STATUS) is Verdict.REFRESH
    assert by_default_for_row(other, STATUS) is Verdict.IGNORE
    assert by_default_for_row(other, STATUS, {"note"}) is Verdict.IGNORE
    assert by_default_for_row(other, STATUS, {"status"}) is Verdict.REFRESH
    assert by_default_for_row(other, ANYTHING) is Verdict.REFRESH
    assert by_default_for_row(insert, STATUS) is Verdict.REFRESH


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        ("new", "pending", Verdict.REFRESH),
        ("pending", "done", Verdict.REFRESH),
        ("pending", "pending", Verdict.REFRESH),
        ("new", "done", Verdict.IGNORE),
        (None, "done", Verdict.IGNORE),
        ("pending", None, Verdict.REFRESH),
    ],
)
def test_a_row_that_enters_or_leaves_a_filter_refreshes(
    old: str | None, new: str | None, verdict: Verdict
) -> None:
    """The filter is asked about the old and about the new row."""
    row = update({"status": old}, {"status": new})
    assert by_conditions(row, PENDING, no_result) is verdict


def test_all_conditions_must_hold_on_one_image() -> None:
    """Half a match on the old row and half on the new one is no match."""
    both = [{"status": OneOf(("pending",)), "region": OneOf(("EU",))}]
    split = update({"status": "pending", "region": "US"}, {"status": "done", "region": "EU"})
    joined = update({"status": "done", "region": "US"}, {"status": "pending", "region": "EU"})
    assert by_conditions(split, both, no_result) is Verdict.IGNORE
    assert by_conditions(joined, both, no_result) is Verdict.REFRESH


def test_any_alternative_is_enough() -> None:
    """A list of mappings means any of them."""
    either = [{"status": OneOf(("pending",))}, {"region": OneOf(("EU",))}]
    row = update({"status": "a", "region": "US"}, {"status": "a", "region": "EU"})
    assert by_conditions(row, either, no_result) is Verdict.REFRESH


@pytest.mark.parametrize(
    ("condition", "value", "verdict"),
    [
        (OneOf((1, 2)), 2, Verdict.REFRESH),
        (OneOf((1, 2)), 3, Verdict.IGNORE),
        (OneOf((None,)), None, Verdict.REFRESH),
        (OneOf((None,)), 0, Verdict.IGNORE),
        (OneOf((1, None)), None, Verdict.REFRESH),
        (OneOf((0,)), None, Verdict.IGNORE),
        (OneOf(()), 1, Verdict.IGNORE),
        (lambda value: value > 10, 11, Verdict.REFRESH),
        (lambda value: value > 10, 10, Verdict.IGNORE),
        (lambda value: "truthy", 1, Verdict.REFRESH),
        (InResult("id"), 5, Verdict.REFRESH),
        (InResult("id"), 6, Verdict.IGNORE),
    ],
)
def test_conditions_on_an_inserted_value(
    condition: Condition, value: Any, verdict: Verdict
) -> None:
    """Values, NULL, sets, predicates and the current result are all understood."""
    row = RowChange(operation="insert", table="t", row={"a": value}, old=None)
    found = by_conditions(row, [{"a": condition}], {"id": {5}}.__getitem__)
    assert found is verdict


def test_a_deleted_row_is_asked_about_once_by_its_old_image() -> None:
    """A delete has one image, given as row and as old."""
    gone = {"status": "pending"}
    row = RowChange(operation="delete", table="t", row=gone, old=gone)
    assert by_conditions(row, PENDING, no_result) is Verdict.REFRESH


def test_a_truncate_refreshes() -> None:
    """A statement without rows to show is not put to a filter."""
    row = RowChange(operation="truncate", table="t", row=None, old=None)
    assert by_conditions(row, PENDING, no_result) is Verdict.REFRESH


def test_a_hashed_column_makes_unsure() -> None:
    """A condition on a value that was too large to carry cannot be answered."""
    row = update({"status": "x"}, {"status": "y"}, hashed=["status"])
    assert by_conditions(row, PENDING, no_result) is Verdict.UNSURE


def test_a_hashed_column_nobody_asks_about_does_not_matter() -> None:
    """Only the columns of the conditions count."""
    row = update({"status": "x", "body": "h1"}, {"status": "y", "body": "h2"}, hashed=["body"])
    assert by_conditions(row, PENDING, no_result) is Verdict.IGNORE


def test_a_predicate_that_raises_is_heard() -> None:
    """Nothing swallows what the user's code raises."""
    row = RowChange(operation="insert", table="t", row={"a": None}, old=None)
    with pytest.raises(TypeError):
        by_conditions(row, [{"a": lambda value: value > 1}], no_result)
