"""Reflectances of what covers the ground, red, green and blue, as broad-band surface reflectance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_REFLECTANCES: dict[str, tuple[float, float, float]] = {
    "conifer": (0.026, 0.042, 0.024),
    "broadleaf": (0.036, 0.066, 0.028),
    "rainforest": (0.030, 0.055, 0.025),
    "macchia": (0.055, 0.070, 0.040),
    "juniper": (0.075, 0.075, 0.050),
    "autumn forest": (0.095, 0.070, 0.040),
    "bare forest": (0.080, 0.070, 0.055),
    "meadow": (0.075, 0.115, 0.045),
    "pasture": (0.095, 0.125, 0.055),
    "alpine grass": (0.110, 0.110, 0.060),
    "dry alpine grass": (0.175, 0.155, 0.095),
    "dry grass": (0.210, 0.175, 0.105),
    "steppe": (0.180, 0.150, 0.105),
    "sage": (0.140, 0.130, 0.095),
    "heath": (0.100, 0.080, 0.055),
    "moss": (0.090, 0.095, 0.050),
    "lichen": (0.190, 0.185, 0.130),
    "wheat": (0.260, 0.210, 0.110),
    "stubble": (0.230, 0.190, 0.130),
    "crop": (0.050, 0.090, 0.035),
    "ploughed": (0.130, 0.100, 0.075),
    "loam": (0.170, 0.130, 0.090),
    "red soil": (0.220, 0.110, 0.065),
    "red sandstone": (0.340, 0.185, 0.110),
    "orange sandstone": (0.420, 0.265, 0.160),
    "pale sandstone": (0.520, 0.435, 0.330),
    "ochre": (0.330, 0.240, 0.140),
    "mudstone": (0.230, 0.190, 0.160),
    "grey shale": (0.190, 0.180, 0.170),
    "violet shale": (0.210, 0.155, 0.150),
    "limestone": (0.380, 0.350, 0.300),
    "granite": (0.270, 0.260, 0.245),
    "gneiss": (0.190, 0.185, 0.175),
    "slate": (0.120, 0.120, 0.120),
    "basalt": (0.085, 0.078, 0.072),
    "cinder": (0.140, 0.080, 0.060),
    "scree": (0.300, 0.285, 0.265),
    "gravel": (0.330, 0.310, 0.280),
    "sand": (0.430, 0.345, 0.235),
    "salt": (0.620, 0.600, 0.560),
    "snow": (0.850, 0.870, 0.900),
    "old snow": (0.600, 0.620, 0.640),
    "ice": (0.420, 0.500, 0.540),
    "clear water": (0.012, 0.022, 0.032),
    "deep water": (0.008, 0.014, 0.024),
    "turquoise water": (0.055, 0.140, 0.155),
    "green water": (0.035, 0.060, 0.040),
    "muddy water": (0.150, 0.115, 0.075),
    "roofs": (0.280, 0.240, 0.215),
    "asphalt": (0.150, 0.150, 0.150),
    "concrete": (0.210, 0.205, 0.200),
}


def reflectance(name: str, random: np.random.Generator) -> NDArray[np.float32]:
    """One occurrence of a cover: its reflectance, lighter or darker and of a slightly other hue; the brighter
    the less, for what absorbs little has little to vary.

    Returns:
        (3,) float32.
    """
    colour = np.array(_REFLECTANCES[name])
    lightness = np.exp(random.normal(0.0, 0.16))
    hue = np.exp(random.normal(0.0, 0.065 * (1.0 - 0.8 * colour.mean()), 3))
    return np.asarray(np.clip(colour * lightness * hue, 0.004, 0.95), np.float32)
