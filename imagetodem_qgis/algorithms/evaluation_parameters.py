"""The parameters of Evaluate DEM, and the request that they make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingOutputNumber,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterField,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
)

from imagetodem_qgis.algorithms.evaluation_inputs import control_points, opened_dem, polygons
from imagetodem_qgis.algorithms.inputs import Parameters, Refusal, advanced, check_destination
from imagetodem_qgis.algorithms.known_heights import CONTROL_POINTS, HEIGHT_FIELD, REFERENCE
from imagetodem_qgis.core.height_values import FOOT, METRE, SURVEY_FOOT
from imagetodem_qgis.evaluation.ground import common_grid
from imagetodem_qgis.evaluation.request import ALIGNMENTS, Request
from imagetodem_qgis.raster.errors import RasterError
from imagetodem_qgis.runtime.interpreter import SETUP_ADVICE, InterpreterError, find_interpreter
from imagetodem_qgis.runtime.profiles import TRAIN
from imagetodem_qgis.runtime.settings import python_setting

DEM = "DEM"
ALIGN = "ALIGN"
COREGISTER = "COREGISTER"
MASK = "MASK"
ZONES = "ZONES"
ZONE_FIELD = "ZONE_FIELD"
DEM_UNIT = "DEM_UNIT"
REFERENCE_UNIT = "REFERENCE_UNIT"
DIFFERENCE = "DIFFERENCE"
REPORT = "REPORT"
TABLE = "TABLE"

_UNITS = {"automatic": None, "metres": METRE, "feet": FOOT, "US survey feet": SURVEY_FOOT}

_NUMBERS = {
    "COUNT": "Heights compared",
    "BIAS": "Bias (m)",
    "MEDIAN": "Median error (m)",
    "MAE": "Mean absolute error (m)",
    "RMSE": "Root mean square error (m)",
    "NMAD": "Normalised median absolute deviation (m)",
    "LE90": "90th percentile of the absolute error (m)",
    "SLOPE_RMSE": "Root mean square error of the slope (degrees)",
    "ASPECT_ERROR": "Mean error of the aspect (degrees)",
    "CORRELATION": "Correlation",
    "SSIM": "Structural similarity",
    "RMSE_BY_SIGMA": "RMSE by the reference's standard deviation",
    "SHIFT": "Shift of the alignment (m)",
    "SCALE": "Scale of the alignment",
    "RMSE_RAW": "RMSE without alignment (m)",
    "RMSE_SHIFT": "RMSE after one shift (m)",
    "RMSE_SHIFT_SCALE": "RMSE after one shift and scale (m)",
    "RMSE_BY_SIGMA_SHIFT_SCALE": "RMSE by sigma after one shift and scale",
    "RMSE_TILES": "RMSE after a shift and scale of each tile (m)",
    "RMSE_BY_SIGMA_TILES": "Median RMSE by sigma after a shift and scale of each tile",
    "RMSE_MEAN": "RMSE of level ground at the true mean (m)",
    "RMSE_PLANE": "RMSE of the best plane (m)",
    "EAST": "Move of the co-registration to the east (m)",
    "NORTH": "Move of the co-registration to the north (m)",
    "POINTS": "Control points compared",
    "POINTS_BIAS": "Bias at the control points (m)",
    "POINTS_RMSE": "RMSE at the control points (m)",
    "POINTS_NMAD": "NMAD at the control points (m)",
    "POINTS_LE90": "LE90 at the control points (m)",
}
"""The numbers among the outputs; one that there is nothing to tell of is left out of the results."""

_HELP = {
    DEM: "The DEM to judge: its first band, in any CRS, resolution and data type.",
    REFERENCE: "A better DEM of the same place. The two are compared on the pixels of the coarser one: the "
    "other is averaged or interpolated there.",
    CONTROL_POINTS: "Points of known height, instead of a reference DEM or beside it. Beside one they check "
    "the alignment that the reference gave.",
    HEIGHT_FIELD: "The points' heights in metres. Left empty, the points' own z values are taken.",
    ALIGN: "What is left out of the errors that the outputs tell of: nothing, a constant, or a constant and "
    "a factor, both fitted to the reference by least squares. Heights from images need it; an absolute DEM "
    "is judged by 'none'. The report shows all three side by side.",
    COREGISTER: "Move the DEM sideways onto its reference first (Nuth & Kääb 2011, by xDEM in the "
    "machine-learning environment, profile 'train').",
    MASK: "Polygons: only pixels whose centre lies in one are compared, such as ground that did not change.",
    ZONES: "Polygons whose errors are told one by one in the table and the report.",
    ZONE_FIELD: "Names of the zones; polygons of one name are one zone. Left empty, each polygon is a zone.",
    DEM_UNIT: "Unit of the DEM's heights. 'automatic' takes what the file says, else metres.",
    REFERENCE_UNIT: "Unit of the reference's heights. 'automatic' takes what the file says, else metres.",
    DIFFERENCE: "A Float32 GeoTIFF: the aligned DEM minus the reference in metres, above zero where the DEM "
    "is too high. Needs REFERENCE.",
    REPORT: "One page of HTML with maps, charts and what the figures mean; it needs no network.",
    TABLE: "The errors by class of slope, by class of elevation, and by zone. Needs REFERENCE.",
}


def declare(algorithm: Any) -> None:
    """Add the parameters and outputs to an algorithm that has ``tr``."""
    for parameter in _parameters(algorithm.tr):
        parameter.setHelp(algorithm.tr(_HELP[parameter.name()]))
        algorithm.addParameter(parameter)
    for name, description in _NUMBERS.items():
        algorithm.addOutput(QgsProcessingOutputNumber(name, algorithm.tr(description)))


def _parameters(tr: Any) -> list[QgsProcessingParameterDefinition]:
    polygon, point = [QgsProcessing.TypeVectorPolygon], [QgsProcessing.TypeVectorPoint]
    sink, source = QgsProcessingParameterFeatureSink, QgsProcessingParameterFeatureSource
    field, units = QgsProcessingParameterField, list(_UNITS)
    enum = QgsProcessingParameterEnum
    return [
        QgsProcessingParameterRasterLayer(DEM, tr("DEM")),
        QgsProcessingParameterRasterLayer(REFERENCE, tr("Reference DEM"), None, True),
        source(CONTROL_POINTS, tr("Control points"), point, None, True),
        field(HEIGHT_FIELD, tr("Field of heights"), None, CONTROL_POINTS, field.Numeric, False, True),
        enum(ALIGN, tr("Align"), list(ALIGNMENTS), False, ALIGNMENTS[0], False, True),
        QgsProcessingParameterBoolean(COREGISTER, tr("Co-register sideways first"), False),
        source(MASK, tr("Compare inside these polygons only"), polygon, None, True),
        source(ZONES, tr("Zones"), polygon, None, True),
        field(ZONE_FIELD, tr("Field of zones' names"), None, ZONES, field.Any, False, True),
        advanced(enum(DEM_UNIT, tr("Unit of the DEM"), units, False, units[0], False, True)),
        advanced(enum(REFERENCE_UNIT, tr("Unit of the reference"), units, False, units[0], False, True)),
        QgsProcessingParameterRasterDestination(DIFFERENCE, tr("Difference"), None, True, True),
        QgsProcessingParameterFileDestination(
            REPORT, tr("Report"), tr("HTML files (*.html)"), None, True, True
        ),
        sink(TABLE, tr("Errors by class"), QgsProcessing.TypeVector, None, True, False),
    ]


def check(algorithm: QgsProcessingAlgorithm, parameters: Parameters, context: QgsProcessingContext) -> None:
    """Open and try everything that a run would use, but the environment.

    Raises:
        Refusal: a parameter cannot be used; the message names it.
    """
    _opened(algorithm, parameters, context)
    check_destination(algorithm, parameters, DIFFERENCE, context)


def request_of(
    algorithm: QgsProcessingAlgorithm, parameters: Parameters, context: QgsProcessingContext, scratch: Path
) -> Request:
    """The request that the parameters make.

    Raises:
        Refusal: a parameter cannot be used.
        InterpreterError: there is no interpreter with xDEM where it is asked for.
    """
    opened = _opened(algorithm, parameters, context)
    difference = algorithm.parameterAsOutputLayer(parameters, DIFFERENCE, context)
    has_reference = opened["reference"] is not None
    interpreter = None
    if algorithm.parameterAsBoolean(parameters, COREGISTER, context):
        interpreter = _interpreter_with_xdem()
    return Request(
        **opened,
        align=algorithm.parameterAsEnumString(parameters, ALIGN, context),
        interpreter=interpreter,
        difference=Path(difference) if difference and has_reference else None,
        scratch=scratch,
    )


def _opened(
    algorithm: QgsProcessingAlgorithm, parameters: Parameters, context: QgsProcessingContext
) -> dict[str, Any]:
    has_reference, has_points = bool(parameters.get(REFERENCE)), bool(parameters.get(CONTROL_POINTS))
    if not has_reference and not has_points:
        raise Refusal(REFERENCE, "give a reference DEM, or points of known height (CONTROL_POINTS), or both")
    if not has_reference:
        for name in (COREGISTER, MASK, ZONES):
            if parameters.get(name):
                raise Refusal(name, "it needs a reference DEM (REFERENCE)")
    dem, reference = (
        opened_dem(algorithm, parameters, name, _UNITS[_unit(algorithm, parameters, unit, context)], context)
        for name, unit in ((DEM, DEM_UNIT), (REFERENCE, REFERENCE_UNIT))
    )
    if reference is not None:
        try:
            common_grid(dem, reference)
        except RasterError as error:
            raise Refusal(REFERENCE, str(error)) from error
    crs = dem.grid.crs
    return {
        "dem": dem,
        "reference": reference,
        "points": control_points(algorithm, parameters, context, crs),
        "mask": polygons(algorithm, parameters, (MASK, ""), context, crs),
        "zones": polygons(algorithm, parameters, (ZONES, ZONE_FIELD), context, crs),
    }


def _unit(
    algorithm: QgsProcessingAlgorithm, parameters: Parameters, name: str, context: QgsProcessingContext
) -> str:
    return str(algorithm.parameterAsEnumString(parameters, name, context))


def _interpreter_with_xdem() -> Path:
    interpreter = find_interpreter(python_setting())
    if "xdem" not in interpreter.packages:
        raise InterpreterError(
            f"COREGISTER: {interpreter.path} has no xDEM. {SETUP_ADVICE} with PROFILE={TRAIN.name} (and "
            "Python 3.10 or later), or leave COREGISTER off"
        )
    return interpreter.path
