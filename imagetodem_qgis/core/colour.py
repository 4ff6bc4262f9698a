"""One image from tiles whose colours differ a little from tile to tile.

As heights are (:mod:`imagetodem_qgis.core.surface`), the tiles' colours are brought together by one weighted
least squares over all their overlaps, then blended. Unlike heights, colours have a zero: the offsets are held
near it, so that small differences cannot add up to another colour far away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.hashing import key_of, unit_of
from imagetodem_qgis.core.tiling import Window

FloatArray = NDArray[np.float32]
Palette = tuple[float, ...]

_PRIOR = 0.25
"""Trust in a tile's own colour beside that in its overlap with a neighbour. Less would let small differences
that all overlaps share, such as a network's own at its tiles' borders, add up over many tiles."""
_LEVEL_PRIOR = 10.0
"""The same of a tile that is level, the sea, whose one colour is not to be shaded towards the land."""
_TOLERANCE = 1e-7


@dataclass(frozen=True)
class ColourTile:
    """A tile's colours where it lies in the raster.

    Attributes:
        window: its pixels.
        colours: (rows, columns, 3) float32.
        weights: (rows, columns) float32, 0 where the colours count for nothing.
    """

    window: Window
    colours: FloatArray
    weights: FloatArray


@dataclass(frozen=True)
class ColourOverlap:
    """What an overlap tells of two tiles: ``offset[first] - offset[second] ≈ difference``.

    Attributes:
        first: index of a tile.
        second: index of another.
        difference: red, green and blue: weighted mean of the second tile's colours minus the first's.
        weight: sum of the weights.
    """

    first: int
    second: int
    difference: tuple[float, float, float]
    weight: float


def choose_palette(palettes: Sequence[Palette], seed: int) -> Palette:
    """The mean colour for a seed: the palettes in their order, then mixtures of two of them.

    Args:
        palettes: at least one.
        seed: 0 or more.
    """
    if seed < len(palettes):
        return palettes[seed]
    first, second, share = (key_of(seed, number) for number in range(3))
    return tuple(
        one + unit_of(share) * (other - one)
        for one, other in zip(palettes[first % len(palettes)], palettes[second % len(palettes)])
    )


def observe_colours(first: int, one: ColourTile, second: int, other: ColourTile) -> ColourOverlap | None:
    """Compare two tiles where they overlap; ``None`` where they share no known pixel."""
    shared = one.window.intersection(other.window)
    if shared.is_empty():
        return None
    in_one, in_other = shared.within(one.window), shared.within(other.window)
    weights = one.weights[in_one] * other.weights[in_other]
    total = float(weights.sum())
    if total <= 0.0:
        return None
    difference = np.tensordot(weights, other.colours[in_other] - one.colours[in_one], axes=2) / total
    red, green, blue = (float(value) for value in difference)
    return ColourOverlap(first, second, (red, green, blue), total)


def solve_colours(is_level: NDArray[np.bool_], overlaps: Sequence[ColourOverlap]) -> NDArray[np.float64]:
    """Offsets that make overlapping tiles agree and leave the tiles' own colours where they are on the whole.

    Minimises ``sum(w · (o[first] - o[second] - d)²) + sum(p · o²)`` for each colour by conjugate gradients
    (Hestenes & Stiefel 1952), where p is a quarter of the overlaps' mean weight, or ten times that weight for
    a level tile.

    Args:
        is_level: (tiles,) which tiles are level ground.
        overlaps: between them.

    Returns:
        (tiles, 3) float64, to be added to the tiles' colours.
    """
    tiles = len(is_level)
    offsets = np.zeros((tiles, 3))
    if not overlaps:
        return offsets
    first = np.array([overlap.first for overlap in overlaps])
    second = np.array([overlap.second for overlap in overlaps])
    weights = np.array([overlap.weight for overlap in overlaps])
    weights = (weights / weights.mean())[:, None]
    prior = np.where(is_level, _LEVEL_PRIOR, _PRIOR)[:, None]

    def gathered(flows: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = [np.bincount(first, flow, tiles) - np.bincount(second, flow, tiles) for flow in flows.T]
        return np.stack(sums, axis=1)

    residual = gathered(weights * np.array([overlap.difference for overlap in overlaps]))
    target = _TOLERANCE * max(1e-12, float(np.abs(residual).max()))
    direction = residual.copy()
    size = (residual * residual).sum(axis=0)
    # The solution of so many unknowns takes at most so many steps; the prior makes it far fewer.
    for _ in range(tiles + 10):
        if np.abs(residual).max() <= target:
            break
        pushed = gathered(weights * (direction[first] - direction[second])) + prior * direction
        step = size / np.maximum((direction * pushed).sum(axis=0), 1e-300)
        offsets += step * direction
        residual -= step * pushed
        before, size = size, (residual * residual).sum(axis=0)
        direction = residual + size / np.maximum(before, 1e-300) * direction
    return offsets


def blend_colours(block: Window, tiles: Sequence[ColourTile], offsets: NDArray[np.float64]) -> FloatArray:
    """Average the tiles over a block of the raster, each with its offset.

    Args:
        block: the pixels to fill.
        tiles: those that touch it.
        offsets: (tiles, 3).

    Returns:
        (rows, columns, 3) float32, NaN where no tile counts.
    """
    total = np.zeros((block.rows, block.columns, 1), np.float32)
    colours = np.zeros((block.rows, block.columns, 3), np.float32)
    for tile, offset in zip(tiles, offsets):
        shared = tile.window.intersection(block)
        here, there = shared.within(block), shared.within(tile.window)
        weights = tile.weights[there][..., None]
        total[here] += weights
        colours[here] += weights * (tile.colours[there] + offset.astype(np.float32))
    with np.errstate(invalid="ignore", divide="ignore"):
        colours /= total
    return colours
