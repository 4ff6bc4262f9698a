"""A window of a terrain on a square grid, with the detail that the DEM is too coarse for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.noise import fractal_noise
from training.rendering.resampling import enlarged, reduced, spline_matrix
from training.rendering.terrain import Terrain

_FINEST_GSD = 10.0
_COARSEST_GSD = 60.0
_LARGEST_STEP = 2.0
"""In spacings of the DEM."""
_SMALLEST_STEP = 0.25
_TRIES = 8
_HURST = 0.85
"""Relief grows with distance to this power (Huang & Turcotte 1989: mostly 0.7 to 0.9)."""
_STEEPEST = 1.6
"""Tangent of the slope that one pixel in a hundred may exceed."""


@dataclass(frozen=True)
class Relief:
    """Ground on a square grid.

    Attributes:
        heights: (size, size) float32, metres.
        known: (size, size) bool.
        water: (size, size) float32, 1 where the ground is exactly level in the DEM.
        gsd: ground sampling distance in metres.
        centre: row and column in the terrain of the window's middle.
    """

    heights: NDArray[np.float32]
    known: NDArray[np.bool_]
    water: NDArray[np.float32]
    gsd: float
    centre: tuple[float, float]


def cut_relief(terrain: Terrain, size: int, random: np.random.Generator) -> Relief:
    """A random window at a random scale.

    Half of the windows are resampled to 10-60 m, as far as a quarter of the DEM's spacing, with detail added
    where that is finer than the DEM. The other half is resampled to about the DEM's own spacing and shrunk,
    distances and heights together, as if it were a smaller landscape: real detail at every pixel, at a place
    that does not exist.

    Args:
        terrain: to cut from.
        size: rows and columns.
        random: source of chance.
    """
    shrunk = terrain.gsd > 1.5 * _FINEST_GSD and random.random() < 0.5
    step_metres = _random_step(terrain, size, shrunk, random)
    top, left = _random_place(terrain, size, step_metres, random)
    heights, known, water = _resampled(terrain, size, step_metres, top, left)
    gsd = step_metres
    if shrunk:
        wanted = _between(max(_FINEST_GSD, gsd / 5.0), min(gsd, _COARSEST_GSD), random)
        heights = heights * np.float32((wanted / gsd) ** _HURST)
        gsd = wanted
    smoothed_over = max(terrain.spacing) / step_metres
    if smoothed_over > 1.2:
        heights = heights + _detail(heights, water, smoothed_over, random)
    centre = (
        top + size / 2 * step_metres / terrain.spacing[0],
        left + size / 2 * step_metres / terrain.spacing[1],
    )
    return Relief(_not_too_steep(heights, gsd), known, water, gsd, centre)


def _random_step(terrain: Terrain, size: int, shrunk: bool, random: np.random.Generator) -> float:
    if shrunk:
        finest, coarsest = max(_FINEST_GSD, 0.6 * terrain.gsd), 1.3 * terrain.gsd
    else:
        finest = max(_FINEST_GSD, _SMALLEST_STEP * terrain.gsd)
        coarsest = min(_COARSEST_GSD, _LARGEST_STEP * terrain.gsd)
    rows, columns = terrain.heights.shape
    fits = min(rows * terrain.spacing[0], columns * terrain.spacing[1]) / (size + 2)
    return min(_between(finest, coarsest, random), fits)


def _between(least: float, most: float, random: np.random.Generator) -> float:
    """Evenly on a logarithmic scale."""
    return float(np.exp(random.uniform(np.log(least), np.log(max(least, most)))))


def _random_place(
    terrain: Terrain, size: int, step: float, random: np.random.Generator
) -> tuple[float, float]:
    """Row and column of the first corner: the best of a few, where heights are known and differ."""
    spans = [size * step / spacing for spacing in terrain.spacing]
    best, best_worth = (0.0, 0.0), -1.0
    # Some flat ground is wanted too.
    enough_relief = random.choice([0.0, 1.0, 2.5])
    for _ in range(_TRIES):
        top, left = (
            float(random.uniform(0.0, max(side - span, 1e-6)))
            for side, span in zip(terrain.heights.shape, spans)
        )
        window = tuple(slice(int(start), int(start + span) + 1, 6) for start, span in zip((top, left), spans))
        land = terrain.known[window] & ~terrain.level[window]
        relief = terrain.heights[window].std() / step
        worth = min(1.0, terrain.known[window].mean() / 0.98) + min(1.0, land.mean() / 0.7)
        worth += min(1.0, relief / enough_relief) if enough_relief else 1.0
        if worth > best_worth:
            best, best_worth = (top, left), worth
        if worth > 2.97:
            break
    return best


def _resampled(
    terrain: Terrain, size: int, step: float, top: float, left: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]:
    matrices, window = [], []
    for start, spacing, side in zip((top, left), terrain.spacing, terrain.heights.shape):
        pace = step / spacing
        margin = int(np.ceil(2.0 * max(pace, 1.0))) + 1
        first = max(0, int(start) - margin)
        last = min(side, int(np.ceil(start + pace * size)) + margin + 1)
        matrices.append(spline_matrix(size, start + pace / 2 - 0.5, pace, first, last - first))
        window.append(slice(first, last))
    down, across = matrices
    area = tuple(window)

    def brought(values: NDArray[np.generic]) -> NDArray[np.float32]:
        return np.asarray(down @ values.astype(np.float32) @ across.T, np.float32)

    given = _between_metres(terrain.heights[area], terrain.level[area])
    # Spline weights are single precision: taking the mean off first keeps centimetres.
    middle = np.float32(given.mean(dtype=np.float64))
    heights = brought(given - middle) + middle
    known = np.ones((size, size), bool)
    if not terrain.known[area].all():
        known[brought(terrain.known[area]) <= 0.999] = False
    water = np.zeros((size, size), np.float32)
    if terrain.level[area].any():
        water = np.clip(brought(terrain.level[area]) * 4.0 - 1.5, 0.0, 1.0)
    return heights, known, water


def _between_metres(heights: NDArray[np.float32], level: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Heights that were rounded to whole metres, smoothed as far as the rounding allows, so that gentle
    slopes are no terraces."""
    if (heights != np.rint(heights)).any():
        return heights
    smooth = np.clip(ndimage.gaussian_filter(heights, 2.0, truncate=2.5), heights - 0.5, heights + 0.5)
    return np.where(level, heights, smooth)


