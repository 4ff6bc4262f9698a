"""Structural similarity of two surfaces (Wang, Bovik, Sheikh & Simoncelli 2004)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

WINDOW = 7
"""Side in pixels of the windows that are compared."""

_K1, _K2 = 0.01, 0.03


def structural_similarity(surface: FloatArray, reference: FloatArray, data_range: float) -> FloatArray:
    """SSIM of each 7 × 7 window by eq. 13, with uniform weights and sample covariances.

    Args:
        surface: (rows, columns), NaN where unknown.
        reference: the same.
        data_range: largest less least height that the constants of eq. 13 are shares of.

    Returns:
        (rows - 6, columns - 6) float64 in [-1, 1], NaN for windows that are not wholly known; empty where the
        surfaces are smaller than a window.
    """
    if min(surface.shape) < WINDOW:
        return np.empty((0, 0))
    known = np.isfinite(surface) & np.isfinite(reference)
    whole = _window_sums(known.astype(np.float64)) > WINDOW**2 - 0.5
    # Windows hold differences of metres on heights of thousands: around a common middle, squares keep them.
    middle = float(reference[known].mean()) if known.any() else 0.0
    first = np.where(known, surface - middle, 0.0)
    second = np.where(known, reference - middle, 0.0)
    size = float(WINDOW**2)
    mean_first, mean_second = _window_sums(first) / size, _window_sums(second) / size
    sample = size / (size - 1.0)
    variance_first = sample * (_window_sums(first * first) / size - mean_first**2)
    variance_second = sample * (_window_sums(second * second) / size - mean_second**2)
    covariance = sample * (_window_sums(first * second) / size - mean_first * mean_second)
    # The luminance term asks for the means as they are.
    mean_first, mean_second = mean_first + middle, mean_second + middle
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        similarity = ((2.0 * mean_first * mean_second + c1) * (2.0 * covariance + c2)) / (
            (mean_first**2 + mean_second**2 + c1) * (variance_first + variance_second + c2)
        )
    return np.where(whole, similarity, np.nan)


def _window_sums(values: FloatArray) -> FloatArray:
    """Sums over the windows: neighbours are added, not running sums subtracted, which would lose digits."""
    rows, columns = (side - WINDOW + 1 for side in values.shape)
    down = np.zeros((rows, values.shape[1]))
    for shift in range(WINDOW):
        down += values[shift : rows + shift]
    sums = np.zeros((rows, columns))
    for shift in range(WINDOW):
        sums += down[:, shift : columns + shift]
    return sums
