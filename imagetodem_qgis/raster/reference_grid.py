"""A reference DEM resampled to a grid, window by window, whatever library reads it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable, Protocol

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.cells import BEYOND, mean_preserving
from imagetodem_qgis.core.grid import PixelGrid, Vector
from imagetodem_qgis.core.membrane import bridged
from imagetodem_qgis.core.tiling import Window, blocks
from imagetodem_qgis.raster.errors import RasterError
from imagetodem_qgis.raster.plane_file import PlaneFile

FloatArray = NDArray[np.float32]
Transform = Callable[[Sequence[Vector]], "list[Vector]"]
"""Takes map coordinates from one reference system to another; infinite where there is no way."""

BLOCK = 1024
"""Side of the windows in which a reference is worked through."""
USUAL_NODATA = {"int16": -32768.0}
OTHERWISE = -9999.0
"""Voids of DEMs that have them without saying so."""
UNKNOWN = -32768.0
"""Nodata of copies of a reference, below all heights."""
_COARSER = 1.5
"""Pixels of the grid from which a pixel is a mean over an area, to be interpolated between."""
MARGIN = 8
"""Pixels around others on which these depend."""
_RIM = 3
"""Pixels beyond known ones that interpolation there looks at."""
_PLACES = 21
"""Along each side of a grid, that are looked up in the reference."""
_DIRECTIONS = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right]


class Warped(Protocol):
    """Pixels that can be brought to a grid."""

    def warped(self, grid: PixelGrid, algorithm: str) -> FloatArray:
        """Values on a grid by ``cubic``, ``average`` or ``near``: (rows, columns) float32, NaN where
        unknown."""


class ReferencePixels(Warped, Protocol):
    """The pixels of a reference."""

    def read(self, window: Window) -> FloatArray:
        """Heights of a window in metres, (rows, columns) float32, NaN where unknown."""

    def beside(self, path: Path, window: Window, values: Callable[[Window], FloatArray]) -> Warped:
        """A raster with pixels like the reference's.

        Args:
            path: of its file.
            window: its pixels, which may reach beyond the reference.
            values: gives (rows, columns) float32 of a part of the window, NaN where unknown.
        """


class HeightsOnGrid(Protocol):
    """A reference on a grid; see :class:`ReferenceOnGrid`."""

    @property
    def cell(self) -> float:
        """Side of one of the reference's pixels in pixels of the grid."""

    @property
    def is_coarse(self) -> bool:
        """Whether a pixel of the reference is larger than one of the grid."""

    def read(self, window: Window) -> FloatArray:
        """Heights in metres whose means over the reference's pixels are the reference's own: (rows, columns)
        float32, NaN where unknown."""

    def read_plain(self, window: Window) -> FloatArray:
        """Heights in metres by cubic convolution through the reference's pixels, known everywhere."""


class OpenedReference(Protocol):
    """A DEM that a reference can be made of."""

    @property
    def path(self) -> str:
        """Of the DEM."""

    def on(self, grid: PixelGrid, scratch: Path, go_on: Callable[[], None]) -> ReferenceOnGrid:
        """The reference on a grid.

        Args:
            grid: with a reference system.
            scratch: an existing folder for temporary files.
            go_on: called again and again by what takes long; may raise to end it.

        Raises:
            RasterError: they do not overlap, or no height is known there.
        """


