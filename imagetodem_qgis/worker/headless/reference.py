"""Reading a reference DEM with rasterio, as :mod:`imagetodem_qgis.raster.reference` does with GDAL."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Callable

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import CRSError, RasterioError
from rasterio.io import DatasetReader
from rasterio.transform import Affine
from rasterio.warp import reproject, transform
from rasterio.windows import Window as RasterioWindow

from imagetodem_qgis.core.grid import PixelGrid, Vector
from imagetodem_qgis.core.height_values import METRE, HeightValues, why_not_heights
from imagetodem_qgis.core.tiling import Window, blocks
from imagetodem_qgis.raster.errors import RasterError
from imagetodem_qgis.raster.reference_grid import (
    BLOCK,
    OTHERWISE,
    UNKNOWN,
    USUAL_NODATA,
    ReferenceOnGrid,
    Transform,
    Warped,
    check_known,
    pixels_under,
)
from imagetodem_qgis.worker.headless.image import RasterioGrid

FloatArray = NDArray[np.float32]

_ALGORITHMS = {"cubic": Resampling.cubic, "average": Resampling.average, "near": Resampling.nearest}


class RasterioReference:
    """The first band of a raster of heights; see
    :class:`imagetodem_qgis.raster.reference_grid.OpenedReference`.

    Args:
        path: anything that rasterio opens.

    Raises:
        RasterError: it cannot be opened, has no reference system, or does not hold real numbers.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._dataset: DatasetReader = rasterio.open(path)
        except RasterioError as error:
            raise RasterError(f"{path} cannot be opened as a raster: {error}") from error
        self._heights = _height_values(self._dataset, path)
        if not self._dataset.crs or self._dataset.transform.is_identity:
            raise RasterError(f"{path} has no coordinate reference system: assign one first")
        geotransform, crs = self._dataset.transform.to_gdal(), self._dataset.crs.to_wkt()
        self._grid = RasterioGrid(self._dataset.width, self._dataset.height, geotransform, crs)

    def on(self, grid: PixelGrid, scratch: Path, go_on: Callable[[], None] = lambda: None) -> ReferenceOnGrid:
        """See :class:`imagetodem_qgis.raster.reference_grid.OpenedReference`."""
        ways = (_transform(grid.crs, self._grid.crs), _transform(self._grid.crs, grid.crs))
        under, cell = pixels_under(grid, self._grid, self.path, *ways)
        whole, pixels = self._grid.window(), _Pixels(self._dataset, self._heights, self._grid)
        check_known(pixels, under.intersection(whole), self.path, go_on)
        return ReferenceOnGrid(pixels, whole, under, grid, cell, scratch, go_on)


class _Pixels:
    """See :class:`imagetodem_qgis.raster.reference_grid.ReferencePixels`."""

    def __init__(self, dataset: DatasetReader, heights: HeightValues, grid: RasterioGrid) -> None:
        self._dataset, self._heights, self._grid = dataset, heights, grid
        usual = USUAL_NODATA.get(dataset.dtypes[0], OTHERWISE)
        self._nodata = dataset.nodatavals[0] if heights.declares_nodata else usual

    def read(self, window: Window) -> FloatArray:
        """See :class:`imagetodem_qgis.raster.reference_grid.ReferencePixels`."""
        place = RasterioWindow(window.column, window.row, window.columns, window.rows)
        try:
            stored, mask = self._dataset.read(1, window=place), self._dataset.read_masks(1, window=place)
        except RasterioError as error:
            raise RasterError(f"the reference cannot be read: {error}") from error
        return self._heights.in_metres(stored, mask)

    def warped(self, grid: PixelGrid, algorithm: str) -> FloatArray:
        """See :class:`imagetodem_qgis.raster.reference_grid.Warped`."""
        metres = self._heights.metres or METRE
        heights = _warped(self._dataset, self._nodata, grid, algorithm)
        heights *= np.float32(self._heights.scale * metres)
        heights += np.float32(self._heights.offset * metres)
        return heights

    def beside(self, path: Path, window: Window, values: Callable[[Window], FloatArray]) -> Warped:
        """See :class:`imagetodem_qgis.raster.reference_grid.ReferencePixels`."""
        grid = self._grid.cropped(window)
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=grid.columns,
            height=grid.rows,
            count=1,
            dtype="float32",
            nodata=UNKNOWN,
            crs=CRS.from_wkt(grid.crs),
            transform=Affine.from_gdal(*grid.geotransform),
            tiled=True,
            compress="deflate",
            bigtiff="if_safer",
        ) as copy:
            for part in blocks(window.rows, window.columns, BLOCK):
                found = values(
                    Window(window.row + part.row, window.column + part.column, part.rows, part.columns)
                )
                place = RasterioWindow(part.column, part.row, part.columns, part.rows)
                copy.write(np.where(np.isfinite(found), found, np.float32(UNKNOWN)), 1, window=place)
        return _Copy(path)


class _Copy:
    """See :class:`imagetodem_qgis.raster.reference_grid.Warped`."""

    def __init__(self, path: Path) -> None:
        self._dataset = rasterio.open(path)

    def warped(self, grid: PixelGrid, algorithm: str) -> FloatArray:
        """See :class:`imagetodem_qgis.raster.reference_grid.Warped`."""
        return _warped(self._dataset, UNKNOWN, grid, algorithm)


def _warped(source: DatasetReader, nodata: float, grid: PixelGrid, algorithm: str) -> FloatArray:
    heights = np.full((grid.rows, grid.columns), UNKNOWN, np.float32)
    try:
        reproject(
            rasterio.band(source, 1),
            heights,
            src_nodata=nodata,
            dst_transform=Affine.from_gdal(*grid.geotransform),
            dst_crs=CRS.from_wkt(grid.crs),
            dst_nodata=UNKNOWN,
            resampling=_ALGORITHMS[algorithm],
        )
    except (RasterioError, CRSError) as error:
        raise RasterError(f"the reference cannot be read: {error}") from error
    heights[heights == np.float32(UNKNOWN)] = np.nan
    return heights


def _transform(source: str, target: str) -> Transform:
    """The way from one reference system to another.

    Raises:
        RasterError: there is none.
    """
    systems = (CRS.from_wkt(source), CRS.from_wkt(target))

    def transformed(places: Sequence[Vector]) -> list[Vector]:
        return [_place(*systems, place) for place in places]

    return transformed


def _place(source: CRS, target: CRS, place: Vector) -> Vector:
    try:
        (x,), (y,) = transform(source, target, [place[0]], [place[1]])
    except (RasterioError, CRSError):
        return math.inf, math.inf
    return float(x), float(y)


def _height_values(dataset: DatasetReader, path: str) -> HeightValues:
    colour = dataset.colorinterp[0] if dataset.count else ColorInterp.undefined
    complex_numbers = dataset.count > 0 and dataset.dtypes[0].startswith("complex")
    refusal = why_not_heights(
        dataset.count, complex_numbers, colour == ColorInterp.palette, colour == ColorInterp.red
    )
    if refusal:
        raise RasterError(f"{path} {refusal}")
    return HeightValues(
        unit=str(dataset.units[0] or "").strip().lower(),
        scale=float(dataset.scales[0] or 1.0),
        offset=float(dataset.offsets[0] or 0.0),
        declares_nodata=dataset.nodatavals[0] is not None,
    )
