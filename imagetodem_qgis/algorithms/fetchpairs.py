"""Fetch Sentinel-2 / AW3D30 pairs: a data set to train on, from Earth Engine or from STAC catalogues."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from qgis.core import QgsProcessingContext, QgsProcessingException, QgsProcessingFeedback

from imagetodem_qgis.algorithms import fetch_parameters as parameter
from imagetodem_qgis.algorithms import pair_parameters as shared
from imagetodem_qgis.algorithms.base import ImageToDemAlgorithm
from imagetodem_qgis.algorithms.fetch_job import check_source, job_of, opened_source, query_of
from imagetodem_qgis.algorithms.inputs import Refusal
from imagetodem_qgis.algorithms.listener import FeedbackListener
from imagetodem_qgis.pairs.dataset import IncompleteError, make_dataset
from imagetodem_qgis.pairs.journal import JournalError
from imagetodem_qgis.pairs.source import FetchCancelled, SourceError
from imagetodem_qgis.runtime.client import WorkerCancelled
from imagetodem_qgis.runtime.interpreter import InterpreterError


class FetchPairsAlgorithm(ImageToDemAlgorithm):
    """Runs :func:`imagetodem_qgis.pairs.dataset.make_dataset` on a server's images and heights."""

    NAME = "fetchpairs"
    DISPLAY_NAME = "Fetch Sentinel-2 / AW3D30 pairs"
    GROUP = "Training"
    GROUP_ID = "training"
    TAGS = (
        "sentinel-2",
        "aw3d30",
        "alos",
        "copernicus dem",
        "download",
        "earth engine",
        "stac",
        "data set",
        "training",
        "satellite",
    )
    SHORT_DESCRIPTION = "Fetches pairs of Sentinel-2 images and DEMs to train a generator on"
    SHORT_HELP = (
        "<p>Fetches Sentinel-2 images and AW3D30 (or Copernicus GLO-30) heights of the same ground, cut into "
        "tiles on UTM grids, as a folder that opens in QGIS and that 'Train generator' takes.</p>"
        "<p>Whole areas are held out for validation and testing, with a buffer, so that what a training "
        "reports is true of ground that it has not seen. Tiles with too many gaps, clouds or sea are left "
        "out and counted. The Log says how much will be fetched before it begins.</p>"
        "<p>A run that is cancelled or dies loses nothing: run it again with the same parameters and OUTPUT, "
        "and it goes on where it stopped.</p>"
        "<p><b>Earth Engine</b>: run <i>earthengine authenticate</i> once, or give a service account's key, "
        "and name a Google Cloud project that is registered for Earth Engine. It needs the machine-learning "
        "environment with the profile <b>train</b>. <b>STAC</b> needs no account.</p>"
        "<p>Sentinel-2: contains modified Copernicus Sentinel data. AW3D30: © JAXA. GLO-30: © DLR e.V. and "
        "Airbus Defence and Space GmbH, provided under Copernicus by the European Union and ESA.</p>"
    )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        parameter.declare(self)

    def check_inputs(self, parameters: dict[str, Any], context: QgsProcessingContext, scratch: Path) -> None:
        check_source(self, parameters, context, query_of(self, parameters, context))
        shared.check_output(parameters, context, dict(job_of(self, parameters, context).parameters))

    def processAlgorithm(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        listener = FeedbackListener(feedback)
        try:
            job = job_of(self, parameters, context)
            query = query_of(self, parameters, context)
            for warning in job.plan.warnings:
                listener.warn(warning)
            source = opened_source(self, parameters, context, query, listener.log)
            with listener, closing(source):
                made = make_dataset(job, source, listener)
            return shared.results(made, job.folder, context)
        except (FetchCancelled, WorkerCancelled):
            listener.say(f"What was fetched is kept in {job.folder}: run this again to go on.")
            return {}
        except (Refusal, InterpreterError, SourceError, IncompleteError, JournalError, OSError) as error:
            raise QgsProcessingException(str(error)) from error
