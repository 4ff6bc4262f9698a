"""The parameters that name known heights: a reference DEM or control points."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsFeatureRequest,
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingFeatureSource,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterField,
    QgsProcessingParameterRasterLayer,
    QgsWkbTypes,
)

from imagetodem_qgis.algorithms.inputs import Parameters, Refusal
from imagetodem_qgis.anchoring.control_points import ControlPoints, on_grid
from imagetodem_qgis.anchoring.reference_heights import ReferenceHeights
from imagetodem_qgis.core.grid import PixelGrid
from imagetodem_qgis.prediction.anchors import KnownHeights
from imagetodem_qgis.raster.errors import RasterError
from imagetodem_qgis.raster.reference import Reference

REFERENCE = "REFERENCE"
CONTROL_POINTS = "CONTROL_POINTS"
HEIGHT_FIELD = "HEIGHT_FIELD"

HELP = {
    REFERENCE: "A DEM in metres (or feet, where its file says so) of any reference system and resolution, "
    "which may have holes. The forms that it shows are kept, finer ones are added to it.",
    CONTROL_POINTS: "Points of known height, in metres, in any reference system. Give either these or a "
    "reference DEM.",
    HEIGHT_FIELD: "The points' field that holds the height in metres. Left empty, the height of the geometry "
    "itself is taken (PointZ).",
}


def known_height_parameters(tr: Any) -> list[QgsProcessingParameterDefinition]:
    """The parameters, all optional."""
    field = QgsProcessingParameterField
    numeric = field.Numeric
    return [
        QgsProcessingParameterRasterLayer(REFERENCE, tr("Reference DEM"), optional=True),
        QgsProcessingParameterFeatureSource(
            CONTROL_POINTS, tr("Control points"), [QgsProcessing.TypeVectorPoint], optional=True
        ),
        field(HEIGHT_FIELD, tr("Field of the points' height"), None, CONTROL_POINTS, numeric, optional=True),
    ]


def known_heights(
    algorithm: QgsProcessingAlgorithm,
    parameters: Parameters,
    context: QgsProcessingContext,
    grid: PixelGrid,
    scratch: Path,
) -> KnownHeights | None:
    """The known heights over a raster, if any are given.

    Args:
        algorithm: that is run.
        parameters: as QGIS gives them.
        context: likewise.
        grid: of the raster.
        scratch: an existing folder.

    Raises:
        Refusal: they cannot be used, or lie elsewhere.
    """
    name = next((name for name in (REFERENCE, CONTROL_POINTS) if parameters.get(name)), None)
    if name is None:
        return None
    if grid.ground() is None:
        raise Refusal(name, "the raster has no coordinate reference system: assign one first")
    reference = opened_reference(algorithm, parameters, context)
    points = opened_points(algorithm, parameters, context, grid.crs)
    try:
        if reference is not None:
            reference.on(grid, scratch)
            return ReferenceHeights(reference)
        if points is not None:
            on_grid(points.places, grid)
    except RasterError as error:
        raise Refusal(name, str(error)) from error
    return points


def opened_reference(
    algorithm: QgsProcessingAlgorithm, parameters: Parameters, context: QgsProcessingContext
) -> Reference | None:
    """The reference DEM, if one is given.

    Raises:
        Refusal: it cannot be used, or points are given too.
    """
    if not parameters.get(REFERENCE):
        return None
    if parameters.get(CONTROL_POINTS):
        raise Refusal(CONTROL_POINTS, "give either a reference DEM (REFERENCE) or control points, not both")
    layer = algorithm.parameterAsRasterLayer(parameters, REFERENCE, context)
    if layer is not None and layer.isValid() and layer.providerType() != "gdal":
        raise Refusal(
            REFERENCE, f"{layer.name()} comes from '{layer.providerType()}': export it to a GeoTIFF first"
        )
    try:
        return Reference(layer.source() if layer is not None else str(parameters[REFERENCE]))
    except RasterError as error:
        raise Refusal(REFERENCE, str(error)) from error


def opened_points(
    algorithm: QgsProcessingAlgorithm, parameters: Parameters, context: QgsProcessingContext, crs: str
) -> ControlPoints | None:
    """The control points in a reference system, if any are given.

    Args:
        algorithm: that is run.
        parameters: as QGIS gives them.
        context: likewise.
        crs: well-known text of the system.

    Raises:
        Refusal: they cannot be used.
    """
    if not parameters.get(CONTROL_POINTS):
        return None
    source = algorithm.parameterAsSource(parameters, CONTROL_POINTS, context)
    if source is None:
        raise Refusal(CONTROL_POINTS, "the layer cannot be opened")
    field = algorithm.parameterAsString(parameters, HEIGHT_FIELD, context)
    if field and source.fields().lookupField(field) < 0:
        raise Refusal(HEIGHT_FIELD, f"the points have no field '{field}'")
    if not field and not QgsWkbTypes.hasZ(source.wkbType()):
        raise Refusal(HEIGHT_FIELD, "name the field that holds the height: the points themselves have none")
    target = QgsCoordinateReferenceSystem.fromWkt(crs)
    places = _places(source, field, _transform(source, target, context))
    if not len(places):
        raise Refusal(CONTROL_POINTS, "there is no point with a height")
    return ControlPoints(source.sourceName(), places)


def _transform(
    source: QgsProcessingFeatureSource, target: QgsCoordinateReferenceSystem, context: QgsProcessingContext
) -> QgsCoordinateTransform:
    own = source.sourceCrs()
    # Points without a reference system are taken to be in the raster's.
    return QgsCoordinateTransform(own if own.isValid() else target, target, context.transformContext())


def _places(
    source: QgsProcessingFeatureSource, field: str, transform: QgsCoordinateTransform
) -> NDArray[np.float64]:
    places = []
    for feature in source.getFeatures(QgsFeatureRequest()):
        for vertex in feature.geometry().vertices():
            height = feature.attribute(field) if field else vertex.z()
            try:
                place = transform.transform(vertex.x(), vertex.y())
                value = float(height)
            except (QgsCsException, TypeError, ValueError):
                continue
            if math.isfinite(value) and math.isfinite(place.x()) and math.isfinite(place.y()):
                places.append((place.x(), place.y(), value))
    return np.array(places, np.float64).reshape(-1, 3)