def _detail(
    heights: NDArray[np.float32],
    water: NDArray[np.float32],
    smoothed_over: float,
    random: np.random.Generator,
) -> NDArray[np.float32]:
    """Roughness at the wavelengths that the DEM has lost, in proportion to the slope around."""
    size = len(heights)
    # Sharp crests and gullies, and ground without any.
    noise = fractal_noise(size, 3.0, random) - np.abs(fractal_noise(size, 3.0, random)) * 2.0
    noise -= ndimage.gaussian_filter(noise, smoothed_over, truncate=2.5)
    rough = np.abs(np.diff(noise, axis=0)).mean()
    down, across = np.gradient(heights)
    slope = reduced(np.hypot(down, across), 8)
    slope = enlarged(ndimage.gaussian_filter(slope, 1.0), 8, heights.shape)
    # What is missing is more the further the DEM was enlarged.
    share = random.uniform(0.15, 0.45) * min(1.0, np.log2(smoothed_over) / 2.0 + 0.25)
    return np.asarray(noise / rough * slope * share * (1.0 - water), np.float32)


def _not_too_steep(heights: NDArray[np.float32], gsd: float) -> NDArray[np.float32]:
    """The heights, lowered as a whole where ground of that spacing would not stand."""
    down, across = np.gradient(heights[::2, ::2], 2.0 * gsd)
    steep = float(np.percentile(np.hypot(down, across), 99.0))
    if steep <= _STEEPEST:
        return heights
    middle = heights.mean()
    return np.asarray(middle + (heights - middle) * np.float32(_STEEPEST / steep), np.float32)
