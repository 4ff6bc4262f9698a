"""Train generator: a pix2pix generator from pairs of images and DEMs."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from qgis.core import QgsProcessingContext, QgsProcessingException, QgsProcessingFeedback, QgsProcessingUtils

from imagetodem_qgis.algorithms import training_parameters as parameter
from imagetodem_qgis.algorithms.base import ImageToDemAlgorithm
from imagetodem_qgis.algorithms.inputs import Refusal
from imagetodem_qgis.algorithms.listener import FeedbackListener
from imagetodem_qgis.algorithms.training_job import Job, check, job_of
from imagetodem_qgis.runtime.interpreter import InterpreterError, find_interpreter
from imagetodem_qgis.runtime.model_folder import is_unfinished, put_in_place
from imagetodem_qgis.runtime.settings import python_setting
from imagetodem_qgis.runtime.training import (
    TrainingCancelled,
    TrainingError,
    require_training,
    run_training,
)


class TrainGeneratorAlgorithm(ImageToDemAlgorithm):
    """Runs ``training.train.train`` in the machine-learning environment on QGIS's parameters."""

    NAME = "traingenerator"
    DISPLAY_NAME = "Train generator"
    GROUP = "Training"
    GROUP_ID = "training"
    TAGS = ("train", "fine-tune", "learn", "pix2pix", "generator", "model", "gan", "deep learning", "gpu")
    SHORT_DESCRIPTION = "Trains a generator on pairs of images and DEMs, or fine-tunes one to a region"
    SHORT_HELP = (
        "<p>Trains a generator that predicts a DEM from an image, or an image from a DEM, on a folder of "
        "pairs.</p>"
        "<p>Most users want to <b>fine-tune</b>: give a few dozen pairs of a region and a model to start "
        "from. That takes minutes, and the report says what it gained on the pairs held out for validation. "
        "Training from nothing takes hours, and a graphics card is of much use.</p>"
        "<p>A training that is cancelled, or that dies, loses little: run it again with the same output "
        "folder and RESUME. Predict DEM takes the trained model with 'Model from a file'.</p>"
        "<p>It needs the machine-learning environment with the profile <b>train</b>: run 'Set up "
        "machine-learning environment' with it once.</p>"
    )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        parameter.declare(self)

    def check_inputs(self, parameters: dict[str, Any], context: QgsProcessingContext, scratch: Path) -> None:
        check(self, parameters, context, scratch)

    def processAlgorithm(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(dir=QgsProcessingUtils.tempFolder()) as scratch:
            try:
                interpreter = find_interpreter(python_setting())
                require_training(interpreter)
                job = job_of(self, parameters, context, Path(scratch))
                _warn_of_temporary_output(job, feedback)
                outcome = run_training(interpreter.path, job.order, FeedbackListener(feedback))
            except TrainingCancelled:
                if is_unfinished(job.run):
                    feedback.pushInfo(
                        f"What was learned is kept in {job.run}: run this again with RESUME to go on."
                    )
                return {}
            except (Refusal, InterpreterError, TrainingError) as error:
                raise QgsProcessingException(str(error)) from error
        try:
            put_in_place(outcome.model, job.output)
            if job.report is not None:
                shutil.copyfile(outcome.report, job.report)
        except OSError as error:
            raise QgsProcessingException(
                f"The training is done, and its model is whole in {outcome.model}: copy it from there. It "
                f"could not be put where it was wanted: {error}"
            ) from error
        return {
            parameter.OUTPUT: str(job.output),
            **({} if job.report is None else {parameter.REPORT: str(job.report)}),
            parameter.EPOCHS_DONE: outcome.epochs_done,
            parameter.BEST_EPOCH: outcome.best_epoch,
            parameter.VALIDATION_RMSE: outcome.validation_rmse,
        }


def _warn_of_temporary_output(job: Job, feedback: QgsProcessingFeedback) -> None:
    if Path(QgsProcessingUtils.tempFolder()) in job.output.parents:
        feedback.pushWarning(
            f"The model goes to a temporary folder, {job.output}: QGIS removes it when it closes, and an "
            "interrupted training with it. Give OUTPUT a folder to keep them."
        )
