"""The façade is small and lazy: nothing is loaded before it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import pgrt_jupyter

JUPYTER = ("IPython", "anywidget", "comm", "ipykernel", "ipywidgets", "jupyter_client", "traitlets")


def loaded_by(statement: str) -> set[str]:
    """Run a statement in a fresh interpreter and list the modules it loaded."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_the_engine_loads_no_jupyter() -> None:
    """The whole engine works where no notebook is installed."""
    loaded = loaded_by("import pgrt_jupyter.engine.loop")
    assert "pgrt_jupyter.engine.runtime" in loaded
    assert not loaded.intersection(JUPYTER)


def test_importing_the_package_loads_next_to_nothing() -> None:
    """`import pgrt_jupyter` costs neither pandas nor a driver."""
    loaded = loaded_by("import pgrt_jupyter")
    assert not loaded.intersection((*JUPYTER, "pandas", "pyarrow", "psycopg", "asyncio"))


def test_the_parsers_of_names_load_no_driver() -> None:
    """What decides needs neither psycopg nor pandas."""
    loaded = loaded_by(
        "from pgrt_jupyter.engine import"
        " backoff, interest, model, notification, relevance, statement, throttle"
    )
    assert not loaded.intersection(("psycopg", "pandas", "asyncio"))


@pytest.mark.parametrize("name", sorted(set(pgrt_jupyter.__all__)))
def test_every_public_name_is_there(name: str) -> None:
    """What `__all__` promises can be had."""
    if name.endswith("ipython_extension"):
        pytest.importorskip("pgrt_jupyter.magic")
    assert getattr(pgrt_jupyter, name) is not None


def test_the_public_names_are_what_the_documentation_says() -> None:
    """The verbs are all there."""
    verbs = {"start", "sub", "unsub", "subscriptions", "shutdown", "destroy", "embedded_postgres"}
    assert verbs | {"result", "TRACKED_COLUMNS", "Engine", "LiveQuery"} <= set(dir(pgrt_jupyter))


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A slip of the pen is said as Python says it."""
    with pytest.raises(AttributeError, match="no attribute 'subscribe'"):
        pgrt_jupyter.subscribe  # noqa: B018
