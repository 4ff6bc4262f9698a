"""Cutting training samples from pairs: a window at a random place and scale, a mirror that keeps the light,
and changes of contrast.

A change of scale changes the ground sampling distance, and with it the heights in units of a pixel; see
``relief_per_pixel``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imagetodem_qgis.core.stretch import Stretch, percentile_stretch
from training.data.pair import Pair

REFERENCE_GSD = 100.0
"""Ground sampling distance in metres at which the plane ln(distance / reference) is zero."""

TILE_SIZE = 256
"""Side in pixels of the tiles that the generators are made for."""

_LARGEST_ZOOM_OUT = 4.0
_LARGEST_ZOOM_IN = 0.6


@dataclass(frozen=True)
class Sample:
    """One input and its target.

    Attributes:
        inputs: (size, size, 4) float32: stretched red, green, blue, and ln(gsd / 100 m).
        target: (size, size, 2) float32: height in units of a pixel around the tile's mean, and 1 where it is
            known.
    """

    inputs: NDArray[np.float32]
    target: NDArray[np.float32]


def relief_per_pixel(dem: NDArray[np.float32], valid: NDArray[np.bool_], gsd: float) -> NDArray[np.float32]:
    """Heights in units of a pixel relative to the tile's mean, 0 where unknown.

    Args:
        dem: metres, any shape.
        valid: which heights are known, same shape.
        gsd: ground sampling distance in metres.
    """
    if not valid.any():
        return np.zeros_like(dem)
    mean = dem[valid].mean(dtype=np.float64)
    return np.where(valid, (dem - mean) / gsd, 0.0).astype(np.float32)


def network_input(image: NDArray[np.generic], stretch: Stretch, gsd: float) -> NDArray[np.float32]:
    """The network's input for an image (rows, columns, 3): stretched bands and the plane of ln(gsd / 100
    m)."""
    plane = np.full(image.shape[:2] + (1,), np.log(gsd / REFERENCE_GSD), np.float32)
    return np.concatenate([stretch.apply(image), plane], axis=-1)


def plain_sample(pair: Pair, row: int, column: int, side: int, size: int, stretch: Stretch) -> Sample:
    """A window of side × side pixels brought to size × size, otherwise unchanged, for evaluation."""
    image, dem, valid = _resized(pair, (column, row, column + side, row + side), size)
    gsd = pair.gsd * side / size
    inputs = network_input(image, stretch, gsd)
    inputs[~valid, :3] = 0.0
    return Sample(inputs, np.stack([relief_per_pixel(dem, valid, gsd), valid.astype(np.float32)], axis=-1))


def pair_stretch(pair: Pair) -> Stretch:
    """The stretch of a whole pair's image, from every seventh of its valid pixels, all bands together:
    white-balanced tile by tile, desert and forest would look alike."""
    return percentile_stretch(pair.image[pair.valid].reshape(-1, 3)[::7], together=True)


def random_sample(pair: Pair, stretch: Stretch, size: int, random: np.random.Generator) -> Sample:
    """Cut one sample of size × size at a random place and scale, mirror it across the light's direction half
    of the time, and change its contrast as sensors, seasons and haze do."""
    rows, columns = pair.dem.shape
    largest = min(rows, columns, _LARGEST_ZOOM_OUT * TILE_SIZE)
    smallest = min(_LARGEST_ZOOM_IN * TILE_SIZE, largest)
    # A pair not much larger than a tile is read whole half of the time: the more it shows, the more there is
    # to learn of how a landscape hangs together.
    whole = largest <= 2 * TILE_SIZE and random.random() < 0.5
    side = largest if whole else np.exp(random.uniform(np.log(smallest), np.log(largest)))
    top, left = random.uniform(0, rows - side), random.uniform(0, columns - side)
    box = (int(left), int(top), int(left) + int(side), int(top) + int(side))
    image, dem, valid = _resized(pair, box, size)
    gsd = pair.gsd * (box[2] - box[0]) / size
    target = np.stack([relief_per_pixel(dem, valid, gsd), valid.astype(np.float32)], axis=-1)
    inputs = network_input(image, stretch, gsd)
    inputs[..., :3] = _other_contrast(inputs[..., :3], random)
    inputs[~valid, :3] = 0.0
    if random.random() < 0.5:
        # Exchanging rows and columns mirrors across the north-west to south-east line: a south-east sun stays
        # there.
        inputs, target = inputs.swapaxes(0, 1), target.swapaxes(0, 1)
    return Sample(inputs, target)


def _resized(
    pair: Pair, box: tuple[int, int, int, int], size: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    left, top, right, bottom = box
    window = (slice(top, bottom), slice(left, right))
    valid = pair.valid[window]
    dem = np.where(valid, pair.dem[window], 0.0).astype(np.float32)
    image = pair.image[window].astype(np.float32)
    if right - left == size:
        return image, dem, valid
    image = np.stack([_resize(image[..., band], size) for band in range(3)], axis=-1)
    if valid.all():
        return image, _resize(dem, size), np.ones((size, size), bool)
    share = _resize(valid.astype(np.float32), size)
    known = share > 0.99
    return image, np.where(known, _resize(dem, size) / np.maximum(share, 0.5), 0.0).astype(np.float32), known


def _resize(band: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    resized = Image.fromarray(band).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(resized, np.float32)


def _other_contrast(image: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    gain = random.uniform(0.9, 1.1) * random.uniform(0.96, 1.04, 3)
    offset = random.uniform(-0.08, 0.08) + random.uniform(-0.05, 0.05, 3)
    image = image * gain.astype(np.float32) + offset.astype(np.float32)
    if random.random() < 0.2:
        unit = np.clip((image + 1.5) / 3.0, 1e-4, 1.0)
        image = unit ** np.float32(np.exp(random.uniform(-0.35, 0.35))) * 3.0 - 1.5
    if random.random() < 0.08:
        grey = image.mean(axis=-1, keepdims=True)
        image = grey + (image - grey) * np.float32(random.uniform(0.0, 0.7))
    if random.random() < 0.3:
        noise = random.standard_normal(image.shape, np.float32)
        image = image + noise * np.float32(random.uniform(0.0, 0.08))
    return np.clip(image, -1.5, 1.5).astype(np.float32)
