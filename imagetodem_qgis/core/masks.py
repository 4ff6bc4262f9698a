"""Which pixels of a colour image are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_BRIGHTEST = {"uint8": 255, "uint16": 65535}


def is_brightness(dtype: str, nodata: float | None) -> bool:
    """Whether a band's nodata value is also its darkest or brightest value, as 0 or 255 of bytes.

    A dark pixel may well be 0, and snow 255, in one band: such a pixel counts as unknown only if all three
    bands say so. Any other nodata value means unknown wherever it stands.

    Args:
        dtype: of the band, by NumPy's name.
        nodata: of the band.
    """
    brightest = _BRIGHTEST.get(dtype)
    return brightest is not None and nodata in (0, brightest)


def known_pixels(
    masks: Sequence[NDArray[np.bool_]], rows: int, columns: int, nodata_is_a_brightness: bool
) -> NDArray[np.bool_]:
    """Known pixels from the masks of those bands that have one.

    Args:
        masks: (rows, columns) each, true where the band is known.
        rows: of the answer.
        columns: of the answer.
        nodata_is_a_brightness: whether :func:`is_brightness` holds for all bands.
    """
    if not masks:
        return np.ones((rows, columns), bool)
    known: NDArray[np.bool_] = np.any(masks, axis=0) if nodata_is_a_brightness else np.all(masks, axis=0)
    return known
