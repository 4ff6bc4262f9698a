"""Models from an image to the DEM, and those that a coarse DEM guides, on held-out ground."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.alignment import fit_shift
from training.data.tasks import coarse_dem
from training.evaluation.accuracy import baselines, is_level, medians, mosaic_figures, tile_figures
from training.evaluation.area import Area
from training.evaluation.predictor import HEIGHTS, Predictor

CELLS = (8, 16, 32, 64)
"""Sides in pixels of the coarse DEM's cells that guided models are compared with."""

_MOST_GUIDED = 60
"""Tiles of a source that guided models are compared on, evenly chosen: each is asked for eight times."""

_Rows = dict[str, dict[str, list[dict[str, float]]]]


def image_to_dem_figures(
    models: Mapping[str, Predictor], tiles: Iterable[Area], mosaics: Iterable[Area]
) -> dict[str, Any]:
    """Figures of models from an image alone, and of the baselines, by source; see ``training.evaluate``."""
    rows: _Rows = {}
    for tile in tiles:
        if is_level(tile):
            continue
        source = rows.setdefault(tile.source, {})
        for name, model in models.items():
            answer = model.answer(tile)
            figures = tile_figures(answer.surface, tile, _knows_metres(model))
            if answer.deviation is not None and tile.in_metres:
                figures |= _coverage(answer.surface, answer.deviation, tile.dem)
            source.setdefault(name, []).append(figures)
        for name, fitted in baselines(tile).items():
            source.setdefault(name, []).append(tile_figures(fitted, tile))
    whole: _Rows = {}
    for mosaic in mosaics:
        if is_level(mosaic):
            continue
        answers: dict[str, NDArray[Any]] = {name: model.mosaic(mosaic) for name, model in models.items()}
        for name, surface in {**answers, **baselines(mosaic)}.items():
            source = whole.setdefault(mosaic.source, {})
            source.setdefault(name, []).append(mosaic_figures(surface, mosaic))
    figures_of = {source: {name: medians(part) for name, part in of.items()} for source, of in rows.items()}
    for source_name, answers_of in whole.items():
        for name, part in answers_of.items():
            summary = medians(part)
            summary["mosaics"] = summary.pop("tiles")
            figures_of.setdefault(source_name, {}).setdefault(name, {"tiles": 0}).update(summary)
    return figures_of


def guided_figures(models: Mapping[str, Predictor], tiles: Iterable[Area]) -> dict[str, Any]:
    """Figures of guided models and of bicubic interpolation of the coarse DEM that guides them, by source and
    size of its cells; of each model without its image too. Of a source of many tiles, 60 are taken."""
    rows: _Rows = {}
    for tile in _evenly(tiles, _MOST_GUIDED):
        known = np.nan_to_num(tile.dem)
        for cell in CELLS:
            coarse = coarse_dem(known, tile.valid, cell)
            bicubic = np.where(tile.valid, coarse, np.nan)
            answers: dict[str, NDArray[Any]] = {}
            for name, model in models.items():
                answers[name] = model.answer(tile, coarse, cell=cell).surface
                answers[f"{name}, image left out"] = model.answer(tile, coarse, blind=True, cell=cell).surface
            source = rows.setdefault(f"{tile.source}, cells of {cell} pixels", {})
            reference = tile_figures(bicubic, tile)
            for name, surface in {**answers, "bicubic": bicubic}.items():
                figures = tile_figures(surface, tile)
                figures["rmse_by_bicubic"] = figures["rmse_raw_m"] / reference["rmse_raw_m"]
                figures["slope_rmse_by_bicubic"] = figures["slope_rmse_deg"] / reference["slope_rmse_deg"]
                source.setdefault(name, []).append(figures)
    return {source: {name: medians(part) for name, part in of.items()} for source, of in rows.items()}


def _evenly(tiles: Iterable[Area], most: int) -> Iterable[Area]:
    sources: dict[str, list[Area]] = {}
    for tile in tiles:
        if tile.in_metres and not is_level(tile):
            sources.setdefault(tile.source, []).append(tile)
    for of in sources.values():
        chosen = np.linspace(0, len(of) - 1, min(most, len(of))).round().astype(int)
        yield from (of[int(number)] for number in chosen)


def spread_factor(model: Predictor, tiles: Iterable[Area]) -> float:
    """The factor by which the predicted spread must be multiplied so that 68.3 % of the errors, after a shift
    of each tile, lie within one standard deviation.

    Raises:
        ValueError: there is no tile to tell it from, or no spread.
    """
    ratios = []
    for tile in tiles:
        if tile.in_metres and tile.valid.any():
            answer = model.answer(tile)
            if answer.deviation is None:
                raise ValueError(f"the model {model.card.name} predicts no spread")
            error = np.abs(fit_shift(answer.surface, tile.dem).apply(answer.surface) - tile.dem)
            ratio = error / answer.deviation
            ratios.append(ratio[np.isfinite(ratio)][::97])
    if not ratios:
        raise ValueError("no tile with known heights to calibrate the predicted spread on")
    return float(np.percentile(np.concatenate(ratios), 68.27)) * model.card.spread_factor


def _knows_metres(model: Predictor) -> bool:
    return model.card.target == "relief_per_pixel" or HEIGHTS in model.card.content


def _coverage(surface: NDArray[Any], deviation: NDArray[Any], dem: NDArray[Any]) -> dict[str, float]:
    error = np.abs(fit_shift(surface, dem).apply(surface) - dem)
    known = np.isfinite(error)
    return {f"within_{n}_sigma": float((error[known] <= n * deviation[known]).mean()) for n in (1, 2)}
