"""Areas from an extent, from polygons, or from where a raster knows values."""

from __future__ import annotations

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsFeatureRequest,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingFeatureSource,
)

from imagetodem_qgis.algorithms.inputs import Parameters, Refusal
from imagetodem_qgis.pairs.areas import (
    Area,
    AreaError,
    area_of_box,
    area_of_polygon,
    area_of_raster,
    distinct_names,
)
from imagetodem_qgis.raster.image import RasterError

EXTENT = "EXTENT"
AREAS = "AREAS"
DEM = "DEM"

_NAME_FIELDS = ("area", "name", "id")


def areas_of(
    algorithm: QgsProcessingAlgorithm, parameters: Parameters, context: QgsProcessingContext
) -> list[Area]:
    """The areas that one of the three parameters gives.

    Raises:
        Refusal: none or several are given, or it cannot be used.
    """
    given = [name for name in (EXTENT, AREAS, DEM) if parameters.get(name)]
    if not given:
        raise Refusal(EXTENT, "say where: give EXTENT, or polygons (AREAS), or a raster (DEM)")
    if len(given) > 1:
        raise Refusal(given[1], f"give one of EXTENT, AREAS and DEM, not {' and '.join(given)}")
    try:
        if given == [EXTENT]:
            return [_of_extent(algorithm, parameters, context)]
        if given == [AREAS]:
            return _of_polygons(algorithm, parameters, context)
        return [_of_raster(algorithm, parameters, context)]
    except (AreaError, RasterError) as error:
        raise Refusal(given[0], str(error)) from error


def _of_extent(
    algorithm: QgsProcessingAlgorithm, parameters: Parameters, context: QgsProcessingContext
) -> Area:
    crs = algorithm.parameterAsExtentCrs(parameters, EXTENT, context)
    extent = algorithm.parameterAsExtent(parameters, EXTENT, context)
    if extent.isNull() or extent.width() <= 0.0 or extent.height() <= 0.0:
        raise AreaError("the extent is empty: draw it over the ground that you want pairs of")
    box = (extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum())
    return area_of_box("extent", box, _well_known(crs))


def _of_polygons(
    algorithm: QgsProcessingAlgorithm, parameters: Parameters, context: QgsProcessingContext
) -> list[Area]:
    source = algorithm.parameterAsSource(parameters, AREAS, context)
    if source is None:
        raise AreaError("the polygons cannot be opened")
    crs = _well_known(source.sourceCrs())
    field = _name_field(source)
    request = QgsFeatureRequest()
    features = [feature for feature in source.getFeatures(request) if not feature.geometry().isEmpty()]
    if not features:
        raise AreaError("there is no polygon: select some, or draw some")
    names = [
        f"area {feature.id()}" if field < 0 or feature[field] in (None, "") else str(feature[field])
        for feature in features
    ]
    return [
        area_of_polygon(name, bytes(feature.geometry().asWkb()), crs)
        for name, feature in zip(distinct_names(names), features)
    ]


def _of_raster(
    algorithm: QgsProcessingAlgorithm, parameters: Parameters, context: QgsProcessingContext
) -> Area:
    layer = algorithm.parameterAsRasterLayer(parameters, DEM, context)
    if layer is not None and layer.isValid() and layer.providerType() != "gdal":
        raise AreaError(f"{layer.name()} comes from '{layer.providerType()}': give a raster file")
    return area_of_raster("raster", layer.source() if layer is not None else str(parameters.get(DEM)))


def _name_field(source: QgsProcessingFeatureSource) -> int:
    names = [name.lower() for name in source.fields().names()]
    return next((names.index(name) for name in _NAME_FIELDS if name in names), -1)


def _well_known(crs: QgsCoordinateReferenceSystem) -> str:
    if not crs.isValid():
        raise AreaError("its coordinate reference system is unknown: assign one")
    return str(crs.toWkt(QgsCoordinateReferenceSystem.WktVariant.WKT2_2019))
