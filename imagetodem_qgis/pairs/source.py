"""What a source of pairs is: it is asked for the image and the DEM of one tile at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Callable, Protocol

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.core.retry import RetryableError

FloatArray = NDArray[np.float32]

MEDIAN = "median"
"""The median of all cloud-free observations of a pixel."""
LEAST_CLOUDY = "least cloudy scene"
"""One scene, that with the fewest clouds over the tile: its shading has one sun."""
COMPOSITES = (MEDIAN, LEAST_CLOUDY)

AW3D30 = "AW3D30"
GLO30 = "Copernicus GLO-30"
ELEVATIONS = (AW3D30, GLO30)

SEA, CLOUD, NODATA = "sea", "cloud", "nodata"
REASONS = (SEA, CLOUD, NODATA)
"""Why a tile may be left out."""


@dataclass(frozen=True)
class Tile:
    """A square of ground, north up.

    Attributes:
        id: name of its files, without suffix.
        area: the parent area, whose tiles all share a split.
        split: ``train``, ``validation`` or ``test``; empty until the areas are split.
        crs: authority and code, such as ``EPSG:32633``; that of a user's own raster may be anything that
            GDAL takes for one.
        origin_x: of the upper left corner.
        origin_y: likewise.
        resolution: side of a pixel in metres.
        size: side of the tile in pixels.
    """

    id: str
    area: str
    split: str
    crs: str
    origin_x: float
    origin_y: float
    resolution: float
    size: int

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Least x and y, largest x and y, in the tile's CRS."""
        side = self.resolution * self.size
        return self.origin_x, self.origin_y - side, self.origin_x + side, self.origin_y

    @property
    def geotransform(self) -> tuple[float, float, float, float, float, float]:
        """GDAL's six numbers."""
        return self.origin_x, self.resolution, 0.0, self.origin_y, 0.0, -self.resolution


@dataclass(frozen=True)
class Query:
    """Which images and heights are wanted.

    Attributes:
        start: first day.
        end: last day, included.
        months: of the year, 1 to 12; all of them are named where the season does not matter.
        cloud: largest cloud cover of a scene in percent.
        composite: one of :data:`COMPOSITES`.
        elevation: one of :data:`ELEVATIONS`.
    """

    start: date
    end: date
    months: tuple[int, ...]
    cloud: float
    composite: str
    elevation: str


@dataclass(frozen=True)
class Provenance:
    """Where a pair's image comes from.

    Attributes:
        scenes: ids.
        dates: days of the scenes, ``YYYY-MM-DD``, as many as scenes.
        sun_azimuth: mean over the scenes, degrees clockwise from north, if it is known.
        sun_zenith: mean over the scenes, degrees from the vertical, if it is known.
    """

    scenes: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    sun_azimuth: float | None = None
    sun_zenith: float | None = None


@dataclass(frozen=True)
class FetchedPair:
    """The pixels of a tile.

    Attributes:
        image: (3, size, size) float32, reflectance (1 is all light) of red, green and blue (B4, B3, B2 of
            Sentinel-2); NaN where there is none.
        dem: (size, size) float32, metres; NaN where there is none.
        provenance: of the image.
        sea: (size, size) bool, where the source knows what is sea; else a height of exactly 0 is taken for
            it. The sea has a known height, 0, and is no NaN.
    """

    image: FloatArray
    dem: FloatArray
    provenance: Provenance = field(default_factory=Provenance)
    sea: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Estimate:
    """What fetching will cost.

    Attributes:
        requests: to the servers.
        bytes: to be sent by them.
    """

    requests: int
    bytes: int


class SourceError(RuntimeError):
    """The source cannot be used, or a tile cannot be had; the message names the cause and the way out.

    It never holds a token, a key or an address with either in it.

    Attributes:
        fatal: whether every other tile would fail alike (a project that is missing, a quota that is
            exhausted), so that the run ends at once.
    """

    def __init__(self, message: str, fatal: bool = False) -> None:
        super().__init__(message)
        self.fatal = fatal


class RetryableSourceError(SourceError, RetryableError):
    """A failure that may pass, for :func:`imagetodem_qgis.core.retry.retrying`; where it did not pass in all
    attempts, it is a tile's :class:`SourceError`."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        RetryableError.__init__(self, message, retry_after)
        self.fatal = False


class FetchCancelled(RuntimeError):
    """The user cancelled."""


class NoData(Exception):
    """A tile that has nothing to fetch; it is left out and counted.

    Attributes:
        reason: one of :data:`REASONS`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class PairSource(Protocol):
    """A source of pairs. :meth:`fetch` is called from several threads at once, everything else from one.

    Attributes:
        simultaneous: tiles that may be fetched at once, 1 or more.
    """

    simultaneous: int

    def describe(self) -> Mapping[str, Any]:
        """What goes into ``dataset.json``: ``sources`` and ``licences`` (lists of text), ``versions`` (of
        collections and libraries, by name), and what else the source wants to say; no credentials."""

    def estimate(self, tiles: Sequence[Tile]) -> Estimate:
        """What fetching the tiles will cost, worked out without asking the server for a pixel.

        Raises:
            SourceError: the source cannot be used.
        """

    def fetch(self, tile: Tile, is_cancelled: Callable[[], bool]) -> FetchedPair:
        """The pixels of a tile, after as many attempts as the source finds right.

        Raises:
            FetchCancelled: the user cancelled; within a second.
            NoData: there is nothing to fetch.
            SourceError: it cannot be had.
        """

    def close(self) -> None:
        """Let go of connections and processes; a fetch under way in another thread ends soon."""
