"""Control points as the known heights of a prediction."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.anchoring.doubt import factor_of_points
from imagetodem_qgis.core.grid import PixelGrid
from imagetodem_qgis.core.observations import AnchorObservation
from imagetodem_qgis.core.surface import PlacedTile
from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.prediction.blending import Blends, SurfaceBlock
from imagetodem_qgis.prediction.frame import Frame
from imagetodem_qgis.prediction.request import Cancelled, Listener, Request
from imagetodem_qgis.raster.errors import RasterError

FloatArray = NDArray[np.float32]

_LEAST_WEIGHT = 0.05
"""Of a point: at the raster's border, where all tiles end, it tells as much as elsewhere."""
_MOST_POINTS = 500
"""That the standard deviations are compared with; as many evenly chosen ones where there are more."""


@dataclass(frozen=True)
class ControlPoints:
    """Points of known height; see :class:`imagetodem_qgis.prediction.anchors.KnownHeights`.

    Attributes:
        name: of the layer that they come from.
        places: (n, 3) float64: map coordinates in the raster's reference system, and the height in metres.
    """

    name: str
    places: NDArray[np.float64]

    def identity(self) -> Any:
        """A digest of the points."""
        return hashlib.sha256(np.ascontiguousarray(self.places).tobytes()).hexdigest()

    def describe(self) -> str:
        """Their number and the layer's name."""
        return f"{len(self.places)} control points of {self.name}"

    def over(
        self, request: Request, frame: Frame, scratch: Path, go_on: Callable[[], None]
    ) -> PointAnchoring:
        """The points over a prediction's frame.

        Raises:
            RasterError: none lies where the image is known.
        """
        work = frame.work
        reader = request.image.reader(frame.shown, work.rows, work.columns)
        points = []
        for point in on_grid(self.places, work):
            go_on()
            if reader.read_valid(_pixel_at(point, work.rows, work.columns)).all():
                points.append(point)
        if not points:
            raise RasterError("none of the points lies where the image is known (CONTROL_POINTS)")
        return PointAnchoring(np.array(points), frame, request.confidence is not None)


def on_grid(places: NDArray[np.float64], grid: PixelGrid) -> NDArray[np.float64]:
    """Points that lie on a raster, (n, 3): column and row of the raster's pixels, counted from the centre of
    the first, and the height.

    Raises:
        RasterError: none does.
    """
    found = [(*grid.to_pixels(x, y), height) for x, y, height in places]
    inside = [
        (column - 0.5, row - 0.5, height)
        for column, row, height in found
        if 0.0 <= column < grid.columns and 0.0 <= row < grid.rows
    ]
    if not inside:
        raise RasterError("none of the points lies on the raster (CONTROL_POINTS)")
    return np.array(inside)


def interpolated(values: NDArray[np.floating], row: float, column: float) -> float:
    """The value between pixels by linear interpolation, NaN beside an unknown one.

    Args:
        values: (rows, columns), NaN where unknown.
        row: from the centre of the first.
        column: likewise.
    """
    rows, columns = values.shape
    row, column = min(max(row, 0.0), rows - 1.0), min(max(column, 0.0), columns - 1.0)
    top, left = int(row), int(column)
    down, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
    upper = values[top, left] + (column - left) * (float(values[top, right]) - float(values[top, left]))
    lower = values[down, left] + (column - left) * (float(values[down, right]) - float(values[down, left]))
    return float(upper + (row - top) * (lower - upper))


def _pixel_at(point: NDArray[np.float64], rows: int, columns: int) -> Window:
    column, row = round(float(point[0])), round(float(point[1]))
    return Window(min(max(row, 0), rows - 1), min(max(column, 0), columns - 1), 1, 1)


