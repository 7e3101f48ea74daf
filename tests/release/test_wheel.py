"""What is published installs into an empty environment and works there, without the source beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUNDLE = "pgrt_jupyter/static/widget.js"
CHART = "pgrt_jupyter/static/chart.js"

PROGRAM = """
import sys

import psycopg

import pgrt_jupyter as pgrt

assert pgrt.__file__.startswith(sys.prefix), pgrt.__file__
dsn = sys.argv[1]
with psycopg.connect(dsn, autocommit=True) as db:
    db.execute("CREATE TABLE orders (id int PRIMARY KEY, amount numeric(10,2))")
    db.execute("INSERT INTO orders VALUES (1, 10), (2, 20)")
    pgrt.start(dsn)
    lq = pgrt.sub("orders", "SELECT id, amount FROM orders ORDER BY id")
    db.execute("UPDATE orders SET amount = 30 WHERE id = 2")
    df = lq.wait_for(lambda df: df["amount"].sum() == 40)
    assert lq.status == "live", lq.status
    data, _ = lq._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data, data
    print([*df["id"]], "pgrt_jupyter.magic" in sys.modules)
    pgrt.shutdown()
"""

ENGINE = """
import sys

import pgrt_jupyter.engine, pgrt_jupyter.engine.loop

jupyter = "IPython", "anywidget", "comm", "ipykernel", "ipywidgets", "jupyter_client", "traitlets"
print(sorted(set(jupyter).intersection(sys.modules)))
"""


def run(*command: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command outside the source tree and without what points into it."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={**environment, "UV_SYSTEM_CERTS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def said(*command: object, folder: Path) -> str:
    """Give what a command that must succeed says."""
    done = run(*command, folder=folder)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build(source: Path, target: Path, kind: str) -> Path:
    """Build a distribution of a source tree, with what is installed here and no network."""
    said(sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", target, folder=source)
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the source distribution of the tree that is under test."""
    return build(ROOT, tmp_path_factory.mktemp("sdist"), "sdist")


@pytest.fixture(scope="module")
def source(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the source distribution."""
    folder = tmp_path_factory.mktemp("source")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (root,) = folder.iterdir()
    return root


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the source distribution."""
    return build(source, tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the interpreter of an environment that holds the wheel and what it requires, nothing else."""
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    place = "Scripts/python.exe" if os.name == "nt" else "bin/python"
    install(wheel, folder / place)
    return folder / place


def install(wheel: Path, python: Path) -> None:
    """Install as `make setup` does: by uv, from its cache where that holds everything, or by pip."""
    uv: Sequence[object] = (shutil.which("uv") or "uv", "pip", "install", "--python", python)
    pip = (sys.executable, "-m", "pip", "--python", python, "install")
    ways = [(*uv, "--offline", wheel), (*uv, wheel)] if shutil.which("uv") else []
    for way in [*ways, (*pip, wheel)]:
        done = run(*way, folder=wheel.parent)
        if done.returncode == 0:
            return
    pytest.fail(f"the wheel cannot be installed:\n{done.stdout}\n{done.stderr}")


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    """The bundle, the SQL files and the mark of types are in it; tests and sources of the table are not."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0] for name in names} == {
        "pgrt_jupyter",
        "pgrt_jupyter-0.1.0.dist-info",
    }
    here = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "pgrt_jupyter").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if "dist-info" not in name} == here
    assert {
        BUNDLE,
        CHART,
        "pgrt_jupyter/py.typed",
        "pgrt_jupyter/engine/sql/capture_body.sql",
    } <= here
    assert "pgrt_jupyter-0.1.0.dist-info/licenses/LICENSE" in names


def test_the_source_distribution_is_whole(sdist: Path) -> None:
    """It has what tests, builds and documents; of what is built only the bundle."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in (
        *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "TYPES.md", "LICENSE", "Makefile"),
        *("js/package-lock.json", "js/src/widget.ts", "js/hatch_build.py", ".ci/run", BUNDLE),
        *("docs/table-light.png", "notebooks/01_quickstart.ipynb", "tests/conftest.py"),
    ):
        assert name in names
    made = {"node_modules", "__pycache__", ".venv", ".hypothesis", ".ipynb_checkpoints"}
    assert not [name for name in names if made.intersection(name.split("/"))]


@pytest.mark.parametrize("bundle", [BUNDLE, CHART])
def test_without_a_bundle_nothing_is_built(bundle: str, source: Path, tmp_path: Path) -> None:
    """A checkout that was never set up says what to run."""
    shutil.copytree(source, tmp_path / "source")
    (tmp_path / "source" / bundle).unlink()
    command = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "wheel")
    done = run(*command, folder=tmp_path / "source")
    assert done.returncode != 0
    assert "run `make setup`" in done.stderr
    assert not [*tmp_path.rglob("*.whl")]


def test_the_installed_package_follows_a_query(python: Path, dsn: str, tmp_path: Path) -> None:
    """A program imports it, subscribes, changes a row, sees it, and has a table to show."""
    assert said(python, "-c", PROGRAM, dsn, folder=tmp_path) == "[1, 2] False\n"


def test_the_installed_engine_needs_no_jupyter(python: Path, tmp_path: Path) -> None:
    """It is imported without any of it."""
    assert said(python, "-c", ENGINE, folder=tmp_path) == "[]\n"


def test_the_metadata_say_what_it_is(python: Path, tmp_path: Path) -> None:
    """Version, Python and licence can be read where it is installed."""
    code = (
        "from importlib.metadata import metadata\n"
        "found = metadata('pgrt_jupyter')\n"
        "print(*map(found.get, ('Version', 'Requires-Python', 'License-Expression')))"
    )
    assert said(python, "-c", code, folder=tmp_path) == "0.1.0 >=3.11 MIT\n"
