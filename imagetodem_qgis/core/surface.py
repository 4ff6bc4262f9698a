"""One surface from tiles whose heights are each known up to a constant.

Every pair of overlapping tiles gives an observation of the difference of their offsets; the worker solves all
of them together (``imagetodem_qgis/worker/solve.py``), and the tiles, lifted by their offsets, are averaged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.tiling import Window

FloatArray = NDArray[np.float32]

_LEAST_VARIANCE = 1e-4
"""Square of the disagreement in pixels below which overlaps are trusted alike: a hundredth of a pixel."""


@dataclass(frozen=True)
class OverlapObservation:
    """What an overlap tells of two tiles' offsets: ``offset[first] - offset[second] ≈ difference``.

    Attributes:
        first: index of a tile.
        second: index of another.
        difference: weighted mean of the second tile's heights minus the first's, in the network's unit.
        weight: inverse variance of that mean up to a common factor.
    """

    first: int
    second: int
    difference: float
    weight: float


@dataclass(frozen=True)
class PlacedTile:
    """A tile's answer where it lies in the raster.

    Attributes:
        window: its pixels in the raster.
        heights: (rows, columns) float32.
        weights: (rows, columns) float32, its blending weights, 0 where the image is unknown.
        spread: (rows, columns) float32, one standard deviation of the heights, if asked for.
    """

    window: Window
    heights: FloatArray
    weights: FloatArray
    spread: FloatArray | None = None


def observe_overlap(first: int, one: PlacedTile, second: int, other: PlacedTile) -> OverlapObservation | None:
    """Compare two tiles where they overlap; ``None`` where they share no known pixel."""
    shared = one.window.intersection(other.window)
    if shared.is_empty():
        return None
    in_one, in_other = shared.within(one.window), shared.within(other.window)
    weights = one.weights[in_one] * other.weights[in_other]
    total = float(weights.sum())
    if total <= 0.0:
        return None
    difference = other.heights[in_other] - one.heights[in_one]
    mean = float(np.vdot(weights, difference)) / total
    difference -= mean
    variance = float(np.vdot(weights, difference * difference)) / total
    return OverlapObservation(first, second, mean, total / (variance + _LEAST_VARIANCE))


@dataclass(frozen=True)
class BlendedBlock:
    """A block of the surface.

    Attributes:
        heights: (rows, columns) float32, NaN where no tile lies.
        spread: (rows, columns) float32, one standard deviation, if the tiles have one.
    """

    heights: FloatArray
    spread: FloatArray | None


def blend(block: Window, tiles: list[PlacedTile], offsets: NDArray[np.float64]) -> BlendedBlock:
    """Average the tiles over a block of the raster, each lifted by its offset.

    Args:
        block: the pixels to fill.
        tiles: those that touch it.
        offsets: one per tile, in the tiles' unit.

    Returns:
        Weighted means of the heights, and for the spread the root of the weighted mean of the tiles'
        variances plus the variance among the tiles (the law of total variance).
    """
    shape = (block.rows, block.columns)
    total, heights = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    with_spread = bool(tiles) and tiles[0].spread is not None
    for tile, offset in zip(tiles, offsets):
        shared = tile.window.intersection(block)
        here, there = shared.within(block), shared.within(tile.window)
        weights = tile.weights[there]
        lifted = tile.heights[there] + np.float32(offset)
        total[here] += weights
        heights[here] += weights * lifted
    with np.errstate(invalid="ignore", divide="ignore"):
        heights /= total
    if not with_spread:
        return BlendedBlock(heights, None)
    squares = np.zeros(shape, np.float32)
    # A second pass, around the blended heights: squares around 0 would lose small spreads to rounding on high
    # ground.
    for tile, offset in zip(tiles, offsets):
        shared = tile.window.intersection(block)
        here, there = shared.within(block), shared.within(tile.window)
        departure = tile.heights[there] + np.float32(offset) - heights[here]
        deviation = tile.spread[there] if tile.spread is not None else np.float32(0.0)
        squares[here] += tile.weights[there] * (departure**2 + deviation**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return BlendedBlock(heights, np.sqrt(squares / total))
