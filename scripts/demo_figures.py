"""How far the demo's prediction lies from the true DEM, beside what needs no network at all."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from imagetodem_qgis.core.alignment import best_plane, fit_shift, fit_shift_and_scale
from imagetodem_qgis.core.metrics import Accuracy, accuracy

_METRES_PER_DEGREE = 111_320.0
_LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Weights of red, green and blue in luminance (ITU-R BT.709)."""

Figures = list[tuple[str, Accuracy]]


def compare(prediction: Path, image: Path, truth: Path) -> Figures:
    """Accuracy of the prediction and of the baselines, all on the truth's grid (EPSG:4326).

    The prediction and the image are averaged over the truth's larger pixels, so that no row gains or loses by
    its resolution. Each row's name says what was fitted to the truth by least squares: a scale below 0
    means upside down. Nothing is fitted to the truth's minimum or maximum.

    Returns:
        Name and figures of each surface, in metres.
    """
    reference_set = gdal.Open(str(truth))
    reference = _read(reference_set, 1)
    predicted = _read(_on_grid(prediction, reference_set), 1)
    colours = _on_grid(image, reference_set)
    luminance = sum(weight * _read(colours, band) for band, weight in enumerate(_LUMINANCE, start=1))
    unknown = ~(np.isfinite(reference) & np.isfinite(predicted) & np.isfinite(luminance))
    for surface in (reference, predicted, luminance):
        surface[unknown] = np.nan
    pixel_size = _pixel_size_in_metres(reference_set)
    fitted = fit_shift_and_scale(predicted, reference)
    fitted_luminance = fit_shift_and_scale(luminance, reference)
    surfaces = [
        ("predicted + shift", fit_shift(predicted, reference).apply(predicted)),
        (f"predicted × {fitted.scale:.3g} + shift", fitted.apply(predicted)),
        ("flat mean", np.full(reference.shape, np.nanmean(reference))),
        ("best plane", best_plane(reference)),
        (f"luminance × {fitted_luminance.scale:.3g} + shift", fitted_luminance.apply(luminance)),
    ]
    return [(name, accuracy(surface, reference, pixel_size)) for name, surface in surfaces]


def table(figures: Figures) -> str:
    """The figures as lines of text."""
    head = f"{'':28}{'RMSE m':>8}{'RMSE/σ':>8}{'MAE m':>8}{'NMAD m':>8}{'LE90 m':>8}{'slope °':>9}{'r':>7}"
    lines = [head]
    for name, row in figures:
        correlation = "–" if math.isnan(row.correlation) else f"{row.correlation:.3f}"
        lines.append(
            f"{name:28}{row.rmse:8.1f}{row.rmse_by_sigma:8.3f}{row.mae:8.1f}{row.nmad:8.1f}{row.le90:8.1f}"
            f"{row.slope_rmse:9.2f}{correlation:>7}"
        )
    return "\n".join(lines)


def _on_grid(path: Path, grid: gdal.Dataset) -> gdal.Dataset:
    left, width, _, top, _, height = grid.GetGeoTransform()
    return gdal.Warp(
        "",
        str(path),
        format="MEM",
        dstSRS=grid.GetProjection(),
        outputBounds=(left, top + height * grid.RasterYSize, left + width * grid.RasterXSize, top),
        width=grid.RasterXSize,
        height=grid.RasterYSize,
        resampleAlg="average",
        outputType=gdal.GDT_Float64,
        dstNodata=math.nan,
    )


def _read(dataset: gdal.Dataset, band: int) -> NDArray[np.float64]:
    source = dataset.GetRasterBand(band)
    values = source.ReadAsArray().astype(np.float64)
    values[source.GetMaskBand().ReadAsArray() == 0] = np.nan
    return values


def _pixel_size_in_metres(dataset: gdal.Dataset) -> tuple[float, float]:
    _, width, _, top, _, height = dataset.GetGeoTransform()
    latitude = top + height * dataset.RasterYSize / 2
    return width * _METRES_PER_DEGREE * math.cos(math.radians(latitude)), abs(height) * _METRES_PER_DEGREE
