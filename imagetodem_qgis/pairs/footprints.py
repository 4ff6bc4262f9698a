"""``footprints.gpkg``: where the pairs of a data set lie, and where they come from."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from osgeo import gdal, ogr

from imagetodem_qgis.pairs.geography import WGS_84, outline, reference
from imagetodem_qgis.pairs.source import Provenance, Tile

FOOTPRINTS_FILE = "footprints.gpkg"
LAYER = "footprints"

_FIELDS = (
    ("id", ogr.OFTString),
    ("split", ogr.OFTString),
    ("area", ogr.OFTString),
    ("scenes", ogr.OFTString),
    ("dates", ogr.OFTString),
    ("sun_azimuth", ogr.OFTReal),
    ("sun_zenith", ogr.OFTReal),
    ("crs", ogr.OFTString),
    ("gsd", ogr.OFTReal),
)


def write_footprints(folder: Path, pairs: Iterable[tuple[Tile, Provenance]]) -> Path:
    """Write the footprints of pairs into their data set's folder; the file appears when it is whole.

    Returns:
        The file.

    Raises:
        OSError: it cannot be written, or the one that is there is held open.
    """
    path = folder / FOOTPRINTS_FILE
    # GDAL looks at the suffix.
    partial = path.with_name(f".{path.stem}.partial.gpkg")
    partial.unlink(missing_ok=True)
    try:
        _write(partial, pairs)
        os.replace(partial, path)
    except RuntimeError as error:
        raise OSError(f"{path} cannot be written: {error}") from error
    except PermissionError as error:
        raise OSError(f"{path} cannot be replaced: remove its layer from the project first") from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def _write(path: Path, pairs: Iterable[tuple[Tile, Provenance]]) -> None:
    gdal.ErrorReset()
    file = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    if file is None:
        raise RuntimeError(gdal.GetLastErrorMsg())
    layer = file.CreateLayer(LAYER, reference(WGS_84), ogr.wkbMultiPolygon)
    for name, kind in _FIELDS:
        layer.CreateField(ogr.FieldDefn(name, kind))
    layer.StartTransaction()
    for tile, provenance in pairs:
        feature = ogr.Feature(layer.GetLayerDefn())
        feature.SetGeometry(footprint(tile))
        for name, value in _attributes(tile, provenance).items():
            if value is not None:
                feature.SetField(name, value)
        if layer.CreateFeature(feature) != 0:
            raise RuntimeError(gdal.GetLastErrorMsg())
    if layer.CommitTransaction() != 0:
        raise RuntimeError(gdal.GetLastErrorMsg())


def _attributes(tile: Tile, provenance: Provenance) -> dict[str, str | float | None]:
    return {
        "id": tile.id,
        "split": tile.split,
        "area": tile.area,
        "scenes": " ".join(provenance.scenes),
        "dates": " ".join(provenance.dates),
        "sun_azimuth": provenance.sun_azimuth,
        "sun_zenith": provenance.sun_zenith,
        "crs": tile.crs if len(tile.crs) < 20 else "",
        "gsd": tile.resolution,
    }


def footprint(tile: Tile) -> ogr.Geometry:
    """A tile's outline in degrees as a multipolygon, in two parts where it lies across the antimeridian."""
    ring = ogr.Geometry(ogr.wkbLinearRing)
    for longitude, latitude in outline(tile):
        ring.AddPoint_2D(longitude, latitude)
    polygon = ogr.Geometry(ogr.wkbPolygon)
    polygon.AddGeometry(ring)
    west, east, _, _ = polygon.GetEnvelope()
    whole = ogr.Geometry(ogr.wkbMultiPolygon)
    if west >= -180.0 and east <= 180.0:
        whole.AddGeometry(polygon)
        return whole
    for turns in (-360.0, 0.0, 360.0):
        part = polygon.Intersection(_world(turns))
        if part is not None and not part.IsEmpty() and part.GetArea() > 0.0:
            whole.AddGeometry(_moved(part, -turns))
    return whole


def _world(turns: float) -> ogr.Geometry:
    west, east = turns - 180.0, turns + 180.0
    return ogr.CreateGeometryFromWkt(f"POLYGON (({west} -90, {west} 90, {east} 90, {east} -90, {west} -90))")


def _moved(polygon: ogr.Geometry, east: float) -> ogr.Geometry:
    ring = ogr.Geometry(ogr.wkbLinearRing)
    for longitude, latitude, *_ in polygon.GetGeometryRef(0).GetPoints():
        ring.AddPoint_2D(longitude + east, latitude)
    moved = ogr.Geometry(ogr.wkbPolygon)
    moved.AddGeometry(ring)
    return moved
