"""Predict DEM, from a request to files on disk."""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.stretch import Stretch, percentile_stretch
from imagetodem_qgis.core.surface import OverlapObservation, blend
from imagetodem_qgis.core.tiling import Window, blending_weights, blocks
from imagetodem_qgis.prediction.frame import Frame, frame_of
from imagetodem_qgis.prediction.request import Cancelled, Listener, Request, Result
from imagetodem_qgis.prediction.store import TileStore, check_space
from imagetodem_qgis.prediction.tiles import TileRun
from imagetodem_qgis.raster.cache import small_block_cache
from imagetodem_qgis.raster.image import Image, RasterError
from imagetodem_qgis.raster.surface import ResampledSurface
from imagetodem_qgis.raster.writer import SurfaceWriter
from imagetodem_qgis.runtime.client import WorkerClient

_BLOCK = 1024
_BYTES = 4
_SHARE_OF_TILES = 0.85
"""Of the time; the rest goes into blending and writing."""


def predict_dem(request: Request, listener: Listener) -> Result:
    """Predict the DEM of an image's window.

    Writes ``request.output``, and ``request.confidence`` if asked for, each under its name only when whole.

    Raises:
        Cancelled: the user cancelled.
        OSError: the disk is too small.
        RasterError: the image cannot be read, holds no known pixel, or the output cannot be written.
        WorkerError: the worker died, or cannot load the model.
    """
    frame = frame_of(request, listener)
    _check_disk(request, frame)
    card, image, plan = request.model.card, request.image, frame.plan
    spread = request.confidence is not None
    with ExitStack() as stack:
        stack.enter_context(small_block_cache())
        worker = stack.enter_context(WorkerClient(request.interpreter, listener.is_cancelled, listener.log))
        # The worker loads the model while the image is sampled.
        worker.send({"type": "open", "engine": request.engine, "device": request.device,
                     "model": request.model.engines[request.engine]})  # fmt: skip
        stretch = _stretch_of(image, request)
        opened = worker.receive().header
        listener.say(
            f"{len(plan)} tiles of {card.tile_size} pixels with {opened['engine']} on {opened['device']}."
        )
        weights = blending_weights(card.tile_size, plan.overlap)
        store = stack.enter_context(TileStore(plan, weights, request.scratch, spread))
        reader = image.reader(request.window, frame.work.rows, frame.work.columns)
        run = TileRun(frame, card, reader, stretch, store, spread)
        run.run(worker, request.batch_size, _Share(listener, 0.0, _SHARE_OF_TILES))
        offsets = _solve(worker, run.observations, run.areas)
        worker.close()
        surface = _Surface(
            request, frame, store, offsets, _metadata(request, frame, stretch, opened, len(store))
        )
        extremes = surface.write(_Share(listener, _SHARE_OF_TILES, 1.0))
    return Result(len(store), *extremes, frame.unit)


def _stretch_of(image: Image, request: Request) -> Stretch:
    recipe = request.model.card.stretch
    samples = image.sample()
    if len(samples) == 0:
        raise RasterError(f"{image.path} holds no known pixel (INPUT): all of it is nodata or masked")
    return percentile_stretch(samples, recipe.lower, recipe.upper, recipe.clip, recipe.together)


def _solve(
    worker: WorkerClient, observations: list[OverlapObservation], areas: NDArray[np.float64]
) -> NDArray[np.float64]:
    pairs = np.array([(o.first, o.second) for o in observations], np.int64).reshape(-1, 2)
    differences = np.array([o.difference for o in observations], np.float64)
    weights = np.array([o.weight for o in observations], np.float64)
    solved: NDArray[np.float64] = worker.ask({"type": "solve"}, [pairs, differences, weights, areas]).arrays[
        0
    ]
    return solved


