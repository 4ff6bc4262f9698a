"""One surface from tiles whose heights are each known up to an offset and a gain.

Every pair of overlapping tiles, and every known height in a tile, gives an observation; the worker solves all
of them together (``imagetodem_qgis/worker/solve.py``), and the tiles, brought to their levels, are averaged.
``docs/surface.md`` has the equations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.observations import OverlapObservation
from imagetodem_qgis.core.tiling import Window

FloatArray = NDArray[np.float32]

_COMPARED_PIXELS = 500
"""Of an overlap, at least where it has so many; its heights are smooth, so that more tell little more."""
_PLACE = 64.0
"""Pixels that make one independent place, as far as a network's errors go: squares of 8 × 8."""
_FAR = 3.0
"""Robust deviations at which a pixel counts a quarter."""


GAINS = "gains"
"""Key of a card: true where the scale of the model's heights differs from tile to tile."""


@dataclass(frozen=True)
class Levels:
    """What brings tiles to one surface: ``gain · height + offset``.

    Attributes:
        offsets: (tiles,) float64, in the network's unit.
        gains: (tiles,) float64.
        trust: (tiles,) float64, what their blending weights are multiplied with, above 0 and at most 1.
    """

    offsets: NDArray[np.float64]
    gains: NDArray[np.float64]
    trust: NDArray[np.float64]

    def of(self, indices: list[int]) -> Levels:
        """The levels of some tiles, in that order."""
        return Levels(self.offsets[indices], self.gains[indices], self.trust[indices])


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
    """Compare two tiles where they overlap; ``None`` where they share no known pixel.

    Pixels whose difference is far from the others' count less (Cauchy's weights, Holland & Welsch 1977):
    where a lake or a cloud makes two tiles differ in part of their overlap, the rest decides.
    """
    shared = one.window.intersection(other.window)
    if shared.is_empty():
        return None
    in_one, in_other = shared.within(one.window), shared.within(other.window)
    step = max(1, math.isqrt(shared.rows * shared.columns // _COMPARED_PIXELS))
    samples = _samples(one, in_one, other, in_other, step)
    if len(samples) == 0 and step > 1:
        step = 1
        samples = _samples(one, in_one, other, in_other, step)
    if len(samples) == 0:
        return None
    weights, heights, others = samples.T
    share = weights * cauchy_weights(others - heights)
    total = float(share.sum())
    share /= total
    mean, other_mean = float(share @ heights), float(share @ others)
    heights -= mean
    others -= other_mean
    weighted = share * heights
    variance, covariance = float(weighted @ heights), float(weighted @ others)
    other_variance = float(share @ (others * others))
    product = math.sqrt(variance * other_variance)
    return OverlapObservation(
        first,
        second,
        mean,
        other_mean,
        math.sqrt(variance),
        math.sqrt(other_variance),
        covariance / product if product > 0.0 else 0.0,
        max(0.0, variance + other_variance - 2.0 * covariance),
        total * step**2 / _PLACE,
    )


def cauchy_weights(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights that fall with the distance from the median, (n,) from 0 to 1."""
    distance = np.abs(differences - _median(differences))
    scale = 1.4826 * float(_median(distance))
    if scale <= 0.0:
        return np.ones(len(differences))
    distance *= math.sqrt(3.0) / (_FAR * scale)
    return np.asarray(1.0 / (1.0 + distance * distance))


def _samples(
    one: PlacedTile, in_one: tuple[slice, slice], other: PlacedTile, in_other: tuple[slice, slice], step: int
) -> NDArray[np.float64]:
    """Weight and the two tiles' heights at every ``step``-th pixel of an overlap that both know, (n, 3)."""
    first, second = (
        (tile.weights[part], tile.heights[part]) for tile, part in ((one, in_one), (other, in_other))
    )
    every = (slice(step // 2, None, step), slice(step // 2, None, step))
    weights = first[0][every] * second[0][every]
    samples = np.stack([weights, first[1][every], second[1][every]], axis=-1).reshape(-1, 3)
    return samples[samples[:, 0] > 0.0].astype(np.float64)


def _median(values: NDArray[np.float64]) -> np.float64:
    """The upper median; NumPy's own takes many times as long over so few values."""
    middle = len(values) // 2
    return np.float64(np.partition(values, middle)[middle])


@dataclass(frozen=True)
class BlendedBlock:
    """A block of the surface.

    Attributes:
        heights: (rows, columns) float32, NaN where no tile lies.
        spread: (rows, columns) float32, one standard deviation, if the tiles have one.
    """

    heights: FloatArray
    spread: FloatArray | None


def blend(block: Window, tiles: list[PlacedTile], levels: Levels, overlaps: float = 1.0) -> BlendedBlock:
    """Average the tiles over a block of the raster, each brought to its level.

    Args:
        block: the pixels to fill.
        tiles: those that touch it.
        levels: of these tiles.
        overlaps: weight of the variance among the tiles in the spread.

    Returns:
        Weighted means of the heights, and for the spread the root of the weighted mean of the tiles'
        variances plus the variance among the tiles (the law of total variance).
    """
    shape = (block.rows, block.columns)
    total, heights = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    with_spread = bool(tiles) and tiles[0].spread is not None
    parts = (values.astype(np.float32) for values in (levels.offsets, levels.gains, levels.trust))
    placed = list(zip(tiles, *parts))
    for tile, offset, gain, trust in placed:
        shared = tile.window.intersection(block)
        here, there = shared.within(block), shared.within(tile.window)
        weights = tile.weights[there] * trust
        total[here] += weights
        heights[here] += weights * (tile.heights[there] * gain + offset)
    with np.errstate(invalid="ignore", divide="ignore"):
        heights /= total
    if not with_spread:
        return BlendedBlock(heights, None)
    squares = np.zeros(shape, np.float32)
    # A second pass, around the blended heights: squares around 0 would lose small spreads to rounding on high
    # ground.
    for tile, offset, gain, trust in placed:
        shared = tile.window.intersection(block)
        here, there = shared.within(block), shared.within(tile.window)
        departure = tile.heights[there] * gain + offset - heights[here]
        deviation = tile.spread[there] * gain if tile.spread is not None else np.float32(0.0)
        squares[here] += tile.weights[there] * trust * (np.float32(overlaps) * departure**2 + deviation**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return BlendedBlock(heights, np.sqrt(squares / total))
