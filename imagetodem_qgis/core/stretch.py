"""Contrast stretch of an image's bands to a network's input range.

The limits come from the whole image, never from a tile: limits of a tile's own would make neighbouring tiles
see the same ground differently, which shows as seams.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Stretch:
    """Linear stretch of each band from [low, high] to [-1, 1], clipped to [-clip, clip].

    Attributes:
        low: value of each band that becomes -1.
        high: value of each band that becomes 1.
        clip: largest magnitude of a stretched value.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    clip: float = 1.5

    def apply(self, image: NDArray[np.generic]) -> FloatArray:
        """Stretch an image of shape (rows, columns, bands), any real dtype, to float32."""
        low = np.asarray(self.low, np.float32)
        high = np.asarray(self.high, np.float32)
        gain = 2.0 / (high - low)
        stretched: FloatArray = np.multiply(image, gain, dtype=np.float32, casting="unsafe")
        stretched -= low * gain + np.float32(1.0)
        # Quicker than np.clip on arrays whose bands lie apart in memory.
        np.minimum(stretched, np.float32(self.clip), out=stretched)
        return np.maximum(stretched, np.float32(-self.clip), out=stretched)


def percentile_stretch(
    samples: NDArray[np.generic],
    lower: float = 2.0,
    upper: float = 98.0,
    clip: float = 1.5,
    together: bool = False,
) -> Stretch:
    """Stretch between two percentiles, of each band or of all bands together, which keeps their colours.

    Args:
        samples: valid pixels, shape (n, bands), any real dtype, n >= 1.
        lower: percentile that becomes -1, in percent.
        upper: percentile that becomes 1, in percent.
        clip: largest magnitude of a stretched value.
        together: whether all bands share the limits.

    Raises:
        ValueError: there is no sample.
    """
    if samples.shape[0] == 0:
        raise ValueError("no valid pixel to take the stretch from")
    bands = [samples.reshape(-1)] if together else list(samples.T)
    limits = np.array([_percentiles(band, (lower, upper)) for band in bands])
    low, high = (np.broadcast_to(column, samples.shape[1]) for column in limits.T)
    # A constant band has no contrast to stretch: it becomes -1, whatever its value.
    high = np.where(high > low, high, low + 1.0)
    return Stretch(tuple(low.tolist()), tuple(high.tolist()), clip)


def _percentiles(values: NDArray[np.generic], percents: tuple[float, ...]) -> NDArray[np.float64]:
    """As ``numpy.percentile``; whole numbers of few bits are counted, which takes no sorting."""
    if values.dtype.kind != "u" or values.dtype.itemsize > 2:
        return np.asarray(np.percentile(values.astype(np.float64), percents), np.float64)
    upto = np.cumsum(np.bincount(values))
    places = np.asarray(percents, np.float64) / 100.0 * (len(values) - 1)
    below = np.floor(places)
    first, second = (np.searchsorted(upto, part, side="right") for part in (below, np.ceil(places)))
    return np.asarray(first + (second - first) * (places - below), np.float64)
