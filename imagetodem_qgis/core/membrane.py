"""A smooth surface over what is unknown, hung on what is known around it.

The pull-push pyramid of Gortler, Grzeszczuk, Szeliski & Cohen 1996 (section 3.4.2), between whose levels the
surface is interpolated linearly and relaxed by Jacobi's iteration for Laplace's equation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

REACH = 8
"""Pixels of the coarsest level from which a pixel's answer may come but by that level."""

_SWEEPS = 6


def bridged(heights: FloatArray, levels: int | None = None, coarsest: FloatArray | None = None) -> FloatArray:
    """Bridge the unknown pixels.

    Args:
        heights: (rows, columns), NaN where unknown.
        levels: how often to halve the pixels; until all are known if not given.
        coarsest: the answer after that, where nothing is known even then.

    Returns:
        (rows, columns) float32, finite everywhere, the known heights unchanged and the others among them.

    Raises:
        ValueError: no pixel is known.
    """
    known = np.isfinite(heights)
    if known.all():
        return heights
    if levels == 0 and coarsest is not None:
        guess = coarsest
    elif heights.size == 1:
        raise ValueError("no height is known")
    else:
        coarse = bridged(halved(heights), None if levels is None else levels - 1, coarsest)
        guess = _doubled(coarse)[: heights.shape[0], : heights.shape[1]]
    return _relaxed(np.where(known, heights, guess), known)


def halved(heights: FloatArray) -> FloatArray:
    """Means of the known ones of 2 × 2 pixels each, NaN where none is."""
    rows, columns = heights.shape
    wide = np.pad(heights, ((0, rows % 2), (0, columns % 2)), constant_values=np.nan)
    known = np.isfinite(wide)
    sums, counts = _quads(np.where(known, wide, np.float32(0.0))), _quads(known)
    with np.errstate(invalid="ignore"):
        return np.where(counts > 0.0, sums / counts, np.nan).astype(np.float32)


def _quads(values: NDArray[Any]) -> NDArray[np.float64]:
    """Sums over squares of 2 × 2 pixels."""
    pairs = np.add(values[::2], values[1::2], dtype=np.float64)
    return np.asarray(pairs[:, ::2] + pairs[:, 1::2])


def _doubled(values: FloatArray) -> FloatArray:
    """Values at twice as many places along each axis, by linear interpolation."""
    for axis in (0, 1):
        values = np.moveaxis(values, axis, 0)
        wide = np.concatenate([values[:1], values, values[-1:]])
        near, far = np.float32(0.75) * values, np.float32(0.25) * wide
        pairs = np.stack([near + far[:-2], near + far[2:]], axis=1)
        values = np.moveaxis(pairs.reshape(-1, *values.shape[1:]), 0, axis)
    return values


def _relaxed(values: FloatArray, known: NDArray[np.bool_]) -> FloatArray:
    """Unknown pixels moved towards the mean of their four neighbours."""
    for _ in range(_SWEEPS):
        wide = np.pad(values, 1, mode="edge")
        around = wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:]
        values = np.where(known, values, np.float32(0.25) * around)
    return values