class PointAnchoring:
    """See :class:`imagetodem_qgis.prediction.anchors.Anchoring`.

    Args:
        points: (n, 3), as :func:`on_grid` gives them.
        frame: of the prediction.
        spread: whether standard deviations are wanted.
    """

    def __init__(self, points: NDArray[np.float64], frame: Frame, spread: bool) -> None:
        self._points, self._frame, self._spread = points, frame, spread

    @property
    def cell(self) -> float:
        """Points have none.

        Raises:
            RasterError: always.
        """
        raise RasterError("a guided model needs a reference DEM (REFERENCE)")

    def coarse(self, window: Window) -> FloatArray:
        """There is none.

        Raises:
            RasterError: always.
        """
        raise RasterError("a guided model needs a reference DEM (REFERENCE)")

    def observe(self, index: int, tile: PlacedTile) -> list[AnchorObservation]:
        """The points on a tile: each tells its level as surely as the tile's own relief lets it, less so near
        the tile's border."""
        seen = []
        heights = np.where(tile.weights > 0.0, tile.heights, np.float32(np.nan))
        variance = float(np.nanvar(heights, dtype=np.float64)) + 1e-4 if np.isfinite(heights).any() else 0.0
        for column, row, known in self._inside(tile.window):
            row, column = row - tile.window.row, column - tile.window.column
            height = interpolated(heights, row, column)
            if np.isfinite(height):
                weight = max(_LEAST_WEIGHT, float(interpolated(tile.weights, row, column)))
                seen.append(AnchorObservation(index, height, known / self._frame.scale, variance / weight))
        return seen

    def anchored(self, blends: Blends, listener: Listener) -> Blends:
        """The surface as it is, whose tiles' levels are the points' already; tells how far it is off."""
        factor = self._factor(blends, listener) if self._spread else 1.0
        return _Compared(blends, self, factor, listener)

    def _factor(self, blends: Blends, listener: Listener) -> float:
        """What the standard deviations are multiplied with, by what is left at the points."""
        chosen = self._points[:: -(-len(self._points) // _MOST_POINTS)]
        whole = self._frame.work.window()
        windows = [
            Window(max(0, int(row)), max(0, int(column)), 2, 2).intersection(whole)
            for column, row, _ in chosen
        ]
        residuals, deviations = [], []
        for (window, block), (column, row, known) in zip(blends.over(windows), chosen):
            if listener.is_cancelled():
                raise Cancelled()
            if block.spread is not None:
                place = row - window.row, column - window.column
                residuals.append(interpolated(block.heights, *place) - known)
                deviations.append(interpolated(block.spread, *place))
        return factor_of_points(np.array(residuals), np.array(deviations))

    def residuals(self, window: Window, heights: FloatArray) -> list[float]:
        """Surface less known height at the points of a window, where the surface is known."""
        found = [
            interpolated(heights, row - window.row, column - window.column) - known
            for column, row, known in self._inside(window)
        ]
        return [residual for residual in found if np.isfinite(residual)]

    def _inside(self, window: Window) -> NDArray[np.float64]:
        work = self._frame.work
        column, row = (
            np.clip(np.round(self._points[:, axis]), 0, side - 1)
            for axis, side in ((0, work.columns), (1, work.rows))
        )
        inside = (column >= window.column) & (column < window.column + window.columns)
        inside &= (row >= window.row) & (row < window.row + window.rows)
        return self._points[inside]


class _Compared:
    """Blocks that are compared with the points as they pass; see :class:`Blends`."""

    def __init__(self, blends: Blends, anchoring: PointAnchoring, factor: float, listener: Listener) -> None:
        self._blends, self._anchoring, self._factor = blends, anchoring, factor
        self._listener = listener

    def over(self, windows: Sequence[Window]) -> Iterator[tuple[Window, SurfaceBlock]]:
        """See :class:`Blends`."""
        residuals: list[float] = []
        for window, block in self._blends.over(windows):
            residuals += self._anchoring.residuals(window, block.heights)
            if block.spread is not None:
                block = block._replace(spread=block.spread * np.float32(self._factor))
            yield window, block
        if residuals:
            rmse = float(np.sqrt(np.mean(np.square(residuals))))
            self._listener.say(
                f"Anchored to {len(residuals)} control points: the DEM is off by {rmse:.4g} m there (RMSE)."
            )
