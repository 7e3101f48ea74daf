"""Errors say what happened and what to do, and can be told apart by class."""

from __future__ import annotations

import inspect
import pickle

import pytest

from pgrt_jupyter import errors
from pgrt_jupyter.errors import (
    CaptureFailed,
    EngineNotRunning,
    PasswordInCell,
    PgrtError,
    QueryFailed,
    SubscriptionNotFound,
)

ALL = [
    kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, PgrtError)
]


@pytest.mark.parametrize("kind", ALL)
def test_the_docstring_is_the_default_message(kind: type[PgrtError]) -> None:
    """An error raised without a word says what its class says."""
    assert kind.__doc__ is not None
    assert kind().message == kind.__doc__.strip()


@pytest.mark.parametrize("kind", ALL)
def test_the_tree_at_the_top_names_every_class(kind: type[PgrtError]) -> None:
    """The module's docstring draws all of the tree."""
    assert kind.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize("kind", ALL)
def test_every_error_can_be_imported_from_the_package(kind: type[PgrtError]) -> None:
    """What can be raised can be caught by its public name."""
    import pgrt_jupyter

    assert getattr(pgrt_jupyter, kind.__name__) is kind


def test_an_error_shows_state_and_hint() -> None:
    """SQLSTATE and hint stand behind the message."""
    error = PgrtError("It broke.", sqlstate="42P01", hint="mend it.")
    assert str(error) == "It broke. [SQLSTATE 42P01]\nHint: mend it."


def test_an_error_shows_nothing_it_does_not_have() -> None:
    """Without state and hint there is only the message."""
    assert str(PgrtError("It broke.")) == "It broke."


def test_a_missing_name_is_not_shown_in_quotes() -> None:
    """SubscriptionNotFound is a KeyError that reads like a sentence."""
    error = SubscriptionNotFound("No subscription has the name 'a'.")
    assert isinstance(error, KeyError)
    assert str(error) == "No subscription has the name 'a'."


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        ("ConfigurationError", ValueError),
        ("QueryRefused", ValueError),
        ("EngineNotRunning", RuntimeError),
        ("EngineRunning", RuntimeError),
        ("ServerUnavailable", ConnectionError),
        ("PasswordInCell", ValueError),
        ("PermissionMissing", QueryFailed),
    ],
)
def test_errors_are_also_what_python_calls_them(kind: str, base: type[Exception]) -> None:
    """Who does not know our classes can catch Python's."""
    assert issubclass(getattr(errors, kind), base)


def test_a_password_in_a_cell_names_the_alternatives() -> None:
    """The hint says where a password may stand instead."""
    said = str(PasswordInCell())
    assert all(name in said for name in ("PGRT_DSN", "pgpass", "service", "getpass"))


def test_a_missing_engine_says_what_to_call() -> None:
    """The default message holds the call that helps."""
    assert "start(" in str(EngineNotRunning())


@pytest.mark.parametrize(
    ("state", "busy"), [("55P03", True), ("40P01", True), ("42501", False), (None, False)]
)
def test_a_busy_table_is_told_from_a_forbidden_one(state: str | None, busy: bool) -> None:
    """Only what passes by itself is worth trying again."""
    assert CaptureFailed("x", sqlstate=state).is_busy is busy


def test_a_failed_query_says_where() -> None:
    """Position, detail and text are kept for the caret."""
    error = QueryFailed("bad", sqlstate="42703", position=8, text="SELECT x", detail="d")
    assert (error.position, error.text, error.detail) == (8, "SELECT x", "d")


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind is not PasswordInCell])
def test_errors_survive_pickling(kind: type[PgrtError]) -> None:
    """An error can cross a process boundary with what it says."""
    error = kind("message", sqlstate="12345", hint="hint")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
