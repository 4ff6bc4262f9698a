"""Where the light comes from, and how to turn a tile so that it comes from where a model expects it.

Shading tells height only to one who knows where the sun stands: turned by half a turn, a valley reads as a
ridge (the "crater illusion"). Azimuths are in degrees clockwise from the top of the image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NORTHERN_MORNING_AZIMUTH = 145.0
SOUTHERN_MORNING_AZIMUTH = 35.0

SUN_AZIMUTH_KEYS = (
    "SUN_AZIMUTH",
    "MEAN_SOLAR_AZIMUTH_ANGLE",
    "MEAN_SUN_AZIMUTH_ANGLE",
    "view:sun_azimuth",
    "SunAzimuth",
)
"""Items of a raster's metadata that tell where the sun stood, the first that is there counts."""


@dataclass(frozen=True)
class Symmetry:
    """One of the eight right-angle symmetries of a square: an optional transposition, then quarter turns.

    Attributes:
        quarter_turns: counter-clockwise quarter turns, 0 to 3.
        mirrored: whether rows and columns are exchanged before turning.
    """

    quarter_turns: int = 0
    mirrored: bool = False

    def apply(self, array: NDArray[Any]) -> NDArray[Any]:
        """Turn the first two axes (rows, columns) of an array."""
        if self.mirrored:
            array = array.swapaxes(0, 1)
        return np.rot90(array, self.quarter_turns)

    def undo(self, array: NDArray[Any]) -> NDArray[Any]:
        """Turn the first two axes of an array back: ``undo(apply(a))`` is ``a``."""
        array = np.rot90(array, -self.quarter_turns)
        return array.swapaxes(0, 1) if self.mirrored else array

    def azimuth(self, azimuth: float) -> float:
        """The azimuth in the turned image of a direction with the given azimuth in the original one, in [0,
        360)."""
        if self.mirrored:
            # Exchanging rows and columns takes "right" (90) to "down" (180) and the other way round.
            azimuth = 270.0 - azimuth
        return (azimuth - 90.0 * self.quarter_turns) % 360.0


IDENTITY = Symmetry()


def all_symmetries() -> list[Symmetry]:
    """The eight symmetries, rotations first."""
    return [Symmetry(turns, mirrored) for mirrored in (False, True) for turns in range(4)]


def angular_distance(first: float, second: float) -> float:
    """The angle between two azimuths in degrees, in [0, 180]."""
    return abs((first - second + 180.0) % 360.0 - 180.0)


def symmetry_towards(image_azimuth: float, model_azimuth: float) -> Symmetry:
    """The symmetry that brings an image's sun nearest to the azimuth that a model was trained with.

    Where several come equally near, the identity is preferred to a rotation and a rotation to a mirror image,
    since the first named are what the ground looks like.

    Args:
        image_azimuth: azimuth of the sun in the image, degrees clockwise from its top.
        model_azimuth: azimuth that the model expects, in the same convention.
    """

    def distance(symmetry: Symmetry) -> float:
        return round(angular_distance(symmetry.azimuth(image_azimuth), model_azimuth), 6)

    return min(all_symmetries(), key=distance)


def recorded_azimuth(items: Mapping[str, str | None]) -> float | None:
    """The sun's azimuth that a raster's metadata tell, degrees clockwise from north in [0, 360)."""
    for key in SUN_AZIMUTH_KEYS:
        try:
            azimuth = float(items.get(key) or "nan")
        except ValueError:
            continue
        if math.isfinite(azimuth):
            return azimuth % 360.0
    return None


def default_azimuth(latitude: float) -> float:
    """The sun's azimuth for a morning satellite where nothing better is known, degrees clockwise from north.

    Args:
        latitude: of the image's centre in degrees, negative in the south.
    """
    return NORTHERN_MORNING_AZIMUTH if latitude >= 0.0 else SOUTHERN_MORNING_AZIMUTH
