"""Writing the files of a pair, each under its own name only when it is whole."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal, gdal_array

from imagetodem_qgis.pairs.geography import well_known_text
from imagetodem_qgis.pairs.source import FetchedPair, Tile
from imagetodem_qgis.raster.whole_file import NODATA

IMAGES, DEMS = "images", "dems"
_PARTIAL = ".partial"
_STRIP_ROWS = 64


@dataclass(frozen=True)
class Checksums:
    """SHA-256 of a pair's files, in hexadecimal."""

    image: str
    dem: str


class PairWriter:
    """Writes and verifies the files ``images/<id>.tif`` and ``dems/<id>.tif`` of a data set.

    A DEM is Float32 in metres with nodata -9999. An image of floats has NaN for nodata, one of integers a
    mask where it has gaps.

    Args:
        folder: of the data set; made with its sub-folders.
        image_type: of the images' values; those of a source are float32, and whole numbers where the images
            are to be stored as such.
    """

    def __init__(self, folder: Path, image_type: str = "float32") -> None:
        self._images, self._dems = folder / IMAGES, folder / DEMS
        self._type = np.dtype(image_type)
        for place in (self._images, self._dems):
            place.mkdir(parents=True, exist_ok=True)

    def sweep(self) -> None:
        """Remove what a run that died was writing."""
        for place in (self._images, self._dems):
            for left in place.glob(f".*{_PARTIAL}"):
                left.unlink(missing_ok=True)

    def write(self, tile: Tile, pair: FetchedPair) -> Checksums:
        """Write both files of a tile; may be called from several threads, for a tile from one.

        Raises:
            OSError: the disk is full or gone; neither file has changed.
        """
        image = encoded(tile, self._image_bands(pair), self._image_nodata(), _of_image(pair))
        heights = np.where(np.isfinite(pair.dem), pair.dem, np.float32(NODATA))[None]
        dem = encoded(tile, heights, NODATA, {"AREA_OR_POINT": "Area"}, unit="m")
        # Both are on the disk before either gets its name, so that a full disk leaves no image alone.
        files = self._images / f"{tile.id}.tif", self._dems / f"{tile.id}.tif"
        with _partial(files[0], image) as first, _partial(files[1], dem) as second:
            os.replace(first, files[0])
            os.replace(second, files[1])
        return Checksums(_checksum(image), _checksum(dem))

    def is_whole(self, name: str, checksums: Checksums) -> bool:
        """Whether both files of a tile hold what was written."""
        files = ((self._images, checksums.image), (self._dems, checksums.dem))
        try:
            return all(_checksum((place / f"{name}.tif").read_bytes()) == known for place, known in files)
        except OSError:
            return False

    def remove(self, name: str) -> None:
        """Remove the files of a tile, if they are there."""
        for place in (self._images, self._dems):
            (place / f"{name}.tif").unlink(missing_ok=True)

    def _image_nodata(self) -> float | None:
        return float("nan") if self._type.kind == "f" else None

    def _image_bands(self, pair: FetchedPair) -> np.ma.MaskedArray | NDArray[np.float32]:
        gaps = ~np.isfinite(pair.image).all(axis=0)
        if self._type.kind == "f":
            # A pixel that one band lacks has no colour.
            return np.where(gaps, np.float32(np.nan), pair.image) if gaps.any() else pair.image
        limits = np.iinfo(self._type)
        whole = np.clip(np.rint(np.where(gaps, 0.0, pair.image)), limits.min, limits.max).astype(self._type)
        return np.ma.masked_array(whole, np.broadcast_to(gaps, whole.shape))


def encoded(
    tile: Tile,
    bands: NDArray[np.generic],
    nodata: float | None,
    metadata: Mapping[str, str],
    unit: str = "",
) -> bytes:
    """A GeoTIFF of a tile's pixels; the same pixels give the same bytes.

    Args:
        tile: where they lie.
        bands: (bands, rows, columns); masked where they are unknown and no value says so.
        nodata: value of unknown pixels, if there is one.
        metadata: items of the file.
        unit: of the values.
    """
    # Threads write at the same time.
    name = f"/vsimem/imagetodem_{os.getpid()}_{threading.get_ident()}.tif"
    kind = gdal_array.NumericTypeCodeToGDALTypeCode(bands.dtype)
    options = [
        "COMPRESS=DEFLATE",
        "ZLEVEL=1",
        f"PREDICTOR={_predictor(bands)}",
        "INTERLEAVE=PIXEL",
        f"BLOCKYSIZE={min(tile.size, _STRIP_ROWS)}",
        *(["PHOTOMETRIC=RGB"] if len(bands) == 3 else []),
    ]
    with _internal_masks():
        dataset = gdal.GetDriverByName("GTiff").Create(name, tile.size, tile.size, len(bands), kind, options)
        dataset.SetGeoTransform(tile.geotransform)
        dataset.SetProjection(well_known_text(tile.crs))
        dataset.SetMetadata(dict(metadata))
        for number, values in enumerate(np.ma.getdata(bands), 1):
            band = dataset.GetRasterBand(number)
            if nodata is not None:
                band.SetNoDataValue(nodata)
            if unit:
                band.SetUnitType(unit)
            band.WriteArray(values)
        if np.ma.is_masked(bands):
            dataset.CreateMaskBand(gdal.GMF_PER_DATASET)
            known = ~np.ma.getmaskarray(bands)[0]
            dataset.GetRasterBand(1).GetMaskBand().WriteArray(known.astype(np.uint8) * 255)
        del dataset
    try:
        return _content(name)
    finally:
        gdal.Unlink(name)


def _predictor(bands: NDArray[np.generic]) -> int:
    """TIFF's: differences of neighbours' numbers, and of the bytes of heights. Reflectances are multiples of
    a ten-thousandth, of which there are few: as whole numbers they repeat, and so do their differences."""
    return 3 if bands.dtype.kind == "f" and len(bands) == 1 else 2


def _of_image(pair: FetchedPair) -> dict[str, str]:
    """What the image's file says of itself; Predict DEM finds the sun there."""
    known = pair.provenance
    items = {"AREA_OR_POINT": "Area"}
    if known.scenes:
        items["SCENES"] = " ".join(known.scenes)
        items["DATES"] = " ".join(known.dates)
    if known.sun_azimuth is not None:
        items["SUN_AZIMUTH"] = f"{known.sun_azimuth:.3f}"
    if known.sun_zenith is not None:
        items["SUN_ZENITH"] = f"{known.sun_zenith:.3f}"
    return items


def _content(name: str) -> bytes:
    file = gdal.VSIFOpenL(name, "rb")
    try:
        return bytes(gdal.VSIFReadL(1, gdal.VSIStatL(name).size, file))
    finally:
        gdal.VSIFCloseL(file)


@contextlib.contextmanager
def _internal_masks() -> Iterator[None]:
    """Have masks written into the file rather than beside it, in this thread."""
    before = gdal.GetThreadLocalConfigOption("GDAL_TIFF_INTERNAL_MASK", None)
    gdal.SetThreadLocalConfigOption("GDAL_TIFF_INTERNAL_MASK", "YES")
    try:
        yield
    finally:
        gdal.SetThreadLocalConfigOption("GDAL_TIFF_INTERNAL_MASK", before)


@contextlib.contextmanager
def _partial(path: Path, content: bytes) -> Iterator[Path]:
    """A hidden file beside a path with some content, gone when the block ends unless it was renamed."""
    hidden = path.with_name(f".{path.name}{_PARTIAL}")
    try:
        hidden.write_bytes(content)
        yield hidden
    finally:
        hidden.unlink(missing_ok=True)


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
