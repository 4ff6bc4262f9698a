"""What a satellite's pass shows of a tile: how much of it is clear, and its bands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.pairs.source import FloatArray, Tile
from imagetodem_qgis.pairs.stac_cog import Patch
from imagetodem_qgis.pairs.stac_items import Asset, Scene
from imagetodem_qgis.pairs.stac_planes import stacked
from imagetodem_qgis.pairs.stac_warp import nearest, onto, resampled

# Classes of Sentinel-2's scene classification (ESA, Level-2A algorithm: SCL).
_OBSCURED = (1, 3, 8, 9, 10)
"""Saturated or defective, cloud shadow, cloud of medium and of high probability, thin cirrus."""
_DRY_LAND = (4, 5)
"""Vegetation, bare ground."""
_OBSCURED_TABLE = np.isin(np.arange(256), _OBSCURED).astype(np.float32)
"""By class: 1 where it is obscured."""
_LAND_TABLE = np.isin(np.arange(256), _DRY_LAND)
"""By class: whether it is dry land."""


@dataclass(frozen=True)
class View:
    """What the classification of a pass says of a tile.

    Attributes:
        scenes: granules of the pass.
        seen: (size, size) bool, where it has data.
        obscured: (size, size) bool, where a cloud or its shadow lies over any of the pixel.
        land: (size, size) bool, where it is dry land.
    """

    scenes: tuple[Scene, ...]
    seen: NDArray[np.bool_]
    obscured: NDArray[np.bool_]
    land: NDArray[np.bool_]

    @cached_property
    def clear(self) -> float:
        """Share of the tile that is seen without clouds, 0 to 1."""
        return np.count_nonzero(self.seen & ~self.obscured) / self.seen.size


def nothing_seen(tile: Tile) -> View:
    """The view of no granule."""
    nothing = np.zeros((tile.size, tile.size), bool)
    return View((), nothing, nothing, nothing)


def joined(view: View, tile: Tile, scene: Scene, classes: Patch) -> View:
    """A view and what a further granule's classification adds where nothing was seen yet.

    Args:
        view: of the granules before.
        tile: that is looked at.
        scene: the granule.
        classes: its classification around the tile, (rows, columns) uint8.
    """
    planes = stacked([classes])
    clouds = _OBSCURED_TABLE[classes.values]
    obscured = np.zeros((tile.size, tile.size), bool)
    if clouds.any():
        # The largest of the pixels under a tile's pixel: one cloud among them spoils their mean.
        obscured = onto(tile, replace(planes, values=clouds[None]), "max")[0] > 0.0
    found = nearest(tile, planes)[0]
    found[np.isnan(found)] = 0.0
    kind = found.astype(np.uint8)
    new = (kind != 0) & ~view.seen
    if not new.any():
        return view
    return View(
        (*view.scenes, scene),
        view.seen | new,
        np.where(new, obscured, view.obscured),
        np.where(new, _LAND_TABLE[kind], view.land),
    )


def reflectance(tile: Tile, patches: list[Patch], bands: tuple[Asset, ...]) -> FloatArray:
    """A granule's bands on a tile's grid, (bands, size, size) float32; NaN where it has none.

    Args:
        tile: whose grid it is.
        patches: of the bands, numbers as they are in the files.
        bands: say what the numbers mean.
    """
    planes = stacked(patches)
    for numbers, band in zip(planes.values, bands):
        if band.nodata is not None:
            numbers[numbers == band.nodata] = np.nan
    image = resampled(tile, planes)
    for values, band in zip(image, bands):
        # In float64, so that a number comes to the reflectance that is nearest to it.
        values[...] = values.astype(np.float64) * band.scale + band.offset
    gaps = np.isnan(image.sum(axis=0))
    if gaps.any():
        image[:, gaps] = np.nan
    return image


def composite(images: list[FloatArray]) -> FloatArray:
    """The median of each pixel over those images that know it, (bands, size, size)."""
    if len(images) == 1:
        return images[0]
    # Sorted, what is not known comes last.
    ordered = np.sort(np.stack(images), axis=0)
    known = (~np.isnan(ordered)).sum(axis=0, keepdims=True)
    lower, upper = np.maximum(known - 1, 0) // 2, known // 2
    upper = np.minimum(upper, len(images) - 1)
    middle = [np.take_along_axis(ordered, index, axis=0)[0] for index in (lower, upper)]
    median: FloatArray = (middle[0] + middle[1]) / np.float32(2.0)
    return median


def masked(image: FloatArray, view: View) -> FloatArray:
    """An image without what is obscured in the view that belongs to it."""
    if view.clear == 1.0:
        return image
    return np.where(view.seen & ~view.obscured, image, np.float32(np.nan))
