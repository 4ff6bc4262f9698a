"""Tiles on the globe: the local UTM zone, and a tile's outline in degrees, also across the antimeridian."""

from __future__ import annotations

import math
import threading
from functools import lru_cache

from osgeo import osr

from imagetodem_qgis.pairs.source import Tile

Place = tuple[float, float]
Box = tuple[float, float, float, float]
Affine = tuple[float, float, float, float, float, float]

WGS_84 = "EPSG:4326"
LARGEST_LATITUDE = 84.0
"""Degrees up to which UTM zones reach."""

_POINTS_A_SIDE = 4
_ALIGNED = 1e-6
"""Pixels by which a tile may be out of step with a grid whose pixels are taken as they are."""
_of_thread = threading.local()


def utm_zone(longitude: float) -> int:
    """Number of the 6° zone of a longitude in degrees, which may lie beyond 180 either way."""
    return int(math.floor(((longitude + 180.0) % 360.0) / 6.0)) + 1


def utm_crs(zone: int, south: bool) -> str:
    """The WGS 84 / UTM system of a zone, as authority and code."""
    return f"EPSG:{32700 + zone if south else 32600 + zone}"


def central_meridian(zone: int) -> float:
    """Longitude in degrees of a zone's middle."""
    return 6.0 * zone - 183.0


def transformation(source: str, target: str) -> osr.CoordinateTransformation:
    """From one CRS to another, both as anything that GDAL takes for one, x (or longitude) first.

    Each thread gets its own, which is made once: they must not be shared, and are slow to make.

    Raises:
        ValueError: one of them is no CRS.
    """
    made: dict[tuple[str, str], osr.CoordinateTransformation] = _of_thread.__dict__.setdefault("made", {})
    if (source, target) not in made:
        made[source, target] = osr.CoordinateTransformation(reference(source), reference(target))
    return made[source, target]


def reference(crs: str) -> osr.SpatialReference:
    """A CRS as GDAL's object, x (or longitude) first.

    Raises:
        ValueError: it is none.
    """
    made = osr.SpatialReference()
    # GDAL tells by a code or by an exception, as its bindings are set up.
    try:
        failed = made.SetFromUserInput(crs) != 0
    except RuntimeError:
        failed = True
    if failed:
        raise ValueError(f"{crs!r} is no coordinate reference system")
    made.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    return made


@lru_cache(maxsize=64)
def well_known_text(crs: str) -> str:
    """A CRS as well-known text; as :func:`reference`."""
    text: str = reference(crs).ExportToWkt()
    return text


@lru_cache(maxsize=64)
def is_same_crs(first: str, second: str) -> bool:
    """Whether two names or texts mean one CRS; as :func:`reference`."""
    return bool(reference(first).IsSame(reference(second)))


def in_step(tile: Tile, crs: str, geotransform: Affine) -> tuple[int, int, int] | None:
    """How a tile's pixels lie on a grid of smaller or equal ones.

    Args:
        tile: the tile.
        crs: of the grid.
        geotransform: of the grid, GDAL's six numbers.

    Returns:
        How many of the grid's pixels lie along one of the tile's, and the column and row at which the tile
        begins; ``None`` where the grids are not in step.
    """
    x, a, b, y, d, e = geotransform
    if b or d or not is_same_crs(crs, tile.crs):
        return None
    numbers = (tile.resolution / a, -tile.resolution / e, (tile.origin_x - x) / a, (tile.origin_y - y) / e)
    times, down, column, row = (round(number) for number in numbers)
    if times != down or times < 1 or any(abs(number - round(number)) > _ALIGNED for number in numbers):
        return None
    return times, column, row


def outline(tile: Tile) -> list[Place]:
    """A tile's border in longitude and latitude, clockwise from its upper left corner, closed.

    Longitudes go on beyond 180 or -180 where the tile lies across the antimeridian, so that neighbours are
    near each other.
    """
    left, bottom, right, top = tile.bounds
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    border = []
    for (x, y), (next_x, next_y) in zip(corners, corners[1:]):
        for step in range(_POINTS_A_SIDE):
            share = step / _POINTS_A_SIDE
            border.append((x + share * (next_x - x), y + share * (next_y - y)))
    border.append(corners[0])
    to_degrees = transformation(tile.crs, WGS_84)
    places = [point[:2] for point in to_degrees.TransformPoints(border)]
    middle = places[0][0]
    return [((x - middle + 180.0) % 360.0 - 180.0 + middle, y) for x, y in places]


def boxes(tile: Tile) -> list[Box]:
    """West, south, east, north of a tile in degrees, longitudes from -180 to 180: two boxes where it lies
    across the antimeridian."""
    places = outline(tile)
    west, east = min(x for x, _ in places), max(x for x, _ in places)
    south, north = min(y for _, y in places), max(y for _, y in places)
    shift = math.floor((west + 180.0) / 360.0) * 360.0
    west, east = west - shift, east - shift
    if east <= 180.0:
        return [(west, south, east, north)]
    return [(west, south, 180.0, north), (-180.0, south, east - 360.0, north)]
