"""Windows of cloud-optimised GeoTIFFs, read over the network by GDAL."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Callable

import numpy as np
from numpy.typing import NDArray
from osgeo import gdal, osr

from imagetodem_qgis.pairs.geography import Affine, in_step, is_same_crs, transformation
from imagetodem_qgis.pairs.source import RetryableSourceError, SourceError, Tile
from imagetodem_qgis.pairs.stac_files import OpenFiles
from imagetodem_qgis.pairs.stac_network import failure, host, vsicurl
from imagetodem_qgis.pairs.stac_patience import patiently

_STATUS = re.compile(r"(?:HTTP response code: |response_code=)(\d{3})")
_MARGIN = 4
"""Pixels of a file that are read around a tile, for the interpolation's kernel at its border; none where
nothing is interpolated."""
_POINTS_A_SIDE = 21
_HAIR = 1.0 + 1e-6
"""So that rounding does not make an overview of just the right size too coarse."""


class AccessRefused(SourceError):
    """The server refuses to give a file (HTTP 401 or 403): a token that has ended, where there are tokens."""


class NotThere(SourceError):
    """The server does not have a file that the catalogue names (HTTP 404)."""


@dataclass(frozen=True)
class Patch:
    """Pixels of a file around a tile.

    Attributes:
        values: (rows, columns) in the file's dtype.
        geotransform: of GDAL.
        crs: well-known text.
        nodata: value that the file itself declares for pixels without one.
        ratio: how many of them a pixel of the tile is wide or high, whichever is fewer.
    """

    values: NDArray[Any]
    geotransform: Affine
    crs: str
    nodata: float | None
    ratio: float


@dataclass(frozen=True)
class _Level:
    """A band, full or an overview, and its columns and rows."""

    band: gdal.Band
    columns: int
    rows: int


@dataclass(frozen=True)
class Cog:
    """An open file, and what GDAL would have to look up for each tile anew.

    Attributes:
        dataset: keeps its bands alive.
        levels: the full one and its overviews.
        geotransform: of GDAL, of the full one.
        crs: well-known text.
        nodata: value that the file declares for pixels without one.
    """

    dataset: gdal.Dataset
    levels: tuple[_Level, ...]
    geotransform: Affine
    crs: str
    nodata: float | None


def read_patch(
    files: OpenFiles[Cog],
    address: str,
    tile: Tile,
    fineness: float,
    name: str,
    is_cancelled: Callable[[], bool],
) -> Patch | None:
    """The part of a file over a tile; ``None`` where the file has no pixel there.

    Args:
        files: where it may be open already, and is kept open.
        address: of the file, signed where it must be; no message holds it.
        tile: whose ground is read.
        fineness: the coarsest overview is read of which at least so many pixels lie along a pixel of the
            tile.
        name: of the file, for messages.
        is_cancelled: asked while waiting.

    Raises:
        FetchCancelled: the user cancelled.
        AccessRefused: the server refuses.
        NotThere: the server does not have it.
        RetryableSourceError: it may be read later; what GDAL kept of the file is forgotten.
        SourceError: it cannot be read.
    """

    def read() -> Patch | None:
        complaints, file = _Complaints(), None
        gdal.PushErrorHandler(complaints)
        try:
            file = files.take(address) or _opened(vsicurl(address))
            patch = _read(file, tile, fineness)
            files.give_back(address, file)
            return patch
        except (RuntimeError, _Unreadable) as error:
            file = None
            # GDAL would go on to answer from what it kept of the failure.
            gdal.VSICurlPartialClearCache(vsicurl(address))
            told = f"{complaints.text} {error}"
        finally:
            gdal.PopErrorHandler()
        # Not from within: where GDAL raises, its error holds the address, and it would stay with this one.
        raise _explained(told, name, host(address))

    return patiently(read, is_cancelled, name)


class _Unreadable(Exception):
    """GDAL did not give what it was asked for."""


class _Complaints:
    """Takes GDAL's messages: they hold addresses, and these tokens."""

    def __init__(self) -> None:
        self.text = ""

    def __call__(self, kind: int, number: int, message: str) -> None:
        self.text += f" {message}"


