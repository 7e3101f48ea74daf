"""Say how far the making of a first result is: written by the engine's threads, read by who waits."""

from __future__ import annotations


class Progress:
    """Hold what is being done, and how many rows have come."""

    __slots__ = ("doing", "rows")

    def __init__(self) -> None:
        self.doing = "finding out what the query reads"
        self.rows = 0

    def arrived(self, rows: int) -> None:
        """Count more rows; on the one thread that reads them."""
        self.rows += rows
