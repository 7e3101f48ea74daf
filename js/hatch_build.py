"""Refuse to build a distribution without what is bundled: it would install, and show nothing.

Nothing is downloaded here. A source distribution carries the bundles, so that building from it needs no Node.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUNDLES = ("pgrt_jupyter/static/widget.js", "pgrt_jupyter/static/chart.js")


class CustomBuildHook(BuildHookInterface[Any]):
    """Look for them before anything is packed; an editable installation comes before they are built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Raise FileNotFoundError, saying what builds it."""
        missing = [name for name in BUNDLES if not Path(self.root, name).is_file()]
        if version != "editable" and missing:
            raise FileNotFoundError(
                f"{missing[0]} is missing: run `make setup`, or `npm ci && npm run build` in js/"
            )
