"""Reading an RGB image by windows with rasterio, as :mod:`imagetodem_qgis.raster.image` does with GDAL."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import CRSError, RasterioError
from rasterio.io import DatasetReader
from rasterio.warp import transform
from rasterio.windows import Window as RasterioWindow

from imagetodem_qgis.core.grid import PixelGrid, Vector
from imagetodem_qgis.core.light import recorded_azimuth
from imagetodem_qgis.core.masks import is_brightness, known_pixels
from imagetodem_qgis.core.sampling import sample_windows
from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.raster.errors import RasterError
from imagetodem_qgis.worker.headless.virtual import virtual_raster

_COLOURS = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
_UNPLACED = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
_LONGITUDE_LATITUDE = "EPSG:4326"


@dataclass(frozen=True)
class RasterioGrid(PixelGrid):
    """The pixels of a raster; see :class:`imagetodem_qgis.core.grid.PixelGrid`."""

    def to_longitude_latitude(self, places: Sequence[Vector]) -> list[Vector] | None:
        """See :class:`imagetodem_qgis.core.grid.PixelGrid`."""
        across, down = zip(*places)
        try:
            longitudes, latitudes = transform(CRS.from_wkt(self.crs), _LONGITUDE_LATITUDE, across, down)
        except (CRSError, RasterioError):
            return None
        converted = [
            (float(longitude), float(latitude)) for longitude, latitude in zip(longitudes, latitudes)
        ]
        return converted if all(math.isfinite(value) for place in converted for value in place) else None


class RasterioImage:
    """Three bands of a raster; see :class:`imagetodem_qgis.prediction.rasters.ColourImage`.

    Args:
        path: anything that rasterio opens.
        bands: numbers of the red, green and blue band from 1; by colour interpretation, else 1, 2, 3, if
            empty.

    Raises:
        RasterError: the raster cannot be opened, has too few bands, or none that make a colour image.
    """

    def __init__(self, path: str, bands: Sequence[int] = ()) -> None:
        self.path = path
        try:
            self._dataset: DatasetReader = rasterio.open(path)
        except RasterioError as error:
            raise RasterError(f"{path} cannot be opened as a raster: {error}") from error
        self.bands: tuple[int, ...] = tuple(bands) or self._colour_bands()
        self._check_bands()
        placed = not self._dataset.transform.is_identity
        geotransform = self._dataset.transform.to_gdal() if placed else _UNPLACED
        crs = self._dataset.crs.to_wkt() if self._dataset.crs else ""
        self.grid = RasterioGrid(self._dataset.width, self._dataset.height, geotransform, crs)

    def reader(self, window: Window, rows: int, columns: int) -> BandReader:
        """See :class:`imagetodem_qgis.prediction.rasters.ColourImage`."""
        if (rows, columns) == (window.rows, window.columns):
            return BandReader(self._dataset, self._dataset, self.bands, (window.row, window.column))
        fewer = rows <= window.rows and columns <= window.columns
        resampled = virtual_raster(
            self._dataset, self.bands, window, rows, columns, "average" if fewer else "cubic"
        )
        return BandReader(resampled, self._dataset, self.bands)

    def sample(self, go_on: Callable[[], None] = lambda: None) -> NDArray[Any]:
        """See :class:`imagetodem_qgis.prediction.rasters.ColourImage`."""
        reader = self.reader(self.grid.window(), self.grid.rows, self.grid.columns)
        parts = []
        for window in sample_windows(self.grid.rows, self.grid.columns):
            go_on()
            values, valid = reader.read(window)
            parts.append(values[valid])
        return np.concatenate(parts)

    def sun_azimuth(self) -> float | None:
        """See :class:`imagetodem_qgis.prediction.rasters.ColourImage`."""
        for domain in (None, *self._dataset.tag_namespaces()):
            azimuth = None if domain and domain.startswith("xml:") else self._azimuth(domain)
            if azimuth is not None:
                return azimuth
        return None

    def _azimuth(self, domain: str | None) -> float | None:
        return recorded_azimuth(self._dataset.tags(ns=domain) if domain else self._dataset.tags())

    def _colour_bands(self) -> tuple[int, ...]:
        interpretations = list(self._dataset.colorinterp)
        found = [interpretations.index(colour) + 1 for colour in _COLOURS if colour in interpretations]
        return tuple(found) if len(found) == 3 else (1, 2, 3)

    def _check_bands(self) -> None:
        count = self._dataset.count
        if len(self.bands) != 3 or not all(1 <= band <= count for band in self.bands):
            raise RasterError(
                f"{self.path} has {count} bands, of which red, green and blue cannot be "
                f"{', '.join(map(str, self.bands))}"
            )
        if self._dataset.colorinterp[0] == ColorInterp.palette:
            raise RasterError(f"{self.path} is paletted: convert it to red, green and blue first")
        if any(self._dataset.dtypes[band - 1].startswith("complex") for band in self.bands):
            raise RasterError(f"{self.path} holds complex numbers (radar?): give an image of brightness")


class BandReader:
    """Reads windows of three bands with their masks; see :class:`imagetodem_qgis.prediction.rasters.Reader`.

    Args:
        dataset: of the values: the image itself, or a virtual raster of its bands and their masks.
        source: the image.
        bands: of the image.
        origin: row and column of the first pixel to be read.
    """

    def __init__(
        self,
        dataset: DatasetReader,
        source: DatasetReader,
        bands: Sequence[int],
        origin: tuple[int, int] = (0, 0),
    ) -> None:
        self._dataset, self._origin = dataset, origin
        self._is_virtual = dataset is not source
        self._bands = [1, 2, 3] if self._is_virtual else list(bands)
        flags = [source.mask_flag_enums[band - 1] for band in bands]
        self._masked = [number for number, flag in enumerate(flags) if flag != [MaskFlags.all_valid]]
        self._nodata_is_a_brightness = all(
            is_brightness(source.dtypes[band - 1], source.nodatavals[band - 1]) for band in bands
        )

    def read(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """See :class:`imagetodem_qgis.prediction.rasters.Reader`."""
        try:
            values = np.moveaxis(self._dataset.read(self._bands, window=self._place(window)), 0, -1)
            valid = self._unmasked(window)
        except RasterioError as error:
            raise RasterError(
                f"pixels cannot be read ({error}): the file may be truncated or damaged"
            ) from error
        if values.dtype.kind == "f":
            valid &= np.isfinite(values).all(axis=-1)
        return values, valid

    def read_valid(self, window: Window) -> NDArray[np.bool_]:
        """See :class:`imagetodem_qgis.prediction.rasters.Reader`."""
        return self.read(window)[1]

    def _place(self, window: Window) -> RasterioWindow:
        return RasterioWindow(
            self._origin[1] + window.column, self._origin[0] + window.row, window.columns, window.rows
        )

    def _unmasked(self, window: Window) -> NDArray[np.bool_]:
        place = self._place(window)
        masks = [self._mask(number, place) > 0 for number in self._masked]
        return known_pixels(masks, window.rows, window.columns, self._nodata_is_a_brightness)

    def _mask(self, number: int, place: RasterioWindow) -> NDArray[Any]:
        if self._is_virtual:
            # The masks' bands follow the colours'.
            return np.asarray(self._dataset.read(4 + number, window=place))
        return np.asarray(self._dataset.read_masks(self._bands[number], window=place))
