"""Rasters written for a test and read back, and the relief that the tiny models see in them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal, gdal_array, osr

from tests.tiny_models import RELIEF

NODATA = -9999.0
UTM_33N = "EPSG:32633"
UTM_TRANSFORM = (500_000.0, 30.0, 0.0, 5_200_000.0, 0.0, -30.0)
"""Square pixels of 30 m."""
GROUND_TOLERANCE = 0.01
"""The grid's true scale on the ground is taken on a sphere: within a percent of the ellipsoid's metres."""


def write_image(
    path: Path,
    bands: NDArray[Any],
    crs: str = UTM_33N,
    transform: tuple[float, ...] | None = UTM_TRANSFORM,
    nodata: float | None = None,
    colours: tuple[int, ...] = (),
    mask: NDArray[np.bool_] | None = None,
    metadata: dict[str, str] | None = None,
    options: tuple[str, ...] = (),
) -> Path:
    """Write an image as a GeoTIFF.

    Args:
        path: of the file.
        bands: (rows, columns, bands), any dtype that GDAL knows.
        crs: anything that GDAL takes for one; empty for none.
        transform: of GDAL; none if None.
        nodata: of all bands.
        colours: colour interpretation of each band.
        mask: (rows, columns), kept in the file as a mask for all bands.
        metadata: items of the file.
        options: of the driver.
    """
    rows, columns, count = bands.shape
    kind = gdal_array.NumericTypeCodeToGDALTypeCode(bands.dtype)
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), columns, rows, count, kind, list(options))
    if transform is not None:
        dataset.SetGeoTransform(transform)
    if crs:
        reference = osr.SpatialReference()
        reference.SetFromUserInput(crs)
        dataset.SetProjection(reference.ExportToWkt())
    dataset.SetMetadata(metadata or {})
    for number in range(count):
        band = dataset.GetRasterBand(number + 1)
        if colours:
            band.SetColorInterpretation(colours[number])
        if nodata is not None:
            band.SetNoDataValue(nodata)
        band.WriteArray(bands[..., number])
    if mask is not None:
        gdal.SetConfigOption("GDAL_TIFF_INTERNAL_MASK", "YES")
        dataset.CreateMaskBand(gdal.GMF_PER_DATASET)
        gdal.SetConfigOption("GDAL_TIFF_INTERNAL_MASK", None)
        dataset.GetRasterBand(1).GetMaskBand().WriteArray(mask.astype(np.uint8) * 255)
    return path


@dataclass(frozen=True)
class Surface:
    """A surface read from a file: heights (rows, columns) float64, NaN where unknown."""

    heights: NDArray[np.float64]
    transform: tuple[float, ...]
    crs: str
    unit: str
    metadata: dict[str, str]


def read_surface(path: object) -> Surface:
    """Read a single-band Float32 raster with nodata -9999."""
    dataset = gdal.Open(str(path))
    assert dataset is not None, f"there is no raster {path}"
    band = dataset.GetRasterBand(1)
    assert (dataset.RasterCount, band.DataType, band.GetNoDataValue()) == (1, gdal.GDT_Float32, NODATA)
    heights = band.ReadAsArray().astype(np.float64)
    heights[heights == NODATA] = np.nan
    assert not np.isinf(heights).any()
    return Surface(
        heights, dataset.GetGeoTransform(), dataset.GetProjection(), band.GetUnitType(), dataset.GetMetadata()
    )


def relief(bands: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """What the model ``red`` answers in pixels to an image (rows, columns, bands)."""
    red = bands[..., 0].astype(np.float64)
    known = red[valid] if valid is not None else red
    low, high = np.percentile(known, (2, 98))
    return RELIEF * np.clip(2.0 * (red - low) / (high - low) - 1.0, -1.5, 1.5)


def centred(heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Heights less their mean: what is left of a surface that is known up to a constant."""
    return heights - np.nanmean(heights)


def fitted(heights: NDArray[np.float64], pattern: NDArray[Any]) -> tuple[float, float]:
    """Metres for one unit of a pattern, and the correlation."""
    known = np.isfinite(heights)
    a, b = centred(pattern[known]), centred(heights[known])
    return float(a @ b / (a @ a)), float(a @ b / math.sqrt((a @ a) * (b @ b)))


def colours(rows: int, columns: int, seed: int = 1) -> NDArray[np.uint8]:
    """Soft waves of three different colours with a little grain, (rows, columns, 3) from 1 to 250."""
    random = np.random.default_rng(seed)
    row, column = np.mgrid[:rows, :columns].astype(float)
    planes = []
    for _ in range(3):
        lengths, phases = random.uniform(9, 60, 4), random.uniform(0, 6, 4)
        waves = sum(
            np.sin((row * np.cos(phase) + column * np.sin(phase)) / length + phase)
            for length, phase in zip(lengths, phases)
        )
        planes.append(125 + 25 * waves + random.uniform(-10, 10, (rows, columns)))
    return np.clip(np.stack(planes, axis=-1).round(), 1, 250).astype(np.uint8)


def sunlit_terrain(size: int, seed: int = 1) -> NDArray[np.uint8]:
    """Fractal hills lit from the south-east, (size, size, 3): something a trained generator takes "
    "for terrain."""
    random = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(random.normal(size=(size, size))) * frequency**-2.0
    hills = np.fft.irfft2(spectrum, (size, size))
    down, right = np.gradient(hills / hills.std() * 12.0)
    # A slope that falls towards the sun, down and to the right, is bright.
    light = np.clip(0.55 - 0.5 * (down + right), 0.05, 1.0)
    albedo = np.array([150, 160, 120]) + 25 * (hills / hills.std())[..., None]
    return np.clip(light[..., None] * albedo, 0, 255).astype(np.uint8)
