"""Random fields that know nothing of the terrain: for rendered ground, varied albedo and sensors."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

_SIDE = 1024


@cache
def _field(exponent: float, number: int) -> NDArray[np.float32]:
    """A periodic field of 1024 × 1024 whose power falls with the wave number to an exponent, mean 0 and
    standard deviation 1."""
    random = np.random.default_rng((number, round(exponent * 100)))
    spectrum = fft.rfft2(random.standard_normal((_SIDE, _SIDE), dtype=np.float32))
    down, across = fft.fftfreq(_SIDE)[:, None], fft.rfftfreq(_SIDE)[None]
    # Waves longer than a third of a scene are left out: they would be a tilt of the whole image.
    frequency = np.hypot(np.hypot(down, across), 1.0 / 128.0)
    field = fft.irfft2(spectrum * (frequency ** (-exponent / 2.0)).astype(np.float32), s=(_SIDE, _SIDE))
    field -= field.mean()
    field /= field.std()
    field.flags.writeable = False
    return np.asarray(field, np.float32)


def fractal_noise(size: int, exponent: float, random: np.random.Generator) -> NDArray[np.float32]:
    """A window of a fractal field (Voss 1985, *Random fractal forgeries*), standard deviation about 1.

    The fields are made once and cut at a random place, turned and mirrored: a transform for every image would
    take longer than all the rest.

    Args:
        size: rows and columns.
        exponent: of the power spectrum: 0 white, 2 rough, 4 smooth.
        random: where to cut.

    Returns:
        (size, size) float32, not to be written to. More than 1024 rows and columns repeat.
    """
    field = _field(exponent, int(random.integers(2)))
    top, left = random.integers(max(1, _SIDE - size + 1), size=2)
    if size <= _SIDE:
        window = field[top : top + size, left : left + size]
    else:
        places = np.arange(size)
        window = field.take(places, axis=0, mode="wrap").take(places, axis=1, mode="wrap")
    if random.random() < 0.5:
        window = window.T
    return np.rot90(window, int(random.integers(4)))
