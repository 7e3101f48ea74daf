"""Share, between processes, when each value of a counter was committed.

A frame that shows `n` is as old as the commit of `n + 1`, or current where there is none yet. Times are
those of CLOCK_MONOTONIC, which all processes of a machine share.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from .schema import STREAMS

_SLOT = struct.Struct("d")
_LENGTH = 400_000  # values of one counter: more than a day at three a second


class Ledger:
    """Map the file; written by the writers' process, read by the kernel's."""

    def __init__(self, path: Path) -> None:
        size = len(STREAMS) * _LENGTH * _SLOT.size
        with open(path, "a+b") as file:
            file.truncate(size)
            self._map = mmap.mmap(file.fileno(), size)
        self._first = {name: i * _LENGTH for i, name in enumerate(STREAMS)}

    def committed(self, stream: str, n: int, at: float) -> None:
        """Note a commit, after it returned."""
        _SLOT.pack_into(self._map, (self._first[stream] + n) * _SLOT.size, at)

    def age(self, stream: str, shown: int, now: float) -> float:
        """Give for how many seconds a frame showing this value has been out of date."""
        (at,) = _SLOT.unpack_from(self._map, (self._first[stream] + shown + 1) * _SLOT.size)
        return max(0.0, now - at) if at else 0.0
