"""Writing surfaces with rasterio, as :mod:`imagetodem_qgis.raster.writer` does with GDAL."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.transform import Affine
from rasterio.windows import Window as RasterioWindow

from imagetodem_qgis.core.grid import PixelGrid
from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.raster.errors import RasterError
from imagetodem_qgis.raster.whole_file import (
    BLOCK_SIZE,
    NODATA,
    cannot_be_written,
    overview_levels,
    partial_name,
    put_in_place,
    remove_left_overs,
)
from imagetodem_qgis.worker.headless.virtual import virtual_raster


class RasterioRasters:
    """See :class:`imagetodem_qgis.prediction.rasters.Rasters`."""

    def writer(
        self,
        path: Path,
        grid: PixelGrid,
        unit: str = "",
        description: str = "",
        metadata: dict[str, str] | None = None,
        overviews: bool = True,
    ) -> SurfaceWriter:
        """See :class:`imagetodem_qgis.prediction.rasters.Rasters`."""
        return SurfaceWriter(path, grid, unit, description, metadata or {}, overviews)

    def resampled(self, path: Path, rows: int, columns: int) -> ResampledSurface:
        """See :class:`imagetodem_qgis.prediction.rasters.Rasters`."""
        return ResampledSurface(path, rows, columns)


class SurfaceWriter:
    """A Float32 GeoTIFF with nodata, overviews and metadata that takes its name when it is whole.

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
        grid: PixelGrid,
        unit: str,
        description: str,
        metadata: dict[str, str],
        overviews: bool,
    ) -> None:
        self._path, self._overviews = path, overviews
        self._partial = partial_name(path)
        self._size = max(grid.rows, grid.columns)
        remove_left_overs(path)
        try:
            self._dataset = rasterio.open(
                self._partial,
                "w",
                driver="GTiff",
                width=grid.columns,
                height=grid.rows,
                count=1,
                dtype="float32",
                nodata=NODATA,
                crs=grid.crs or None,
                transform=Affine.from_gdal(*grid.geotransform),
                tiled=True,
                blockxsize=BLOCK_SIZE,
                blockysize=BLOCK_SIZE,
                compress="deflate",
                predictor=3,
                zlevel=1,
                bigtiff="if_safer",
                num_threads="all_cpus",
            )
            self._dataset.update_tags(**metadata)
            self._dataset.set_band_unit(1, unit)
            self._dataset.set_band_description(1, description)
        except (RasterioError, OSError) as error:
            raise RasterError(cannot_be_written(path, error)) from error

    def __enter__(self) -> SurfaceWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        try:
            if kind is None:
                self.complete()
                put_in_place(self._partial, self._path)
        finally:
            self._dataset.close()
            self._partial.unlink(missing_ok=True)

    def write(self, window: Window, heights: NDArray[np.float32]) -> None:
        """See :class:`imagetodem_qgis.prediction.rasters.Writer`."""
        values = np.where(np.isfinite(heights), heights, np.float32(NODATA))
        place = RasterioWindow(window.column, window.row, window.columns, window.rows)
        try:
            self._dataset.write(values, 1, window=place)
        except RasterioError as error:
            raise RasterError(cannot_be_written(self._path, error)) from error

    def add_overviews(self, is_cancelled: Callable[[], bool]) -> bool:
        """See :class:`imagetodem_qgis.prediction.rasters.Writer`: rasterio adds them when the file is
        whole, in one go."""
        return not is_cancelled()

    def complete(self) -> None:
        """See :class:`imagetodem_qgis.prediction.rasters.Writer`."""
        if self._dataset.closed:
            return
        levels = overview_levels(self._size) if self._overviews else []
        try:
            self._dataset.close()
            if levels:
                with rasterio.open(self._partial, "r+") as dataset:
                    dataset.build_overviews(levels, Resampling.average)
        except RasterioError as error:
            raise RasterError(cannot_be_written(self._path, error)) from error


class ResampledSurface:
    """A single-band surface brought to rows × columns pixels over the same extent; see
    :class:`imagetodem_qgis.raster.surface.ResampledSurface`."""

    def __init__(self, path: Path, rows: int, columns: int) -> None:
        self._source = rasterio.open(path)
        whole = Window(0, 0, self._source.height, self._source.width)
        finer = rows >= whole.rows and columns >= whole.columns
        # Cubic spline keeps the slope continuous from pixel to pixel, which a hillshade shows.
        resampling = "cubicspline" if finer else "bilinear"
        self._resampled = virtual_raster(self._source, (1,), whole, rows, columns, resampling, False)

    def read(self, window: Window) -> NDArray[np.float32]:
        """See :class:`imagetodem_qgis.prediction.rasters.Surface`."""
        place = RasterioWindow(window.column, window.row, window.columns, window.rows)
        heights = self._resampled.read(1, window=place)
        heights[heights == np.float32(NODATA)] = np.nan
        return np.asarray(heights, np.float32)
