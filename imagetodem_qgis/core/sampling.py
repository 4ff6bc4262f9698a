"""Where to look at an image to know its brightness."""

from __future__ import annotations

import math

import numpy as np

from imagetodem_qgis.core.tiling import Window

_SAMPLED_PIXELS = 1_500_000
_SAMPLED_WINDOWS_ACROSS = 24


def sample_windows(rows: int, columns: int) -> list[Window]:
    """Windows all over an image: all of a small one, evenly spread small windows of a large one.

    Args:
        rows: of the image.
        columns: of the image.
    """
    if rows * columns <= _SAMPLED_PIXELS:
        return [Window(0, 0, rows, columns)]
    side = math.ceil(math.sqrt(_SAMPLED_PIXELS) / _SAMPLED_WINDOWS_ACROSS)
    # As many down as across, unless the image is a strip: a narrow side is read whole.
    high, wide = (whole if whole < 2 * side else side for whole in (rows, columns))
    down = min(_SAMPLED_WINDOWS_ACROSS, rows // high)
    across = min(_SAMPLED_WINDOWS_ACROSS**2 // down, columns // wide)
    down = min(_SAMPLED_WINDOWS_ACROSS**2 // across, rows // high)
    return [
        Window(int(row), int(column), high, wide)
        for row in np.linspace(0, rows - high, down).astype(int)
        for column in np.linspace(0, columns - wide, across).astype(int)
    ]
