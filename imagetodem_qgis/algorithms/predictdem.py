"""Predict DEM: an elevation surface from one RGB image."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from qgis.core import QgsProcessingContext, QgsProcessingException, QgsProcessingFeedback, QgsProcessingUtils

from imagetodem_qgis.algorithms import prediction_parameters as parameter
from imagetodem_qgis.algorithms.base import ImageToDemAlgorithm
from imagetodem_qgis.algorithms.inputs import Refusal, destination
from imagetodem_qgis.algorithms.listener import FeedbackListener
from imagetodem_qgis.prediction.predict import predict_dem
from imagetodem_qgis.prediction.request import Cancelled, Request
from imagetodem_qgis.prediction.unfinished import unfinished_folder
from imagetodem_qgis.raster.image import RasterError
from imagetodem_qgis.runtime.client import WorkerCancelled, WorkerError
from imagetodem_qgis.runtime.interpreter import InterpreterError
from imagetodem_qgis.styling.onload import style_on_load
from imagetodem_qgis.styling.stylefile import write_confidence_style, write_style


class PredictDemAlgorithm(ImageToDemAlgorithm):
    """Runs :func:`imagetodem_qgis.prediction.predict.predict_dem` on QGIS's parameters."""

    NAME = "predictdem"
    DISPLAY_NAME = "Predict DEM"
    TAGS = (
        "elevation",
        "height",
        "dem",
        "dsm",
        "relief",
        "terrain",
        "pix2pix",
        "deep learning",
        "satellite",
        "image",
    )
    SHORT_DESCRIPTION = "Predicts an elevation surface from one RGB image"
    SHORT_HELP = (
        "Predicts an elevation surface from a single RGB satellite or aerial image with a pix2pix generator "
        "(Panagiotou et al. 2020, doi 10.3390/rs12122002).\n\n"
        "Without known heights the answer is metres of relief around 0; with a coarse DEM or control points "
        "it is metres above their zero. It is an educated guess: elevation from one image is ill-posed. "
        "Where a free global DEM is current, that DEM is more accurate. Use this where terrain has changed "
        "or no DEM exists, for archives, other planets, teaching and synthetic terrain, and to add detail to "
        "a coarse DEM. "
        "Ask for CONFIDENCE to see how far to trust each pixel.\n\n"
        "The first run needs the machine-learning environment: run 'Set up machine-learning "
        "environment' once."
    )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        parameter.declare(self)

    def check_inputs(self, parameters: dict[str, Any], context: QgsProcessingContext, scratch: Path) -> None:
        parameter.check(self, parameters, context, scratch)

    def processAlgorithm(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(dir=QgsProcessingUtils.tempFolder()) as scratch:
            try:
                request = parameter.request_of(self, parameters, context, Path(scratch))
                with FeedbackListener(feedback) as listener:
                    result = predict_dem(request, listener)
                written = _styled(request, context)
            except (Cancelled, WorkerCancelled):
                self._tell_what_is_kept(parameters, context, feedback)
                return {}
            except (Refusal, RasterError, InterpreterError, WorkerError, OSError) as error:
                raise QgsProcessingException(str(error)) from error
        return {
            **written,
            parameter.TILES: result.tiles,
            parameter.MINIMUM: result.minimum,
            parameter.MAXIMUM: result.maximum,
        }

    def _tell_what_is_kept(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> None:
        output = destination(parameters, parameter.OUTPUT, context)
        if output is not None and unfinished_folder(output).is_dir():
            feedback.pushInfo(
                f"The tiles that are done are kept in {unfinished_folder(output)}: with the same OUTPUT and "
                "the same parameters the next run goes on from there. Remove the folder if there is to be "
                "none."
            )


def _styled(request: Request, context: QgsProcessingContext) -> dict[str, str]:
    """Write the styles beside the files and have QGIS show them with it; the outputs by name."""
    write_style(request.output)
    style_on_load(context, str(request.output), "dem")
    written = {parameter.OUTPUT: str(request.output)}
    if request.confidence is not None:
        write_confidence_style(request.confidence)
        style_on_load(context, str(request.confidence), "confidence")
        written[parameter.CONFIDENCE] = str(request.confidence)
    return written
