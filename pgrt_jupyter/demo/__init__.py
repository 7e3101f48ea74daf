"""A simulated shop and a dashboard on it: `python -m pgrt_jupyter.demo`."""

from __future__ import annotations

from .shop import open_shop

__all__ = ["open_shop"]
