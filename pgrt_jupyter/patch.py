"""Find what one window changed into: rows that moved, rows that came, cells that differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .protocol import Cell, Cells, Column, Come, Held

Changes = list[tuple[int, list[int], list[Cell]]]
_PIECE = 2  # a piece is about as long as so many cells
_DESCRIPTION = 3  # and so is what a window says of a column


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """Hold one window as it was sent."""

    start: int
    columns: list[Column]
    rows: Sequence[int]  # identities
    cells: Cells


@dataclass(frozen=True, slots=True)
class Difference:
    """Lead from one window to another."""

    pieces: list[Held | Come] | None = None  # None: the same rows in the same places
    changes: Changes = field(default_factory=list)


def difference(before: Carried | None, after: Carried) -> Difference | None:
    """Compare two windows; None when there is nothing to build on, or little would be saved."""
    if before is None or before.columns != after.columns:
        return None
    if before.rows == after.rows:
        changes = _changes(before.cells, after.cells)
        found, cost = Difference(None, changes), 0
    else:
        pieces = _pieces(before, after)
        changes = _changes(_moved(before.cells, pieces, len(after.columns)), after.cells)
        come = sum(len(piece["rows"]) for piece in pieces if "rows" in piece)
        found, cost = Difference(pieces, changes), len(pieces) * _PIECE + come * len(after.columns)
    cost += sum(len(rows) for _, rows, _ in changes)
    whole = (len(after.rows) + _DESCRIPTION) * len(after.columns)
    return found if 2 * cost <= whole else None


def _pieces(before: Carried, after: Carried) -> list[Held | Come]:
    """Cut the new window into runs of rows that were held next to each other, and runs of new ones."""
    places = {number: place for place, number in enumerate(before.rows)}
    pieces: list[Held | Come] = []
    for row, number in enumerate(after.rows):
        place = places.get(number)
        last = pieces[-1] if pieces else None
        if place is None:
            if last is None or "place" in last:
                last = {"rows": [], "cells": [[] for _ in after.cells]}
                pieces.append(last)
            last["rows"].append(number)
            for cells, column in zip(last["cells"], after.cells, strict=True):
                cells.append(column[row])
        elif last is not None and "place" in last and last["place"] + last["count"] == place:
            last["count"] += 1
        else:
            pieces.append({"place": place, "count": 1})
    return pieces


def _moved(cells: Cells, pieces: list[Held | Come], width: int) -> Cells:
    """Give the text that a viewer has once it has moved its rows."""
    moved: Cells = [[] for _ in range(width)]
    for piece in pieces:
        for number, column in enumerate(moved):
            if "place" in piece:
                column += cells[number][piece["place"] : piece["place"] + piece["count"]]
            else:
                column += piece["cells"][number]
    return moved


def _changes(before: Cells, after: Cells) -> Changes:
    """List the cells that differ between two texts of equal shape, by column."""
    found: Changes = []
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        if old == new:
            continue
        rows = [row for row, cell in enumerate(new) if cell != old[row]]
        found.append((number, rows, [new[row] for row in rows]))
    return found
