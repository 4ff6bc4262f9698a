"""Models from the DEM to an image on held-out ground."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.alignment import fit_shift_and_scale
from training.data.pair import SUN_AZIMUTH
from training.evaluation.accuracy import is_level, medians
from training.evaluation.area import Area
from training.evaluation.predictor import Predictor

_SUN_ALTITUDE = 45.0


def dem_to_image_figures(models: Mapping[str, Predictor], tiles: Iterable[Area]) -> dict[str, Any]:
    """Figures of models from the DEM to an image, by source, beside what each band's fit to the heights, to a
    hillshade, and to nothing at all gives.

    Colours are those of the stretched image, clipped to [-1, 1]: ``image_rmse`` as predicted,
    ``image_rmse_fitted`` after a shift and scale of each band, ``image_correlation`` of the luminance.
    """
    rows: dict[str, dict[str, list[dict[str, float]]]] = {}
    for tile in tiles:
        if is_level(tile):
            continue
        source = rows.setdefault(tile.source, {})
        truth = None
        for name, model in models.items():
            truth = np.clip(model.stretched(tile), -1.0, 1.0)
            source.setdefault(name, []).append(_figures(model.image(tile), truth, tile.valid))
        if truth is not None:
            for name, plane in _planes(tile).items():
                fitted = _fitted(np.repeat(plane[..., None], 3, axis=-1), truth, tile.valid)
                source.setdefault(name, []).append(_figures(fitted, truth, tile.valid))
    return {source: {name: medians(part) for name, part in of.items()} for source, of in rows.items()}


def _planes(tile: Area) -> dict[str, NDArray[np.float64]]:
    heights = np.where(tile.valid, tile.dem, np.nanmean(tile.dem)).astype(np.float64)
    down, right = np.gradient(heights, tile.gsd)
    azimuth, altitude = np.radians(SUN_AZIMUTH), np.radians(_SUN_ALTITUDE)
    # Lambert's cosine between the ground's normal and the light that training images are brought to.
    towards = -right * np.sin(azimuth) + down * np.cos(azimuth)
    shade = np.sin(altitude) + np.cos(altitude) * towards
    return {
        "one colour": np.zeros_like(heights),
        "height": heights,
        "hillshade": np.clip(shade / np.sqrt(1.0 + down**2 + right**2), 0.0, 1.0),
    }


def _fitted(image: NDArray[Any], truth: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    bands = []
    for band in range(3):
        known = np.where(valid, image[..., band], np.nan)
        bands.append(fit_shift_and_scale(known, truth[..., band]).apply(image[..., band]))
    return np.stack(bands, axis=-1)


def _figures(image: NDArray[Any], truth: NDArray[Any], valid: NDArray[np.bool_]) -> dict[str, float]:
    first, second = image.mean(axis=-1)[valid], truth.mean(axis=-1)[valid]
    flat = min(first.std(), second.std()) < 1e-6
    return {
        "image_rmse": float(np.sqrt(np.mean((image - truth)[valid] ** 2))),
        "image_rmse_fitted": float(np.sqrt(np.mean((_fitted(image, truth, valid) - truth)[valid] ** 2))),
        "image_correlation": 0.0 if flat else float(np.corrcoef(first, second)[0, 1]),
    }
