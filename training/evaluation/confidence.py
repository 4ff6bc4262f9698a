"""How well the predicted standard deviations tell the true errors, and the weights that make them do so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from imagetodem_qgis.core.card import CARD_FILE, COARSE_DEM, ONNX_FILE, ModelCard, parse_card
from imagetodem_qgis.core.confidence import ANCHORED
from imagetodem_qgis.worker.headless.in_process import InProcessWorker
from training.data.tasks import coarse_dem
from training.evaluation.area import Area
from training.evaluation.course import CoarseDem, Remembering, follow, with_doubt
from training.evaluation.reference import AreaReference

FloatArray = NDArray[np.float64]

WEIGHTS = ("spread", "copies", "overlaps", "floor")
ANCHORED_WEIGHTS = ("prediction", "reference")
WITHIN_ONE, WITHIN_TWO = 0.6827, 0.9545
"""Shares of a normal distribution within one and two standard deviations."""
_TOLERANCE_ONE, _TOLERANCE_TWO = 0.08, 0.04
_CELLS = (8, 16, 32)
"""Sides of the coarse DEM's cells in pixels that guided models are calibrated with, in turn."""
_REFERENCE_CELLS = (4, 8, 16, 32)
"""Those of references that surfaces are anchored to: each area to two of them."""
_OVERLAP = 0.25
_EVERY = 7
"""Of the rows and columns whose errors are looked at: neighbours' errors are nearly the same."""
_LEAST = 1e-6


@dataclass(frozen=True)
class Doubts:
    """Errors on one area, and the squares that their variance is made of, all in units of a pixel.

    Attributes:
        source: of the area.
        errors: (n,), after the mean error of the area is taken off where the model's heights have no zero.
        squares: (n, weights) of :data:`WEIGHTS` or :data:`ANCHORED_WEIGHTS`.
    """

    source: str
    errors: FloatArray
    squares: FloatArray


def open_worker(folder: Path) -> tuple[ModelCard, InProcessWorker]:
    """A model's card, and a worker that has it open."""
    card = parse_card((folder / CARD_FILE).read_text(encoding="utf-8"))
    worker = InProcessWorker()
    network = {"kind": "onnx", "path": str(folder / ONNX_FILE)}
    worker.ask({"type": "open", "engine": "onnxruntime", "device": "cpu", "model": network})
    return card, worker


def doubts_of(folder: Path, areas: Iterable[Area]) -> list[Doubts]:
    """Errors and squares of a model on areas whose heights are known in metres."""
    card, worker = open_worker(folder)
    found = []
    for number, area in enumerate(areas):
        if area.in_metres and area.valid.any():
            found.append(_doubts(area, card, worker, _CELLS[number % len(_CELLS)]))
    return found


def anchored_doubts_of(folder: Path, areas: Iterable[Area], weights: Mapping[str, float]) -> list[Doubts]:
    """Errors and squares of a model whose surfaces are anchored to references made of the areas' own heights.

    Args:
        folder: of the model.
        areas: as for :func:`doubts_of`.
        weights: of its predictions before they are anchored.
    """
    card, worker = open_worker(folder)
    found = []
    for number, area in enumerate(areas):
        if area.in_metres and area.valid.any():
            for step in (0, 2):
                cell = _REFERENCE_CELLS[(number + step) % len(_REFERENCE_CELLS)]
                found.append(_anchored_doubts(area, card, Remembering(worker), cell, weights))
    return found


def fitted_weights(doubts: list[Doubts], names: Sequence[str] = WEIGHTS) -> dict[str, float]:
    """Weights under which the errors are most likely, scaled so that the shares within one and two standard
    deviations are both as near to a normal distribution's as they can be.

    Errors are taken to be normal. For what the weights are beside each other each source counts alike, and
    each area in it; for how large they are, each area.

    Args:
        doubts: of the areas.
        names: of the weights, one for each of their squares.

    Raises:
        ValueError: there is no error to fit them to.
    """
    if not doubts:
        raise ValueError("no area with known heights to calibrate the standard deviations on")
    errors = np.concatenate([one.errors for one in doubts])
    squares = np.concatenate([one.squares for one in doubts])
    areas = Counter(one.source for one in doubts)
    shares = np.concatenate(
        [np.full(len(one.errors), 1.0 / (len(one.errors) * areas[one.source])) for one in doubts]
    )
    means = np.maximum(shares @ squares / shares.sum(), _LEAST)

    def unlikeliness(logs: FloatArray) -> tuple[float, FloatArray]:
        parts = squares * (np.exp(logs) / means)
        variance = parts.sum(axis=1) + _LEAST
        ratio = errors**2 / variance
        slope = shares * (1.0 - ratio) / variance
        return float(shares @ (np.log(variance) + ratio)), parts.T @ slope

    variance = max(float(shares @ errors**2 / shares.sum()), _LEAST)
    start = np.full(len(names), np.log(variance / len(names)))
    found = minimize(unlikeliness, start, jac=True, method="L-BFGS-B", bounds=[(-20.0, 20.0)] * len(names))
    weights = np.exp(found.x) / means
    ratios = np.abs(errors) / np.sqrt(squares @ weights + _LEAST)
    alike = np.concatenate([np.full(len(one.errors), 1.0 / len(one.errors)) for one in doubts])
    factor = _factor(ratios, alike / alike.sum())
    return {name: float(f"{weight * factor**2:.4g}") for name, weight in zip(names, weights)}


