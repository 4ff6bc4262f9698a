"""Fitting one surface to another by a shift, by a shift and a scale, or by a plane, least squares
throughout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class ShiftAndScale:
    """The line ``reference ≈ scale · surface + shift``."""

    shift: float
    scale: float = 1.0

    def apply(self, surface: NDArray[np.floating]) -> FloatArray:
        """The surface brought onto the reference, float64, NaN where the surface is NaN."""
        return np.asarray(surface, np.float64) * self.scale + self.shift


def fit_shift(surface: NDArray[np.floating], reference: NDArray[np.floating]) -> ShiftAndScale:
    """The shift that leaves the least squared difference: the mean of ``reference - surface``.

    Args:
        surface: any shape, NaN where unknown.
        reference: the same shape, NaN where unknown.

    Raises:
        ValueError: no pixel is known in both.
    """
    first, second = _common(surface, reference)
    return ShiftAndScale(float(np.mean(second - first)))


def fit_shift_and_scale(surface: NDArray[np.floating], reference: NDArray[np.floating]) -> ShiftAndScale:
    """The line that leaves the least squared difference; a flat surface gets scale 0 and the reference's
    mean.

    The scale may come out negative: a surface that is upside down is then told by its negative correlation.

    Raises:
        ValueError: no pixel is known in both.
    """
    first, second = _common(surface, reference)
    centred = first - first.mean()
    variance = float(np.mean(centred**2))
    # Below the rounding of float32 data, a spread is noise and no slope can be taken from it.
    if variance <= (1e-7 * max(1.0, float(np.abs(first).max()))) ** 2:
        return ShiftAndScale(float(second.mean()), 0.0)
    scale = float(np.mean(centred * (second - second.mean()))) / variance
    return ShiftAndScale(float(second.mean() - scale * first.mean()), scale)


def best_plane(reference: NDArray[np.floating]) -> FloatArray:
    """The plane with the least squared difference from a surface.

    Args:
        reference: (rows, columns), NaN where unknown.

    Returns:
        (rows, columns) float64, known everywhere.

    Raises:
        ValueError: no pixel is known.
    """
    rows, columns = np.indices(reference.shape, np.float64)
    known = np.isfinite(reference)
    if not known.any():
        raise ValueError("no known pixel to fit a plane to")
    terms = np.stack([np.ones(int(known.sum())), rows[known], columns[known]], axis=1)
    coefficients = np.linalg.lstsq(terms, np.asarray(reference, np.float64)[known], rcond=None)[0]
    plane: FloatArray = coefficients[0] + coefficients[1] * rows + coefficients[2] * columns
    return plane


def _common(surface: NDArray[np.floating], reference: NDArray[np.floating]) -> tuple[FloatArray, FloatArray]:
    both = np.isfinite(surface) & np.isfinite(reference)
    if not both.any():
        raise ValueError("the surface and the reference have no known pixel in common")
    return np.asarray(surface, np.float64)[both], np.asarray(reference, np.float64)[both]
