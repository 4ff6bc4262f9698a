"""Contrast stretch of an image's bands to a network's input range.

The limits come from the whole image, never from a tile: limits of a tile's own would make neighbouring tiles
see the same ground differently, which shows as seams.

Haze is taken off where a model asks for it. What the air itself shines into the sensor (the path radiance)
lies over every pixel of an image alike, is the brighter the shorter the wavelength, and is what the darkest
ground is left with: the dark-object subtraction of P. S. Chavez, "An improved dark-object subtraction
technique for atmospheric scattering correction of multispectral data", Remote Sensing of Environment 24
(1988) 459-479. Left in, it turns every landscape blue, which a network reads as water.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
EACH, TOGETHER, DEHAZED = BANDS = ("each", "together", "dehazed")
"""Limits of each band's own; of all bands together, which keeps their colours; of all bands together once the
haze is taken off."""


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


@dataclass(frozen=True)
class StretchRecipe:
    """How an image is brought to the network's range: percentiles of the whole image become -1 and 1.

    Attributes:
        lower: percentile that becomes -1, in percent.
        upper: percentile that becomes 1, in percent.
        clip: largest magnitude of a stretched value.
        bands: one of :data:`BANDS`.
    """

    lower: float = 2.0
    upper: float = 98.0
    clip: float = 1.5
    bands: str = EACH

    def of(self, samples: NDArray[np.generic]) -> Stretch:
        """The stretch of an image by some of its pixels.

        Args:
            samples: valid pixels, shape (n, bands), any real dtype, n >= 1; in the order red, green, blue
                where haze is to be taken off.

        Raises:
            ValueError: there is no sample.
        """
        if samples.shape[0] == 0:
            raise ValueError("no valid pixel to take the stretch from")
        haze: NDArray[np.float64] = np.zeros(samples.shape[1])
        clear = samples
        if self.bands == DEHAZED:
            haze = _haze(np.array([_percentiles(band, (self.lower,))[0] for band in samples.T]))
            # Whole numbers stay such where there is none: their percentiles are quicker.
            clear = samples.astype(np.float64) - haze if haze.any() else samples
        bands = list(clear.T) if self.bands == EACH else [clear.reshape(-1)]
        limits = np.array([_percentiles(band, (self.lower, self.upper)) for band in bands])
        low, high = (np.broadcast_to(column, samples.shape[1]) for column in limits.T)
        # A constant band has no contrast to stretch: it becomes -1, whatever its value.
        high = np.where(high > low, high, low + 1.0)
        return Stretch(tuple((low + haze).tolist()), tuple((high + haze).tolist()), self.clip)


def _haze(dark: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each band has of haze, beyond what the reddest has, by the bands' dark values from red to blue.

    Haze grows towards blue. Where a dark value falls towards blue, as it does over red deserts, it is the
    ground's: of a band only what every bluer one has as well counts.
    """
    haze = np.minimum.accumulate(dark[::-1])[::-1]
    return np.asarray(haze - haze[0], np.float64)


def _percentiles(values: NDArray[np.generic], percents: tuple[float, ...]) -> NDArray[np.float64]:
    """As ``numpy.percentile``; whole numbers of few bits are counted, which takes no sorting."""
    if values.dtype.kind != "u" or values.dtype.itemsize > 2:
        return np.asarray(np.percentile(values.astype(np.float64), percents), np.float64)
    upto = np.cumsum(np.bincount(values))
    places = np.asarray(percents, np.float64) / 100.0 * (len(values) - 1)
    below = np.floor(places)
    first, second = (np.searchsorted(upto, part, side="right") for part in (below, np.ceil(places)))
    return np.asarray(first + (second - first) * (places - below), np.float64)
