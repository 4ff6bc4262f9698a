"""The grid of a raster that GDAL reads: what its CRS means is told by GDAL's own projections."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from osgeo import osr

from imagetodem_qgis.core.grid import PixelGrid, Vector


@dataclass(frozen=True)
class Grid(PixelGrid):
    """The pixels of a raster; see :class:`imagetodem_qgis.core.grid.PixelGrid`."""

    def to_longitude_latitude(self, places: Sequence[Vector]) -> list[Vector] | None:
        """See :class:`imagetodem_qgis.core.grid.PixelGrid`."""
        source, target = osr.SpatialReference(), osr.SpatialReference()
        try:
            if source.ImportFromWkt(self.crs) != 0 or target.ImportFromEPSG(4326) != 0:
                return None
            for reference in (source, target):
                reference.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
            if source.IsLocal():
                return None
            transformation = osr.CoordinateTransformation(source, target)
            converted = [transformation.TransformPoint(x, y)[:2] for x, y in places]
        # GDAL tells of a CRS without a way to the ground by a code or by an exception, as its bindings are
        # set up.
        except RuntimeError:
            return None
        if not all(math.isfinite(value) for place in converted for value in place):
            return None
        return [(float(longitude), float(latitude)) for longitude, latitude in converted]
