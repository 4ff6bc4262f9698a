"""The pixels that a network sees: square ones, near the ground sampling distances of its training."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Generic

from imagetodem_qgis.core.grid import AnyGrid
from imagetodem_qgis.core.tiling import Window

_FAR = 1.25
"""Factor beyond the training's ground sampling distances from which a raster is resampled to them."""

_OBLONG = 1.15
"""Ratio of a pixel's sides from which a raster is resampled to square pixels."""

_SMALLER = 1.15
"""Factor by which a raster must be smaller than a tile to be enlarged."""

_WIDEST = 4096
"""Pixels that a window is grown to at most, along a side: of very fine images a tile is much to read."""

_LARGEST = 4.0
"""Factor beyond which pixels are not enlarged: nothing is left to be seen in them."""


@dataclass(frozen=True)
class NetworkGrid(Generic[AnyGrid]):
    """A network's pixels over the extent of a raster.

    Attributes:
        grid: of the network's pixels; the raster's own unless it is to be resampled.
        gsd: ground sampling distance of ``grid`` in metres.
        own: ground sampling distance of the raster in metres.
        wanted: the one to resample to in metres; ``gsd`` differs by what whole rows and columns
            ask for, and where a tile is to be filled.
        down: rows of the raster that make one of the network's, but for what whole rows ask for.
        across: likewise of the columns.
    """

    grid: AnyGrid
    gsd: float
    own: float
    wanted: float
    down: float = 1.0
    across: float = 1.0

    @property
    def is_far(self) -> bool:
        """Whether the raster is too far from the training's ground sampling distances to be shown so."""
        return self.wanted != self.own


def network_grid(
    grid: AnyGrid, across: float, down: float, gsd_range: tuple[float, float]
) -> NetworkGrid[AnyGrid]:
    """Decide which pixels a network sees of a raster.

    Args:
        grid: of the raster.
        across: metres of a column's step.
        down: metres of a row's step.
        gsd_range: least and largest ground sampling distance of the training in metres.
    """
    own = math.sqrt(across * down)
    least, largest = gsd_range
    wanted = own
    if own < least / _FAR or own > largest * _FAR:
        wanted = min(max(own, least), largest)
    elif max(across, down) / min(across, down) < _OBLONG:
        return NetworkGrid(grid, own, own, own)
    rows = max(1, round(grid.rows * down / wanted))
    columns = max(1, round(grid.columns * across / wanted))
    wide, high = grid.columns / columns, grid.rows / rows
    gsd = math.sqrt((across * wide) * (down * high))
    return NetworkGrid(grid.resampled(rows, columns), gsd, own, wanted, wanted / down, wanted / across)


def surroundings(window: Window, whole: Window, seen: NetworkGrid[AnyGrid], tile_size: int) -> Window:
    """The pixels to show of a raster so that a window of them fills a tile with what is around it.

    Ground that a network can see tells more of a small window than the window made larger does.

    Args:
        window: to predict.
        whole: all pixels of the raster.
        seen: the network's pixels over the window.
        tile_size: side of a tile in the network's pixels.

    Returns:
        The window itself along a side that is as long as a tile already; at most 4096 pixels along any other,
        where many of the raster's make one of the network's.
    """
    rows, columns = (min(int(tile_size * step), _WIDEST) for step in (seen.down, seen.across))
    return window.grown(rows, columns, whole)


def filling_factor(rows: int, columns: int, gsd: float, least_gsd: float, tile_size: int) -> float:
    """How much finer a raster is to be shown so that it fills a tile along its longer side; 1: as it is.

    A network has learned from tiles full of ground: what mirroring adds to a smaller raster misleads it,
    while it knows the same ground at any ground sampling distance of its training.

    Args:
        rows: of the raster.
        columns: of the raster.
        gsd: ground sampling distance in metres.
        least_gsd: the training's least one, which is not gone below.
        tile_size: side of a tile in pixels.
    """
    factor = min(tile_size / max(rows, columns), gsd / least_gsd, _LARGEST)
    return factor if factor >= _SMALLER else 1.0


def filling_a_tile(seen: NetworkGrid[AnyGrid], least_gsd: float, tile_size: int) -> NetworkGrid[AnyGrid]:
    """A network's pixels made finer where the raster is smaller than a tile, see :func:`filling_factor`.

    Args:
        seen: as :func:`network_grid` has decided.
        least_gsd: ground sampling distance of the training in metres.
        tile_size: side of a tile in pixels.
    """
    grid = seen.grid
    factor = filling_factor(grid.rows, grid.columns, seen.gsd, least_gsd, tile_size)
    if factor == 1.0:
        return seen
    rows, columns = (max(1, round(side * factor)) for side in (grid.rows, grid.columns))
    gsd = seen.gsd * math.sqrt((grid.rows / rows) * (grid.columns / columns))
    return replace(seen, grid=grid.resampled(rows, columns), gsd=gsd)
