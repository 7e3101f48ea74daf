"""Refuse to build a distribution without the table's bundle: it would install, and show nothing.

Nothing is downloaded here. A source distribution carries the bundle, so that building from it needs no Node.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUNDLE = "pgrt_jupyter/static/widget.js"


class CustomBuildHook(BuildHookInterface[Any]):
    """Look for the bundle before anything is packed; an editable installation comes before it is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Raise FileNotFoundError, saying what builds it."""
        if version != "editable" and not Path(self.root, BUNDLE).is_file():
            raise FileNotFoundError(
                f"{BUNDLE} is missing: run `make setup`, or `npm ci && npm run build` in js/"
            )
