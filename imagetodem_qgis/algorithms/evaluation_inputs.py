"""DEMs, points and polygons from parameters, for Evaluate DEM."""

from __future__ import annotations

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingFeatureSource,
)

from imagetodem_qgis.algorithms.inputs import Parameters, Refusal
from imagetodem_qgis.algorithms.known_heights import opened_points
from imagetodem_qgis.evaluation.request import ControlPoints
from imagetodem_qgis.raster.elevation import Elevation
from imagetodem_qgis.raster.errors import RasterError
from imagetodem_qgis.raster.polygons import Polygons

_MOST_ZONES = 1000


def opened_dem(
    algorithm: QgsProcessingAlgorithm,
    parameters: Parameters,
    name: str,
    unit: float | None,
    context: QgsProcessingContext,
) -> Elevation | None:
    """The DEM that a raster parameter names; ``None`` where it is empty.

    Raises:
        Refusal: it cannot be read as a DEM.
    """
    if not parameters.get(name):
        return None
    layer = algorithm.parameterAsRasterLayer(parameters, name, context)
    if layer is not None and layer.isValid() and layer.providerType() != "gdal":
        raise Refusal(
            name, f"{layer.name()} comes from '{layer.providerType()}': export it to a GeoTIFF first"
        )
    source = layer.source() if layer is not None else str(parameters.get(name))
    try:
        return Elevation(source, unit)
    except RasterError as error:
        raise Refusal(name, str(error)) from error


def control_points(
    algorithm: QgsProcessingAlgorithm, parameters: Parameters, context: QgsProcessingContext, crs: str
) -> ControlPoints | None:
    """The control points in a CRS, well-known text; ``None`` where there are none.

    Raises:
        Refusal: they cannot be used.
    """
    points = opened_points(algorithm, parameters, context, crs)
    return None if points is None else ControlPoints(points.places[:, :2], points.places[:, 2])


def polygons(
    algorithm: QgsProcessingAlgorithm,
    parameters: Parameters,
    names: tuple[str, str],
    context: QgsProcessingContext,
    crs: str,
) -> Polygons | None:
    """Polygons and their zones; ``None`` where there are none.

    Args:
        algorithm: whose parameters these are.
        parameters: as QGIS gives them.
        names: of the parameters of the polygons and of the field of zones' names; the latter may be empty.
        context: as QGIS gives it.
        crs: of the DEM, well-known text; empty for none.

    Raises:
        Refusal: there is no polygon, or too many zones.
    """
    name, field_name = names
    if not parameters.get(name):
        return None
    source = _source(algorithm, parameters, name, context)
    chosen = algorithm.parameterAsString(parameters, field_name, context) if field_name else ""
    field = source.fields().lookupField(chosen) if chosen else -1
    if source.sourceCrs().isValid() != bool(crs):
        without = "the DEM" if not crs else "the layer"
        raise Refusal(name, f"{without} has no coordinate reference system, the other has one: assign it")
    features = [feature for feature in source.getFeatures() if not feature.geometry().isEmpty()]
    if not features:
        raise Refusal(name, "there is no polygon: select some, or draw some")
    zones = [_zone(feature, field) for feature in features]
    known = list(dict.fromkeys(zones))
    if field_name and len(known) > _MOST_ZONES:
        raise Refusal(name, f"there are {len(known)} zones, more than {_MOST_ZONES}: join some by ZONE_FIELD")
    numbers = {zone: number for number, zone in enumerate(known)}
    shapes = [bytes(feature.geometry().asWkb()) for feature in features]
    own = source.sourceCrs().toWkt(QgsCoordinateReferenceSystem.WktVariant.WKT2_2019)
    return Polygons(tuple(known), tuple(zip((numbers[zone] for zone in zones), shapes)), own)


def _zone(feature: QgsFeature, field: int) -> str:
    value = feature[field] if field >= 0 else f"polygon {feature.id()}"
    return "without a name" if value is None or str(value) in ("", "NULL") else str(value)


def _source(
    algorithm: QgsProcessingAlgorithm, parameters: Parameters, name: str, context: QgsProcessingContext
) -> QgsProcessingFeatureSource:
    source = algorithm.parameterAsSource(parameters, name, context)
    if source is None:
        raise Refusal(name, "the layer cannot be opened")
    return source
