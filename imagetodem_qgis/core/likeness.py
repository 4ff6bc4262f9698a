"""Whether an image looks like those that a model learned from.

A tile is described by a few numbers, and compared with the training's by Mahalanobis' distance (1936), as is
usual for telling what lies outside a training distribution (Lee et al. 2018). Far from it, a network's answer
is a guess that its own doubt does not tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.card import ModelCard

FloatArray = NDArray[np.float64]

INPUT_STATISTICS = "input_statistics"
"""Key of a card: what the training's tiles look like."""

FEATURES = (
    "red",
    "green",
    "blue",
    "brightness_spread",
    "red_over_green",
    "blue_over_green",
    "bands_alike",
    "rough_1",
    "rough_4",
    "rough_16",
)
"""Mean of each stretched band; standard deviations of brightness, of red less green and of blue less green;
correlation of red and blue; natural logarithms of the mean brightness step over 1, 4 and 16 pixels."""

_STEPS = (1, 4, 16)
_LEAST_STEP = 1e-3
_LEAST_PIXELS = 256


@dataclass(frozen=True)
class Likeness:
    """What the training's tiles look like.

    Attributes:
        mean: (features,) of the training's tiles.
        precision: (features, features), inverse of their covariance.
        far: distance that one in a hundred of the training's tiles exceeds.
    """

    mean: FloatArray
    precision: FloatArray
    far: float

    def distance(self, features: FloatArray) -> float:
        """Mahalanobis' distance of a tile's features from the training's."""
        departure = features - self.mean
        return float(np.sqrt(max(0.0, float(departure @ self.precision @ departure))))


def tile_features(image: NDArray[np.float32], known: NDArray[np.bool_]) -> FloatArray | None:
    """The numbers of :data:`FEATURES` of a tile.

    Args:
        image: (rows, columns, 3) in the stretched range.
        known: (rows, columns), which pixels count.

    Returns:
        (features,) float64; ``None`` where too few pixels are known.
    """
    if known.sum() < _LEAST_PIXELS:
        return None
    colours = image[known].astype(np.float64)
    red, green, blue = colours.T
    brightness = image.mean(axis=-1)
    rough = [np.log(_LEAST_STEP + _mean_step(brightness, known, step)) for step in _STEPS]
    spreads = red.std(), blue.std()
    alike = float(np.mean((red - red.mean()) * (blue - blue.mean())))
    correlation = alike / (spreads[0] * spreads[1]) if min(spreads) > _LEAST_STEP else 1.0
    return np.array(
        [
            *colours.mean(axis=0),
            colours.mean(axis=1).std(),
            (red - green).std(),
            (blue - green).std(),
            correlation,
            *rough,
        ]
    )


def likeness_of(card: ModelCard) -> Likeness | None:
    """What a card tells of the training's tiles; ``None`` where it tells nothing that can be used."""
    given: Any = card.content.get(INPUT_STATISTICS)
    if not isinstance(given, dict) or tuple(given.get("features", ())) != FEATURES:
        return None
    try:
        found = Likeness(
            np.asarray(given["mean"], np.float64),
            np.asarray(given["precision"], np.float64),
            float(given["far"]),
        )
    except (KeyError, TypeError, ValueError):
        return None
    count = len(FEATURES)
    is_whole = found.mean.shape == (count,) and found.precision.shape == (count, count)
    return found if is_whole and np.isfinite(found.precision).all() else None


def _mean_step(brightness: NDArray[np.float32], known: NDArray[np.bool_], step: int) -> float:
    total, count = 0.0, 0
    for first, second in (
        ((slice(step, None), slice(None)), (slice(None, -step), slice(None))),
        ((slice(None), slice(step, None)), (slice(None), slice(None, -step))),
    ):
        both = known[first] & known[second]
        total += float(np.abs(brightness[first] - brightness[second])[both].sum(dtype=np.float64))
        count += int(both.sum())
    return total / count if count else 0.0
