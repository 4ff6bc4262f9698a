"""What a network is asked: turning a sample into its input and its target."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imagetodem_qgis.core.card import (
    COARSE_DEM,
    DEM_TO_IMAGE,
    ELEVATION,
    IMAGE_TO_DEM,
    LOG_CELL,
    LOG_GSD,
    PALETTE,
    RELIEF,
    SEA,
)
from imagetodem_qgis.core.sea import is_sea
from training.data.sampling import Sample

FloatArray = NDArray[np.float32]
Task = Callable[[Sample, np.random.Generator], "tuple[FloatArray, FloatArray]"]
"""Takes a sample of size × size pixels; returns the network's input (size, size, planes) and its target
(size, size, bands + 1), float32, whose last plane is 1 where the rest is known, else 0. A guided task's has
the coarse DEM as well, before the last: slopes are those of the whole."""

COARSE_CELLS = (8, 64)
"""Least and largest side of a coarse DEM's cell, in pixels of a whole tile."""
REFERENCE_CELL = 16.0
"""Side of a coarse DEM's cell in pixels at which the plane ln(side / reference) is zero."""
_IMAGE_DROPPED = 0.2
"""Share of guided samples that come without their image: where an image is of no help, the network must do no
worse than without it."""


_PALETTE_NOISE = 0.03
"""Deviation of a palette in training from its image's mean colour: it is a wish, not a measurement."""
_ANY_PALETTE = (-0.9, 0.6)
"""Range of the palette, any grey, of samples without land: the sea must look the same whatever is asked."""
_LEAST_LAND = 0.005
"""Share of a tile from which its land has a colour."""


def make_task(
    direction: str, inputs: Sequence[str], reduction: int = 1, image_dropped: float = _IMAGE_DROPPED
) -> Task:
    """The task of a network with the given planes.

    Args:
        direction: ``image_to_dem`` or ``dem_to_image``.
        inputs: names of the planes, as in a model's card.
        reduction: how many pixels of a whole tile one of the samples' stands for along each side.
        image_dropped: share of guided samples whose image is left out.

    Raises:
        ValueError: a plane is not known.
    """
    if direction == DEM_TO_IMAGE:
        return _dem_to_image(inputs)
    if COARSE_DEM in inputs:
        return _guided(inputs, reduction, image_dropped)
    if direction != IMAGE_TO_DEM or len(inputs) not in (3, 4):
        raise ValueError(f"no task for the direction {direction} with the planes {list(inputs)}")

    def image_to_dem(sample: Sample, random: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        return sample.inputs[..., : len(inputs)], sample.target

    return image_to_dem


def coarse_dem(height: FloatArray, known: NDArray[np.bool_], cell: float) -> FloatArray:
    """What a coarse DEM tells of a tile: the mean of each cell, resampled by bicubic interpolation.

    Args:
        height: (rows, columns), any unit.
        known: which heights count, same shape; a cell without any takes the mean of all.
        cell: side of a cell in pixels, at least 1; it is stretched or shrunk until a whole number of cells
            fits.

    Returns:
        (rows, columns) float32, same unit.
    """
    rows, columns = height.shape
    down, right = (max(1, round(side / cell)) for side in (rows, columns))
    weight = known.astype(np.float32)
    share = resampled(weight, right, down, Image.Resampling.BOX)
    total = resampled(np.where(known, height, 0.0).astype(np.float32), right, down, Image.Resampling.BOX)
    mean = float(height.mean(where=known)) if known.any() else 0.0
    cells = np.where(share > 1e-3, total / np.maximum(share, 1e-3), mean).astype(np.float32)
    return resampled(cells, columns, rows, Image.Resampling.BICUBIC)


def mean_colour(image: FloatArray, elevation: FloatArray, known: NDArray[np.bool_]) -> FloatArray | None:
    """The palette of an image: the mean colour of its land. The sea does not count, whose colour is the same
    beside a desert and beside a forest.

    Args:
        image: (rows, columns, 3) in the stretched range.
        elevation: (rows, columns) metres above the sea.
        known: (rows, columns), which pixels count.

    Returns:
        (3,) float32 from -1 to 1; ``None`` where there is next to no land.
    """
    land = known & ~is_sea(elevation)
    if land.sum() <= _LEAST_LAND * known.size:
        return None
    return np.asarray(np.clip(image[land], -1.0, 1.0).mean(axis=0), np.float32)


def resampled(band: FloatArray, columns: int, rows: int, method: Image.Resampling) -> FloatArray:
    """A plane (rows, columns) at another size, by one of Pillow's methods; shrinking averages."""
    return np.asarray(Image.fromarray(band).resize((columns, rows), method), np.float32)


def _guided(inputs: Sequence[str], reduction: int, image_dropped: float) -> Task:
    def guided(sample: Sample, random: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        height, known = sample.target[..., 0], sample.target[..., 1] > 0
        least, largest = COARSE_CELLS
        cell = float(np.exp(random.uniform(np.log(least), np.log(largest)))) / reduction
        coarse = coarse_dem(height, known, max(2.0, cell))
        told = np.full((*height.shape, 1), np.log(cell * reduction / REFERENCE_CELL), np.float32)
        image = sample.inputs[..., :3]
        if random.random() < image_dropped:
            image = np.zeros_like(image)
        planes = [image, coarse[..., None], *([told] if LOG_CELL in inputs else []), sample.inputs[..., 3:]]
        lacking = np.where(known, height - coarse, 0.0).astype(np.float32)
        target = np.stack([lacking, coarse, sample.target[..., 1]], axis=-1)
        return np.concatenate(planes, axis=-1), target

    return guided


def _dem_to_image(inputs: Sequence[str]) -> Task:
    known_planes = (RELIEF, ELEVATION, *PALETTE, SEA, LOG_GSD)
    unknown = [name for name in inputs if name not in known_planes]
    if unknown:
        raise ValueError(
            f"a generator from the DEM takes {', '.join(known_planes)}, not {', '.join(unknown)}"
        )

    def dem_to_image(sample: Sample, random: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        relief, log_gsd = sample.target[..., 0], sample.inputs[..., 3]
        elevation = sample.mean_height + relief * sample.gsd
        planes = {
            RELIEF: relief,
            ELEVATION: elevation / np.float32(1000.0),
            SEA: is_sea(elevation).astype(np.float32),
            LOG_GSD: log_gsd,
        }
        known = sample.target[..., 1:]
        palette = mean_colour(sample.inputs[..., :3], elevation, known[..., 0] > 0)
        if palette is None:
            palette = np.full(3, random.uniform(*_ANY_PALETTE), np.float32)
        palette = np.clip(palette + random.normal(0.0, _PALETTE_NOISE, 3), -1.0, 1.0)
        for name, value in zip(PALETTE, palette):
            planes[name] = np.full_like(relief, value)
        image = np.concatenate([np.clip(sample.inputs[..., :3], -1.0, 1.0) * known, known], axis=-1)
        return np.stack([planes[name] for name in inputs], axis=-1).astype(np.float32), image

    return dem_to_image
