"""What people lay out on gentle ground: fields, villages, roads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.rendering.palette import reflectance

Plane = NDArray[np.float32]

_CROPS = (
    *("wheat", "stubble", "stubble", "crop", "ploughed", "ploughed"),
    *("meadow", "pasture", "dry grass", "loam"),
)


def lay_out_fields(size: int, bend: Plane, random: np.random.Generator) -> list[Plane]:
    """Fields as strips cut into pieces of unequal length, bent as the ground's owners had to.

    Args:
        size: rows and columns.
        bend: (size, size) smooth noise that bends their edges.
        random: source of chance.

    Returns:
        Red, green and blue reflectance, each (size, size).
    """
    width, length = np.exp(random.uniform(np.log(4.0), np.log(24.0), 2))
    angle = random.uniform(0.0, np.pi)
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    rows, columns = np.meshgrid(
        np.arange(size, dtype=np.float32), np.arange(size, dtype=np.float32), indexing="ij"
    )
    bent = np.float32(random.uniform(0.0, 8.0)) * bend
    strip = ((rows * cosine + columns * sine + bent) / np.float32(width)).astype(np.int32) & 255
    offset = random.uniform(0.0, length, 256).astype(np.float32)
    along = (columns * cosine - rows * sine + bent + offset[strip]) / np.float32(length)
    piece = (np.floor(along).astype(np.int32) + strip * 31) & 1023
    crops = np.stack(
        [reflectance(name, random) for name in random.choice(_CROPS, int(random.integers(3, 8)))]
    )
    of_piece = crops[random.integers(len(crops), size=1024)] * random.uniform(0.85, 1.15, (1024, 1))
    return [of_piece[:, band].astype(np.float32)[piece] for band in range(3)]


def settlements(site: Plane, grain: Plane, most: float, random: np.random.Generator) -> Plane:
    """Share of roofs and streets: a grainy pattern around a few places, from hamlets to a large town.

    Args:
        site: (size, size), high where people settle.
        grain: (size, size) white noise.
        most: largest share of the ground that is built on.
        random: source of chance.
    """
    share = np.exp(random.uniform(np.log(0.005), np.log(most)))
    limit = float(np.quantile(site[::6, ::6], 1.0 - share))
    dense = np.clip((site - np.float32(limit)) * 4.0, 0.0, 1.0)
    return np.asarray(dense * np.clip(0.5 + 0.45 * grain, 0.0, 1.0), np.float32)


def roads(along: Plane, random: np.random.Generator) -> Plane:
    """Share of road in each pixel: a contour line of smooth noise, as wide as a road is at that scale.

    Args:
        along: (size, size) smooth field.
        random: source of chance.
    """
    down, across = np.gradient(along)
    distance = np.abs(along - np.float32(random.normal(0.0, 0.7))) / (
        np.hypot(down, across) + np.float32(1e-3)
    )
    width = np.float32(random.uniform(0.5, 1.1))
    return np.asarray(
        np.clip(width - distance + 0.3, 0.0, 1.0) * np.float32(random.uniform(0.3, 0.9)), np.float32
    )
