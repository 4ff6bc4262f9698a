"""Predict image from DEM, from a request to a file on disk."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from imagetodem_qgis.core.colour import solve_colours
from imagetodem_qgis.core.tiling import blending_weights, blocks
from imagetodem_qgis.landscape.blended import BlendedImage
from imagetodem_qgis.landscape.colour_store import BYTES, ColourStore
from imagetodem_qgis.landscape.image_tiles import ImageTiles
from imagetodem_qgis.landscape.margin import MirroredReader, tile_margin
from imagetodem_qgis.landscape.request import ImageFrame, ImageRequest, frame_of
from imagetodem_qgis.prediction.disk import check_space
from imagetodem_qgis.prediction.progress import Share
from imagetodem_qgis.prediction.request import Cancelled, Listener
from imagetodem_qgis.raster.cache import small_block_cache
from imagetodem_qgis.raster.colour_writer import ColourWriter
from imagetodem_qgis.raster.image import Image, RasterError
from imagetodem_qgis.runtime.client import WorkerClient

_BLOCK = 512
_SHARE_OF_TILES = 0.85
"""Of the time; the rest goes into blending and writing."""
_BRIGHTNESS = 127.5
"""Steps of a byte for one unit of the network, whose -1 is 0 and whose 1 is 255."""


def predict_image(request: ImageRequest, listener: Listener) -> int:
    """Predict the image of a DEM's window and write it, under its name only when it is whole.

    Returns:
        How many tiles the engine was given.

    Raises:
        Cancelled: the user cancelled.
        OSError: the disk is too small.
        RasterError: the DEM cannot be read, holds no known height, or the output cannot be written.
        WorkerError: the worker died, or cannot load the model.
    """
    frame, card = frame_of(request, listener), request.model.card
    _check_disk(request, frame)
    if not request.dem.unit_is_known:
        listener.warn(f"The DEM's unit '{request.dem.unit}' is not known: its heights count as metres.")
    with ExitStack() as stack:
        stack.enter_context(small_block_cache())
        worker = stack.enter_context(WorkerClient(request.interpreter, listener.is_cancelled, listener.log))
        opened = worker.ask({"type": "open", "engine": request.engine, "device": request.device,
                             "model": request.model.engines[request.engine]}).header  # fmt: skip
        listener.say(
            f"{len(frame.plan)} tiles of {card.tile_size} pixels with {opened['engine']} on "
            f"{opened['device']}, light from {frame.sun}."
        )
        overlap = frame.plan.overlap
        weights = blending_weights(card.tile_size, overlap, tile_margin(overlap))
        store = stack.enter_context(ColourStore(frame.plan, weights, request.scratch))
        dem = request.dem.reader(request.window, frame.work.rows, frame.work.columns)
        reader = MirroredReader(dem, frame.work, frame.margin)
        tiles = ImageTiles(frame, card, reader, store)
        tiles.run(worker, request.batch_size, Share(listener, 0.0, _SHARE_OF_TILES))
        worker.close()
        if not tiles.has_known:
            raise RasterError(f"{request.dem.path} holds no known height (INPUT): all of it is nodata")
        offsets = solve_colours(tiles.is_level, tiles.overlaps)
        metadata = _metadata(request, frame, f"{opened['engine']} on {opened['device']}", len(store))
        image = BlendedImage(frame, store, offsets, reader, card.sea_colour)
        _write(request, frame, image, metadata, Share(listener, _SHARE_OF_TILES, 1.0))
    return len(store)


def _write(
    request: ImageRequest,
    frame: ImageFrame,
    image: BlendedImage,
    metadata: dict[str, str],
    listener: Listener,
) -> None:
    if frame.grid == frame.work:
        with ColourWriter(request.output, frame.grid, metadata) as writer:
            _write_blended(writer, frame, image, listener)
        return
    work = request.scratch / "work_image.tif"
    with ColourWriter(work, frame.work, overviews=False) as writer:
        _write_blended(writer, frame, image, Share(listener, 0.0, 0.5))
    with ColourWriter(request.output, frame.grid, metadata) as writer:
        _write_resampled(writer, request, frame, work, Share(listener, 0.5, 1.0))


def _write_blended(writer: ColourWriter, frame: ImageFrame, image: BlendedImage, listener: Listener) -> None:
    windows = list(blocks(frame.work.rows, frame.work.columns, _BLOCK))
    for number, window in enumerate(windows):
        if listener.is_cancelled():
            raise Cancelled()
        writer.write(window, (image.read(window) + np.float32(1.0)) * np.float32(_BRIGHTNESS))
        listener.progress(100.0 * (number + 1) / len(windows))


def _write_resampled(
    writer: ColourWriter, request: ImageRequest, frame: ImageFrame, work: Path, listener: Listener
) -> None:
    """Bring the image from the network's grid to the DEM's."""
    image = Image(str(work))
    colours = image.reader(image.grid.window(), frame.grid.rows, frame.grid.columns)
    heights = request.dem.reader(request.window, frame.grid.rows, frame.grid.columns)
    windows = list(blocks(frame.grid.rows, frame.grid.columns, _BLOCK))
    for number, window in enumerate(windows):
        if listener.is_cancelled():
            raise Cancelled()
        values, _ = colours.read(window)
        known = np.isfinite(heights.read(window))[..., None]
        writer.write(window, np.where(known, values.astype(np.float32), np.float32(np.nan)))
        listener.progress(100.0 * (number + 1) / len(windows))


def _metadata(request: ImageRequest, frame: ImageFrame, engine: str, tiles: int) -> dict[str, str]:
    """The recipe, as items of the output file."""
    card = request.model.card
    palette = "none" if frame.palette is None else ", ".join(f"{value:.4f}" for value in frame.palette)
    return {
        "IMAGETODEM_MODEL": card.name,
        "IMAGETODEM_MODEL_VERSION": card.version,
        "IMAGETODEM_ENGINE": engine,
        "IMAGETODEM_TILES": f"{tiles} of {card.tile_size} pixels, overlap {frame.plan.overlap}, margin "
        f"{frame.margin.rows} and {frame.margin.columns}",
        "IMAGETODEM_GROUND_SAMPLING_DISTANCE": f"{frame.gsd:.6g} m",
        "IMAGETODEM_SUN_AZIMUTH": frame.sun,
        "IMAGETODEM_SEED": str(request.seed),
        "IMAGETODEM_PALETTE": palette,
    }


def _check_disk(request: ImageRequest, frame: ImageFrame) -> None:
    tile = min(frame.plan.tile_size, frame.plan.rows) * min(frame.plan.tile_size, frame.plan.columns)
    work = 0 if frame.grid == frame.work else frame.work.rows * frame.work.columns * 3
    needed = len(frame.plan) * tile * BYTES + work
    check_space(request.scratch, needed, "The prediction's temporary file")
    check_space(request.output.parent, frame.grid.rows * frame.grid.columns * 3, "The image (OUTPUT)")
