"""A hundred sensors, each of which is read ten times a second."""

from __future__ import annotations

import random

import psycopg

from .world import World

READ = """
INSERT INTO sensors.readings (at, sensor, value)
SELECT now(), id, sensors.measured(sensors, now())
FROM sensors.sensors
"""

# So that the table stays at some ten thousand rows. As many go as come, each time.
FORGET = "DELETE FROM sensors.readings WHERE at < now() - interval '90 s'"


def step(connection: psycopg.Connection, dice: random.Random) -> None:
    """Read every sensor once and forget what is old, in one transaction."""
    with connection.transaction():
        connection.execute(READ)
        connection.execute(FORGET)


SENSORS = World(
    name="sensors",
    mark="readings",
    step=step,
    rate=10.0,
    regular=True,
    title="the sensors",
    filling="Filling in the last minute of a hundred sensors …",
    starting="Reading all of them {rate} times a second …",
)
