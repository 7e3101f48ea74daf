"""Start JupyterLab and Voilà, and drive JupyterLab's page as a hand does."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import nbformat
from playwright.sync_api import Locator, Page, expect

from pgrt_jupyter.testing import wait_until

START = 60.0  # seconds a server may take on a slow machine
PAGE = 60_000.0  # milliseconds until a notebook is open


def write_notebook(path: Path, *cells: str) -> None:
    """Write a notebook of code cells."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    nbformat.write(notebook, path)


class Lab:
    """Hold a running JupyterLab."""

    def __init__(self, address: str, folder: Path) -> None:
        self.address = address
        self.folder = folder

    def open(self, page: Page, *cells: str) -> None:
        """Write a notebook, open it, and wait until its kernel can be asked."""
        name = f"live-{secrets.token_hex(4)}.ipynb"
        write_notebook(self.folder / name, *cells)
        page.goto(f"{self.address}/lab/tree/{name}?reset")
        # Before the status bar says Idle, Run All silently does nothing.
        expect(page.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=PAGE)

    def run_all(self, page: Page) -> None:
        """Choose Run All Cells from the menu."""
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()

    def expect_prompt(self, page: Page, prompt: str) -> None:
        """Wait until the last cell's prompt is this: `[*]:` while it runs or waits.

        The status bar is no help: a widget's message that a subshell handles makes it say Idle.
        """
        expect(page.locator(".jp-InputPrompt").last).to_have_text(prompt, timeout=PAGE)

    def end_kernels(self) -> None:
        """End every kernel, as closing its notebook and shutting it down would."""
        for session in json.load(urlopen(f"{self.address}/api/sessions")):
            urlopen(Request(f"{self.address}/api/sessions/{session['id']}", method="DELETE"))


def cell(place: Page | Locator, row: int, column: int) -> Locator:
    """Find a table's cell by its row and column in the result."""
    return place.locator(
        f'tr[aria-rowindex="{row + 2}"] [role=gridcell][aria-colindex="{column + 2}"]'
    )


@contextlib.contextmanager
def running_lab(folder: Path) -> Iterator[Lab]:
    """Run JupyterLab on a folder, without its news and without a token."""
    settings = Path(os.environ["JUPYTERLAB_SETTINGS_DIR"], "@jupyterlab", "apputils-extension")
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    port = _free_port()
    options = [
        "--allow-root",
        "--IdentityProvider.token=",
        "--ServerApp.password=",
        "--ServerApp.disable_check_xsrf=True",
        f"--ServerApp.root_dir={folder}",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    address = f"http://127.0.0.1:{port}"
    with _running(["jupyter", "lab", *options], f"{address}/api"):
        yield Lab(address, folder)


@contextlib.contextmanager
def running_voila(notebook: Path, *more: str, **environment: str) -> Iterator[str]:
    """Serve a notebook with Voilà, with more options, and give its address."""
    port = _free_port()
    options = ["--Voila.ip=127.0.0.1", f"--Voila.port={port}", *more, str(notebook)]
    address = f"http://127.0.0.1:{port}"
    with _running(["voila", *options], f"{address}/voila/static/voila.js", **environment):
        yield address


@contextlib.contextmanager
def _running(command: list[str], answers: str, **environment: str) -> Iterator[None]:
    """Run a server from when an address answers until it has ended."""
    command = [str(Path(sys.executable).parent / command[0]), *command[1:], "--no-browser"]
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: process.poll() is not None or _answers(answers), START)
        assert process.poll() is None, f"{command[0]} ended by itself"
        yield
    finally:
        process.terminate()
        try:
            process.wait(START)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(address: str) -> bool:
    try:
        return urlopen(address, timeout=5).status == 200
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