class ReferenceOnGrid:
    """A reference brought to a grid.

    A coarse one is interpolated by cubic convolution, a finer one averaged.

    Args:
        pixels: of the reference.
        whole: all of them.
        under: those under the grid, which may reach beyond.
        grid: likewise.
        cell: side of one of the reference's pixels in pixels of the grid.
        scratch: an existing folder for temporary files.
        go_on: called again and again by what takes long; may raise to end it.

    Attributes:
        cell: likewise.
    """

    def __init__(
        self,
        pixels: ReferencePixels,
        whole: Window,
        under: Window,
        grid: PixelGrid,
        cell: float,
        scratch: Path,
        go_on: Callable[[], None],
    ) -> None:
        self.cell, self._go_on = cell, go_on
        self._pixels, self._whole, self._needed = pixels, whole, under.widened(MARGIN)
        self._grid, self._scratch = grid, scratch
        self._nodes: tuple[Warped, Warped] | None = None
        self._filled: Callable[[Window], FloatArray] | None = None

    @property
    def is_coarse(self) -> bool:
        """Whether a pixel of the reference is larger than one of the grid."""
        return self.cell >= _COARSER

    def read(self, window: Window) -> FloatArray:
        """Heights in metres whose means over the reference's pixels are the reference's own: (rows, columns)
        float32, NaN where unknown."""
        grid = self._grid.cropped(window)
        if not self.is_coarse:
            return self._pixels.warped(grid, "average")
        if self._nodes is None:
            self._nodes = self._node_copies()
        nodes, known = self._nodes
        heights = nodes.warped(grid, "cubic")
        heights[known.warped(grid, "near") != 1.0] = np.nan
        return heights

    def read_plain(self, window: Window) -> FloatArray:
        """Heights in metres by cubic convolution through the reference's pixels, known everywhere: through
        holes, and beyond the reference, as a smooth surface that hangs on its border.

        Returns:
            (rows, columns) float32.
        """
        if self._filled is None:
            self._filled = self._filled_copy() if self.is_coarse else self._filled_plane()
        return self._filled(window)

    def _node_copies(self) -> tuple[Warped, Warped]:
        """Nodes of a surface that keeps the pixels' means, and 1 where these are known.

        The nodes go on a little beyond known pixels: interpolation that found none there would weigh the
        others anew, with a step where that begins.
        """
        around = self._needed.widened(_RIM).intersection(self._whole.widened(_RIM))
        return (
            self._pixels.beside(self._scratch / "reference_nodes.tif", around, self._nodes_of),
            self._pixels.beside(
                self._scratch / "reference_known.tif",
                around,
                lambda window: np.isfinite(self._read(window)).astype(np.float32),
            ),
        )

    def _nodes_of(self, window: Window) -> FloatArray:
        wide = window.widened(MARGIN)
        heights = self._read(wide)
        if not np.isfinite(heights).any():
            return np.full((window.rows, window.columns), np.nan, np.float32)
        extended = _extended(heights)
        nodes = mean_preserving(bridged(extended))
        nodes[np.isnan(extended)] = np.nan
        return nodes[window.within(wide)]

    def _filled_copy(self) -> Callable[[Window], FloatArray]:
        """The pixels, with holes filled and what is missing around them."""
        needed = self._needed
        plane = PlaneFile(self._scratch, needed.rows, needed.columns)
        for part in blocks(needed.rows, needed.columns, BLOCK):
            place = Window(needed.row + part.row, needed.column + part.column, part.rows, part.columns)
            plane.put(0, part, self._read(place))
        plane.bridge(0, self._go_on)

        def filled(window: Window) -> FloatArray:
            inside = Window(
                window.row - needed.row, window.column - needed.column, window.rows, window.columns
            )
            return plane.get(0, inside)

        copy = self._pixels.beside(self._scratch / "reference_filled.tif", needed, filled)
        return lambda window: np.nan_to_num(copy.warped(self._grid.cropped(window), "cubic"))

    def _filled_plane(self) -> Callable[[Window], FloatArray]:
        """The same of a fine reference, on the grid."""
        plane = PlaneFile(self._scratch, self._grid.rows, self._grid.columns)
        for window in blocks(self._grid.rows, self._grid.columns, BLOCK):
            self._go_on()
            plane.put(0, window, self.read(window))
        plane.bridge(0, self._go_on)
        return lambda window: np.nan_to_num(plane.get(0, window))

    def _read(self, window: Window) -> FloatArray:
        """Heights of a window that may reach beyond the reference."""
        self._go_on()
        part = window.intersection(self._whole)
        heights = np.full((window.rows, window.columns), np.nan, np.float32)
        if not part.is_empty():
            heights[part.within(window)] = self._pixels.read(part)
        return heights


