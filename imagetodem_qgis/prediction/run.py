"""The course of a prediction, whatever reads the rasters and runs the network."""

from __future__ import annotations

from contextlib import ExitStack

from imagetodem_qgis.core.stretch import Stretch
from imagetodem_qgis.core.surface import GAINS
from imagetodem_qgis.core.tiling import blending_weights
from imagetodem_qgis.prediction.answers import Answers
from imagetodem_qgis.prediction.blending import Blending, Blends
from imagetodem_qgis.prediction.copies import TileCopies
from imagetodem_qgis.prediction.cost import check_disk, opening, say_cost
from imagetodem_qgis.prediction.frame import Frame
from imagetodem_qgis.prediction.levels import solve_levels
from imagetodem_qgis.prediction.likeness import warn_if_unlike
from imagetodem_qgis.prediction.pace import Pace
from imagetodem_qgis.prediction.planes import TilePlanes
from imagetodem_qgis.prediction.progress import Share
from imagetodem_qgis.prediction.rasters import ColourImage, Rasters
from imagetodem_qgis.prediction.record import recipe
from imagetodem_qgis.prediction.request import Listener, Request, Result, going_on
from imagetodem_qgis.prediction.store import TileStore
from imagetodem_qgis.prediction.tiles import Asked, TileRun
from imagetodem_qgis.prediction.unfinished import Unfinished
from imagetodem_qgis.prediction.writing import SurfaceFiles
from imagetodem_qgis.raster.errors import RasterError

_SHARE_OF_TILES = 0.85
"""Of the time; the rest goes into blending and writing."""


def run_prediction(
    request: Request, frame: Frame, kept: Unfinished, worker: Asked, rasters: Rasters, listener: Listener
) -> Result:
    """Predict, tile by tile, and write the files.

    Args:
        request: of the prediction.
        frame: of it.
        kept: what an earlier run left, and where this one keeps its tiles.
        worker: runs the network and the solve.
        rasters: writes the files.
        listener: is told what happens.

    Raises:
        Cancelled: the user cancelled.
        OSError: the disk is too small.
        RasterError: the image cannot be read, holds no known pixel, or the output cannot be written.
        WorkerError: the worker died, or cannot load the model.
    """
    card, image, plan = request.model.card, request.image, frame.plan
    spread = request.confidence is not None
    copies = TileCopies(card, spread)
    check_disk(request, frame, kept.folder)
    # The worker loads the model while the image is looked at.
    worker.send(opening(request))
    stretch = stretch_of(image, request, listener)
    with ExitStack() as stack:
        store = stack.enter_context(
            TileStore(plan, blending_weights(card.tile_size, plan.overlap), kept.folder, spread)
        )
        reader = image.reader(frame.shown, frame.work.rows, frame.work.columns)
        known, go_on = request.known, going_on(listener)
        anchoring = known.over(request, frame, request.scratch, go_on) if known is not None else None
        planes = TilePlanes(frame, card, stretch, anchoring)
        answers = Answers(frame, card, copies, spread)
        run = TileRun(frame, planes, copies, answers, reader, store, anchoring)
        warn_if_unlike(frame, card, stretch, reader, listener)
        run.take_up(listener)
        _say_what_is_kept(kept, store, listener)
        opened = worker.receive().header
        left = len(plan) - len(store)
        say_cost(request, frame, opened, left * len(copies), kept.folder, listener)
        pace = Pace(left, request.batch_size, request.engine == "onnxruntime", opened["lanes"])
        run.run(worker, pace, Share(listener, 0.0, _SHARE_OF_TILES))
        with_gains = bool(card.content.get(GAINS, False))
        levels = solve_levels(worker, run.observations, run.anchors, run.areas, with_gains, listener)
        blending: Blends = Blending(frame, card, store, levels, spread)
        if anchoring is not None:
            blending = anchoring.anchored(blending, listener)
        metadata = recipe(request, frame, stretch, opened, len(store))
        files = SurfaceFiles(request, frame, rasters, blending, metadata)
        extremes = files.write(Share(listener, _SHARE_OF_TILES, 1.0))
        return Result(len(store), *extremes, frame.unit)


def stretch_of(image: ColourImage, request: Request, listener: Listener) -> Stretch:
    """The contrast stretch of a whole image by the model's recipe.

    Raises:
        Cancelled: the user cancelled.
        RasterError: it holds no known pixel.
    """
    samples = image.sample(going_on(listener))
    if len(samples) == 0:
        raise RasterError(f"{image.path} holds no known pixel (INPUT): all of it is nodata or masked")
    return request.model.card.stretch.of(samples)


def _say_what_is_kept(kept: Unfinished, store: TileStore, listener: Listener) -> None:
    if kept.replaced:
        listener.say(f"An unfinished run with other parameters was in {kept.folder}: it is started anew.")
    elif len(store):
        listener.say(f"Going on where an earlier run stopped: {len(store)} tiles are done.")
