"""Writing a colour image block by block."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal

from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.raster.grid import Grid
from imagetodem_qgis.raster.writer import RasterWriter

_COLOURS = (gdal.GCI_RedBand, gdal.GCI_GreenBand, gdal.GCI_BlueBand)
UNKNOWN = 0
"""Value of all three bands where the image is unknown; a known pixel has 1 at least."""


class ColourWriter(RasterWriter):
    """A GeoTIFF of three bytes a pixel; see :class:`imagetodem_qgis.raster.writer.RasterWriter`.

    Args:
        path: of the file to appear.
        grid: of the image.
        metadata: items of the file.
        overviews: whether to add them.

    Raises:
        RasterError: the file cannot be created, or (when it is finished) not be written.
    """

    def __init__(
        self, path: Path, grid: Grid, metadata: dict[str, str] | None = None, overviews: bool = True
    ) -> None:
        super().__init__(
            path,
            grid,
            3,
            gdal.GDT_Byte,
            UNKNOWN,
            metadata,
            overviews,
            options=("PREDICTOR=2", "PHOTOMETRIC=RGB", "INTERLEAVE=PIXEL"),
        )
        for number, colour in enumerate(_COLOURS):
            self._dataset.GetRasterBand(number + 1).SetColorInterpretation(colour)

    def write(self, window: Window, colours: NDArray[np.floating]) -> None:
        """Write a window of colours.

        Args:
            window: of the image's pixels.
            colours: (rows, columns, 3) on a scale of 0 to 255, rounded and clipped here; NaN becomes unknown.

        Raises:
            RasterError: the disk is full or gone.
        """
        known = np.isfinite(colours).all(axis=-1, keepdims=True)
        values = np.where(known, np.clip(np.rint(colours), 1, 255), UNKNOWN).astype(np.uint8)
        for number in range(3):
            self._write_band(number + 1, window, values[..., number])
