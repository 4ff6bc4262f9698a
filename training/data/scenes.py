"""Georeferenced scenes: ``<name>_rgb.tif`` and ``<name>_dem.tif`` on one grid, 10-31 m a pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.warp import transform
from rasterio.windows import Window

from training.data.pair import Pair, towards_the_sun
from training.data.scene_list import Scene

_METRES_PER_DEGREE = 111_320.0


def read_scene(folder: Path, scene: Scene) -> Pair:
    """Read one scene, turned so that its light comes from the training azimuth."""
    with rasterio.open(folder / f"{scene.file}_rgb.tif") as source:
        first, last = (round(share * source.width) for share in scene.columns)
        window = Window(first, 0, last - first, source.height)
        image = np.moveaxis(source.read((1, 2, 3), window=window), 0, -1)
        valid = source.dataset_mask(window=window) > 0
        gsd = metres_per_pixel(source)
    with rasterio.open(folder / f"{scene.file}_dem.tif") as source:
        dem = source.read(1, window=window).astype(np.float32)
        known = source.read_masks(1, window=window) > 0
    # Some of the files do not declare the value that stands for "no height".
    known &= np.isfinite(dem) & (dem > -500.0) & (dem < 9000.0)
    valid &= known & _not_cloudy(folder / f"{scene.file}_cloud.tif", window)
    return towards_the_sun(
        Pair(scene.name, image, np.where(known, dem, np.nan), valid, gsd, scene.split), scene.sun_azimuth
    )


def _not_cloudy(path: Path, window: Window) -> NDArray[np.bool_]:
    if not path.exists():
        return np.ones((window.height, window.width), bool)
    with rasterio.open(path) as source:
        return np.asarray(source.read(1, window=window) == 0)


def metres_per_pixel(source: rasterio.DatasetReader) -> float:
    """Ground metres a pixel at the centre, whatever the CRS: the side of a square of the centre pixel's true
    area."""
    column, row = source.width / 2, source.height / 2
    corners = [source.transform * offset for offset in ((column, row), (column + 1, row), (column, row + 1))]
    longitudes, latitudes = transform(source.crs, "EPSG:4326", *zip(*corners))
    east = np.diff(longitudes) * _METRES_PER_DEGREE * np.cos(np.radians(latitudes[0]))
    north = np.diff(latitudes) * _METRES_PER_DEGREE
    right = np.hypot(east[0], north[0])
    down = np.hypot(east[0] + east[1], north[0] + north[1])
    return float(np.sqrt(right * down))
