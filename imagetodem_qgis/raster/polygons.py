"""Polygons burnt into the pixels of a grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal, ogr, osr

from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.raster.errors import RasterError
from imagetodem_qgis.raster.grid import Grid


@dataclass(frozen=True)
class Polygons:
    """Polygons that belong to named zones.

    Attributes:
        names: of the zones, each once.
        shapes: number of a polygon's zone in ``names``, and the polygon as well-known binary.
        crs: of the polygons, well-known text.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, bytes], ...]
    crs: str


class BurntPolygons:
    """Polygons on a grid: a pixel belongs to the last polygon that its centre lies in.

    Args:
        polygons: to burn.
        grid: whose pixels.

    Raises:
        RasterError: the polygons cannot be brought to the grid's CRS.
    """

    def __init__(self, polygons: Polygons, grid: Grid) -> None:
        self._grid = grid
        # GDAL 3.11 put the one into the other.
        driver = ogr.GetDriverByName("Memory") or ogr.GetDriverByName("MEM")
        self._source = driver.CreateDataSource("")
        reference = osr.SpatialReference()
        if grid.crs:
            reference.ImportFromWkt(grid.crs)
        self._layer = self._source.CreateLayer("zones", reference, ogr.wkbUnknown)
        self._layer.CreateField(ogr.FieldDefn("number", ogr.OFTInteger))
        differs = bool(polygons.crs and grid.crs) and polygons.crs != grid.crs
        transformation = transformation_between(polygons.crs, grid.crs) if differs else None
        for number, shape in polygons.shapes:
            geometry = ogr.CreateGeometryFromWkb(shape)
            if transformation is not None and geometry.Transform(transformation) != 0:
                raise RasterError("polygons cannot be brought to the DEM's coordinate reference system")
            feature = ogr.Feature(self._layer.GetLayerDefn())
            feature.SetField("number", number + 1)
            feature.SetGeometry(geometry)
            self._layer.CreateFeature(feature)

    def read(self, window: Window) -> NDArray[np.uint16]:
        """Numbers of the zones of a window's pixels from 1, (rows, columns); 0 outside all polygons."""
        grid = self._grid.cropped(window)
        target = gdal.GetDriverByName("MEM").Create("", grid.columns, grid.rows, 1, gdal.GDT_UInt16)
        target.SetGeoTransform(grid.geotransform)
        target.SetProjection(grid.crs)
        left, top = grid.to_map(0, 0)
        right, bottom = grid.to_map(grid.columns, grid.rows)
        self._layer.SetSpatialFilterRect(left, bottom, right, top)
        gdal.RasterizeLayer(target, [1], self._layer, options=["ATTRIBUTE=number"])
        numbers: NDArray[np.uint16] = target.ReadAsArray()
        return numbers


def transformation_between(source: str, target: str) -> osr.CoordinateTransformation:
    """The way from one CRS to another, both well-known text, x before y.

    Raises:
        RasterError: there is none.
    """
    references = []
    for text in (source, target):
        reference = osr.SpatialReference()
        reference.ImportFromWkt(text)
        reference.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
        references.append(reference)
    try:
        return osr.CoordinateTransformation(*references)
    except RuntimeError as error:
        raise RasterError(
            f"there is no way from one coordinate reference system to another: {error}"
        ) from error
