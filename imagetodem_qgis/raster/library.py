"""GDAL as the library that a prediction reads and writes with."""

from __future__ import annotations

from pathlib import Path

from imagetodem_qgis.core.grid import PixelGrid
from imagetodem_qgis.raster.surface import ResampledSurface
from imagetodem_qgis.raster.writer import SurfaceWriter


class GdalRasters:
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
        return SurfaceWriter(path, grid, unit, description, metadata, overviews)

    def resampled(self, path: Path, rows: int, columns: int) -> ResampledSurface:
        """See :class:`imagetodem_qgis.prediction.rasters.Rasters`."""
        return ResampledSurface(path, rows, columns)
