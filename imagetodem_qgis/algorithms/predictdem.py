"""Predict DEM: an elevation surface from one RGB image."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingParameterBand,
    QgsProcessingParameterEnum,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFile,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingUtils,
)

from imagetodem_qgis.algorithms.base import ImageToDemAlgorithm
from imagetodem_qgis.algorithms.inputs import (
    Refusal,
    advanced,
    check_destination,
    described,
    opened_image,
    opened_model,
    window_of_extent,
)
from imagetodem_qgis.algorithms.listener import FeedbackListener
from imagetodem_qgis.prediction.predict import predict_dem
from imagetodem_qgis.prediction.request import Cancelled, Request
from imagetodem_qgis.raster.image import RasterError
from imagetodem_qgis.runtime.client import WorkerCancelled, WorkerError
from imagetodem_qgis.runtime.interpreter import InterpreterError, find_interpreter, require_engine
from imagetodem_qgis.runtime.models import ModelError, installed_models
from imagetodem_qgis.runtime.settings import python_setting
from imagetodem_qgis.styling.onload import style_on_load
from imagetodem_qgis.styling.stylefile import write_confidence_style, write_style

_ENGINES = ("automatic", "onnxruntime", "tensorflow")
_DEVICES = ("automatic", "cpu", "gpu")


class PredictDemAlgorithm(ImageToDemAlgorithm):
    """Runs :func:`imagetodem_qgis.prediction.predict.predict_dem` on QGIS's parameters."""

    NAME = "predictdem"
    DISPLAY_NAME = "Predict DEM"
    TAGS = ("elevation", "height", "dem", "dsm", "relief", "terrain", "pix2pix", "deep learning", "satellite", "image")
    SHORT_DESCRIPTION = "Predicts an elevation surface from one RGB image"
    SHORT_HELP = (
        "Predicts an elevation surface from a single RGB satellite or aerial image with a pix2pix generator "
        "(Panagiotou et al. 2020, doi 10.3390/rs12122002).\n\n"
        "The answer is metres of relief around 0, not metres above sea level, and it is an educated guess: elevation "
        "from one image is ill-posed. Where a free global DEM is current, that DEM is more accurate. Use this where "
        "terrain has changed or no DEM exists, for archives, other planets, teaching and synthetic terrain. "
        "Ask for CONFIDENCE to see how far to trust each pixel.\n\n"
        "The first run needs the machine-learning environment: run 'Set up machine-learning environment' once."
    )

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

    def initAlgorithm(self, configuration: Optional[Dict[str, Any]] = None) -> None:
        models = installed_models()
        self._add(
            QgsProcessingParameterRasterLayer(self.INPUT, self.tr("Image")),
            "A raster with at least three bands: red, green and blue, of any data type, size and coordinate system. "
            "Nodata, alpha and mask bands are respected.",
        )
        self._add(
            QgsProcessingParameterBand(
                self.BANDS, self.tr("Red, green and blue band"), None, self.INPUT, optional=True, allowMultiple=True
            ),
            "Three bands in the order red, green, blue. Left empty, the bands' colour interpretation decides, else "
            "bands 1, 2, 3.",
        )
        self._add(
            QgsProcessingParameterEnum(
                self.MODEL, self.tr("Model"), models, False, models[0] if models else None, True, True
            ),
            "An installed model.",
        )
        self._add(
            QgsProcessingParameterFile(self.MODEL_FILE, self.tr("Model from a file"), optional=True),
            "Takes the place of 'Model': a model's folder or its model.json, a .zip of one, an .onnx file with its card "
            "beside it, a .keras file, or a SavedModel folder of the original project (or its saved_model.pb).",
        )
        self._add(
            QgsProcessingParameterExtent(self.EXTENT, self.tr("Extent"), optional=True),
            "Predict this part of the image only. The contrast stretch is taken from the whole image all the same.",
        )
        self._add(
            advanced(
                QgsProcessingParameterNumber(
                    self.SUN_AZIMUTH,
                    self.tr("Sun azimuth (degrees)"),
                    QgsProcessingParameterNumber.Double,
                    optional=True,
                    minValue=0.0,
                    maxValue=360.0,
                )
            ),
            "Where the sun stood, in degrees clockwise from north. Shading tells height only to one who knows it: a "
            "wrong azimuth turns valleys into ridges. Left empty, the image's metadata decide, else a morning "
            "satellite is assumed (145 degrees in the north, 35 in the south).",
        )
        self._add(
            advanced(
                QgsProcessingParameterEnum(self.ENGINE, self.tr("Engine"), _ENGINES, False, _ENGINES[0], False, True)
            ),
            "What runs the network. 'automatic' takes ONNX Runtime, or TensorFlow for models that only it can load.",
        )
        self._add(
            advanced(
                QgsProcessingParameterEnum(self.DEVICE, self.tr("Device"), _DEVICES, False, _DEVICES[0], False, True)
            ),
            "'automatic' takes a GPU where the engine has one, else the processor.",
        )
        self._add(
            advanced(
                QgsProcessingParameterNumber(
                    self.OVERLAP, self.tr("Overlap of tiles (%)"), defaultValue=25, minValue=5, maxValue=75
                )
            ),
            "Least overlap of neighbouring tiles, in percent of a tile's side. More is smoother and slower.",
        )
        self._add(
            advanced(
                QgsProcessingParameterNumber(
                    self.BATCH_SIZE, self.tr("Batch size"), defaultValue=4, minValue=1, maxValue=256
                )
            ),
            "Tiles given to the engine at once. It changes speed and memory, never the answer.",
        )
        self._add(
            QgsProcessingParameterRasterDestination(self.OUTPUT, self.tr("DEM")),
            "A Float32 GeoTIFF: metres of relief around 0.",
        )
        self._add(
            QgsProcessingParameterRasterDestination(
                self.CONFIDENCE, self.tr("Confidence"), optional=True, createByDefault=False
            ),
            "A Float32 GeoTIFF of one standard deviation of the height in each pixel, in the DEM's unit.",
        )
        self.addOutput(QgsProcessingOutputNumber(self.TILES, self.tr("Predicted tiles")))
        self.addOutput(QgsProcessingOutputNumber(self.MINIMUM, self.tr("Least height")))
        self.addOutput(QgsProcessingOutputNumber(self.MAXIMUM, self.tr("Largest height")))

    def checkParameterValues(self, parameters: Dict[str, Any], context: QgsProcessingContext) -> Tuple[bool, str]:
        accepted, message = super().checkParameterValues(parameters, context)
        if not accepted:
            return accepted, message
        try:
            with tempfile.TemporaryDirectory() as scratch:
                self._checked(parameters, context, Path(scratch))
            for name in (self.OUTPUT, self.CONFIDENCE):
                check_destination(self, parameters, name, context)
        except Refusal as refusal:
            return False, str(refusal)
        return True, ""

    def processAlgorithm(
        self, parameters: Dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> Dict[str, Any]:
        with tempfile.TemporaryDirectory(dir=QgsProcessingUtils.tempFolder()) as scratch:
            try:
                request = self._request(parameters, context, Path(scratch))
                result = predict_dem(request, FeedbackListener(feedback))
                written = self._style(request, context)
            except (Cancelled, WorkerCancelled):
                return {}
            except (Refusal, RasterError, InterpreterError, WorkerError, OSError) as error:
                raise QgsProcessingException(str(error)) from error
        return {
            **written,
            self.TILES: result.tiles,
            self.MINIMUM: result.minimum,
            self.MAXIMUM: result.maximum,
        }

    def _add(self, parameter: Any, text: str) -> None:
        self.addParameter(described(parameter, self.tr(text)))

    def _checked(self, parameters: Dict[str, Any], context: QgsProcessingContext, scratch: Path) -> Tuple[Any, ...]:
        """The image, its window, the model and the engine; raises Refusal naming the parameter at fault."""
        image = opened_image(self, parameters, self.INPUT, self.BANDS, context)
        window = window_of_extent(self, parameters, self.EXTENT, context, image.grid)
        model = opened_model(self, parameters, self.MODEL, self.MODEL_FILE, context, scratch)
        try:
            engine = model.engine(self.parameterAsEnumString(parameters, self.ENGINE, context))
        except ModelError as error:
            raise Refusal(self.ENGINE, str(error)) from error
        wants_confidence = bool(parameters.get(self.CONFIDENCE))
        if wants_confidence and "log_scale" not in model.card.outputs:
            raise Refusal(self.CONFIDENCE, f"the model '{model.card.name}' does not predict its spread: leave it empty")
        return image, window, model, engine

    def _request(self, parameters: Dict[str, Any], context: QgsProcessingContext, scratch: Path) -> Request:
        image, window, model, engine = self._checked(parameters, context, scratch)
        interpreter = find_interpreter(python_setting())
        require_engine(interpreter, engine)
        confidence = self.parameterAsOutputLayer(parameters, self.CONFIDENCE, context)
        given = parameters.get(self.SUN_AZIMUTH) is not None
        return Request(
            image=image,
            window=window,
            model=model,
            interpreter=interpreter.path,
            engine=engine,
            device=self.parameterAsEnumString(parameters, self.DEVICE, context),
            overlap=self.parameterAsInt(parameters, self.OVERLAP, context) / 100.0,
            batch_size=self.parameterAsInt(parameters, self.BATCH_SIZE, context),
            sun_azimuth=self.parameterAsDouble(parameters, self.SUN_AZIMUTH, context) if given else None,
            output=Path(self.parameterAsOutputLayer(parameters, self.OUTPUT, context)),
            confidence=Path(confidence) if confidence else None,
            scratch=scratch,
        )

    def _style(self, request: Request, context: QgsProcessingContext) -> Dict[str, str]:
        """Write the styles beside the files and have QGIS show them with it."""
        written = {self.OUTPUT: str(request.output)}
        write_style(request.output)
        style_on_load(context, str(request.output), "dem")
        if request.confidence is not None:
            written[self.CONFIDENCE] = str(request.confidence)
            write_confidence_style(request.confidence)
            style_on_load(context, str(request.confidence), "confidence")
        return written