def coverage(doubts: Iterable[Doubts], weights: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Shares of the errors within one and two standard deviations: by source, and ``all``, where each area
    counts alike; the weights in the order of the squares."""
    vector = np.array(list(weights.values()))
    rows: dict[str, list[tuple[float, float]]] = {}
    for one in doubts:
        ratio = np.abs(one.errors) / np.sqrt(one.squares @ vector + _LEAST)
        shares = (float((ratio <= 1.0).mean()), float((ratio <= 2.0).mean()))
        for name in (one.source, "all"):
            rows.setdefault(name, []).append(shares)
    return {
        name: {
            "areas": len(found),
            "within_1_sigma": round(float(np.mean([one for one, _ in found])), 4),
            "within_2_sigma": round(float(np.mean([two for _, two in found])), 4),
        }
        for name, found in rows.items()
    }


def _doubts(area: Area, card: ModelCard, worker: InProcessWorker, cell: int) -> Doubts:
    coarse = None
    if COARSE_DEM in card.inputs:
        coarse = coarse_dem(np.nan_to_num(area.dem), area.valid, cell)
    remembering = Remembering(worker)
    heights, squares = area.dem, [np.ones_like(area.dem)]
    for name in reversed(WEIGHTS[:-1]):
        alone = with_doubt(card, {one: float(one == name) for one in WEIGHTS})
        given = CoarseDem(coarse, cell) if coarse is not None else None
        course = follow(area, alone, remembering, _OVERLAP, given)
        remembering.begin_again()
        if course.deviation is not None:
            squares.insert(0, (course.deviation / area.gsd) ** 2)
        heights = course.heights
    error = heights - (area.dem if coarse is None else area.dem - coarse)
    if coarse is None:
        error = error - np.nanmean(error, dtype=np.float64)
    return _compared(area, error, squares)


def _anchored_doubts(
    area: Area, card: ModelCard, worker: Remembering, cell: int, weights: Mapping[str, float]
) -> Doubts:
    squares, known = [], AreaReference(area, cell)
    for name in ANCHORED_WEIGHTS:
        alone = {one: float(one == name) for one in ANCHORED_WEIGHTS}
        course = follow(area, with_doubt(card, {**weights, ANCHORED: alone}), worker, _OVERLAP, known=known)
        worker.begin_again()
        if course.deviation is not None:
            squares.append((course.deviation / area.gsd) ** 2)
    return _compared(area, course.heights - area.dem, squares)


def _compared(area: Area, error: NDArray[np.float32], squares: list[NDArray[np.float32]]) -> Doubts:
    known = np.isfinite(error) & np.isfinite(squares).all(axis=0)
    chosen = np.zeros_like(known)
    chosen[::_EVERY, ::_EVERY] = True
    chosen &= known
    return Doubts(
        area.source,
        np.asarray(error[chosen] / area.gsd, np.float64),
        np.stack([part[chosen] for part in squares], axis=1).astype(np.float64),
    )


def _factor(ratios: FloatArray, shares: FloatArray) -> float:
    """What deviations must be multiplied with, given |error| / deviation."""
    order = np.argsort(ratios)
    ratios, upto = ratios[order], np.cumsum(shares[order])
    candidates = np.exp(np.linspace(np.log(0.1), np.log(10.0), 2001))
    one, two = (
        np.concatenate([[0.0], upto])[np.searchsorted(ratios, times * candidates, side="right")]
        for times in (1.0, 2.0)
    )
    misses = np.maximum(np.abs(one - WITHIN_ONE) / _TOLERANCE_ONE, np.abs(two - WITHIN_TWO) / _TOLERANCE_TWO)
    return float(candidates[np.argmin(misses)])