def _explained(complaints: str, name: str, server: str) -> SourceError:
    status = _STATUS.search(complaints)
    if status is None or int(status.group(1)) < 400:
        if "not recognized as a supported file format" in complaints:
            return RetryableSourceError(f"{name}: {server} sent no GeoTIFF (a proxy's web page?)")
        return RetryableSourceError(f"{name}: the connection to {server} broke, or its data is cut short")
    code = int(status.group(1))
    error = failure(code, name, server)
    if code in (401, 403):
        return AccessRefused(str(error), fatal=True)
    return NotThere(str(error)) if code == 404 else error


def _opened(name: str) -> Cog:
    dataset = gdal.OpenEx(name, gdal.OF_RASTER | gdal.OF_VERBOSE_ERROR, allowed_drivers=["GTiff"])
    if dataset is None:
        raise _Unreadable
    # Before it has looked for its place, GDAL asks the server for overviews in files beside it.
    geotransform, crs = dataset.GetGeoTransform(), dataset.GetProjection()
    band = dataset.GetRasterBand(1)
    bands = [band, *(band.GetOverview(number) for number in range(band.GetOverviewCount()))]
    levels = tuple(_Level(level, level.XSize, level.YSize) for level in bands)
    return Cog(dataset, levels, geotransform, crs, band.GetNoDataValue())


def _read(file: Cog, tile: Tile, fineness: float) -> Patch | None:
    extent = _extent(tile, file.crs, file.geotransform)
    ratio = min(extent[2] - extent[0], extent[3] - extent[1]) / tile.size
    level, *overviews = file.levels
    columns, rows = level.columns, level.rows
    for overview in overviews:
        shrink = max(columns / overview.columns, rows / overview.rows)
        if shrink * fineness <= ratio * _HAIR and overview.columns < level.columns:
            level = overview
    wide, high = columns / level.columns, rows / level.rows
    x, a, b, y, d, e = file.geotransform
    a, b, d, e = a * wide, b * high, d * wide, e * high
    margin = 0 if in_step(tile, file.crs, (x, a, b, y, d, e)) else _MARGIN
    left = max(0, math.floor(extent[0] / wide) - margin)
    top = max(0, math.floor(extent[1] / high) - margin)
    right = min(level.columns, math.ceil(extent[2] / wide) + margin)
    bottom = min(level.rows, math.ceil(extent[3] / high) + margin)
    if left >= right or top >= bottom:
        return None
    values = level.band.ReadAsArray(left, top, right - left, bottom - top)
    if values is None:
        raise _Unreadable
    place = (x + a * left + b * top, a, b, y + d * left + e * top, d, e)
    return Patch(values, place, file.crs, file.nodata, ratio / max(wide, high))


def _extent(tile: Tile, crs: str, transform: tuple[float, ...]) -> tuple[float, float, float, float]:
    """First column and row and last column and row of a tile's ground, in the file's pixels."""
    origin_x, a, b, origin_y, d, e = transform
    x, y = (places - origin for places, origin in zip(_border(tile, crs), (origin_x, origin_y)))
    if is_geographic(crs):
        # Longitudes are taken on the side of the globe where the file lies, also across the antimeridian.
        x = (x + 180.0) % 360.0 - 180.0
    determinant = a * e - b * d
    columns, rows = (e * x - b * y) / determinant, (a * y - d * x) / determinant
    return columns.min(), rows.min(), columns.max(), rows.max()


@lru_cache(maxsize=64)
def _border(tile: Tile, crs: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places on a tile's border in another CRS; a tile's files are mostly in one or two."""
    left, bottom, right, top = tile.bounds
    # Straight sides stay straight in their own CRS.
    shares = np.linspace(0.0, 1.0, 2 if is_same_crs(tile.crs, crs) else _POINTS_A_SIDE)
    border = [(left + share * (right - left), y) for share in shares for y in (bottom, top)]
    border += [(x, bottom + share * (top - bottom)) for share in shares for x in (left, right)]
    places = np.array(transformation(tile.crs, crs).TransformPoints(border))
    return places[:, 0], places[:, 1]


@lru_cache(maxsize=64)
def is_geographic(crs: str) -> bool:
    """Whether a CRS counts in degrees."""
    reference = osr.SpatialReference()
    return reference.SetFromUserInput(crs) == 0 and bool(reference.IsGeographic())
