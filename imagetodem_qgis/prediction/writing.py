"""Writing the surface and its confidence, block by block, onto the image's own grid."""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.tiling import Window, blocks
from imagetodem_qgis.prediction.blending import Blends
from imagetodem_qgis.prediction.frame import Frame
from imagetodem_qgis.prediction.progress import Share
from imagetodem_qgis.prediction.rasters import Rasters, Writer
from imagetodem_qgis.prediction.request import Cancelled, Listener, Request

_BLOCK = 1024


class SurfaceFiles:
    """Writes the files of a prediction.

    Args:
        request: names them.
        frame: of the prediction.
        rasters: writes them.
        blending: gives the surface's blocks.
        metadata: items of the files.
    """

    def __init__(
        self,
        request: Request,
        frame: Frame,
        rasters: Rasters,
        blending: Blends,
        metadata: dict[str, str],
    ) -> None:
        self._request, self._frame, self._rasters = request, frame, rasters
        self._blending, self._metadata = blending, metadata
        self._extremes = (math.nan, math.nan)

    def write(self, listener: Listener) -> tuple[float, float]:
        """Write the files; returns the least and the largest height.

        Raises:
            Cancelled: the user cancelled.
            RasterError: a file cannot be written.
        """
        with ExitStack() as stack:
            unit, grid, request = self._frame.unit, self._frame.grid, self._request
            description = surface_description(request)
            confidence = None
            if request.confidence is not None:
                described = "one standard deviation of the height"
                confidence = stack.enter_context(
                    self._rasters.writer(request.confidence, grid, unit, described, self._metadata)
                )
            # Entered last, left first: where it cannot have its name, the confidence does not take its own.
            dem = stack.enter_context(
                self._rasters.writer(request.output, grid, unit, description, self._metadata)
            )
            if self._frame.is_resampled:
                self._write_resampled(dem, confidence, listener)
            else:
                self._write_blended(dem, confidence, self._frame.kept, listener, masked=True)
            for writer in (dem, confidence):
                if writer is not None and not writer.add_overviews(listener.is_cancelled):
                    raise Cancelled()
            # Both are whole before either takes its name: no new one lies beside an old one.
            for writer in (dem, confidence):
                if writer is not None:
                    writer.complete()
        return self._extremes

    def _write_blended(
        self, dem: Writer, confidence: Writer | None, part: Window, listener: Listener, masked: bool
    ) -> None:
        """Blend a part of the network's grid into files of that part."""
        work = self._frame.work
        reader = self._request.image.reader(self._frame.shown, work.rows, work.columns)
        windows = [place.moved(part.row, part.column) for place in blocks(part.rows, part.columns, _BLOCK)]
        for number, (window, block) in enumerate(self._blending.over(windows)):
            if listener.is_cancelled():
                raise Cancelled()
            unknown = ~reader.read_valid(window) if masked else None
            place = window.moved(-part.row, -part.column)
            self._put(dem, place, block.heights, unknown, masked)
            if confidence is not None and block.spread is not None:
                self._put(confidence, place, block.spread, unknown, False)
            listener.progress(100.0 * (number + 1) / len(windows))

    def _write_resampled(self, dem: Writer, confidence: Writer | None, listener: Listener) -> None:
        """Blend on the network's grid into temporary files, then bring those to the image's grid."""
        frame, scratch = self._frame, self._request.scratch
        work_dem, work_confidence = scratch / "work_dem.tif", scratch / "work_sigma.tif"
        with ExitStack() as stack:
            first = stack.enter_context(self._rasters.writer(work_dem, frame.work, overviews=False))
            second = None
            if confidence is not None:
                second = stack.enter_context(
                    self._rasters.writer(work_confidence, frame.work, overviews=False)
                )
            whole = frame.work.window()
            self._write_blended(first, second, whole, Share(listener, 0.0, 0.5), masked=False)
        reader = self._request.image.reader(self._request.window, frame.grid.rows, frame.grid.columns)
        sources: list[tuple[Writer, Path]] = [(dem, work_dem)]
        sources += [(confidence, work_confidence)] if confidence is not None else []
        windows = list(blocks(frame.grid.rows, frame.grid.columns, _BLOCK))
        shown = frame.shown
        down, right = self._request.window.row - shown.row, self._request.window.column - shown.column
        for writer, path in sources:
            surface = self._rasters.resampled(path, shown.rows, shown.columns)
            for number, window in enumerate(windows):
                if listener.is_cancelled():
                    raise Cancelled()
                heights = surface.read(window.moved(down, right))
                self._put(writer, window, heights, ~reader.read_valid(window), writer is dem)
                listener.progress(50.0 + 50.0 * (number + 1) / len(windows))

    def _put(
        self,
        writer: Writer,
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


def surface_description(request: Request) -> str:
    """What the heights are, in words."""
    if request.known is not None:
        return "height"
    return "relative height" if request.model.card.target == "relative" else "relief around 0"
