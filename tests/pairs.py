"""A small data set of pairs whose images are their own DEMs' shading, written as users' are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from tests.rasters import NODATA, UTM_TRANSFORM, write_image

GSD = 30.0
SUN_AZIMUTH = 135.0
_SUN_ZENITH = 50.0
_RELIEF = 120.0
"""Standard deviation of a tile's heights in metres."""


def terrain(size: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Fractal hills, (size, size) metres."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(random.normal(size=(size, size))) * frequency**-2.2
    hills = np.fft.irfft2(spectrum, (size, size))
    return (800.0 + _RELIEF * hills / hills.std()).astype(np.float32)


def shaded(dem: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.uint8]:
    """A DEM's image under a south-east sun (Lambert), with a little grain, (rows, columns, 3)."""
    down, right = np.gradient(dem, GSD)
    azimuth, zenith = np.radians(SUN_AZIMUTH), np.radians(_SUN_ZENITH)
    # Towards the sun in columns to the east and rows to the south.
    east, south = np.sin(azimuth) * np.sin(zenith), -np.cos(azimuth) * np.sin(zenith)
    light = (np.cos(zenith) - east * right - south * down) / np.sqrt(1.0 + right**2 + down**2)
    albedo = np.array([150.0, 160.0, 120.0]) + random.normal(0.0, 4.0, (*dem.shape, 3))
    return np.clip(0.2 * albedo + np.maximum(light, 0.0)[..., None] * albedo, 0, 255).astype(np.uint8)


def write_dataset(
    folder: Path, train: int = 8, validation: int = 4, size: int = 128, seed: int = 1, **content: Any
) -> Path:
    """Write a data set of as many pairs: each split is an area of its own.

    Args:
        folder: made by this.
        train: pairs to train on.
        validation: held-out pairs.
        size: of a tile in pixels.
        seed: of the terrain.
        content: further keys of ``dataset.json``, or others in place of its own.
    """
    random = np.random.default_rng(seed)
    for name in ("images", "dems"):
        (folder / name).mkdir(parents=True)
    pairs = []
    for number in range(train + validation):
        split = "train" if number < train else "validation"
        dem = terrain(size, random)
        transform = (UTM_TRANSFORM[0] + number * 2 * size * GSD, *UTM_TRANSFORM[1:])
        write_image(folder / "images" / f"tile_{number:02}.tif", shaded(dem, random), transform=transform)
        path = folder / "dems" / f"tile_{number:02}.tif"
        write_image(path, dem[..., None], transform=transform, nodata=NODATA)
        pairs.append({"id": f"tile_{number:02}", "split": split, "area": f"{split} hills", "gsd": GSD})
    description = {
        "version": 1,
        "sources": ["fractal hills, shaded"],
        "licences": ["CC0-1.0"],
        "resolution": GSD,
        "tile_size": size,
        "sun_azimuth": SUN_AZIMUTH,
        "pairs": pairs,
        **content,
    }
    (folder / "dataset.json").write_text(json.dumps(description), encoding="utf-8")
    return folder


def change_raster(path: Path, change: Any) -> None:
    """Rewrite a raster's pixels: ``change`` takes (bands, rows, columns), gives new ones."""
    dataset = gdal.Open(str(path), gdal.GA_Update)
    bands = dataset.ReadAsArray()
    dataset.WriteArray(change(bands))
