"""The parameters of Predict DEM, and the request that they make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingOutputNumber,
    QgsProcessingParameterBand,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFile,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
)

from imagetodem_qgis.algorithms.inputs import (
    Parameters,
    Refusal,
    advanced,
    check_destination,
    opened_image,
    window_of_extent,
)
from imagetodem_qgis.algorithms.known_heights import HELP as _KNOWN_HELP
from imagetodem_qgis.algorithms.known_heights import known_height_parameters, known_heights
from imagetodem_qgis.algorithms.model_input import AUTOMATIC, model_choices, opened_model
from imagetodem_qgis.core.card import CardError
from imagetodem_qgis.core.confidence import anchored_doubt_of, doubt_of
from imagetodem_qgis.prediction.request import Request
from imagetodem_qgis.runtime.interpreter import find_interpreter, require_engine
from imagetodem_qgis.runtime.models import Model, ModelError
from imagetodem_qgis.runtime.settings import python_setting

INPUT = "INPUT"
BANDS = "BANDS"
MODEL = "MODEL"
MODEL_FILE = "MODEL_FILE"
EXTENT = "EXTENT"
SUN_AZIMUTH = "SUN_AZIMUTH"
ENGINE = "ENGINE"
DEVICE = "DEVICE"
OVERLAP = "OVERLAP"
BATCH_SIZE = "BATCH_SIZE"
OUTPUT = "OUTPUT"
CONFIDENCE = "CONFIDENCE"
TILES = "TILES"
MINIMUM = "MINIMUM"
MAXIMUM = "MAXIMUM"

_ENGINES = ("automatic", "onnxruntime", "tensorflow")
_DEVICES = ("automatic", "cpu", "gpu")

_MODEL_FILTER = "Models (*.onnx *.keras *.zip model.json saved_model.pb);;All files (*)"
"""QGIS checks names by it: the last pattern lets the names of folders pass, which hold no dot."""

_HELP = {
    INPUT: "A raster with at least three bands: red, green and blue, of any data type, size and "
    "coordinate system. "
    "Nodata, alpha and mask bands are respected.",
    BANDS: "Three bands in the order red, green, blue. Left empty, the bands' colour interpretation "
    "decides, else "
    "bands 1, 2, 3.",
    MODEL: "An installed model. 'automatic' takes the default, or with a reference DEM one that is guided by "
    "it, where such a model is installed.",
    MODEL_FILE: "Takes the place of 'Model': a model's folder or its model.json, a .zip of one, an "
    ".onnx file with its "
    "card beside it, a .keras file, or a SavedModel folder of the original project (or its saved_model.pb).",
    EXTENT: "Predict this part of the image only. The contrast stretch is taken from the whole image "
    "all the same, and around a part that is smaller than the model's tiles the network is shown the image, "
    "too.",
    SUN_AZIMUTH: "Where the sun stood, in degrees clockwise from north. Shading tells height only to "
    "one who knows it: "
    "a wrong azimuth turns valleys into ridges. Left empty, the image's metadata decide, else a "
    "morning satellite is "
    "assumed (145 degrees in the north, 35 in the south).",
    ENGINE: "What runs the network. 'automatic' takes ONNX Runtime, or TensorFlow for models that "
    "only it can load.",
    DEVICE: "'automatic' takes a GPU where the engine has one, else the processor.",
    OVERLAP: "Least overlap of neighbouring tiles, in percent of a tile's side. More is smoother and slower.",
    BATCH_SIZE: "Tiles given to the engine at once. It changes speed and memory, never the answer. Left "
    "empty, the quickest is found on the first tiles.",
    OUTPUT: "A Float32 GeoTIFF: metres of relief around 0, or with known heights metres above their zero.",
    CONFIDENCE: "A Float32 GeoTIFF of one standard deviation of the height in each pixel, in the DEM's unit: "
    "from how far the answers to transformed copies of a tile and those of overlapping tiles lie apart. It "
    "takes twice the time or more.",
    **_KNOWN_HELP,
}


def declare(algorithm: Any) -> None:
    """Add the parameters and outputs to an algorithm that has ``tr``."""
    for parameter in _parameters(algorithm.tr):
        parameter.setHelp(algorithm.tr(_HELP[parameter.name()]))
        algorithm.addParameter(parameter)
    algorithm.addOutput(QgsProcessingOutputNumber(TILES, algorithm.tr("Predicted tiles")))
    algorithm.addOutput(QgsProcessingOutputNumber(MINIMUM, algorithm.tr("Least height")))
    algorithm.addOutput(QgsProcessingOutputNumber(MAXIMUM, algorithm.tr("Largest height")))


def _parameters(tr: Any) -> list[QgsProcessingParameterDefinition]:
    number = QgsProcessingParameterNumber
    azimuth = number(SUN_AZIMUTH, tr("Sun azimuth (degrees)"), number.Double, None, True, 0.0, 360.0)
    return [
        QgsProcessingParameterRasterLayer(INPUT, tr("Image")),
        QgsProcessingParameterBand(BANDS, tr("Red, green and blue band"), None, INPUT, True, True),
        QgsProcessingParameterEnum(MODEL, tr("Model"), model_choices(), False, AUTOMATIC, True, True),
        QgsProcessingParameterFile(
            MODEL_FILE, tr("Model from a file"), optional=True, fileFilter=_MODEL_FILTER
        ),
        QgsProcessingParameterExtent(EXTENT, tr("Extent"), optional=True),
        *known_height_parameters(tr),
        advanced(azimuth),
        advanced(QgsProcessingParameterEnum(ENGINE, tr("Engine"), _ENGINES, False, _ENGINES[0], False, True)),
        advanced(QgsProcessingParameterEnum(DEVICE, tr("Device"), _DEVICES, False, _DEVICES[0], False, True)),
        advanced(number(OVERLAP, tr("Overlap of tiles (%)"), number.Integer, 25, False, 5, 75)),
        advanced(number(BATCH_SIZE, tr("Batch size"), number.Integer, None, True, 1, 256)),
        QgsProcessingParameterRasterDestination(OUTPUT, tr("DEM")),
        QgsProcessingParameterRasterDestination(CONFIDENCE, tr("Confidence"), None, True, False),
    ]


def check(
    algorithm: QgsProcessingAlgorithm, parameters: Parameters, context: QgsProcessingContext, scratch: Path
) -> None:
    """Open and try everything that a run would use, but the environment.

    Raises:
        Refusal: a parameter cannot be used; the message names it.
    """
    _opened(algorithm, parameters, context, scratch)
    for name in (OUTPUT, CONFIDENCE):
        check_destination(algorithm, parameters, name, context)


def request_of(
    algorithm: QgsProcessingAlgorithm, parameters: Parameters, context: QgsProcessingContext, scratch: Path
) -> Request:
    """The request that the parameters make.

    Raises:
        Refusal: a parameter cannot be used.
        InterpreterError: there is no interpreter with the engine; the message says what to run.
    """
    image, window, model, engine, known = _opened(algorithm, parameters, context, scratch)
    interpreter = find_interpreter(python_setting())
    require_engine(interpreter, engine)
    confidence = algorithm.parameterAsOutputLayer(parameters, CONFIDENCE, context)
    has_azimuth = parameters.get(SUN_AZIMUTH) is not None
    has_batch_size = parameters.get(BATCH_SIZE) is not None
    return Request(
        image=image,
        window=window,
        model=model,
        interpreter=interpreter.path,
        engine=engine,
        device=algorithm.parameterAsEnumString(parameters, DEVICE, context),
        overlap=algorithm.parameterAsInt(parameters, OVERLAP, context) / 100.0,
        batch_size=algorithm.parameterAsInt(parameters, BATCH_SIZE, context) if has_batch_size else 0,
        sun_azimuth=algorithm.parameterAsDouble(parameters, SUN_AZIMUTH, context) if has_azimuth else None,
        output=Path(algorithm.parameterAsOutputLayer(parameters, OUTPUT, context)),
        confidence=Path(confidence) if confidence else None,
        scratch=scratch,
        known=known,
    )


def _check_doubt(model: Model) -> None:
    try:
        doubt_of(model.card)
        anchored_doubt_of(model.card)
    except CardError as error:
        raise Refusal(CONFIDENCE, f"{error}: install the model again, or leave this empty") from error


def _opened(
    algorithm: QgsProcessingAlgorithm, parameters: Parameters, context: QgsProcessingContext, scratch: Path
) -> tuple[Any, ...]:
    image = opened_image(algorithm, parameters, INPUT, BANDS, context)
    window = window_of_extent(algorithm, parameters, EXTENT, context, image.grid)
    model = opened_model(algorithm, parameters, MODEL, MODEL_FILE, context, scratch)
    try:
        engine = model.engine(algorithm.parameterAsEnumString(parameters, ENGINE, context))
    except ModelError as error:
        raise Refusal(ENGINE, str(error)) from error
    if parameters.get(CONFIDENCE):
        _check_doubt(model)
    known = known_heights(algorithm, parameters, context, image.grid.cropped(window), scratch)
    return image, window, model, engine, known
