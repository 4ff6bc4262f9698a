"""Files of control points."""

from __future__ import annotations

from pathlib import Path

from osgeo import ogr, osr


def points_file(
    path: Path, places: list[tuple[float, float, float]], epsg: int, with_z: bool = False
) -> Path:
    crs = osr.SpatialReference()
    crs.ImportFromEPSG(epsg)
    crs.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    file = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    layer = file.CreateLayer("points", crs, ogr.wkbPoint25D if with_z else ogr.wkbPoint)
    layer.CreateField(ogr.FieldDefn("height", ogr.OFTReal))
    for x, y, height in places:
        feature = ogr.Feature(layer.GetLayerDefn())
        geometry = ogr.Geometry(ogr.wkbPoint25D if with_z else ogr.wkbPoint)
        geometry.AddPoint(x, y, height) if with_z else geometry.AddPoint_2D(x, y)
        feature.SetGeometry(geometry)
        if not with_z:
            feature.SetField("height", height)
        layer.CreateFeature(feature)
    return path
