"""Predict image from DEM: what a landscape may look like from above."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingParameterEnum,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFile,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingUtils,
)

from imagetodem_qgis.algorithms.base import ImageToDemAlgorithm
from imagetodem_qgis.algorithms.inputs import Refusal, advanced, check_destination, window_of_extent
from imagetodem_qgis.algorithms.listener import FeedbackListener
from imagetodem_qgis.core.card import DEM_TO_IMAGE
from imagetodem_qgis.landscape.predict_image import predict_image
from imagetodem_qgis.landscape.request import ImageRequest
from imagetodem_qgis.prediction.request import Cancelled
from imagetodem_qgis.raster.dem import Dem
from imagetodem_qgis.raster.image import RasterError
from imagetodem_qgis.runtime.client import WorkerCancelled, WorkerError
from imagetodem_qgis.runtime.interpreter import InterpreterError, find_interpreter, require_engine
from imagetodem_qgis.runtime.models import (
    Model,
    ModelError,
    installed_models,
    open_installed_model,
    open_model_file,
)
from imagetodem_qgis.runtime.settings import python_setting

_ENGINES = ("automatic", "onnxruntime", "tensorflow")
_DEVICES = ("automatic", "cpu", "gpu")
_MODEL_FILTER = "Models (*.onnx *.keras *.zip model.json);;All files (*)"


class PredictImageAlgorithm(ImageToDemAlgorithm):
    """Runs :func:`imagetodem_qgis.landscape.predict_image.predict_image` on QGIS's parameters."""

    NAME = "predictimage"
    DISPLAY_NAME = "Predict image from DEM"
    GROUP = "Virtual landscapes"
    GROUP_ID = "landscapes"
    TAGS = ("image", "satellite", "rgb", "texture", "inverse", "terrain", "dem", "pix2pix", "deep learning")
    SHORT_DESCRIPTION = "Predicts a satellite-like RGB image of any size from a DEM"
    SHORT_HELP = (
        "Predicts what a landscape may look like from above: an RGB image from a DEM, real or virtual, with "
        "a generator trained from elevation to satellite image (the inverse problem of Panagiotou et al. "
        "2020, doi 10.3390/rs12122002).\n\n"
        "A DEM does not tell what grows on it: the image is one of many that could be. SEED chooses another "
        "one.\n\n"
        "The first run needs the machine-learning environment: run 'Set up machine-learning "
        "environment' once."
    )

    INPUT = "INPUT"
    MODEL = "MODEL"
    MODEL_FILE = "MODEL_FILE"
    SEED = "SEED"
    EXTENT = "EXTENT"
    SUN_AZIMUTH = "SUN_AZIMUTH"
    ENGINE = "ENGINE"
    DEVICE = "DEVICE"
    OVERLAP = "OVERLAP"
    BATCH_SIZE = "BATCH_SIZE"
    OUTPUT = "OUTPUT"
    TILES = "TILES"

    _HELP = {
        INPUT: "Heights above the sea in the first band, of any data type, size and coordinate system. Feet "
        "are told by the band's unit. Nodata stays nodata.",
        MODEL: "An installed model that goes from the DEM to the image.",
        MODEL_FILE: "Takes the place of 'Model': a model's folder or its model.json, a .zip of one, an .onnx "
        "or .keras file with its card beside it.",
        SEED: "Chooses the colours that the landscape has on the whole, where the model takes a palette.",
        EXTENT: "Predict this part of the DEM only.",
        SUN_AZIMUTH: "Where the light is to come from, in degrees clockwise from north; the nearest of the "
        "directions that the model can give is taken. Left empty, that of a morning satellite.",
        ENGINE: "What runs the network. 'automatic' takes ONNX Runtime, or TensorFlow for models that only "
        "it can load.",
        DEVICE: "'automatic' takes a GPU where the engine has one, else the processor.",
        OVERLAP: "Least overlap of neighbouring tiles, in percent of a tile's side. More is smoother and "
        "slower.",
        BATCH_SIZE: "Tiles given to the engine at once. It changes speed and memory, never the answer.",
        OUTPUT: "A GeoTIFF of three bytes a pixel: red, green, blue; 0 in all three is nodata.",
    }

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        for parameter in self._parameters():
            parameter.setHelp(self.tr(self._HELP[parameter.name()]))
            self.addParameter(parameter)
        self.addOutput(QgsProcessingOutputNumber(self.TILES, self.tr("Predicted tiles")))

    def _parameters(self) -> list[Any]:
        tr, number, enum = self.tr, QgsProcessingParameterNumber, QgsProcessingParameterEnum
        models = installed_models(DEM_TO_IMAGE)
        default = models[0] if models else None
        azimuth = number(self.SUN_AZIMUTH, tr("Sun azimuth (degrees)"), number.Double, None, True, 0.0, 360.0)
        return [
            QgsProcessingParameterRasterLayer(self.INPUT, tr("DEM")),
            enum(self.MODEL, tr("Model"), models, False, default, True, True),
            QgsProcessingParameterFile(
                self.MODEL_FILE, tr("Model from a file"), optional=True, fileFilter=_MODEL_FILTER
            ),
            number(self.SEED, tr("Seed"), number.Integer, 0, False, 0, 2**31 - 1),
            QgsProcessingParameterExtent(self.EXTENT, tr("Extent"), optional=True),
            advanced(azimuth),
            advanced(enum(self.ENGINE, tr("Engine"), _ENGINES, False, _ENGINES[0], False, True)),
            advanced(enum(self.DEVICE, tr("Device"), _DEVICES, False, _DEVICES[0], False, True)),
            advanced(number(self.OVERLAP, tr("Overlap of tiles (%)"), number.Integer, 50, False, 5, 75)),
            advanced(number(self.BATCH_SIZE, tr("Batch size"), number.Integer, 4, False, 1, 256)),
            QgsProcessingParameterRasterDestination(self.OUTPUT, tr("Image")),
        ]

    def check_inputs(self, parameters: dict[str, Any], context: QgsProcessingContext, scratch: Path) -> None:
        dem = self._dem(parameters, context)
        window_of_extent(self, parameters, self.EXTENT, context, dem.grid)
        self._model(parameters, context, scratch)
        check_destination(self, parameters, self.OUTPUT, context)

    def processAlgorithm(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(dir=QgsProcessingUtils.tempFolder()) as scratch:
            try:
                request = self._request(parameters, context, Path(scratch))
                with FeedbackListener(feedback) as listener:
                    tiles = predict_image(request, listener)
            except (Cancelled, WorkerCancelled):
                return {}
            except (Refusal, RasterError, InterpreterError, WorkerError, OSError) as error:
                raise QgsProcessingException(str(error)) from error
        return {self.OUTPUT: str(request.output), self.TILES: tiles}

    def _request(
        self, parameters: dict[str, Any], context: QgsProcessingContext, scratch: Path
    ) -> ImageRequest:
        dem = self._dem(parameters, context)
        model, engine = self._model(parameters, context, scratch)
        interpreter = find_interpreter(python_setting())
        require_engine(interpreter, engine)
        has_azimuth = parameters.get(self.SUN_AZIMUTH) is not None
        return ImageRequest(
            dem=dem,
            window=window_of_extent(self, parameters, self.EXTENT, context, dem.grid),
            model=model,
            interpreter=interpreter.path,
            engine=engine,
            device=self.parameterAsEnumString(parameters, self.DEVICE, context),
            overlap=self.parameterAsInt(parameters, self.OVERLAP, context) / 100.0,
            batch_size=self.parameterAsInt(parameters, self.BATCH_SIZE, context),
            sun_azimuth=self.parameterAsDouble(parameters, self.SUN_AZIMUTH, context)
            if has_azimuth
            else None,
            seed=self.parameterAsInt(parameters, self.SEED, context),
            output=Path(self.parameterAsOutputLayer(parameters, self.OUTPUT, context)),
            scratch=scratch,
        )

    def _dem(self, parameters: dict[str, Any], context: QgsProcessingContext) -> Dem:
        layer = self.parameterAsRasterLayer(parameters, self.INPUT, context)
        if layer is not None and layer.isValid() and layer.providerType() != "gdal":
            raise Refusal(
                self.INPUT,
                f"{layer.name()} comes from '{layer.providerType()}': export it to a GeoTIFF first",
            )
        try:
            dem = Dem(layer.source() if layer is not None else str(parameters.get(self.INPUT)))
            dem.probe()
        except RasterError as error:
            raise Refusal(self.INPUT, str(error)) from error
        return dem

    def _model(
        self, parameters: dict[str, Any], context: QgsProcessingContext, scratch: Path
    ) -> tuple[Model, str]:
        path = self.parameterAsFile(parameters, self.MODEL_FILE, context)
        chosen = self.MODEL_FILE if path else self.MODEL
        try:
            if path:
                model = open_model_file(Path(path), scratch)
            else:
                name = self.parameterAsEnumString(parameters, self.MODEL, context)
                installed = installed_models(DEM_TO_IMAGE)
                if not name and not installed:
                    raise ModelError("no model from the DEM to the image is installed: give MODEL_FILE")
                model = open_installed_model(name or installed[0])
        except ModelError as error:
            raise Refusal(chosen, str(error)) from error
        if model.card.task != DEM_TO_IMAGE:
            raise Refusal(chosen, f"'{model.card.name}' predicts a DEM, not an image: choose another model")
        try:
            return model, model.engine(self.parameterAsEnumString(parameters, self.ENGINE, context))
        except ModelError as error:
            raise Refusal(self.ENGINE, str(error)) from error
