"""How far a surface lies from a reference: the usual figures of DEM accuracy, in the unit of the heights."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Union

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Step = Union[float, FloatArray]
"""Length of a pixel's side: one for all, or (rows,) where it changes from row to row."""

NORMAL_CONSISTENT = 1.4826
"""Makes the median absolute deviation of a normal distribution its standard deviation (Höhle & Höhle
2009)."""

LEAST_SLOPE_WITH_ASPECT = 2.0
"""Degrees of slope below which the direction that ground faces is chance."""


@dataclass(frozen=True)
class ErrorFigures:
    """Figures of errors, NaN where there is none.

    Attributes:
        count: errors.
        bias: mean error.
        median: median error.
        mae: mean absolute error.
        rmse: root mean square error.
        nmad: 1.4826 · median(|error - median(error)|) (Höhle & Höhle 2009).
        le90: 90th percentile of |error|.
    """

    count: int
    bias: float
    median: float
    mae: float
    rmse: float
    nmad: float
    le90: float


@dataclass(frozen=True)
class Accuracy(ErrorFigures):
    """Figures of ``error = surface - reference`` over the pixels known in both.

    Attributes:
        slope_rmse: root mean square difference of the slopes in degrees, NaN where fewer than 3 × 3 pixels.
        correlation: Pearson's, NaN where one of the two is flat.
        rmse_by_sigma: RMSE divided by the reference's standard deviation, NaN where the reference is flat.
    """

    slope_rmse: float
    correlation: float
    rmse_by_sigma: float


def error_figures(errors: NDArray[np.floating]) -> ErrorFigures:
    """Figures of known errors, any shape."""
    if not errors.size:
        return ErrorFigures(0, *[float("nan")] * 6)
    errors = np.asarray(errors, np.float64)
    median = float(np.median(errors))
    return ErrorFigures(
        count=int(errors.size),
        bias=float(errors.mean()),
        median=median,
        mae=float(np.abs(errors).mean()),
        rmse=float(np.sqrt(np.mean(errors**2))),
        nmad=float(NORMAL_CONSISTENT * np.median(np.abs(errors - median))),
        le90=float(np.percentile(np.abs(errors), 90)),
    )


def accuracy(
    surface: NDArray[np.floating], reference: NDArray[np.floating], pixel_size: tuple[float, float]
) -> Accuracy:
    """Compare two surfaces on one grid.

    Args:
        surface: (rows, columns) heights, NaN where unknown.
        reference: (rows, columns) heights in the same unit, NaN where unknown.
        pixel_size: of a column's and a row's step, in the heights' unit.

    Raises:
        ValueError: no pixel is known in both.
    """
    first = np.asarray(surface, np.float64)
    second = np.asarray(reference, np.float64)
    error = first - second
    known = np.isfinite(error)
    if not known.any():
        raise ValueError("the surface and the reference have no known pixel in common")
    figures = error_figures(error[known])
    first_known, second_known = first[known], second[known]
    spreads = float(first_known.std()), float(second_known.std())
    flat = 1e-9 * max(1.0, float(np.abs(second_known).max()))
    covariance = float(np.mean((first_known - first_known.mean()) * (second_known - second_known.mean())))
    slope_error = slope(first, pixel_size) - slope(second, pixel_size)
    slope_error = slope_error[np.isfinite(slope_error)]
    return Accuracy(
        **asdict(figures),
        slope_rmse=float(np.sqrt(np.mean(slope_error**2))) if slope_error.size else float("nan"),
        correlation=covariance / (spreads[0] * spreads[1]) if min(spreads) > flat else float("nan"),
        rmse_by_sigma=figures.rmse / spreads[1] if spreads[1] > flat else float("nan"),
    )


def slope(heights: NDArray[np.floating], pixel_size: tuple[Step, Step]) -> FloatArray:
    """Slope in degrees by Horn 1981 (the 3 × 3 weights 1-2-1), as ``gdaldem slope`` computes it.

    Args:
        heights: (rows, columns), NaN where unknown.
        pixel_size: of a column's and a row's step, in the heights' unit.

    Returns:
        (rows, columns) float64, NaN at the border and beside unknown pixels.
    """
    slopes: FloatArray = np.degrees(np.arctan(np.hypot(*gradient(heights, pixel_size))))
    return slopes


def gradient(heights: NDArray[np.floating], pixel_size: tuple[Step, Step]) -> tuple[FloatArray, FloatArray]:
    """Rise along a column's and along a row's step by Horn 1981, per unit of length.

    Args:
        heights: as for :func:`slope`.
        pixel_size: likewise.

    Returns:
        Two arrays (rows, columns) float64, NaN at the border and beside unknown pixels.
    """
    right, down = np.full(heights.shape, np.nan), np.full(heights.shape, np.nan)
    if min(heights.shape) < 3:
        return right, down
    z = np.asarray(heights, np.float64)
    west, east = z[:, :-2], z[:, 2:]
    across = (east - west)[:-2] + 2 * (east - west)[1:-1] + (east - west)[2:]
    north, south = z[:-2], z[2:]
    along = (south - north)[:, :-2] + 2 * (south - north)[:, 1:-1] + (south - north)[:, 2:]
    # The middle pixel has no weight in Horn's formula, yet an unknown height has no slope.
    middle = 0.0 * z[1:-1, 1:-1]
    right[1:-1, 1:-1] = across / (8 * _steps(pixel_size[0])) + middle
    down[1:-1, 1:-1] = along / (8 * _steps(pixel_size[1])) + middle
    return right, down


def aspect_difference(
    first: tuple[FloatArray, FloatArray], second: tuple[FloatArray, FloatArray]
) -> FloatArray:
    """Angle between the directions that two surfaces face, degrees from 0 to 180.

    Args:
        first: a surface's gradient; see :func:`gradient`.
        second: the other's.

    Returns:
        (rows, columns) float64, NaN where either slope is unknown or below
        :data:`LEAST_SLOPE_WITH_ASPECT`.
    """
    cross = first[0] * second[1] - first[1] * second[0]
    along = first[0] * second[0] + first[1] * second[1]
    least = np.tan(np.radians(LEAST_SLOPE_WITH_ASPECT))
    steep = np.minimum(np.hypot(*first), np.hypot(*second)) >= least
    return np.where(steep, np.degrees(np.arctan2(np.abs(cross), along)), np.nan)


def _steps(step: Step) -> Step:
    """A step's length, or those of the inner rows as a column."""
    if isinstance(step, np.ndarray):
        return np.abs(step[1:-1, None])
    return abs(step)
