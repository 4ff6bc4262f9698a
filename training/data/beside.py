"""What lies beside the pairs of a data set folder: the other pairs of their area, on the same grid.

A window that must lie within one pair of 256 × 256 pixels is always the same one, and none can be turned.
Joined with what lies beside it, a pair yields windows anywhere, turned, and of coarser scales.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from training.data.pair import Pair

_REACH = 0.5
"""How far a joined pair reaches beyond the pair itself, in sides of it."""
_MOST_PIXELS = 40_000_000
"""Of all pairs of a folder together: joined, they take four times their room, and so many have windows
enough."""
_ON_GRID = 0.01
"""Pixels by which an offset may differ from a whole number."""

Placed = tuple[Pair, int, int]
"""A pair, and how many rows below and columns to the right of another one it begins."""


class Box(NamedTuple):
    """Rows and columns of a grid; the last of both are not part of it."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """For an array that begins at row and column 0."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def within(self, other: Box) -> Box:
        """What both share; empty boxes have no pixels."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        return Box(
            top, left, max(top, min(self.bottom, other.bottom)), max(left, min(self.right, other.right))
        )

    def moved(self, rows: int, columns: int) -> Box:
        """The box so many rows below and columns to the right."""
        return Box(self.top + rows, self.left + columns, self.bottom + rows, self.right + columns)

    @property
    def pixels(self) -> int:
        """How many it has."""
        return (self.bottom - self.top) * (self.right - self.left)


def reach_of(box: Box) -> Box:
    """How far the joined pair may reach."""
    rows, columns = (round(_REACH * side) for side in (box.bottom - box.top, box.right - box.left))
    return Box(box.top - rows, box.left - columns, box.bottom + rows, box.right + columns)


class Neighbours:
    """Where the pairs of a folder lie, found when it is first asked for; may be used from several threads.

    Args:
        images: files of the pairs.
        kinds: what two of them must share to be joined, such as their area; ``None``: it stands alone. So
            does one without a coordinate system.
    """

    def __init__(self, images: Sequence[Path], kinds: Sequence[Hashable | None]) -> None:
        self._images = images
        self._kinds = kinds
        self._places: list[tuple[Hashable, Box] | None] | None = None
        self._lock = threading.Lock()

    def beside(self, number: int) -> Iterator[tuple[int, int, int]]:
        """The pairs that one is to be joined with: number, rows below and columns to the right of it.

        Of many that overlap, as many as it takes to cover what all cover.
        """
        with self._lock:
            if self._places is None:
                places = list(self._found())
                many = sum(place[1].pixels for place in places if place is not None) > _MOST_PIXELS
                self._places = [None] * len(places) if many else places
        place = self._places[number]
        if place is None:
            return
        kind, box = place
        limit = reach_of(box)
        others = [
            (other, there[1], there[1].within(limit))
            for other, there in enumerate(self._places)
            if other != number and there is not None and there[0] == kind
        ]
        covered = np.zeros((limit.bottom - limit.top, limit.right - limit.left), bool)
        covered[box.moved(-limit.top, -limit.left).slices] = True
        # Those that add most come first, so that few are read.
        for other, whole, part in sorted(others, key=lambda o: o[2].within(box).pixels - o[2].pixels):
            there = part.moved(-limit.top, -limit.left).slices
            if not covered[there].all():
                covered[there] = True
                yield other, whole.top - box.top, whole.left - box.left

    def _found(self) -> Iterator[tuple[Hashable, Box] | None]:
        origins: dict[Hashable, tuple[float, float]] = {}
        for path, kind in zip(self._images, self._kinds):
            if kind is None:
                yield None
                continue
            try:
                with rasterio.open(path) as source:
                    grid, shape, crs, dtype = source.transform, source.shape, source.crs, source.dtypes[0]
            except RasterioError:
                # Who reads the pair itself says what is wrong.
                crs = None
            if crs is None:
                yield None
                continue
            key = (kind, crs.to_wkt(), grid[:2], grid[3:5], dtype)
            origin = origins.setdefault(key, (grid.c, grid.f))
            column, row = ~grid * origin
            if max(abs(row - round(row)), abs(column - round(column))) > _ON_GRID:
                yield None
            else:
                top, left = -round(row), -round(column)
                yield key, Box(top, left, top + shape[0], left + shape[1])


def joined(pair: Pair, others: Sequence[Placed]) -> Pair:
    """A pair with as much of what lies beside it as makes a rectangle without gaps.

    Args:
        pair: as it lies on disk.
        others: on the same grid, as they lie. One that shows the ground that it shares with the pair
            otherwise, of another day perhaps, is left out.
    """
    box = _box_of(pair)
    limit = reach_of(box)
    fitting = [placed for placed in others if _agrees(pair, placed)]
    covered = np.zeros((limit.bottom - limit.top, limit.right - limit.left), bool)
    parts = [
        (other, rows, columns, _box_of(other).moved(rows, columns).within(limit))
        for other, rows, columns in (*fitting, (pair, 0, 0))
    ]
    for *_, part in parts:
        covered[part.moved(-limit.top, -limit.left).slices] = True
    whole = _largest_around(box.moved(-limit.top, -limit.left), covered).moved(limit.top, limit.left)
    if whole == box:
        return pair
    shape = whole.bottom - whole.top, whole.right - whole.left
    image = np.zeros((*shape, 3), pair.image.dtype)
    dem, valid = np.full(shape, np.nan, np.float32), np.zeros(shape, bool)
    # The pair itself comes last: of what lies beside it nothing hides any of it.
    for other, rows, columns, part in parts:
        shared = part.within(whole)
        to, of = shared.moved(-whole.top, -whole.left).slices, shared.moved(-rows, -columns).slices
        image[to], dem[to], valid[to] = other.image[of], other.dem[of], other.valid[of]
    return replace(pair, image=image, dem=dem, valid=valid)


def _box_of(pair: Pair) -> Box:
    return Box(0, 0, *pair.dem.shape)


def _agrees(pair: Pair, placed: Placed) -> bool:
    other, rows, columns = placed
    shared = _box_of(pair).within(_box_of(other).moved(rows, columns))
    here, there = shared.slices, shared.moved(-rows, -columns).slices
    return bool(
        np.array_equal(pair.image[here], other.image[there])
        and np.array_equal(pair.dem[here], other.dem[there], equal_nan=True)
    )


def _largest_around(box: Box, covered: NDArray[np.bool_]) -> Box:
    """The largest covered box that holds another, found by moving its four sides outwards in any order."""
    found = (_grown(box, covered, order) for order in permutations(range(4)))
    return max(found, key=lambda grown: grown.pixels)


def _grown(box: Box, covered: NDArray[np.bool_], order: Sequence[int]) -> Box:
    top, left, bottom, right = box
    for side in order:
        if side == 0:
            top -= _steps(covered[:top, left:right][::-1], axis=1)
        elif side == 1:
            left -= _steps(covered[top:bottom, :left][:, ::-1], axis=0)
        elif side == 2:
            bottom += _steps(covered[bottom:, left:right], axis=1)
        else:
            right += _steps(covered[top:bottom, right:], axis=0)
    return Box(top, left, bottom, right)


def _steps(covered: NDArray[np.bool_], axis: int) -> int:
    """How many of the first rows (axis 1) or columns (axis 0) are covered throughout."""
    return int(np.argmin(np.append(covered.all(axis=axis), False)))
