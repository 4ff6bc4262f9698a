"""Areas to take pairs from: polygons in degrees, wherever they come from.

Longitudes of a polygon go on beyond 180 or -180 where it lies across the antimeridian, so that neighbouring
points are near each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from osgeo import gdal, ogr

from imagetodem_qgis.pairs.geography import LARGEST_LATITUDE, WGS_84, transformation
from imagetodem_qgis.raster.image import open_raster

_SIDE_POINTS = 64
"""Points along a side of the smallest box around a polygon: straight in one CRS is curved in another."""
_MASK_SIDE = 512
_WIDEST = 180.0


class AreaError(ValueError):
    """Something that pairs cannot be taken from; the message says why and what to do."""


@dataclass(frozen=True)
class Area:
    """A polygon to take pairs from.

    Attributes:
        id: of the parent area.
        well_known: polygon or multipolygon in WGS 84 longitude and latitude, as well-known binary.
    """

    id: str
    well_known: bytes

    @property
    def geometry(self) -> ogr.Geometry:
        """The polygon as GDAL's object."""
        return ogr.CreateGeometryFromWkb(self.well_known)


def area_of_polygon(name: str, well_known: bytes, crs: str) -> Area:
    """A polygon of any CRS as an area.

    Args:
        name: of the area.
        well_known: polygon or multipolygon as well-known binary, with x (or longitude) first.
        crs: anything that GDAL takes for one.

    Raises:
        AreaError: it is no polygon, lies outside what UTM covers, or its CRS does not lead to the ground.
    """
    geometry = ogr.CreateGeometryFromWkb(well_known)
    if geometry is None or geometry.IsEmpty():
        raise AreaError(f"{name} is empty")
    flat = ogr.GT_Flatten(geometry.GetGeometryType())
    if flat in (ogr.wkbCurvePolygon, ogr.wkbMultiSurface):
        geometry = geometry.GetLinearGeometry()
        flat = ogr.GT_Flatten(geometry.GetGeometryType())
    if flat not in (ogr.wkbPolygon, ogr.wkbMultiPolygon):
        raise AreaError(f"{name} is no polygon but a {geometry.GetGeometryName().lower()}")
    geometry.FlattenTo2D()
    west, east, south, north = geometry.GetEnvelope()
    geometry.Segmentize(max(east - west, north - south, 1e-9) / _SIDE_POINTS)
    if flat == ogr.wkbPolygon:
        parts = [geometry]
    else:
        parts = [geometry.GetGeometryRef(number) for number in range(geometry.GetGeometryCount())]
    try:
        to_degrees = transformation(crs, WGS_84)
        made = [_in_degrees(part, to_degrees) for part in parts]
    except (RuntimeError, ValueError) as error:
        raise AreaError(f"{name} cannot be placed on the globe: {error}") from error
    whole = _together(made)
    _check_place(name, whole)
    return Area(name, bytes(whole.ExportToWkb()))


def area_of_box(name: str, box: tuple[float, float, float, float], crs: str) -> Area:
    """A rectangle of any CRS as an area; raises as :func:`area_of_polygon`.

    Args:
        name: of the area.
        box: least x and y, largest x and y.
        crs: anything that GDAL takes for one.
    """
    left, bottom, right, top = box
    ring = ogr.Geometry(ogr.wkbLinearRing)
    for x, y in ((left, top), (right, top), (right, bottom), (left, bottom), (left, top)):
        ring.AddPoint_2D(x, y)
    polygon = ogr.Geometry(ogr.wkbPolygon)
    polygon.AddGeometry(ring)
    return area_of_polygon(name, bytes(polygon.ExportToWkb()), crs)


def area_of_raster(name: str, path: str) -> Area:
    """Where a raster's first band knows a value, to a 512th of its larger side.

    Raises:
        AreaError: it has no CRS, or knows no value; else as :func:`area_of_polygon`.
        RasterError: it cannot be read.
    """
    dataset = open_raster(path)
    crs = dataset.GetProjection()
    if not crs:
        raise AreaError(
            f"{path} has no coordinate reference system: assign one first (gdal:assignprojection)"
        )
    step = max(1.0, max(dataset.RasterXSize, dataset.RasterYSize) / _MASK_SIDE)
    columns, rows = math.ceil(dataset.RasterXSize / step), math.ceil(dataset.RasterYSize / step)
    known = dataset.GetRasterBand(1).GetMaskBand().ReadAsArray(buf_xsize=columns, buf_ysize=rows) > 0
    if not known.any():
        raise AreaError(f"{path} knows no height, all is nodata")
    return area_of_polygon(name, _outlines(known, dataset), crs)


