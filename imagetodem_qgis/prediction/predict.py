"""Predict DEM in QGIS: GDAL reads and writes, the worker runs the network."""

from __future__ import annotations

from contextlib import ExitStack

from imagetodem_qgis.prediction.disk import full_disks_told
from imagetodem_qgis.prediction.frame import frame_of
from imagetodem_qgis.prediction.record import identity
from imagetodem_qgis.prediction.request import Listener, Request, Result
from imagetodem_qgis.prediction.run import run_prediction
from imagetodem_qgis.prediction.unfinished import unfinished
from imagetodem_qgis.raster.cache import small_block_cache
from imagetodem_qgis.raster.library import GdalRasters
from imagetodem_qgis.runtime.client import WorkerClient


def predict_dem(request: Request, listener: Listener) -> Result:
    """Predict the DEM of an image's window.

    Writes ``request.output``, and ``request.confidence`` if asked for, each under its name only when whole.
    Until then the tiles are kept in a folder beside ``request.output``, where a run with the same request
    finds them.

    Raises:
        Cancelled: the user cancelled.
        OSError: the disk is too small, or another run makes the same output.
        RasterError: the image cannot be read, holds no known pixel, or the output cannot be written.
        WorkerError: the worker died, or cannot load the model.
    """
    frame = frame_of(request, listener)
    with ExitStack() as stack:
        stack.enter_context(small_block_cache())
        stack.enter_context(full_disks_told(request.output.parent, request.scratch))
        kept = stack.enter_context(unfinished(request.output, identity(request, frame)))
        worker = stack.enter_context(WorkerClient(request.interpreter, listener.is_cancelled, listener.log))
        return run_prediction(request, frame, kept, worker, GdalRasters(), listener)
