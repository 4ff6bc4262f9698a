"""Heights as a picture: colours by height under a hillshade, with numpy alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_RAMP = ("#5d8f78", "#7da073", "#a6b37b", "#cdc08a", "#e3d1ab", "#efe4d4", "#fcfaf7")
"""The colours of the plugin's DEM layers, low to high, evenly spaced in lightness."""

_UNKNOWN = (70, 74, 80)
_ALTITUDE = 45.0
"""Of the light, in degrees above the horizon; it comes from the north-west, as on any map."""

_DARKEST = 0.3
_VISIBLE_SLOPE = 0.7
"""Gradient that the steeper parts of a tile are exaggerated or flattened to."""


def hillshade(heights: NDArray[np.floating], exaggeration: float) -> NDArray[np.float64]:
    """Cosine of the angle between the ground's normal and a light in the north-west (Horn 1981, eq. 2).

    Args:
        heights: (rows, columns), in units of a pixel's side.
        exaggeration: what heights are multiplied by.

    Returns:
        (rows, columns) in [0, 1]; level ground has sin(45°).
    """
    down, right = np.gradient(np.asarray(heights, np.float64) * exaggeration)
    altitude = np.radians(_ALTITUDE)
    # Ground that rises to the right and downwards looks to the upper left, where the light is.
    towards = (down + right) * np.sqrt(0.5)
    shade = (np.sin(altitude) + np.cos(altitude) * towards) / np.sqrt(1.0 + down**2 + right**2)
    return np.asarray(np.clip(shade, 0.0, 1.0))


def exaggeration_for(heights: NDArray[np.floating], known: NDArray[np.bool_]) -> float:
    """The factor that makes the steeper tenth of a tile's ground visibly shaded; 1 where it is level."""
    down, right = np.gradient(np.where(known, heights, np.nan).astype(np.float64))
    slope = np.hypot(down, right)
    slope = slope[np.isfinite(slope)]
    steep = float(np.percentile(slope, 90)) if slope.size else 0.0
    return _VISIBLE_SLOPE / steep if steep > 1e-9 else 1.0


def shaded_relief(
    heights: NDArray[np.floating],
    known: NDArray[np.bool_],
    limits: tuple[float, float],
    exaggeration: float,
) -> NDArray[np.uint8]:
    """A tile's heights in colours, shaded.

    Args:
        heights: (rows, columns), in units of a pixel's side.
        known: (rows, columns), where they are heights; the rest is grey.
        limits: heights of the first and the last colour.
        exaggeration: of the shading.

    Returns:
        (rows, columns, 3) uint8.
    """
    low, high = limits
    places = np.clip((heights - low) / max(high - low, 1e-12), 0.0, 1.0) * (len(_RAMP) - 1)
    stops = np.array([[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in _RAMP], np.float64)
    colours = np.stack(
        [np.interp(places, np.arange(len(_RAMP)), stops[:, band]) for band in range(3)], axis=-1
    )
    level = np.sin(np.radians(_ALTITUDE))
    shade = np.minimum(1.0, _DARKEST + (1.0 - _DARKEST) * hillshade(heights, exaggeration) / level)
    picture: NDArray[np.uint8] = np.round(colours * shade[..., None]).astype(np.uint8)
    picture[~known] = _UNKNOWN
    return picture
