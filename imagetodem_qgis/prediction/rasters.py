"""What a prediction asks of a library that reads and writes rasters: GDAL in QGIS, rasterio without QGIS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable, Protocol

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.grid import PixelGrid
from imagetodem_qgis.core.tiling import Window


class Reader(Protocol):
    """Reads windows of three bands with their masks."""

    def read(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Values (rows, columns, 3), and which pixels are known (rows, columns)."""

    def read_valid(self, window: Window) -> NDArray[np.bool_]:
        """Which pixels are known (rows, columns)."""


class ColourImage(Protocol):
    """An image of three bands; see :class:`imagetodem_qgis.raster.image.Image`."""

    @property
    def path(self) -> str:
        """Of the image."""

    @property
    def bands(self) -> Sequence[int]:
        """Numbers of red, green and blue from 1."""

    @property
    def grid(self) -> PixelGrid:
        """All its pixels."""

    def sample(self, go_on: Callable[[], None]) -> NDArray[Any]:
        """Known pixels from all over the image, (n, 3); ``go_on`` is called again and again, and may raise
        to end it."""

    def reader(self, window: Window, rows: int, columns: int) -> Reader:
        """A reader of a window of the image, resampled to rows × columns pixels."""

    def sun_azimuth(self) -> float | None:
        """The sun's azimuth from the raster's metadata, degrees clockwise from north, if it is there."""


class Writer(Protocol):
    """Writes a surface block by block; see :class:`imagetodem_qgis.raster.writer.SurfaceWriter`."""

    def __enter__(self) -> Writer:
        """Begin."""

    def __exit__(self, *details: object) -> None:
        """Put the file in its place if all went well, else remove it."""

    def write(self, window: Window, heights: NDArray[np.float32]) -> None:
        """Write a window of values; NaN becomes nodata."""

    def add_overviews(self, is_cancelled: Callable[[], bool]) -> bool:
        """Add the overviews, if there are to be any; false where that was cancelled."""

    def complete(self) -> None:
        """Write all that is not on disk yet, under another name until the block is left."""


class Surface(Protocol):
    """Reads heights by windows."""

    def read(self, window: Window) -> NDArray[np.float32]:
        """Heights of a window, (rows, columns) float32, NaN where unknown."""


class Rasters(Protocol):
    """A library."""

    def writer(
        self,
        path: Path,
        grid: PixelGrid,
        unit: str = "",
        description: str = "",
        metadata: dict[str, str] | None = None,
        overviews: bool = True,
    ) -> Writer:
        """A writer of a GeoTIFF that appears under its name only when it is whole."""

    def resampled(self, path: Path, rows: int, columns: int) -> Surface:
        """A single-band surface brought to rows × columns pixels over the same extent."""
