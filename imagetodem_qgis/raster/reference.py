"""A DEM of any reference system and resolution, read on another raster's grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Callable

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal, osr

from imagetodem_qgis.core.grid import PixelGrid, Vector
from imagetodem_qgis.core.height_values import METRE
from imagetodem_qgis.core.tiling import Window, blocks
from imagetodem_qgis.raster.errors import RasterError
from imagetodem_qgis.raster.grid import Grid
from imagetodem_qgis.raster.height_band import HeightBand, height_band
from imagetodem_qgis.raster.image import open_raster, read_band
from imagetodem_qgis.raster.reference_grid import (
    BLOCK,
    MARGIN,
    OTHERWISE,
    UNKNOWN,
    USUAL_NODATA,
    ReferenceOnGrid,
    Transform,
    Warped,
    check_known,
    pixels_under,
)

FloatArray = NDArray[np.float32]

_OPTIONS = ["TILED=YES", "COMPRESS=DEFLATE", "BIGTIFF=IF_SAFER"]


class Reference:
    """The first band of a raster of heights.

    Args:
        path: anything that GDAL opens.

    Attributes:
        path: likewise.

    Raises:
        RasterError: it cannot be opened, has no reference system, or does not hold real numbers.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._dataset = open_raster(path)
        self._heights = height_band(self._dataset, path)
        transform = self._dataset.GetGeoTransform(can_return_null=True)
        if not self._dataset.GetProjection() or transform is None:
            raise RasterError(f"{path} has no coordinate reference system: assign one first")
        columns, rows = self._dataset.RasterXSize, self._dataset.RasterYSize
        self._grid = Grid(columns, rows, tuple(transform), self._dataset.GetProjection())

    def on(self, grid: PixelGrid, scratch: Path, go_on: Callable[[], None] = lambda: None) -> ReferenceOnGrid:
        """See :class:`imagetodem_qgis.raster.reference_grid.OpenedReference`."""
        ways = (_transform(grid.crs, self._grid.crs), _transform(self._grid.crs, grid.crs))
        under, cell = pixels_under(grid, self._grid, self.path, *ways)
        whole = self._grid.window()
        pixels = _Pixels(self._heights, self._grid, under.widened(MARGIN).intersection(whole))
        check_known(pixels, under.intersection(whole), self.path, go_on)
        return ReferenceOnGrid(pixels, whole, under, grid, cell, scratch, go_on)


class _Pixels:
    """See :class:`imagetodem_qgis.raster.reference_grid.ReferencePixels`."""

    def __init__(self, heights: HeightBand, grid: Grid, crop: Window) -> None:
        self._heights, self._grid = heights, grid
        declared = heights.band.GetNoDataValue()
        kind = gdal.GetDataTypeName(heights.band.DataType).lower()
        self._crop = gdal.Translate(
            "",
            heights.dataset,
            format="VRT",
            bandList=[1],
            srcWin=[crop.column, crop.row, crop.columns, crop.rows],
            outputType=gdal.GDT_Float32,
            noData=float(declared) if declared is not None else USUAL_NODATA.get(kind, OTHERWISE),
        )

    def read(self, window: Window) -> FloatArray:
        """See :class:`imagetodem_qgis.raster.reference_grid.ReferencePixels`."""
        place = (window.column, window.row, window.columns, window.rows)
        band = self._heights.band
        return self._heights.in_metres(read_band(band, place), read_band(band.GetMaskBand(), place))

    def warped(self, grid: PixelGrid, algorithm: str) -> FloatArray:
        """See :class:`imagetodem_qgis.raster.reference_grid.Warped`."""
        metres = self._heights.metres or METRE
        heights = _warped(self._crop, grid, algorithm)
        heights *= np.float32(self._heights.scale * metres)
        heights += np.float32(self._heights.offset * metres)
        return heights

    def beside(self, path: Path, window: Window, values: Callable[[Window], FloatArray]) -> Warped:
        """See :class:`imagetodem_qgis.raster.reference_grid.ReferencePixels`."""
        grid = self._grid.cropped(window)
        gdal.ErrorReset()
        copy = gdal.GetDriverByName("GTiff").Create(
            str(path), window.columns, window.rows, 1, gdal.GDT_Float32, _OPTIONS
        )
        if copy is None:
            raise RasterError(f"a temporary file cannot be written: {gdal.GetLastErrorMsg()}")
        copy.SetGeoTransform(grid.geotransform)
        copy.SetProjection(grid.crs)
        band = copy.GetRasterBand(1)
        band.SetNoDataValue(UNKNOWN)
        for part in blocks(window.rows, window.columns, BLOCK):
            found = values(
                Window(window.row + part.row, window.column + part.column, part.rows, part.columns)
            )
            written = np.where(np.isfinite(found), found, np.float32(UNKNOWN))
            if band.WriteArray(written, part.column, part.row) != 0:
                raise RasterError(f"a temporary file cannot be written: {gdal.GetLastErrorMsg()}")
        copy.FlushCache()
        return _Copy(copy)


class _Copy:
    """See :class:`imagetodem_qgis.raster.reference_grid.Warped`."""

    def __init__(self, dataset: gdal.Dataset) -> None:
        self._dataset = dataset

    def warped(self, grid: PixelGrid, algorithm: str) -> FloatArray:
        """See :class:`imagetodem_qgis.raster.reference_grid.Warped`."""
        return _warped(self._dataset, grid, algorithm)


def _warped(source: gdal.Dataset, grid: PixelGrid, algorithm: str) -> FloatArray:
    target = gdal.GetDriverByName("MEM").Create("", grid.columns, grid.rows, 1, gdal.GDT_Float32)
    target.SetGeoTransform(grid.geotransform)
    target.SetProjection(grid.crs)
    band = target.GetRasterBand(1)
    band.SetNoDataValue(UNKNOWN)
    band.Fill(UNKNOWN)
    gdal.ErrorReset()
    try:
        # Overviews may be anything but means.
        done = gdal.Warp(target, source, resampleAlg=algorithm, multithread=False, overviewLevel="NONE")
    except RuntimeError:
        done = None
    if not done:
        raise RasterError(f"the reference cannot be read: {gdal.GetLastErrorMsg()}")
    heights = read_band(band, (0, 0, grid.columns, grid.rows)).astype(np.float32)
    heights[heights == np.float32(UNKNOWN)] = np.nan
    return heights


def _transform(source: str, target: str) -> Transform:
    """The way from one reference system to another.

    Raises:
        RasterError: there is none.
    """
    references = []
    for text in (source, target):
        reference = osr.SpatialReference()
        reference.SetFromUserInput(text)
        reference.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
        references.append(reference)
    gdal.ErrorReset()
    try:
        transformation = osr.CoordinateTransformation(*references)
        usable = transformation is not None and getattr(transformation, "this", None) is not None
    except RuntimeError:
        usable = False
    if not usable:
        raise RasterError("there is no way from the reference's reference system to the image's")

    def transformed(places: Sequence[Vector]) -> list[Vector]:
        found = []
        for x, y in places:
            try:
                place = transformation.TransformPoint(x, y)[:2]
            except RuntimeError:
                place = (math.inf, math.inf)
            found.append((float(place[0]), float(place[1])))
        return found

    return transformed