def check_known(pixels: ReferencePixels, window: Window, path: str, go_on: Callable[[], None]) -> None:
    """Refuse a reference that knows nothing in a window of its pixels.

    Raises:
        RasterError: it does.
    """
    for part in blocks(window.rows, window.columns, BLOCK):
        go_on()
        place = Window(window.row + part.row, window.column + part.column, part.rows, part.columns)
        if np.isfinite(pixels.read(place)).any():
            return
    raise RasterError(f"{path} knows no height where the image lies: all of it is nodata there")


def pixels_under(
    grid: PixelGrid, reference: PixelGrid, path: str, to_reference: Transform, to_grid: Transform
) -> tuple[Window, float]:
    """The reference's pixels under a grid, and the side of one of them in the grid's.

    Args:
        grid: to be covered.
        reference: likewise.
        path: of the reference, for messages.
        to_reference: from the grid's reference system to the reference's.
        to_grid: the way back.

    Raises:
        RasterError: the two do not overlap, or there is no way from one to the other.
    """
    shares = np.linspace(0.0, 1.0, _PLACES)
    places = [grid.to_map(x * grid.columns, y * grid.rows) for x in shares for y in shares]
    found = np.array([reference.to_pixels(*place) for place in to_reference(places) if _is_finite(place)])
    if len(found) == 0:
        raise RasterError(f"{path} does not reach the image")
    left, top = (math.floor(value) for value in found.min(axis=0))
    right, bottom = (math.ceil(value) for value in found.max(axis=0))
    reached = Window(top, left, bottom - top, right - left)
    if reached.intersection(reference.window()).is_empty():
        raise RasterError(f"{path} does not overlap the image: give one that covers it")
    column, row = np.median(found, axis=0)
    corners = [reference.to_map(column + x, row + y) for x, y in ((0, 0), (1, 0), (0, 1))]
    there = [place for place in to_grid(corners) if _is_finite(place)]
    if len(there) != 3:
        raise RasterError("the reference's pixels have no size in the image's reference system")
    (x, y), (right_x, right_y), (down_x, down_y) = (grid.to_pixels(*place) for place in there)
    side = math.sqrt(abs((right_x - x) * (down_y - y) - (right_y - y) * (down_x - x)))
    # Where the way is nearly singular, a place may come out anywhere.
    farthest = math.ceil(2.0 * max(grid.rows, grid.columns) / side) + MARGIN
    return reached.intersection(reference.window().widened(farthest)), side


def _is_finite(place: Vector) -> bool:
    return math.isfinite(place[0]) and math.isfinite(place[1])


def _extended(heights: FloatArray) -> FloatArray:
    """Heights that go on a little beyond the known ones."""
    known = np.isfinite(heights)
    if known.all():
        return heights
    for _ in range(_RIM):
        wide, there = np.pad(np.where(known, heights, np.float32(0.0)), 2), np.pad(known, 2)
        total, count = np.zeros(heights.shape, np.float32), np.zeros(heights.shape, np.float32)
        for down, right in _DIRECTIONS:
            near, far = (_shifted(wide, down * n, right * n) for n in (1, 2))
            both = _shifted(there, down, right) & _shifted(there, 2 * down, 2 * right)
            total += np.where(both, near + np.float32(BEYOND) * (near - far), np.float32(0.0))
            count += both
        grown = ~known & (count > 0)
        heights = np.where(grown, total / np.maximum(count, 1.0), heights).astype(np.float32)
        known = known | grown
    return heights


def _shifted(wide: NDArray[Any], down: int, right: int) -> NDArray[Any]:
    rows, columns = wide.shape[0] - 4, wide.shape[1] - 4
    return wide[2 + down : 2 + down + rows, 2 + right : 2 + right + columns]
