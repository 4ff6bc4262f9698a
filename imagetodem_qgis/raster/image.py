"""Reading an RGB image by windows, at its own resolution or resampled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal, gdal_array

from imagetodem_qgis.core.light import SUN_AZIMUTH_KEYS, recorded_azimuth
from imagetodem_qgis.core.masks import is_brightness, known_pixels
from imagetodem_qgis.core.sampling import sample_windows
from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.raster.errors import RasterError
from imagetodem_qgis.raster.grid import Grid

_COLOURS = (gdal.GCI_RedBand, gdal.GCI_GreenBand, gdal.GCI_BlueBand)
_UNPLACED = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
"""Geotransform of an image without one: where QGIS shows it, its rows going down from 0."""


class Pixels(NamedTuple):
    """Pixels of a window: values (rows, columns, 3) in the raster's dtype, and which are known (rows,
    columns)."""

    values: NDArray[np.generic]
    valid: NDArray[np.bool_]


class Image:
    """Three bands of a raster.

    Args:
        path: anything that GDAL opens.
        bands: numbers of the red, green and blue band from 1; by colour interpretation, else 1, 2, 3, if
            empty.

    Raises:
        RasterError: the raster cannot be opened, has too few bands, or none that make a colour image.
    """

    def __init__(self, path: str, bands: Sequence[int] = ()) -> None:
        self.path = path
        self._dataset = open_raster(path)
        self.bands: tuple[int, ...] = tuple(bands) or self._colour_bands()
        self._check_bands()
        self.grid = Grid(
            self._dataset.RasterXSize,
            self._dataset.RasterYSize,
            tuple(self._dataset.GetGeoTransform(can_return_null=True) or _UNPLACED),
            self._dataset.GetProjection(),
        )
        self._reader = BandReader(self._dataset, self.bands)

    def probe(self) -> None:
        """Read the corners and the middle, which a missing or truncated file fails to give.

        Raises:
            RasterError: one of them cannot be read.
        """
        last_row, last_column = self.grid.rows - 1, self.grid.columns - 1
        for row in (0, last_row // 2, last_row):
            for column in (0, last_column // 2, last_column):
                self.read(Window(row, column, 1, 1))

    def read(self, window: Window) -> Pixels:
        """Read a window at the image's own resolution.

        Raises:
            RasterError: the pixels cannot be read (a truncated file, a lost connection).
        """
        return self._reader.read(window)

    def reader(self, window: Window, rows: int, columns: int) -> BandReader:
        """A reader of a window of the image, resampled to rows × columns pixels: averaged where that is
        fewer, interpolated by cubic convolution where it is more."""
        if (rows, columns) == (window.rows, window.columns):
            return BandReader(self._dataset, self.bands, (window.row, window.column))
        fewer = rows <= window.rows and columns <= window.columns
        options = {
            "format": "VRT",
            "srcWin": [window.column, window.row, window.columns, window.rows],
            "width": columns,
            "height": rows,
        }
        colours = gdal.Translate(
            "",
            self._dataset,
            bandList=list(self.bands),
            resampleAlg="average" if fewer else "cubic",
            **options,
        )
        masks = gdal.Translate(
            "",
            self._dataset,
            bandList=[f"mask,{band}" for band in self.bands],
            resampleAlg="nearest",
            **options,
        )
        if colours is None or masks is None:
            raise RasterError(f"{self.path} cannot be resampled: {gdal.GetLastErrorMsg()}")
        return BandReader(colours, (1, 2, 3), masks=masks, nodata_from=(self._dataset, self.bands))

    def sample(self, go_on: Callable[[], None] = lambda: None) -> NDArray[np.generic]:
        """Known pixels from all over the image, (n, 3): all of a small image, evenly spread windows of a
        large one.

        Args:
            go_on: called before each window; what it raises ends this.
        """
        parts = []
        for window in sample_windows(self.grid.rows, self.grid.columns):
            go_on()
            values, valid = self.read(window)
            parts.append(values[valid])
        return np.concatenate(parts)

    def sun_azimuth(self) -> float | None:
        """The sun's azimuth from the raster's metadata, degrees clockwise from north, if it is there."""
        for domain in self._dataset.GetMetadataDomainList() or [""]:
            if domain.startswith("xml:"):
                continue
            # Item by item: as a dictionary, GDAL cuts a key off at its colon.
            items = {key: self._dataset.GetMetadataItem(key, domain) for key in SUN_AZIMUTH_KEYS}
            azimuth = recorded_azimuth(items)
            if azimuth is not None:
                return azimuth
        return None

    def _colour_bands(self) -> tuple[int, ...]:
        found: list[int] = []
        interpretations = [
            self._dataset.GetRasterBand(band).GetColorInterpretation()
            for band in range(1, self._dataset.RasterCount + 1)
        ]
        for colour in _COLOURS:
            if colour in interpretations:
                found.append(interpretations.index(colour) + 1)
        return tuple(found) if len(found) == 3 else (1, 2, 3)

    def _check_bands(self) -> None:
        count = self._dataset.RasterCount
        first = self._dataset.GetRasterBand(1) if count else None
        if first is not None and first.GetColorInterpretation() == gdal.GCI_PaletteIndex:
            raise RasterError(
                f"{self.path} is paletted: its values are numbers of colours, not brightness. Convert "
                "it first, with "
                "'PCT to RGB' (gdal:pcttorgb)"
            )
        if len(self.bands) != 3:
            raise RasterError(f"three bands are needed (red, green, blue), {len(self.bands)} were given")
        if count < 3:
            raise RasterError(
                f"{self.path} has {count} band{'s' * (count != 1)}; red, green and blue are needed"
            )
        if not all(1 <= band <= count for band in self.bands):
            raise RasterError(
                f"{self.path} has the bands 1 to {count}, not {', '.join(map(str, self.bands))}"
            )
        for band in self.bands:
            if gdal.DataTypeIsComplex(self._dataset.GetRasterBand(band).DataType):
                raise RasterError(
                    f"band {band} of {self.path} holds complex numbers (radar?): give an image of brightness"
                )


class BandReader:
    """Reads windows of three bands with their masks; see :meth:`Image.reader`."""

    def __init__(
        self,
        dataset: gdal.Dataset,
        bands: Sequence[int],
        origin: tuple[int, int] = (0, 0),
        masks: gdal.Dataset | None = None,
        nodata_from: tuple[gdal.Dataset, Sequence[int]] | None = None,
    ) -> None:
        self._dataset, self._masks = dataset, masks
        self._origin = origin
        self._bands = [dataset.GetRasterBand(band) for band in bands]
        source, source_bands = nodata_from or (dataset, bands)
        described = [source.GetRasterBand(band) for band in source_bands]
        self._flags = [band.GetMaskFlags() for band in described]
        self._nodata_is_a_brightness = all(
            is_brightness(np.dtype(_numpy_type(band)).name, band.GetNoDataValue()) for band in described
        )

    def read(self, window: Window) -> Pixels:
        """Values and validity of a window, counted from the reader's own first pixel."""
        place = self._place(window)
        # Band by band in memory, so that what is done to a whole band runs over it at full speed.
        values = np.moveaxis(np.stack([read_band(band, place) for band in self._bands]), 0, -1)
        valid = self._unmasked(place)
        if values.dtype.kind == "f":
            valid &= np.isfinite(values).all(axis=-1)
        return Pixels(values, valid)

    def read_valid(self, window: Window) -> NDArray[np.bool_]:
        """Validity alone, without reading the values where they do not matter."""
        floating = self._bands[0].DataType in (gdal.GDT_Float32, gdal.GDT_Float64)
        return self.read(window).valid if floating else self._unmasked(self._place(window))

    def _place(self, window: Window) -> tuple[int, int, int, int]:
        return self._origin[1] + window.column, self._origin[0] + window.row, window.columns, window.rows

    def _unmasked(self, place: tuple[int, int, int, int]) -> NDArray[np.bool_]:
        masks = [
            read_band(self._mask(number), place) > 0
            for number, flags in enumerate(self._flags)
            if flags != gdal.GMF_ALL_VALID
        ]
        return known_pixels(masks, place[3], place[2], self._nodata_is_a_brightness)

    def _mask(self, number: int) -> gdal.Band:
        return (
            self._masks.GetRasterBand(number + 1)
            if self._masks is not None
            else self._bands[number].GetMaskBand()
        )


