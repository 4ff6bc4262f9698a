"""How well the predicted standard deviations tell the true errors, and the weights that make them do so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from imagetodem_qgis.core.card import CARD_FILE, COARSE_DEM, ONNX_FILE, ModelCard, parse_card
from imagetodem_qgis.worker.headless.in_process import InProcessWorker
from training.data.tasks import coarse_dem
from training.evaluation.area import Area
from training.evaluation.course import CoarseDem, Remembering, follow, with_doubt

FloatArray = NDArray[np.float64]

WEIGHTS = ("spread", "copies", "overlaps", "floor")
WITHIN_ONE, WITHIN_TWO = 0.6827, 0.9545
"""Shares of a normal distribution within one and two standard deviations."""
_TOLERANCE_ONE, _TOLERANCE_TWO = 0.08, 0.04
_CELLS = (8, 16, 32)
"""Sides of the coarse DEM's cells in pixels that guided models are calibrated with, in turn."""
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
        squares: (n, 4) of :data:`WEIGHTS`.
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


def fitted_weights(doubts: list[Doubts]) -> dict[str, float]:
    """Weights under which the errors are most likely, scaled so that the shares within one and two standard
    deviations are both as near to a normal distribution's as they can be.

    Errors are taken to be normal; each source counts alike, and each area in it.

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

    start = np.full(
        len(WEIGHTS), np.log(max(float(shares @ errors**2 / shares.sum()), _LEAST) / len(WEIGHTS))
    )
    found = minimize(unlikeliness, start, jac=True, method="L-BFGS-B", bounds=[(-20.0, 20.0)] * len(WEIGHTS))
    weights = np.exp(found.x) / means
    ratios = np.abs(errors) / np.sqrt(squares @ weights + _LEAST)
    factor = _factor(ratios, shares / shares.sum())
    return {name: float(f"{weight * factor**2:.4g}") for name, weight in zip(WEIGHTS, weights)}


def coverage(doubts: Iterable[Doubts], weights: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Shares of the errors within one and two standard deviations: by source, and ``all``, where each area
    counts alike."""
    vector = np.array([weights[name] for name in WEIGHTS])
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
    known = np.isfinite(error)
    if coarse is None:
        error = error - error[known].mean(dtype=np.float64)
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
