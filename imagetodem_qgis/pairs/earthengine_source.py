"""Pairs from Earth Engine, through a worker in the machine-learning environment."""

from __future__ import annotations

import cmath
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Callable

from imagetodem_qgis.core.retry import BackOff
from imagetodem_qgis.pairs.earthengine_access import access_to_earth_engine
from imagetodem_qgis.pairs.earthengine_connection import Connection
from imagetodem_qgis.pairs.source import (
    AW3D30,
    GLO30,
    MEDIAN,
    Estimate,
    FetchedPair,
    NoData,
    Provenance,
    Query,
    SourceError,
    Tile,
)
from imagetodem_qgis.runtime.inspection import InspectionError, inspect
from imagetodem_qgis.runtime.interpreter import SETUP_ADVICE
from imagetodem_qgis.runtime.profiles import TRAIN
from imagetodem_qgis.worker.earthengine import products

STANDARD = "https://earthengine.googleapis.com"
HIGH_VOLUME = "https://earthengine-highvolume.googleapis.com"
"""For many plain requests; a composite's computing belongs to the other one."""

MOST_SIMULTANEOUS = 20
"""Requests that a free project may have under way on the high-volume address, half of what it allows."""
_ANSWER_SECONDS = 330.0
"""Earth Engine itself gives up after five minutes."""
_BYTES_A_SURVEY = 8_000
_OPENING_REQUESTS = 4
"""A token, the description of the interface twice, its functions."""

_IMAGE_LICENCE = "Contains modified Copernicus Sentinel data; Cloud Score+ by Google (CC BY 4.0)"
_HEIGHT_LICENCES = {
    AW3D30: "AW3D30 © JAXA, free of charge with this credit",
    GLO30: (
        "Copernicus DEM © DLR e.V. 2010-2014 and © Airbus Defence and Space GmbH 2014-2018, provided under "
        "COPERNICUS by the European Union and ESA; all rights reserved"
    ),
}


def check_earth_engine(project: str, key_file: Path | None) -> None:
    """Look whether a project and credentials are there, without asking the server.

    Raises:
        SourceError: one of them is missing or wrong; the message begins with the parameter's name.
    """
    access_to_earth_engine(project, key_file)


class EarthEngineSource:
    """Sentinel-2 and a DEM from Earth Engine.

    The worker starts with the source, and signs in while the first tile waits.

    Args:
        query: which images and heights.
        interpreter: of the machine-learning environment.
        project: id of a Cloud project; empty for that of the settings or of the credentials.
        key_file: of a service account; None for that of the settings, or the user's own sign-in.
        address: of the server; empty for Google's.
        simultaneous: tiles to be fetched at once.
        log: is given each line of the worker's log.
        answer_seconds: to wait for a server that sends nothing.
        back_off: between attempts.

    Raises:
        SourceError: there is no project or no credentials, or the environment lacks the library.
    """

    def __init__(
        self,
        query: Query,
        interpreter: Path,
        project: str,
        key_file: Path | None,
        address: str,
        simultaneous: int,
        log: Callable[[str], None],
        answer_seconds: float = _ANSWER_SECONDS,
        back_off: BackOff = BackOff(),  # noqa: B008 - it is frozen
    ) -> None:
        self.simultaneous = max(1, min(simultaneous, MOST_SIMULTANEOUS))
        self._query = query
        self._version = _library_version(interpreter)
        access = access_to_earth_engine(project, key_file)
        own_address = STANDARD if query.composite == MEDIAN else HIGH_VOLUME
        opening = {
            "access": {
                "address": (address or own_address).rstrip("/"),
                "project": access.project,
                "key_file": access.key_file,
                "seconds": answer_seconds,
                "back_off": asdict(back_off),
            },
            "season": {
                "start": query.start.isoformat(),
                "end": query.end.isoformat(),
                "months": list(query.months),
                "cloud": query.cloud,
            },
            "elevation": query.elevation,
            "is_composite": query.composite == MEDIAN,
            "simultaneous": self.simultaneous,
        }
        self._connection = Connection(interpreter, opening, log)

    def describe(self) -> Mapping[str, Any]:
        """Sources, licences and versions for ``dataset.json``."""
        elevation = products.ELEVATIONS[self._query.elevation]
        collections = (products.SENTINEL_2, products.CLOUD_SCORE, elevation.collection)
        return {
            "sources": [f"Earth Engine: {name}" for name in collections],
            "licences": [_IMAGE_LICENCE, _HEIGHT_LICENCES[self._query.elevation]],
            "versions": {"earthengine-api": self._version},
            "processing": [
                f"image: pixels of {products.CLEAR_BAND} >= {products.CLEAR} alone; averaged over coarser "
                "pixels",
                f"heights: of the classes {list(elevation.known)} of {elevation.classes} alone; 0 m where "
                f"it is {elevation.sea} (sea) or there is no tile",
            ],
        }

    def estimate(self, tiles: Sequence[Tile]) -> Estimate:
        """A survey and the pixels of each tile; pixels come uncompressed."""
        pictures = sum(math.ceil(tile.size / products.LARGEST_PICTURE) ** 2 for tile in tiles)
        pixels = sum(tile.size**2 for tile in tiles)
        return Estimate(
            _OPENING_REQUESTS + len(tiles) + pictures,
            pixels * products.BYTES_A_PIXEL + len(tiles) * _BYTES_A_SURVEY,
        )

    def fetch(self, tile: Tile, is_cancelled: Callable[[], bool]) -> FetchedPair:
        """The pixels of a tile; see :class:`imagetodem_qgis.pairs.source.PairSource`."""
        ground = {
            "crs": tile.crs,
            "left": tile.origin_x,
            "top": tile.origin_y,
            "resolution": tile.resolution,
            "size": tile.size,
        }
        answer = self._connection.ask({"type": "fetch", "tile": ground}, is_cancelled)
        kind, header = answer.header["type"], answer.header
        if kind == "nothing":
            raise NoData(header["reason"], header["message"])
        if kind == "failed":
            raise SourceError(header["message"], fatal=header["fatal"])
        image, heights, sea = answer.arrays
        return FetchedPair(image, heights, _provenance(header["scenes"]), sea.astype(bool))

    def close(self) -> None:
        """End the worker."""
        self._connection.close()


def _provenance(scenes: Sequence[Mapping[str, Any]]) -> Provenance:
    return Provenance(
        tuple(scene["index"] for scene in scenes),
        tuple(scene["day"] for scene in scenes),
        mean_direction(scene["azimuth"] for scene in scenes if scene["azimuth"] is not None),
        _mean(scene["zenith"] for scene in scenes if scene["zenith"] is not None),
    )


def mean_direction(degrees: Iterable[float]) -> float | None:
    """Mean of directions in degrees, 0 to 360: that of their unit vectors, so that 350 and 10 make 0."""
    total = sum(cmath.rect(1.0, math.radians(angle)) for angle in degrees)
    return math.degrees(cmath.phase(total)) % 360.0 if abs(total) > 1e-9 else None


def _mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return sum(known) / len(known) if known else None


def _library_version(interpreter: Path) -> str:
    try:
        packages = inspect(interpreter).packages
    except InspectionError as error:
        raise SourceError(str(error), fatal=True) from error
    if "ee" not in packages:
        raise SourceError(
            f"{interpreter} lacks earthengine-api. {SETUP_ADVICE} with PROFILE={TRAIN.name}, or take "
            "another SOURCE",
            fatal=True,
        )
    return packages["ee"]
