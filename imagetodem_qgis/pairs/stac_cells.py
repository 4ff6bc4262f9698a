"""Where and when a search looks: cells of the globe, and runs of days."""

from __future__ import annotations

import math
from calendar import monthrange
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from imagetodem_qgis.pairs.geography import Box

CELL_DEGREES = 0.5
"""Side of the cells: tiles near each other share their searches."""

Cell = tuple[int, int]
"""Column and row, counted from 180° west and the south pole."""


@dataclass(frozen=True)
class Season:
    """Days of a year that follow each other: the first and the last, both included."""

    first: date
    last: date

    def interval(self) -> str:
        """As STAC API's ``datetime`` (RFC 3339)."""
        return f"{self.first.isoformat()}T00:00:00Z/{self.last.isoformat()}T23:59:59.999Z"


def seasons(start: date, end: date, months: Sequence[int]) -> list[Season]:
    """The days from ``start`` to ``end`` (both included) that lie in some months, as few runs of days as can
    be."""
    found: list[Season] = []
    year, month = start.year, start.month
    while date(year, month, 1) <= end:
        if month in months:
            first = max(start, date(year, month, 1))
            last = min(end, date(year, month, monthrange(year, month)[1]))
            if found and found[-1].last == first - timedelta(days=1):
                first = found.pop().first
            found.append(Season(first, last))
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return found


def cells(boxes: Iterable[Box]) -> list[Cell]:
    """The cells that boxes in degrees touch: column and row, counted from 180° west and the south pole."""
    found: set[Cell] = set()
    for west, south, east, north in boxes:
        columns = range(_floor(west + 180.0), _ceiling(east + 180.0))
        rows = range(_floor(south + 90.0), _ceiling(north + 90.0))
        found.update((column, row) for column in columns for row in rows)
    return sorted(found)


def cell_box(cell: Cell) -> Box:
    """West, south, east and north of a cell in degrees."""
    west, south = cell[0] * CELL_DEGREES - 180.0, cell[1] * CELL_DEGREES - 90.0
    return west, south, west + CELL_DEGREES, south + CELL_DEGREES


def touch(first: Iterable[Box], second: Iterable[Box]) -> bool:
    """Whether two places on the globe share ground."""
    others = list(second)
    return any(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for a in first for b in others)


def _floor(degrees: float) -> int:
    return math.floor(degrees / CELL_DEGREES)


def _ceiling(degrees: float) -> int:
    return math.ceil(degrees / CELL_DEGREES)
