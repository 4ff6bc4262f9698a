"""Writing a raster block by block to a GeoTIFF that appears under its name only when it is whole."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Callable, TypeVar

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.raster.grid import Grid
from imagetodem_qgis.raster.image import RasterError
from imagetodem_qgis.raster.whole_file import (
    BLOCK_SIZE,
    NODATA,
    cannot_be_written,
    overview_levels,
    partial_name,
    put_in_place,
    remove_left_overs,
)

AnyWriter = TypeVar("AnyWriter", bound="RasterWriter")

_OPTIONS = (
    "TILED=YES",
    f"BLOCKXSIZE={BLOCK_SIZE}",
    f"BLOCKYSIZE={BLOCK_SIZE}",
    "COMPRESS=DEFLATE",
    # Level 1 is as small as level 6 on floating-point heights, at less than half the time.
    "ZLEVEL=1",
    "BIGTIFF=IF_SAFER",
    "NUM_THREADS=ALL_CPUS",
)


class RasterWriter:
    """A compressed GeoTIFF with nodata, overviews and metadata; used as a context manager.

    What is written goes to a hidden file beside ``path``, which takes its place when the block is left
    without an error; otherwise it is removed and whatever was at ``path`` stays.

    Args:
        path: of the file to appear.
        grid: of the raster.
        bands: how many.
        kind: data type of GDAL.
        nodata: of all bands.
        metadata: items of the file.
        overviews: whether to add them.
        options: of the driver, beside those that all files have.

    Raises:
        RasterError: the file cannot be created, or (when it is finished) not be written.
    """

    def __init__(
        self,
        path: Path,
        grid: Grid,
        bands: int,
        kind: int,
        nodata: float,
        metadata: dict[str, str] | None = None,
        overviews: bool = True,
        options: tuple[str, ...] = (),
    ) -> None:
        self._path = path
        self._partial = partial_name(path)
        self._overviews = overviews
        remove_left_overs(path)
        driver = gdal.GetDriverByName("GTiff")
        gdal.ErrorReset()
        try:
            dataset = driver.Create(
                str(self._partial), grid.columns, grid.rows, bands, kind, [*_OPTIONS, *options]
            )
        except RuntimeError as error:
            raise RasterError(cannot_be_written(path, error)) from error
        if dataset is None:
            raise RasterError(cannot_be_written(path, gdal.GetLastErrorMsg()))
        dataset.SetGeoTransform(grid.geotransform)
        dataset.SetProjection(grid.crs)
        dataset.SetMetadata(metadata or {})
        for number in range(bands):
            dataset.GetRasterBand(number + 1).SetNoDataValue(nodata)
        self._dataset = dataset
        self._size = max(grid.columns, grid.rows)

    def _write_band(self, number: int, window: Window, values: NDArray[np.generic]) -> None:
        gdal.ErrorReset()
        band = self._dataset.GetRasterBand(number)
        try:
            failed = band.WriteArray(values, window.column, window.row) != 0
        except RuntimeError:
            failed = True
        if failed:
            raise RasterError(cannot_be_written(self._path, gdal.GetLastErrorMsg()))

    def __enter__(self: AnyWriter) -> AnyWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.complete()
                put_in_place(self._partial, self._path)
        finally:
            self._dataset = None
            self._partial.unlink(missing_ok=True)

    def add_overviews(self, is_cancelled: Callable[[], bool]) -> bool:
        """Add the overviews now, which takes a while for a large raster, and not when the block is left.

        Args:
            is_cancelled: asked all along.

        Returns:
            Whether they are whole, false only if it was cancelled.

        Raises:
            RasterError: the disk is full or gone.
        """
        levels = overview_levels(self._size) if self._overviews else []
        self._overviews = False
        if not levels:
            return True
        cancelled = False

        def goes_on(part: float, message: str, data: object) -> int:
            nonlocal cancelled
            cancelled = is_cancelled()
            return int(not cancelled)

        gdal.ErrorReset()
        reason = ""
        try:
            self._dataset.FlushCache()
            self._dataset.BuildOverviews("AVERAGE", levels, goes_on)
            if gdal.GetLastErrorType() >= gdal.CE_Failure:
                reason = gdal.GetLastErrorMsg()
        except RuntimeError as error:
            reason = str(error)
        if reason and not cancelled:
            raise RasterError(cannot_be_written(self._path, reason))
        return not cancelled

    def complete(self) -> None:
        """Write all that is not on disk yet: what is left is to give the file its name, when the block is
        left.

        Raises:
            RasterError: the disk is full or gone.
        """
        if self._dataset is None:
            return
        self.add_overviews(lambda: False)
        gdal.ErrorReset()
        try:
            self._dataset.FlushCache()
            self._dataset = None
        except RuntimeError as error:
            raise RasterError(cannot_be_written(self._path, error)) from error
        if gdal.GetLastErrorType() >= gdal.CE_Failure:
            raise RasterError(cannot_be_written(self._path, gdal.GetLastErrorMsg()))


class SurfaceWriter(RasterWriter):
    """A Float32 GeoTIFF of one band of heights; see :class:`RasterWriter`.

    Args:
        path: of the file to appear.
        grid: of the surface.
        unit: of its values.
        description: of its band.
        metadata: items of the file.
        overviews: whether to add them.

    Raises:
        RasterError: the file cannot be created, or (when it is finished) not be written.
    """

    def __init__(
        self,
        path: Path,
        grid: Grid,
        unit: str = "",
        description: str = "",
        metadata: dict[str, str] | None = None,
        overviews: bool = True,
    ) -> None:
        super().__init__(
            path, grid, 1, gdal.GDT_Float32, NODATA, metadata, overviews, options=("PREDICTOR=3",)
        )
        band = self._dataset.GetRasterBand(1)
        band.SetUnitType(unit)
        band.SetDescription(description)

    def write(self, window: Window, heights: NDArray[np.float32]) -> None:
        """Write a window of values; NaN becomes nodata.

        Raises:
            RasterError: the disk is full or gone.
        """
        self._write_band(1, window, np.where(np.isfinite(heights), heights, np.float32(NODATA)))
