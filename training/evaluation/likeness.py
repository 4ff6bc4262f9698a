"""What a model's training tiles look like, for telling images that are unlike them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.likeness import FEATURES, Likeness, tile_features
from imagetodem_qgis.core.stretch import StretchRecipe
from training.evaluation.area import Area

_FAR = 99.0
"""Percentile of the training tiles' distances beyond which a tile is unlike them."""
_SHRINK = 0.02
"""Share of each feature's variance that is added to the covariance: few tiles make features look tied."""
_LEAST = 1e-4
"""Variance that every feature is taken to have: grey images have no colour at all."""
_FEWEST = 10 * len(FEATURES)


def input_statistics(areas: Iterable[Area], recipe: StretchRecipe) -> dict[str, Any]:
    """The card's entry :data:`imagetodem_qgis.core.likeness.INPUT_STATISTICS`.

    Args:
        areas: tiles of the training's split, each with the samples of its whole image.
        recipe: of the model's stretch.

    Raises:
        ValueError: there are too few.
    """
    found = [_features(area, recipe) for area in areas]
    rows = np.array([features for features in found if features is not None], np.float64)
    if len(rows) < _FEWEST:
        raise ValueError(f"{len(rows)} tiles are too few to tell what training images look like: {_FEWEST}")
    mean: NDArray[np.float64] = rows.mean(axis=0)
    covariance = np.cov(rows.T)
    variance = np.diag(covariance)
    precision = np.asarray(np.linalg.inv(covariance + np.diag(_SHRINK * variance + _LEAST)), np.float64)
    likeness = Likeness(mean, precision, np.inf)
    far = float(np.percentile([likeness.distance(row) for row in rows], _FAR))
    return {
        "features": list(FEATURES),
        "tiles": len(rows),
        "mean": _rounded(mean),
        "precision": [_rounded(row) for row in precision],
        "far": round(far, 4),
    }


def _features(area: Area, recipe: StretchRecipe) -> Any:
    return tile_features(recipe.of(area.samples).apply(area.image), area.valid)


def _rounded(row: Any) -> list[float]:
    return [float(f"{value:.6g}") for value in row]