def open_raster(path: str) -> gdal.Dataset:
    """Open a raster for reading.

    Raises:
        RasterError: it does not exist or is none.
    """
    gdal.ErrorReset()
    try:
        dataset = gdal.OpenEx(path, gdal.OF_RASTER)
        reason = gdal.GetLastErrorMsg()
    except RuntimeError as error:
        dataset, reason = None, str(error)
    if dataset is None:
        missing = "" if Path(path).exists() else ", it does not exist"
        raise RasterError(f"{path} cannot be opened as a raster{missing} ({reason or 'no driver reads it'})")
    return dataset


def read_band(band: gdal.Band, place: tuple[int, int, int, int]) -> NDArray[np.generic]:
    """Read a window of a band.

    Args:
        band: to read from.
        place: first column, first row, columns, rows.

    Raises:
        RasterError: the pixels cannot be read.
    """
    gdal.ErrorReset()
    try:
        values = band.ReadAsArray(*place)
        reason = gdal.GetLastErrorMsg()
    except RuntimeError as error:
        values, reason = None, str(error)
    # Some drivers log an error and hand out zeros for what they could not read.
    if values is None or gdal.GetLastErrorType() >= gdal.CE_Failure:
        raise RasterError(f"pixels cannot be read ({reason}): the file may be truncated or damaged")
    return values


def _numpy_type(band: gdal.Band) -> Any:
    return gdal_array.GDALTypeCodeToNumericTypeCode(band.DataType)