class _Surface:
    """Blends the tiles and writes the surface and its confidence."""

    def __init__(
        self,
        request: Request,
        frame: Frame,
        store: TileStore,
        offsets: NDArray[np.float64],
        metadata: dict[str, str],
    ) -> None:
        self._request, self._frame, self._store = request, frame, store
        self._offsets, self._metadata = offsets, metadata
        self._base = frame.scale if request.model.card.target == "relative" else 0.0
        self._extremes = (math.nan, math.nan)

    def write(self, listener: Listener) -> tuple[float, float]:
        """Write the files; returns the least and the largest height."""
        with ExitStack() as stack:
            unit, grid = self._frame.unit, self._frame.grid
            dem = stack.enter_context(
                SurfaceWriter(self._request.output, grid, unit, self._description(), self._metadata)
            )
            confidence = None
            if self._request.confidence is not None:
                confidence = stack.enter_context(
                    SurfaceWriter(
                        self._request.confidence,
                        grid,
                        unit,
                        "one standard deviation of the height",
                        self._metadata,
                    )
                )
            if self._frame.is_resampled:
                self._write_resampled(dem, confidence, listener)
            else:
                self._write_blended(dem, confidence, listener, masked=True)
        return self._extremes

    def _description(self) -> str:
        return "relative height" if self._request.model.card.target == "relative" else "relief around 0"

    def _write_blended(
        self, dem: SurfaceWriter, confidence: SurfaceWriter | None, listener: Listener, masked: bool
    ) -> None:
        frame, plan = self._frame, self._frame.plan
        reader = self._request.image.reader(self._request.window, frame.work.rows, frame.work.columns)
        windows = list(blocks(plan.rows, plan.columns, _BLOCK))
        for number, window in enumerate(windows):
            if listener.is_cancelled():
                raise Cancelled()
            indices = [index for index in plan.touching(window) if index in self._store]
            tiles = [self._store.get(index, confidence is not None) for index in indices]
            block = blend(window, tiles, self._offsets[indices])
            unknown = ~reader.read_valid(window) if masked else None
            self._put(
                dem, window, block.heights * np.float32(frame.scale) + np.float32(self._base), unknown, masked
            )
            if confidence is not None and block.spread is not None:
                self._put(confidence, window, block.spread * np.float32(frame.scale), unknown, False)
            listener.progress(100.0 * (number + 1) / len(windows))

    def _write_resampled(
        self, dem: SurfaceWriter, confidence: SurfaceWriter | None, listener: Listener
    ) -> None:
        """Blend on the network's grid into temporary files, then bring those to the image's grid."""
        frame = self._frame
        work_dem, work_confidence = (
            self._request.scratch / "work_dem.tif",
            self._request.scratch / "work_sigma.tif",
        )
        with ExitStack() as stack:
            first = stack.enter_context(SurfaceWriter(work_dem, frame.work, overviews=False))
            second = None
            if confidence is not None:
                second = stack.enter_context(SurfaceWriter(work_confidence, frame.work, overviews=False))
            self._write_blended(first, second, _Share(listener, 0.0, 0.5), masked=False)
        reader = self._request.image.reader(self._request.window, frame.grid.rows, frame.grid.columns)
        sources = [(dem, work_dem)] + ([(confidence, work_confidence)] if confidence is not None else [])
        windows = list(blocks(frame.grid.rows, frame.grid.columns, _BLOCK))
        for writer, path in sources:
            surface = ResampledSurface(path, frame.grid.rows, frame.grid.columns)
            for number, window in enumerate(windows):
                if listener.is_cancelled():
                    raise Cancelled()
                self._put(writer, window, surface.read(window), ~reader.read_valid(window), writer is dem)
                listener.progress(50.0 + 50.0 * (number + 1) / len(windows))

    def _put(
        self,
        writer: SurfaceWriter,
        window: Window,
        values: NDArray[np.float32],
        unknown: NDArray[np.bool_] | None,
        counts: bool,
    ) -> None:
        if unknown is not None:
            values[unknown] = np.nan
        writer.write(window, values)
        if counts and np.isfinite(values).any():
            least, largest = self._extremes
            self._extremes = (
                float(np.nanmin([least, np.nanmin(values)])),
                float(np.nanmax([largest, np.nanmax(values)])),
            )


def _metadata(
    request: Request, frame: Frame, stretch: Stretch, opened: dict[str, str], tiles: int
) -> dict[str, str]:
    """The recipe, as items of the output file."""
    card = request.model.card
    return {
        "IMAGETODEM_MODEL": card.name,
        "IMAGETODEM_MODEL_VERSION": card.version,
        "IMAGETODEM_TARGET": card.target,
        "IMAGETODEM_ENGINE": f"{opened['engine']} on {opened['device']}",
        "IMAGETODEM_BANDS": ",".join(str(band) for band in request.image.bands),
        "IMAGETODEM_STRETCH": "; ".join(
            f"{low:.6g} to {high:.6g}" for low, high in zip(stretch.low, stretch.high)
        ),
        "IMAGETODEM_TILES": f"{tiles} of {card.tile_size} pixels, overlap {frame.plan.overlap}",
        "IMAGETODEM_GROUND_SAMPLING_DISTANCE": f"{frame.gsd:.6g} m" if frame.unit == "m" else "unknown",
        "IMAGETODEM_SUN_AZIMUTH": frame.sun,
        "IMAGETODEM_ANCHORS": "none: heights are relative",
        "IMAGETODEM_UNIT": frame.unit or "relative, 0 to 255",
    }


def _check_disk(request: Request, frame: Frame) -> None:
    rasters = 1 if request.confidence is None else 2
    tiles = len(frame.plan) * frame.plan.tile_size**2 * _BYTES * rasters
    work = frame.work.rows * frame.work.columns * _BYTES * rasters if frame.is_resampled else 0
    check_space(request.scratch, tiles + work, "The prediction's temporary file")
    check_space(
        Path(request.output).parent, frame.grid.rows * frame.grid.columns * _BYTES, "The DEM (OUTPUT)"
    )


class _Share:
    """Tells a listener of progress within a part of the whole."""

    def __init__(self, listener: Listener, start: float, end: float) -> None:
        self._listener, self._start, self._end = listener, start, end
        self.say, self.warn, self.log = listener.say, listener.warn, listener.log
        self.is_cancelled = listener.is_cancelled

    def progress(self, percent: float) -> None:
        """See :class:`imagetodem_qgis.prediction.request.Listener`."""
        self._listener.progress(100.0 * self._start + percent * (self._end - self._start))