def _outlines(known: np.ndarray, dataset: gdal.Dataset) -> bytes:
    """The polygons around the known pixels of a shrunken mask, in the raster's CRS."""
    rows, columns = known.shape
    left, a, b, top, d, e = dataset.GetGeoTransform()
    wide, high = dataset.RasterXSize / columns, dataset.RasterYSize / rows
    mask = gdal.GetDriverByName("MEM").Create("", columns, rows, 1, gdal.GDT_Byte)
    mask.SetGeoTransform((left, a * wide, b * high, top, d * wide, e * high))
    band = mask.GetRasterBand(1)
    band.WriteArray(known.astype(np.uint8))
    store = ogr.GetDriverByName("Memory").CreateDataSource("outlines")
    layer = store.CreateLayer("outlines", None, ogr.wkbPolygon)
    gdal.Polygonize(band, band, layer, -1)
    together = ogr.Geometry(ogr.wkbMultiPolygon)
    for feature in layer:
        together.AddGeometry(feature.GetGeometryRef())
    return bytes(together.ExportToWkb())


def _in_degrees(polygon: ogr.Geometry, to_degrees: object) -> ogr.Geometry:
    made = ogr.Geometry(ogr.wkbPolygon)
    first = None
    for number in range(polygon.GetGeometryCount()):
        points = to_degrees.TransformPoints(polygon.GetGeometryRef(number).GetPoints())
        ring = ogr.Geometry(ogr.wkbLinearRing)
        for longitude, latitude, *_ in points:
            if not (math.isfinite(longitude) and math.isfinite(latitude)):
                raise ValueError("its coordinates lead nowhere")
            if first is None:
                first = longitude
            longitude = _near(longitude, first)
            first = longitude
            ring.AddPoint_2D(longitude, latitude)
        made.AddGeometry(ring)
    return made


def _near(longitude: float, other: float) -> float:
    """The longitude by whole turns as near to another as can be."""
    return longitude + 360.0 * round((other - longitude) / 360.0)


def _together(polygons: list[ogr.Geometry]) -> ogr.Geometry:
    """Polygons as one geometry, each by whole turns as near to the first as can be."""
    whole = ogr.Geometry(ogr.wkbMultiPolygon)
    middle = polygons[0].Centroid().GetX()
    for polygon in polygons:
        turns = 360.0 * round((middle - polygon.Centroid().GetX()) / 360.0)
        moved = ogr.Geometry(ogr.wkbPolygon)
        for ring in (polygon.GetGeometryRef(number) for number in range(polygon.GetGeometryCount())):
            copy = ogr.Geometry(ogr.wkbLinearRing)
            for x, y, *_ in ring.GetPoints():
                copy.AddPoint_2D(x + turns, y)
            moved.AddGeometry(copy)
        whole.AddGeometry(moved)
    return whole if whole.IsValid() else _mended(whole)


def _mended(geometry: ogr.Geometry) -> ogr.Geometry:
    mended = geometry.Buffer(0.0)
    if mended is None or mended.IsEmpty():
        raise ValueError("its border crosses itself: mend it first (native:fixgeometries)")
    return mended


def _check_place(name: str, geometry: ogr.Geometry) -> None:
    west, east, south, north = geometry.GetEnvelope()
    if south < -LARGEST_LATITUDE or north > LARGEST_LATITUDE:
        raise AreaError(
            f"{name} reaches from {south:.1f} to {north:.1f} degrees of latitude: pairs lie on UTM grids, "
            f"which end at {LARGEST_LATITUDE:.0f}"
        )
    if east - west > _WIDEST:
        raise AreaError(
            f"{name} reaches over {east - west:.0f} degrees of longitude: give several smaller areas; across "
            "the antimeridian let the longitudes go on beyond 180"
        )


def distinct_names(names: Iterable[str]) -> list[str]:
    """Names with a number added to those that were there before."""
    seen: dict[str, int] = {}
    made = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        made.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return made
