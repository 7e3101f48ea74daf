"""Only a few failures are looked at again, and a second one counts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import again

TESTS = "def test_fails():\n    assert False\n\n\ndef test_passes():\n    pass\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a project with a test that fails and one that passes."""
    monkeypatch.setattr(again, "ROOT", tmp_path)
    (tmp_path / "test_it.py").write_text(TESTS)
    return tmp_path


def note(project: Path, *names: str) -> None:
    """Have these tests failed."""
    folder = project / ".pytest_cache" / "v" / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lastfailed").write_text(json.dumps(dict.fromkeys(names, True)))


def test_what_passes_alone_passes(project: Path) -> None:
    """A test that failed once is run again."""
    note(project, "test_it.py::test_passes")
    assert again.main() == 0


def test_what_fails_again_fails(project: Path) -> None:
    """One that fails twice is broken, whatever else passes."""
    note(project, "test_it.py::test_passes", "test_it.py::test_fails")
    assert again.main() == 1


def test_many_failures_are_no_accident(project: Path) -> None:
    """Nothing is run again then, nor where none is known."""
    note(project, *(f"test_it.py::test_{n}" for n in range(again.FEW + 1)))
    assert again.main() == 1
    note(project)
    assert again.main() == 1


def test_cells_stand_for_their_notebook(project: Path) -> None:
    """A cell alone lacks what those before it did."""
    note(
        project, "notebooks/a.ipynb::Cell 3", "notebooks/a.ipynb::Cell 4", "x.py::test[a::b.ipynb]"
    )
    assert again.failed() == ["notebooks/a.ipynb", "x.py::test[a::b.ipynb]"]


def test_tests_that_did_not_run_are_no_few_failures(tmp_path: Path) -> None:
    """Where a process is lost and none takes its place, the exit tells that from tests that failed."""
    (tmp_path / "test_it.py").write_text(
        "import os\n\n\ndef test_dies():\n    os._exit(1)\n\n\ndef test_never():\n    pass\n"
    )
    options = (
        "-p",
        "tests.conftest",
        "-p",
        "no:cacheprovider",
        "-n",
        "1",
        "--max-worker-restart",
        "0",
    )
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        cwd=again.ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
    )
    assert ended.returncode == pytest.ExitCode.INTERRUPTED, ended.stdout.decode()
