"""The demo is a process that serves a page and ends as a whole."""

from __future__ import annotations

import signal
import subprocess
import sys
from urllib.request import urlopen

import nbformat
import psutil
import pytest

from pgrt_jupyter.demo import WORLDS
from pgrt_jupyter.demo.__main__ import chosen


@pytest.fixture
def dashboard(tmp_path):
    """Run the demo on a small notebook; give its process and address."""
    cell = nbformat.v4.new_code_cell("import os; print('kernel', os.getpid())")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "small.ipynb")
    process = subprocess.Popen(
        [sys.executable, "-m", "pgrt_jupyter.demo", str(tmp_path / "small.ipynb"), "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    line = next(line for line in process.stdout if "http://" in line)
    yield process, line.split()[-1]
    process.kill()
    process.communicate()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_demo_ends_whole(dashboard, how):
    """The demo serves its page, and nothing of it is left however it is ended."""
    process, address = dashboard
    page = urlopen(address, timeout=60).read().decode()
    assert "kernel " in page
    below = psutil.Process(process.pid).children(recursive=True)
    assert len(below) > 3
    process.send_signal(how)
    process.wait(30)
    _, alive = psutil.wait_procs(below, 30)
    assert not alive


@pytest.mark.parametrize("name", WORLDS)
def test_each_world_has_a_dashboard(name):
    """A dashboard is named by its world or by its notebook; both mean the same."""
    world, notebook = chosen(name)
    assert world is WORLDS[name]
    assert notebook.is_file()
    assert chosen(str(notebook)) == (world, notebook)


def test_a_notebook_of_ones_own_is_on_the_shop():
    """Any other notebook is served with the shop."""
    world, notebook = chosen("mine.ipynb")
    assert (world.name, notebook.name) == ("shop", "mine.ipynb")
