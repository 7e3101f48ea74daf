"""Simulated worlds and dashboards on them: `python -m pgrt_jupyter.demo shop`."""

from __future__ import annotations

from functools import partial

from .operations import OPERATIONS
from .sensors import SENSORS
from .shop import SHOP
from .world import World, open_world

__all__ = ["WORLDS", "open_operations", "open_sensors", "open_shop"]

WORLDS: dict[str, World] = {world.name: world for world in (SHOP, OPERATIONS, SENSORS)}

open_shop = partial(open_world, SHOP)
open_operations = partial(open_world, OPERATIONS)
open_sensors = partial(open_world, SENSORS)
