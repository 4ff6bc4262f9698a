"""An image and the elevation of the same ground, in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.light import IDENTITY, symmetry_towards

SUN_AZIMUTH = 135.0
"""Azimuth in degrees that every training image's sun is brought to."""


@dataclass(frozen=True)
class Pair:
    """An image with its DEM on one grid.

    Attributes:
        name: where it comes from.
        image: (rows, columns, 3), red, green, blue, any real dtype.
        dem: (rows, columns) float32, metres, NaN where unknown.
        valid: (rows, columns) bool, image and DEM both usable.
        gsd: ground sampling distance in metres.
        split: ``train``, ``validation`` or ``test``.
        around: (n, 3) pixels of the whole scene that it was cut from, of the image's dtype, for the stretch;
            ``None``: it is the whole scene, or nobody knows of the rest.
    """

    name: str
    image: NDArray[np.generic]
    dem: NDArray[np.float32]
    valid: NDArray[np.bool_]
    gsd: float
    split: str
    around: NDArray[np.generic] | None = None


def towards_the_sun(pair: Pair, sun_azimuth: float) -> Pair:
    """The pair turned by a right-angle symmetry so that its sun stands nearest to :data:`SUN_AZIMUTH`."""
    symmetry = symmetry_towards(sun_azimuth, SUN_AZIMUTH)
    if symmetry == IDENTITY:
        return pair
    turned = (np.ascontiguousarray(symmetry.apply(array)) for array in (pair.image, pair.dem, pair.valid))
    image, dem, valid = turned
    return replace(pair, image=image, dem=dem, valid=valid)
