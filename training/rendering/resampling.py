"""Resampling of a regular grid, axis by axis, as products with narrow matrices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def spline_matrix(size: int, start: float, step: float, first: int, count: int) -> NDArray[np.float32]:
    """Weights that bring grid values to evenly spaced places: the cubic B-spline, widened where places lie
    further apart than values.

    The spline approximates rather than interpolates (Unser 1999, *Splines: a perfect fit*, eq. 3): heights in
    whole metres come out without a staircase, and going to a coarser grid averages instead of picking.

    Args:
        size: number of places.
        start: the first place, in grid units.
        step: distance of places, in grid units.
        first: number of the first grid value that is at hand; values outside repeat the edge.
        count: how many values are at hand.

    Returns:
        (size, count) float32; each row adds up to 1.
    """
    width = max(step, 1.0)
    places = start + step * np.arange(size)
    nearest = np.floor(places - 2.0 * width).astype(int)
    reach = np.arange(int(np.ceil(4.0 * width)) + 2)
    numbers = nearest[:, None] + reach
    weights = _cubic_spline((numbers - places[:, None]) / width)
    weights /= weights.sum(axis=1, keepdims=True)
    matrix = np.zeros((size, count))
    columns = np.clip(numbers - first, 0, count - 1)
    np.add.at(matrix, (np.arange(size)[:, None], columns), weights)
    return matrix.astype(np.float32)


def _cubic_spline(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    distance = np.abs(distance)
    near = 2.0 / 3.0 - distance**2 + distance**3 / 2.0
    far = np.clip(2.0 - distance, 0.0, None) ** 3 / 6.0
    return np.where(distance < 1.0, near, far)


def reduced(array: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Means of factor × factor blocks; what does not fill a block repeats the edge."""
    rows, columns = (-side % factor for side in array.shape)
    padded = np.pad(array, ((0, rows), (0, columns)), mode="edge")
    shape = padded.shape[0] // factor, factor, padded.shape[1] // factor, factor
    return np.asarray(padded.reshape(shape).mean(axis=(1, 3)), np.float32)


def enlarged(array: NDArray[np.float32], factor: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The smooth grid of a given shape whose :func:`reduced` grid an array is."""
    start, step = 0.5 / factor - 0.5, 1.0 / factor
    down, across = (spline_matrix(side, start, step, 0, count) for side, count in zip(shape, array.shape))
    return np.asarray(down @ array @ across.T, np.float32)
