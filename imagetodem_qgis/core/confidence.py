"""How far a height is to be trusted: one standard deviation from what a prediction shows of its own doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.card import GUIDED, CardError, ModelCard

CONFIDENCE = "confidence"
"""Key of a card: the weights of :class:`Doubt` as they were fitted on held-out ground."""
ANCHORED = "anchored"
"""Key within it: those of :class:`AnchoredDoubt`."""

_LAPLACE_VARIANCE = 2.0
"""Variance of a Laplace distribution of scale 1."""


@dataclass(frozen=True)
class Doubt:
    """Weights of the squares that make up a height's variance.

    ``σ² = spread · s² + copies · c² + overlaps · t² + floor · g²`` with the spread ``s`` that the network
    predicts (Kendall & Gal 2017, eq. 8), the root mean square departure ``c`` of a tile's transformed copies
    (Ayhan & Berens 2018), the departure ``t`` of overlapping tiles from their blend, and the size ``g`` of a
    pixel; all in units of a pixel.

    Attributes:
        spread: of the square of the predicted Laplace scale.
        copies: of the mean square departure of the copies.
        overlaps: of the mean square departure of overlapping tiles.
        floor: the variance that nothing goes below.
        calibrated: whether the weights come from held-out ground.
    """

    spread: float
    copies: float
    overlaps: float
    floor: float = 0.0
    calibrated: bool = True


@dataclass(frozen=True)
class AnchoredDoubt:
    """Weights of the squares that make up an anchored height's variance; ``docs/surface.md`` derives them.

    Attributes:
        prediction: of the variance of the prediction before it is anchored.
        reference: of the variance that the reference's relief has at its next finer octave.
    """

    prediction: float
    reference: float


_OF_RELIEF, _OF_DETAIL = AnchoredDoubt(0.0, 1.4), AnchoredDoubt(0.2, 0.7)
"""What the shipped models' weights are about."""


def anchored_doubt_of(card: ModelCard) -> AnchoredDoubt:
    """The weights that a model's card names for surfaces that are anchored to a reference.

    Raises:
        CardError: they are not numbers from 0 up.
    """
    given: Any = card.content.get(CONFIDENCE)
    given = given.get(ANCHORED) if isinstance(given, dict) else None
    if given is None:
        return _OF_DETAIL if card.task == GUIDED else _OF_RELIEF
    return AnchoredDoubt(*_weights(given, ("prediction", "reference")))


def doubt_of(card: ModelCard) -> Doubt:
    """The weights that a model's card names; without any, those of independent errors of the stated sizes.

    Raises:
        CardError: they are not numbers from 0 up.
    """
    given: Any = card.content.get(CONFIDENCE)
    if given is None:
        return Doubt(_LAPLACE_VARIANCE * card.spread_factor**2, 1.0, 1.0, calibrated=False)
    spread, copies, overlaps, floor = _weights(given, ("spread", "copies", "overlaps", "floor"))
    return Doubt(spread, copies, overlaps, floor)


def _weights(given: Any, keys: Sequence[str]) -> list[float]:
    try:
        weights = [float(given[key]) for key in keys]
    except (TypeError, KeyError, ValueError) as error:
        raise CardError(f"model.json has a wrong value for '{CONFIDENCE}': {given!r}") from error
    if not all(np.isfinite(weights)) or min(weights) < 0.0:
        raise CardError(f"model.json has a wrong value for '{CONFIDENCE}': {given!r}")
    return weights


def tile_deviation(
    doubt: Doubt, log_scale: NDArray[np.float32] | None, copies: NDArray[np.float32] | None
) -> NDArray[np.float32] | None:
    """What a tile by itself tells of its heights' standard deviation.

    Args:
        doubt: the weights.
        log_scale: (rows, columns), natural logarithm of the Laplace scale that the network predicts.
        copies: (rows, columns), mean square departure of the transformed copies.

    Returns:
        (rows, columns) float32 in units of a pixel; ``None`` where nothing tells it.
    """
    if log_scale is None and copies is None:
        return None
    variance = np.zeros((log_scale if log_scale is not None else copies).shape, np.float32)  # type: ignore[union-attr]
    variance += np.float32(doubt.floor)
    if log_scale is not None:
        variance += np.float32(doubt.spread) * np.exp(2.0 * log_scale)
    if copies is not None:
        variance += np.float32(doubt.copies) * copies
    return np.sqrt(variance)
