"""Light on the ground: sun, sky, shadows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.rendering.landform import Landform


@dataclass(frozen=True)
class Sun:
    """Where the sun stands: azimuth clockwise from the top of the image and zenith angle, in degrees."""

    azimuth: float
    zenith: float

    @property
    def towards(self) -> tuple[float, float]:
        """Rows and columns of a step of one pixel towards the sun."""
        return -float(np.cos(np.radians(self.azimuth))), float(np.sin(np.radians(self.azimuth)))


def incidence(landform: Landform, sun: Sun) -> NDArray[np.float32]:
    """Cosine of the angle between the sun and the ground's normal, negative where the ground is turned away.

    Args:
        landform: of the ground.
        sun: its place.

    Returns:
        (size, size) float32: cos z cos s + sin z sin s cos(azimuth - exposure), with zenith z and slope s.
    """
    z = np.radians(sun.zenith)
    level = np.float32(np.cos(z)) / np.sqrt(1.0 + landform.slope**2)
    return np.asarray(level + np.float32(np.sin(z)) * landform.facing(sun.azimuth), np.float32)


def minnaert(cosine: NDArray[np.float32], landform: Landform, sun: Sun, k: float) -> NDArray[np.float32]:
    """Light that the ground sends straight up, over what level ground sends.

    Minnaert 1941, *The reciprocity principle in lunar photometry*: cos^k of incidence times cos^(k-1) of
    emergence; k = 1 is Lambert's law, a smaller k a rougher cover, whose shading is weaker.

    Args:
        cosine: of incidence.
        landform: of the ground.
        sun: its place.
        k: between 0 and 1.
    """
    lit = np.asarray(np.maximum(cosine, 0.0) / np.cos(np.radians(sun.zenith)), np.float32)
    if k == 1.0:
        return lit
    emergence = 1.0 / np.sqrt(1.0 + landform.slope**2)
    return np.asarray(lit ** np.float32(k) * emergence ** np.float32(k - 1.0), np.float32)


def sunlit(heights: NDArray[np.float32], gsd: float, sun: Sun) -> NDArray[np.float32]:
    """Share of the sun's disc that no ground in between hides: 1 in the sun, 0 in cast shadow.

    The highest ground towards the sun, less the height of the ray there, is found by doubling the distance
    looked at.

    Args:
        heights: (size, size) float32, metres.
        gsd: ground sampling distance in metres.
        sun: its place.
    """
    size = len(heights)
    rise = gsd / np.tan(np.radians(sun.zenith))
    down, across = sun.towards
    reach = float(heights.max() - heights.min()) / rise
    hiding = _moved(heights, down, across, 1) - np.float32(rise)
    distance = 1
    while distance < min(reach, size):
        further = _moved(hiding, down, across, distance) - np.float32(rise * distance)
        np.maximum(hiding, further, out=hiding)
        distance *= 2
    # The edge is as soft as a pixel is wide.
    return np.asarray(np.clip(0.5 + (heights - hiding) / np.float32(rise + 1e-3), 0.0, 1.0), np.float32)


def _moved(heights: NDArray[np.float32], down: float, across: float, distance: int) -> NDArray[np.float32]:
    """At each pixel the height a distance away, between pixels linearly; very low beyond the edge."""
    offset = np.array([down, across]) * distance
    whole = np.floor(offset).astype(int)
    shares = (offset - whole).astype(np.float32)
    size = len(heights)
    pad = int(np.abs(whole).max()) + 1
    if pad >= size:
        return np.full_like(heights, -1e9)
    padded = np.pad(heights, pad, constant_values=-1e9)
    result = np.zeros_like(heights)
    for row in (0, 1):
        for column in (0, 1):
            share = (shares[0] if row else 1 - shares[0]) * (shares[1] if column else 1 - shares[1])
            if share > 0.0:
                top, left = pad + whole[0] + row, pad + whole[1] + column
                result += share * padded[top : top + size, left : left + size]
    return result


def skylight(landform: Landform, heights: NDArray[np.float32], gsd: float) -> NDArray[np.float32]:
    """Share of the sky that the ground sees: what its slope leaves, less in narrow hollows.

    Args:
        landform: of the ground.
        heights: (size, size) float32, metres.
        gsd: ground sampling distance in metres.
    """
    hollow = ndimage.uniform_filter(heights, 9) - heights
    enclosed = np.clip(hollow / np.float32(9.0 * gsd), 0.0, 0.5)
    return np.asarray((0.5 + 0.5 / np.sqrt(1.0 + landform.slope**2)) * (1.0 - enclosed), np.float32)
