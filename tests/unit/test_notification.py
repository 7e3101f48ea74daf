"""A payload is one of ours, wholly, or it is unreadable."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgrt_jupyter.engine.model import Operation
from pgrt_jupyter.engine.notification import Change, Unreadable, decode


@pytest.mark.parametrize(
    ("payload", "change"),
    [
        ("16384 I *", Change(relation=16384, operation=Operation.INSERT, tags=None)),
        ("16384 D *", Change(relation=16384, operation=Operation.DELETE, tags=None)),
        ("16384 T *", Change(relation=16384, operation=Operation.TRUNCATE, tags=None)),
        ("16384 U *", Change(relation=16384, operation=Operation.UPDATE, tags=None)),
        ("1 U 17", Change(relation=1, operation=Operation.UPDATE, tags=frozenset({17}))),
        (
            "4294967295 U 17,2147483647",
            Change(
                relation=4294967295,
                operation=Operation.UPDATE,
                tags=frozenset({17, 2147483647}),
            ),
        ),
        (
            "1 U 17 i",
            Change(relation=1, operation=Operation.UPDATE, tags=frozenset({17}), images=True),
        ),
        ("1 I * i", Change(relation=1, operation=Operation.INSERT, tags=None, images=True)),
        ("1 ? 42501", Change(relation=1, operation=None, tags=None, sqlstate="42501")),
        ("1 ? P0001", Change(relation=1, operation=None, tags=None, sqlstate="P0001")),
    ],
)
def test_what_a_trigger_sends_is_decoded(payload: str, change: Change) -> None:
    """Every form a trigger sends becomes a Change."""
    assert decode(payload) == change


@pytest.mark.parametrize(
    "payload",
    [
        "",
        " ",
        "1",
        "1 I",
        "1 I ",
        "1 X *",
        "1 i *",
        "I 1 *",
        "-1 I *",
        "1 I * i ",
        "1 I * i\n",
        "\n1 I *",
        "1  I *",
        "1 U 1,",
        "1 U ,1",
        "1 U 1,,2",
        "1 U * j",
        "12345678901 I *",
        "1 U 12345678901",
        "1 ? 4250",
        "1 ? 42501 i",
        "1 ? 4250x",
        "١ I *",
        '{"table": "orders"}',
        "1 U " + ",".join(["1"] * 51),
        "\x00",
    ],
)
def test_anything_else_is_unreadable(payload: str) -> None:
    """What others send on the channel is told apart, with nothing but its length kept."""
    assert decode(payload) == Unreadable(len(payload))


@settings(deadline=None)
@given(st.text(max_size=8000))
def test_no_text_breaks_decoding(payload: str) -> None:
    """Whatever comes, decoding answers."""
    assert isinstance(decode(payload), (Change, Unreadable))


@settings(deadline=None)
@given(
    st.integers(1, 2**32 - 1),
    st.sampled_from("IUDT"),
    st.one_of(st.none(), st.frozensets(st.integers(16, 2**31 - 1), min_size=1, max_size=50)),
    st.booleans(),
)
def test_decoding_gives_back_what_was_encoded(
    oid: int, letter: str, tags: frozenset[int] | None, images: bool
) -> None:
    """Every combination a trigger can send is understood."""
    columns = "*" if tags is None else ",".join(map(str, tags))
    change = decode(f"{oid} {letter} {columns}" + (" i" if images else ""))
    assert isinstance(change, Change)
    assert (change.relation, change.tags, change.images) == (oid, tags, images)
    assert change.operation is not None
    assert change.operation.value[0].upper() == letter
