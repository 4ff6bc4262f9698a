"""An image and the elevation of the same ground, in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.light import IDENTITY, symmetry_towards
from imagetodem_qgis.core.stretch import Stretch, StretchRecipe

SUN_AZIMUTH = 135.0
"""Azimuth in degrees that every training image's sun is brought to."""


class Around:
    """Pixels of the scene that pairs were cut from; may be used from several threads.

    Args:
        pixels: (n, 3), n >= 1, of the images' dtype.
    """

    def __init__(self, pixels: NDArray[np.generic]) -> None:
        self.pixels = pixels
        self._stretches: dict[StretchRecipe, Stretch] = {}

    def stretch(self, recipe: StretchRecipe) -> Stretch:
        """The scene's stretch, worked out once: every sample of every pair of the scene asks for it."""
        if recipe not in self._stretches:
            self._stretches[recipe] = recipe.of(self.pixels)
        return self._stretches[recipe]


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
        around: the whole scene that it was cut from, for the stretch; ``None``: it is the whole scene, or
            nobody knows of the rest.
    """

    name: str
    image: NDArray[np.generic]
    dem: NDArray[np.float32]
    valid: NDArray[np.bool_]
    gsd: float
    split: str
    around: Around | None = None


def towards_the_sun(pair: Pair, sun_azimuth: float) -> Pair:
    """The pair turned by a right-angle symmetry so that its sun stands nearest to :data:`SUN_AZIMUTH`."""
    symmetry = symmetry_towards(sun_azimuth, SUN_AZIMUTH)
    if symmetry == IDENTITY:
        return pair
    turned = (np.ascontiguousarray(symmetry.apply(array)) for array in (pair.image, pair.dem, pair.valid))
    image, dem, valid = turned
    return replace(pair, image=image, dem=dem, valid=valid)
