"""Heights for the voids of a DEM, so that a surface can be drawn through them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


def fill_voids(heights: FloatArray, known: NDArray[np.bool_]) -> FloatArray:
    """Fill unknown pixels from the known ones around them, coarser the further away those are.

    The pull-push pyramid of Gortler, Grzeszczuk, Szeliski & Cohen 1996 (section 3.4.2), with squares of
    2 × 2 pixels: a pixel that is unknown at one level takes the mean of the known ones at the next.

    Args:
        heights: (rows, columns); what stands in unknown pixels does not matter.
        known: (rows, columns).

    Returns:
        (rows, columns) float32, finite everywhere, the known heights unchanged.

    Raises:
        ValueError: no pixel is known.
    """
    if not known.any():
        raise ValueError("no height is known")
    filled: FloatArray = np.where(known, heights, np.float32(0.0))
    if known.all():
        return filled
    rows, columns = heights.shape
    odd = ((0, rows % 2), (0, columns % 2))
    counts = _quads(np.pad(known, odd).astype(np.float64))
    sums = _quads(np.pad(filled, odd).astype(np.float64))
    coarse = fill_voids((sums / np.maximum(counts, 1.0)).astype(np.float32), counts > 0)
    around = coarse.repeat(2, axis=0).repeat(2, axis=1)[:rows, :columns]
    return np.where(known, filled, around)


def _quads(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums over squares of 2 × 2 pixels."""
    pairs = values[::2] + values[1::2]
    return pairs[:, ::2] + pairs[:, 1::2]
