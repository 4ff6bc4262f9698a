"""The image that is laid over a scene, on the scene's own extent."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from imagetodem_qgis.core.stretch import StretchRecipe
from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.prediction.request import Cancelled
from imagetodem_qgis.raster.cache import small_block_cache
from imagetodem_qgis.raster.grid import Grid
from imagetodem_qgis.raster.image import Image, RasterError
from imagetodem_qgis.scene.overlap import window_over
from imagetodem_qgis.scene.terrain import LONGEST_SIDE, memory_raster, warp

_STRIPE = 128
_QUALITY = 90
_UNKNOWN = (138, 143, 148)
"""Grey where the image does not reach."""


def picture_over(image: Image, grid: Grid, is_cancelled: Callable[[], bool]) -> str:
    """The image over a grid's extent, at its own resolution or at the finest that a texture may have.

    Args:
        image: bytes are shown as they are, other values between their 2nd and 98th percentile.
        grid: of the surface.
        is_cancelled: whether the user wants to stop.

    Returns:
        A data address of a JPEG; of a PNG where GDAL writes no JPEG.

    Raises:
        Cancelled: the user cancelled.
        RasterError: the image cannot be read or brought there.
    """
    window = window_over(image.grid, grid)
    if window.is_empty():
        raise RasterError(f"{image.path} does not overlap the DEM")
    shrink = min(1.0, LONGEST_SIDE / max(window.rows, window.columns))
    rows, columns = max(1, round(window.rows * shrink)), max(1, round(window.columns * shrink))
    with small_block_cache():
        colours = _read(image, window, rows, columns, is_cancelled)
    source = memory_raster(_resized(image.grid.cropped(window), rows, columns), colours)
    source.GetRasterBand(4).SetColorInterpretation(gdal.GCI_AlphaBand)
    size = _target_size(grid, rows, columns)
    target = memory_raster(_resized(grid, *size), np.zeros((4, *size), np.uint8))
    target.GetRasterBand(4).SetColorInterpretation(gdal.GCI_AlphaBand)
    warp(source, target, "bilinear", is_cancelled, image.grid.crs or grid.crs)
    shown = target.ReadAsArray()
    if not shown[3].any():
        raise RasterError(f"{image.path} holds no known pixel over the DEM")
    grey = np.array(_UNKNOWN, np.uint8)[:, None, None]
    return _encoded(np.where(shown[3] > 127, shown[:3], grey))


def _read(
    image: Image, window: Window, rows: int, columns: int, is_cancelled: Callable[[], bool]
) -> NDArray[np.uint8]:
    """Red, green, blue and opacity of a window, (4, rows, columns)."""
    reader = image.reader(window, rows, columns)
    stretch = None
    colours = np.zeros((4, rows, columns), np.uint8)
    for row in range(0, rows, _STRIPE):
        if is_cancelled():
            raise Cancelled()
        stripe = Window(row, 0, min(_STRIPE, rows - row), columns)
        values, valid = reader.read(stripe)
        if values.dtype != np.uint8:
            stretch = stretch or StretchRecipe(clip=1.0).of(_samples(image))
            values = np.rint((np.nan_to_num(stretch.apply(values)) + 1.0) * 127.5).astype(np.uint8)
        place = np.s_[row : row + stripe.rows]
        colours[:3, place] = np.moveaxis(values, -1, 0)
        colours[3, place] = np.where(valid, 255, 0)
    return colours


def _samples(image: Image) -> NDArray[np.generic]:
    samples = image.sample()
    if len(samples) == 0:
        raise RasterError(f"{image.path} holds no known pixel")
    return samples


def _resized(grid: Grid, rows: int, columns: int) -> Grid:
    """The same extent in another number of pixels."""
    left, a, b, top, d, e = grid.geotransform
    wide, high = grid.columns / columns, grid.rows / rows
    return Grid(columns, rows, (left, a * wide, b * high, top, d * wide, e * high), grid.crs)


def _target_size(grid: Grid, rows: int, columns: int) -> tuple[int, int]:
    """Rows and columns over the surface with about as many pixels as the image has there."""
    finer = max(1.0, math.sqrt(rows * columns / (grid.rows * grid.columns)))
    finer = min(finer, LONGEST_SIDE / max(grid.rows, grid.columns))
    return max(2, round(grid.rows * finer)), max(2, round(grid.columns * finer))


def _encoded(colours: NDArray[np.uint8]) -> str:
    """A data address of a picture, given (3, rows, columns)."""
    driver, kind = gdal.GetDriverByName("JPEG"), "jpeg"
    options = [f"QUALITY={_QUALITY}"]
    if driver is None:
        driver, kind, options = gdal.GetDriverByName("PNG"), "png", []
    name = f"/vsimem/imagetodem-{uuid4().hex}"
    source = memory_raster(
        Grid(colours.shape[2], colours.shape[1], (0.0, 1.0, 0.0, 0.0, 0.0, 1.0), ""), colours
    )
    try:
        driver.CreateCopy(name, source, options=options)
        handle = gdal.VSIFOpenL(name, "rb")
        gdal.VSIFSeekL(handle, 0, 2)
        size = gdal.VSIFTellL(handle)
        gdal.VSIFSeekL(handle, 0, 0)
        content = bytes(gdal.VSIFReadL(1, size, handle))
        gdal.VSIFCloseL(handle)
    finally:
        for left_over in (name, f"{name}.aux.xml"):
            gdal.Unlink(left_over)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
