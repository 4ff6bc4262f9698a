"""DEMs written for a test, and comparisons of them without Processing."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.evaluation.evaluate import evaluate
from imagetodem_qgis.evaluation.request import Evaluation, Request
from imagetodem_qgis.raster.elevation import Elevation
from tests.rasters import NODATA, UTM_33N, UTM_TRANSFORM, write_image


class Heard:
    """A listener that remembers, and cancels at the n-th time it is asked."""

    def __init__(self, cancel_at: float = float("inf")) -> None:
        self.warnings: list[str] = []
        self.percents: list[float] = []
        self._asked, self._cancel_at = 0, cancel_at
        self.progress = self.percents.append
        self.warn = self.warnings.append

    def say(self, text: str) -> None:
        """Nothing."""

    log = say

    def is_cancelled(self) -> bool:
        """Whether it was asked so often."""
        self._asked += 1
        return self._asked >= self._cancel_at


def write_dem(
    path: Path,
    heights: NDArray[Any],
    crs: str = UTM_33N,
    transform: tuple[float, ...] | None = UTM_TRANSFORM,
    nodata: float | None = NODATA,
    unit: str = "",
) -> str:
    """Write heights as a GeoTIFF, NaN as nodata; its path as text."""
    from osgeo import gdal

    values = heights
    if nodata is not None and np.issubdtype(heights.dtype, np.floating):
        values = np.where(np.isfinite(heights), heights, nodata).astype(heights.dtype)
    write_image(path, values[..., None], crs, transform, nodata)
    if unit:
        file = gdal.Open(str(path), gdal.GA_Update)
        file.GetRasterBand(1).SetUnitType(unit)
    return str(path)


def compare(dem: str, reference: str | None, align: str = "none", **changes: Any) -> Evaluation:
    """Compare two files; further parts of the request by their names, and ``listener`` and ``units``."""
    listener = changes.pop("listener", None) or Heard()
    units = changes.pop("units", (None, None))
    with tempfile.TemporaryDirectory() as scratch:
        parts: dict[str, Any] = {
            "dem": Elevation(dem, units[0]),
            "reference": Elevation(reference, units[1]) if reference else None,
            "points": None,
            "align": align,
            "interpreter": None,
            "mask": None,
            "zones": None,
            "difference": None,
            "scratch": Path(scratch),
        }
        return evaluate(Request(**{**parts, **changes}), listener)


def hills(rows: int = 90, columns: int = 70, seed: int = 1, base: float = 800.0) -> NDArray[np.float32]:
    """Smooth hills some hundred metres high on pixels of 30 m."""
    random = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None])
    frequency[0, 0] = np.inf
    noise = np.fft.rfft2(random.normal(size=(rows, columns))) * frequency**-2.2
    relief = np.fft.irfft2(noise, (rows, columns))
    return (base + 120.0 * relief / relief.std()).astype(np.float32)
