"""Where held-out images lie, so that none is rendered over the same ground."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import rasterio
from rasterio.errors import RasterioError
from rasterio.warp import transform_bounds

from training.data.scene_list import SCENES
from training.data.sources import Source

Box = tuple[float, float, float, float]
"""West, south, east, north in degrees."""


def held_out_ground(sources: Iterable[Source]) -> list[Box]:
    """The boxes around the held-out pairs of validation and test, those without a CRS left out.

    Blue Marble's tiles are not among them: what is rendered has a tenth of their pixels' size, and a window
    of it is hardly larger than one of them.
    """
    return [box for source in sources for file in _held_out_files(source) for box in _box(file)]


def _held_out_files(source: Source) -> list[Path]:
    if source.dataset is not None:
        return [entry.dem for entry in source.dataset.entries if entry.split != "train"]
    scenes = source.folder / "scenes"
    return [scenes / f"{scene.file}_dem.tif" for scene in SCENES if scene.split != "train"]


def _box(file: Path) -> list[Box]:
    try:
        with rasterio.open(file) as dem:
            return [transform_bounds(dem.crs, "EPSG:4326", *dem.bounds)] if dem.crs else []
    except RasterioError:
        # What cannot be read is named by the check of the data.
        return []
