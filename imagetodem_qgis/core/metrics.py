"""How far a surface lies from a reference: the usual figures of DEM accuracy, in the unit of the heights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_NORMAL_CONSISTENT = 1.4826
"""Makes the median absolute deviation of a normal distribution its standard deviation (Höhle & Höhle
2009)."""


@dataclass(frozen=True)
class Accuracy:
    """Figures of ``error = surface - reference`` over the pixels known in both.

    Attributes:
        count: pixels compared.
        bias: mean error.
        median: median error.
        mae: mean absolute error.
        rmse: root mean square error.
        nmad: 1.4826 · median(|error - median(error)|) (Höhle & Höhle 2009).
        le90: 90th percentile of |error|.
        slope_rmse: root mean square difference of the slopes in degrees, NaN where fewer than 3 × 3 pixels.
        correlation: Pearson's, NaN where one of the two is flat.
        rmse_by_sigma: RMSE divided by the reference's standard deviation, NaN where the reference is flat.
    """

    count: int
    bias: float
    median: float
    mae: float
    rmse: float
    nmad: float
    le90: float
    slope_rmse: float
    correlation: float
    rmse_by_sigma: float


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
    error, first_known, second_known = error[known], first[known], second[known]
    rmse = float(np.sqrt(np.mean(error**2)))
    median = float(np.median(error))
    spreads = float(first_known.std()), float(second_known.std())
    flat = 1e-9 * max(1.0, float(np.abs(second_known).max()))
    covariance = float(np.mean((first_known - first_known.mean()) * (second_known - second_known.mean())))
    slope_error = slope(first, pixel_size) - slope(second, pixel_size)
    slope_error = slope_error[np.isfinite(slope_error)]
    return Accuracy(
        count=int(error.size),
        bias=float(error.mean()),
        median=median,
        mae=float(np.abs(error).mean()),
        rmse=rmse,
        nmad=float(_NORMAL_CONSISTENT * np.median(np.abs(error - median))),
        le90=float(np.percentile(np.abs(error), 90)),
        slope_rmse=float(np.sqrt(np.mean(slope_error**2))) if slope_error.size else float("nan"),
        correlation=covariance / (spreads[0] * spreads[1]) if min(spreads) > flat else float("nan"),
        rmse_by_sigma=rmse / spreads[1] if spreads[1] > flat else float("nan"),
    )


def slope(heights: NDArray[np.floating], pixel_size: tuple[float, float]) -> NDArray[np.float64]:
    """Slope in degrees by Horn 1981 (the 3 × 3 weights 1-2-1), as ``gdaldem slope`` computes it.

    Args:
        heights: (rows, columns), NaN where unknown.
        pixel_size: of a column's and a row's step, in the heights' unit.

    Returns:
        (rows, columns) float64, NaN at the border and beside unknown pixels.
    """
    result = np.full(heights.shape, np.nan)
    if min(heights.shape) < 3:
        return result
    z = np.asarray(heights, np.float64)
    west, east = z[:, :-2], z[:, 2:]
    across = (east - west)[:-2] + 2 * (east - west)[1:-1] + (east - west)[2:]
    north, south = z[:-2], z[2:]
    down = (south - north)[:, :-2] + 2 * (south - north)[:, 1:-1] + (south - north)[:, 2:]
    gradient = np.hypot(across / (8 * abs(pixel_size[0])), down / (8 * abs(pixel_size[1])))
    # The middle pixel has no weight in Horn's formula, yet an unknown height has no slope.
    result[1:-1, 1:-1] = np.degrees(np.arctan(gradient)) + 0.0 * z[1:-1, 1:-1]
    return result
