"""Where a DEM shows the sea."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LEVEL = 0.5
"""Metres from 0 within which ground is sea: DEMs say 0 there, some with a rounding."""


def is_sea(elevation: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which pixels are the sea: (rows, columns) of heights in metres, to bool of the same shape."""
    return np.asarray(np.abs(elevation) <= _LEVEL)
