"""The figures of one answer on one piece of held-out ground.

Every answer is compared raw, after the best shift, and after the best shift and scale: heights from a single
image have no zero of their own, and their scale is a guess.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.alignment import best_plane, fit_shift, fit_shift_and_scale
from imagetodem_qgis.core.metrics import accuracy, aspect_difference, gradient, slope
from imagetodem_qgis.core.similarity import structural_similarity
from training.evaluation.area import Area
from training.report.figures import RELATIVE_ERROR

_LEAST_SIGMA = 5.0
"""Metres of an area's own standard deviation below which ratios to it say nothing."""
_LEAST_RELATIVE_SIGMA = 0.5
"""The same where the unit is not known: the published heights have about ten metres a unit."""


def is_level(area: Area) -> bool:
    """Whether an area has too little relief to be compared by ratios to it."""
    if not np.isfinite(area.dem).any():
        return True
    return bool(np.nanstd(area.dem) < (_LEAST_SIGMA if area.in_metres else _LEAST_RELATIVE_SIGMA))


def tile_figures(surface: NDArray[Any], area: Area, in_metres: bool = True) -> dict[str, float]:
    """Figures of a tile's surface.

    Args:
        surface: (rows, columns), NaN where unknown.
        area: the truth.
        in_metres: whether the surface is in the truth's unit; where not, only what comes after a shift and
            scale is told.

    Returns:
        Figures by the keys of :data:`training.report.figures.COLUMNS`.
    """
    pixel = (area.gsd, area.gsd)
    brought = fit_shift(surface, area.dem).apply(surface)
    shifted = accuracy(brought, area.dem, pixel)
    scaled = fit_shift_and_scale(surface, area.dem).apply(surface)
    figures = {
        RELATIVE_ERROR: _rmse(scaled, area.dem) / float(np.nanstd(area.dem, dtype=np.float64)),
        "correlation": 0.0 if np.isnan(shifted.correlation) else shifted.correlation,
    }
    if area.in_metres:
        figures["rmse_shift_scale_m"] = _rmse(scaled, area.dem)
        figures["slope_rmse_scaled_deg"] = _rmse(slope(scaled, pixel), slope(area.dem, pixel))
    if area.in_metres and in_metres:
        figures |= {
            "rmse_raw_m": _rmse(surface, area.dem),
            "bias_raw_m": float(np.nanmean(surface - np.asarray(area.dem, np.float64))),
            "rmse_shift_m": shifted.rmse,
            "rmse_by_sigma_shift": shifted.rmse_by_sigma,
            "mae_shift_m": shifted.mae,
            "nmad_shift_m": shifted.nmad,
            "le90_shift_m": shifted.le90,
            "slope_rmse_deg": shifted.slope_rmse,
            **_alikeness(brought, area.dem, pixel),
        }
    return figures


def _alikeness(
    surface: NDArray[np.float64], truth: NDArray[Any], pixel: tuple[float, float]
) -> dict[str, float]:
    """What slopes face, and structural similarity with the truth's own range for that of the data; 90 degrees
    and 0, which are chance, where nothing slopes or no window is wholly known."""
    faces = aspect_difference(gradient(surface, pixel), gradient(truth, pixel))
    data_range = float(np.nanmax(truth)) - float(np.nanmin(truth))
    similar = structural_similarity(surface, np.asarray(truth, np.float64), data_range)
    return {
        "aspect_error_deg": float(np.nanmean(faces)) if np.isfinite(faces).any() else 90.0,
        "ssim": float(np.nanmean(similar)) if np.isfinite(similar).any() else 0.0,
    }


def mosaic_figures(surface: NDArray[Any], area: Area) -> dict[str, float]:
    """Figures of a mosaic's surface after one shift and scale for the whole; see :func:`tile_figures`."""
    error = _rmse(fit_shift_and_scale(surface, area.dem).apply(surface), area.dem)
    sigma = float(np.nanstd(area.dem, dtype=np.float64))
    return {"rmse_mosaic_m": error, "rmse_by_sigma_mosaic": error / sigma}


def baselines(area: Area) -> dict[str, NDArray[np.float64]]:
    """What a generator must beat, each fitted to the truth itself: its mean, the plane nearest to it, and the
    image's luminance with the best shift and scale, whose sign is free."""
    luminance = np.where(area.valid, area.image.astype(np.float64).mean(axis=-1), np.nan)
    return {
        "flat mean": np.where(area.valid, np.nanmean(area.dem), np.nan),
        "best plane": np.where(area.valid, best_plane(area.dem), np.nan),
        "luminance": fit_shift_and_scale(luminance, area.dem).apply(luminance),
    }


def medians(rows: list[dict[str, float]]) -> dict[str, float]:
    """The median over areas of each figure, with their number as ``tiles``."""
    summary: dict[str, float] = {"tiles": len(rows)}
    for key in rows[0]:
        # A share of pixels is averaged: its median over tiles would hide the tiles where it fails.
        middle = np.mean if key.startswith("within") else np.median
        summary[key] = round(float(middle([row[key] for row in rows])), 4)
    return summary


def _rmse(surface: NDArray[Any], truth: NDArray[Any]) -> float:
    return float(np.sqrt(np.nanmean((surface - np.asarray(truth, np.float64)) ** 2)))
