"""Evaluate DEM: how far heights lie from better ones."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsFeature,
    QgsFeatureSink,
    QgsFields,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingUtils,
    QgsVectorLayer,
    QgsWkbTypes,
)

from imagetodem_qgis.algorithms import evaluation_parameters as parameter
from imagetodem_qgis.algorithms.base import ImageToDemAlgorithm
from imagetodem_qgis.algorithms.inputs import Refusal
from imagetodem_qgis.algorithms.listener import FeedbackListener
from imagetodem_qgis.core.metrics import ErrorFigures
from imagetodem_qgis.evaluation.evaluate import evaluate
from imagetodem_qgis.evaluation.report.page import report_page
from imagetodem_qgis.evaluation.report.recipe import recipe_of
from imagetodem_qgis.evaluation.report.words import meanings, verdict
from imagetodem_qgis.evaluation.request import (
    NONE,
    SHIFT,
    SHIFT_AND_SCALE,
    Evaluation,
    RasterComparison,
)
from imagetodem_qgis.prediction.request import Cancelled
from imagetodem_qgis.raster.errors import RasterError
from imagetodem_qgis.runtime.client import WorkerCancelled, WorkerError
from imagetodem_qgis.runtime.interpreter import InterpreterError
from imagetodem_qgis.styling.onload import style_on_load
from imagetodem_qgis.styling.stylefile import write_difference_style

_COLUMNS = ("count", "bias", "median", "mae", "rmse", "nmad", "le90")


class EvaluateDemAlgorithm(ImageToDemAlgorithm):
    """Runs :func:`imagetodem_qgis.evaluation.evaluate.evaluate` on QGIS's parameters."""

    NAME = "evaluatedem"
    DISPLAY_NAME = "Evaluate DEM"
    TAGS = ("accuracy", "error", "validation", "quality", "rmse", "nmad", "le90", "difference", "compare")
    SHORT_DESCRIPTION = "Says how far a DEM lies from a better one, or from points of known height"
    SHORT_HELP = (
        "<p>Compares a DEM with a reference DEM, with points of known height, or with both, and tells how "
        "far it can be trusted: a raster of differences, a page with maps, charts and plain words, a table "
        "by slope, elevation and zone, and all figures as outputs for models.</p>"
        "<p>The two may differ in CRS, resolution, extent, nodata and vertical unit. A vertical datum is not "
        "changed: a constant between two datums shows as bias, which ALIGN = shift leaves out.</p>"
        "<p>Figures: MAE, RMSE, NMAD and LE90 of the heights (Höhle &amp; Höhle 2009), RMSE of the slope "
        "(Horn 1981), error of the aspect, correlation and structural similarity. Medians and percentiles "
        "are exact for rasters of any size.</p>"
    )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        parameter.declare(self)

    def check_inputs(self, parameters: dict[str, Any], context: QgsProcessingContext, scratch: Path) -> None:
        parameter.check(self, parameters, context)

    def processAlgorithm(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(dir=QgsProcessingUtils.tempFolder()) as scratch:
            try:
                request = parameter.request_of(self, parameters, context, Path(scratch))
                with FeedbackListener(feedback) as listener:
                    evaluation = evaluate(request, listener)
                written = self._written(evaluation, parameters, context)
            except (Cancelled, WorkerCancelled):
                return {}
            except (Refusal, RasterError, InterpreterError, WorkerError, OSError) as error:
                raise QgsProcessingException(str(error)) from error
        for sentence in verdict(evaluation):
            feedback.pushInfo(sentence)
        for row in meanings(evaluation):
            feedback.pushInfo(f"{row.name}: {row.value}")
        return {**written, **_numbers(evaluation)}

    def _written(
        self, evaluation: Evaluation, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> dict[str, str]:
        written = {}
        difference = evaluation.request.difference
        if difference is not None:
            write_difference_style(difference)
            style_on_load(context, str(difference), "difference")
            written[parameter.DIFFERENCE] = str(difference)
        report = self.parameterAsFileOutput(parameters, parameter.REPORT, context)
        if report:
            _write_whole(Path(report), report_page(evaluation, recipe_of(evaluation)))
            written[parameter.REPORT] = report
        if evaluation.raster is not None:
            fields = _fields()
            sink, table = self.parameterAsSink(
                parameters, parameter.TABLE, context, fields, QgsWkbTypes.NoGeometry
            )
            if sink is not None:
                _fill(sink, fields, evaluation.figures, evaluation.raster)
                written[parameter.TABLE] = table
        return written


def _write_whole(path: Path, page: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(page, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise Refusal(parameter.REPORT, f"{path} cannot be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


def _fields() -> QgsFields:
    # Read from a layer's address: the constants of types are others in Qt 5 and Qt 6.
    kinds = {"kind": "string", "class": "string", **dict.fromkeys(_COLUMNS, "double"), "count": "int8"}
    address = "&".join(f"field={name}:{kind}" for name, kind in kinds.items())
    return QgsVectorLayer(f"NoGeometry?{address}", "", "memory").fields()


def _fill(
    sink: QgsFeatureSink, fields: QgsFields, figures_of_all: ErrorFigures, raster: RasterComparison
) -> None:
    rows = [("all", "all", figures_of_all)]
    rows += [(group.kind, group.label, group.figures) for group in raster.groups]
    for kind, label, figures in rows:
        feature = QgsFeature(fields)
        feature.setAttributes([kind, label, *(getattr(figures, column) for column in _COLUMNS)])
        sink.addFeature(feature, QgsFeatureSink.Flag.FastInsert)


def _numbers(evaluation: Evaluation) -> dict[str, float]:
    """The outputs that are numbers, but those that there is nothing to tell of."""
    figures, raster, points = evaluation.figures, evaluation.raster, evaluation.points
    align, fit = evaluation.request.align, evaluation.fit
    numbers: dict[str, float] = {column.upper(): getattr(figures, column) for column in _COLUMNS}
    numbers["RMSE_RAW"] = evaluation.figures_of[NONE].rmse
    numbers["RMSE_SHIFT"] = evaluation.figures_of[SHIFT].rmse
    numbers["RMSE_SHIFT_SCALE"] = evaluation.figures_of[SHIFT_AND_SCALE].rmse
    numbers["SHIFT"], numbers["SCALE"], numbers["RMSE_MEAN"] = fit.shift, fit.scale, evaluation.sigma
    if raster is not None:
        accuracy = raster.accuracies[align]
        numbers["SLOPE_RMSE"], numbers["CORRELATION"] = accuracy.slope_rmse, accuracy.correlation
        numbers["RMSE_BY_SIGMA"] = accuracy.rmse_by_sigma
        numbers["RMSE_BY_SIGMA_SHIFT_SCALE"] = raster.accuracies[SHIFT_AND_SCALE].rmse_by_sigma
        numbers["ASPECT_ERROR"], numbers["SSIM"] = raster.aspect_error, raster.similarity
        numbers["RMSE_TILES"] = raster.scaled_by_tile
        numbers["RMSE_BY_SIGMA_TILES"] = raster.scaled_by_tile_ratio
        numbers["RMSE_PLANE"] = raster.plane_rmse
        if raster.move is not None:
            numbers["EAST"], numbers["NORTH"] = raster.move.east, raster.move.north
    elif points is not None:
        numbers["CORRELATION"] = points.correlation
    if points is not None:
        checked = points.figures[align]
        numbers["POINTS"] = checked.count
        for column in ("bias", "rmse", "nmad", "le90"):
            numbers[f"POINTS_{column.upper()}"] = getattr(checked, column)
    return {name: value for name, value in numbers.items() if math.isfinite(value)}
