"""Let a world go on, on a connection of its own."""

from __future__ import annotations

import argparse
import os
import random
import time

import psycopg

from . import WORLDS
from .world import World

BEHIND = 1.0  # seconds that are made up for; after a longer halt it goes on from now


def run(world: World, conninfo: str, rate: float) -> None:
    """Do a step `rate` times a second, until the server ends."""
    dice = random.Random()
    try:
        with psycopg.connect(conninfo, autocommit=True, application_name=world.name) as connection:
            due = time.monotonic()
            while True:
                world.step(connection, dice)
                pause = 1 / rate if world.regular else dice.expovariate(rate)
                due = max(due + pause, time.monotonic() - BEHIND)
                time.sleep(max(0.0, due - time.monotonic()))
    except (psycopg.OperationalError, KeyboardInterrupt):
        return  # the server's end is the end of its world


def main() -> None:
    """Run from the command line on the server `PGRT_DSN` names."""
    parser = argparse.ArgumentParser(prog="python -m pgrt_jupyter.demo.simulator")
    parser.add_argument("world", choices=WORLDS)
    parser.add_argument("--rate", type=float, help="steps a second")
    given = parser.parse_args()
    world = WORLDS[given.world]
    run(world, os.environ["PGRT_DSN"], given.rate or world.rate)


if __name__ == "__main__":
    main()
