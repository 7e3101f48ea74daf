"""Serve the dashboard of a simulated world with Voilà until Ctrl-C or SIGTERM.

Voilà runs in this process, so that the embedded server and the simulator, which live as long as
it does, also end when it is killed.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from . import WORLDS
from .world import World, open_world

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = {
    "shop": FOLDER / "04_dashboard.ipynb",
    "operations": FOLDER / "09_operations.ipynb",
    "sensors": FOLDER / "10_sensors.ipynb",
}
PORT = 8866


def main() -> None:
    """Open the world, then serve the notebook."""
    given = parse(sys.argv[1:])
    world, notebook = chosen(given.dashboard)
    if not notebook.is_file():
        sys.exit(f"There is no {notebook}: name the notebook to serve.")
    try:
        from tornado.ioloop import IOLoop
        from voila.app import Voila
    except ImportError:
        sys.exit("Voilà is missing: pip install 'pgrt_jupyter[demo]'")
    os.environ["PGRT_DSN"] = open_world(world, given.data, rate=given.rate, say=say)
    say("Starting Voilà …")
    # Voilà 0.5 asks to end a closed page's kernel without the token it then misses; without this
    # every reload would leave a kernel behind.
    app = Voila.instance(tornado_settings={"disable_check_xsrf": True})
    app.initialize([str(notebook), *options(given)])
    # As SIGTERM does: an exception out of nowhere may be swallowed by whatever happens to run.
    signal.signal(signal.SIGINT, signal.getsignal(signal.SIGTERM))
    IOLoop.current().add_callback(announce, app, world.title)
    app.start()


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m pgrt_jupyter.demo")
    parser.add_argument(
        "dashboard",
        nargs="?",
        default="shop",
        help=f"{', '.join(WORLDS)}, or a notebook of your own (%(default)s)",
    )
    parser.add_argument("--ip", default="127.0.0.1", help="address to serve on (%(default)s)")
    parser.add_argument("--port", type=int, help=f"{PORT}, or a free one; 0: any free one")
    parser.add_argument("--rate", type=float, help="steps of the simulator a second")
    parser.add_argument("--data", metavar="FOLDER", help="keep the data there")
    return parser.parse_args(arguments)


def chosen(dashboard: str) -> tuple[World, Path]:
    """Give the world and the notebook that are meant; a notebook of somebody's own is on the shop."""
    if dashboard in NOTEBOOKS:
        return WORLDS[dashboard], NOTEBOOKS[dashboard]
    names = {path.name: name for name, path in NOTEBOOKS.items()}
    return WORLDS[names.get(Path(dashboard).name, "shop")], Path(dashboard)


def options(given: argparse.Namespace) -> list[str]:
    """Give Voilà's own options."""
    return [
        "--no-browser",
        f"--Voila.ip={given.ip}",
        f"--Voila.port={free_port(given.ip, given.port)}",
        "--Voila.log_level=WARN",
        # A page that vanished without a word: its tables stop within seconds, then this applies.
        "--MappingKernelManager.cull_idle_timeout=25",
        "--MappingKernelManager.cull_interval=5",
    ]


def free_port(ip: str, wanted: int | None) -> int:
    """Give the wanted port, the usual one, or a free one where the usual is taken."""
    for port in [PORT, 0] if wanted is None else [wanted]:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((ip, port))
            except OSError as error:
                if wanted is not None:
                    sys.exit(f"Port {wanted} on {ip} cannot be used: {error.strerror}.")
                continue
            return int(probe.getsockname()[1])
    sys.exit(f"No port is free on {ip}.")


def say(step: str) -> None:
    """Print what is being done."""
    print(step, flush=True)


def announce(app: Any, title: str) -> None:
    """Print the address, once it is being listened on."""
    say(f"\nThe dashboard of {title}: {app.display_url}\nCtrl-C ends it.\n")


if __name__ == "__main__":
    main()
