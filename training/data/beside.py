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

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from imagetodem_qgis.core.tiling import Window
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


def reach_of(window: Window) -> Window:
    """How far the joined pair may reach."""
    rows, columns = round(_REACH * window.rows), round(_REACH * window.columns)
    return Window(
        window.row - rows, window.column - columns, window.rows + 2 * rows, window.columns + 2 * columns
    )


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
        self._places: list[tuple[Hashable, Window] | None] | None = None
        self._lock = threading.Lock()

    def beside(self, number: int) -> Iterator[tuple[int, int, int]]:
        """The pairs that one is to be joined with: number, rows below and columns to the right of it.

        Of many that overlap, as many as it takes to cover what all cover.
        """
        with self._lock:
            if self._places is None:
                places = list(self._found())
                many = sum(_pixels(place[1]) for place in places if place is not None) > _MOST_PIXELS
                self._places = [None] * len(places) if many else places
        place = self._places[number]
        if place is None:
            return
        kind, own = place
        limit = reach_of(own)
        others = [
            (other, there[1], there[1].intersection(limit))
            for other, there in enumerate(self._places)
            if other != number and there is not None and there[0] == kind
        ]
        covered = np.zeros((limit.rows, limit.columns), bool)
        covered[own.within(limit)] = True
        # Those that add most come first, so that few are read.
        for other, whole, part in sorted(
            others, key=lambda o: _pixels(o[2].intersection(own)) - _pixels(o[2])
        ):
            if not part.is_empty() and not covered[part.within(limit)].all():
                covered[part.within(limit)] = True
                yield other, whole.row - own.row, whole.column - own.column

    def _found(self) -> Iterator[tuple[Hashable, Window] | None]:
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
                yield key, Window(-round(row), -round(column), *shape)


def joined(pair: Pair, others: Sequence[Placed]) -> Pair:
    """A pair with as much of what lies beside it as makes a rectangle without gaps.

    Args:
        pair: as it lies on disk.
        others: on the same grid, as they lie. One that shows the ground that it shares with the pair
            otherwise, of another day perhaps, is left out.
    """
    own = Window(0, 0, *pair.dem.shape)
    limit = reach_of(own)
    placed = [
        (other, Window(rows, columns, *other.dem.shape)) for other, rows, columns in (*others, (pair, 0, 0))
    ]
    parts = [(other, window) for other, window in placed if _agree(pair, own, other, window)]
    covered = np.zeros((limit.rows, limit.columns), bool)
    for _, window in parts:
        part = window.intersection(limit)
        if not part.is_empty():
            covered[part.within(limit)] = True
    whole = _largest_around(own, covered, limit)
    if whole == own:
        return pair
    shape = whole.rows, whole.columns
    image = np.zeros((*shape, 3), pair.image.dtype)
    dem, valid = np.full(shape, np.nan, np.float32), np.zeros(shape, bool)
    # The pair itself comes last: of what lies beside it nothing hides any of it.
    for other, window in parts:
        shared = window.intersection(whole)
        if not shared.is_empty():
            to, of = shared.within(whole), shared.within(window)
            image[to], dem[to], valid[to] = other.image[of], other.dem[of], other.valid[of]
    return replace(pair, image=image, dem=dem, valid=valid)


def _pixels(window: Window) -> int:
    return window.rows * window.columns


def _agree(pair: Pair, own: Window, other: Pair, there: Window) -> bool:
    shared = own.intersection(there)
    if shared.is_empty():
        return True
    mine, its = shared.within(own), shared.within(there)
    return bool(
        np.array_equal(pair.image[mine], other.image[its])
        and np.array_equal(pair.dem[mine], other.dem[its], equal_nan=True)
    )


def _largest_around(own: Window, covered: NDArray[np.bool_], limit: Window) -> Window:
    """The largest covered window that holds another, found by moving its four sides outwards in any order.

    Args:
        own: the window that it holds.
        covered: of the pixels of ``limit``.
        limit: of both.
    """
    found = (_grown(own, covered, limit, order) for order in permutations(range(4)))
    return max(found, key=_pixels)


def _grown(own: Window, covered: NDArray[np.bool_], limit: Window, order: Sequence[int]) -> Window:
    top, left = own.row - limit.row, own.column - limit.column
    bottom, right = top + own.rows, left + own.columns
    for side in order:
        if side == 0:
            top -= _steps(covered[:top, left:right][::-1], axis=1)
        elif side == 1:
            left -= _steps(covered[top:bottom, :left][:, ::-1], axis=0)
        elif side == 2:
            bottom += _steps(covered[bottom:, left:right], axis=1)
        else:
            right += _steps(covered[top:bottom, right:], axis=0)
    return Window(top + limit.row, left + limit.column, bottom - top, right - left)


def _steps(covered: NDArray[np.bool_], axis: int) -> int:
    """How many of the first rows (axis 1) or columns (axis 0) are covered throughout."""
    return int(np.argmin(np.append(covered.all(axis=axis), False)))
