"""Where a raster's pixels lie on the ground: their size in metres and their orientation."""

from __future__ import annotations

import math
from dataclasses import dataclass

from osgeo import osr

from imagetodem_qgis.core.tiling import Window

Vector = tuple[float, float]

_METRES_PER_DEGREE = 111_320.0


@dataclass(frozen=True)
class Ground:
    """What one step of a pixel is on the ground at the raster's centre.

    Attributes:
        right: metres east and north of a step of one column.
        down: metres east and north of a step of one row.
        latitude: of the centre in degrees.
    """

    right: Vector
    down: Vector
    latitude: float

    def pixel_size(self) -> tuple[float, float]:
        """Metres of a column's and of a row's step."""
        return math.hypot(*self.right), math.hypot(*self.down)


@dataclass(frozen=True)
class Grid:
    """The pixels of a raster.

    Attributes:
        columns: how many.
        rows: how many.
        geotransform: of GDAL, six numbers.
        crs: well-known text, empty where the raster has none.
    """

    columns: int
    rows: int
    geotransform: tuple[float, float, float, float, float, float]
    crs: str

    def window(self) -> Window:
        """All pixels."""
        return Window(0, 0, self.rows, self.columns)

    def cropped(self, window: Window) -> Grid:
        """The grid of a window's pixels."""
        left, a, b, top, d, e = self.geotransform
        origin_x = left + a * window.column + b * window.row
        origin_y = top + d * window.column + e * window.row
        return Grid(window.columns, window.rows, (origin_x, a, b, origin_y, d, e), self.crs)

    def to_map(self, column: float, row: float) -> Vector:
        """Map coordinates of a place given in pixels from the upper left corner."""
        left, a, b, top, d, e = self.geotransform
        return left + a * column + b * row, top + d * column + e * row

    def to_pixels(self, x: float, y: float) -> Vector:
        """Column and row, in pixels from the upper left corner, of a place in map coordinates."""
        left, a, b, top, d, e = self.geotransform
        determinant = a * e - b * d
        return (
            (e * (x - left) - b * (y - top)) / determinant,
            (a * (y - top) - d * (x - left)) / determinant,
        )

    def ground(self) -> Ground | None:
        """What a pixel is on the ground, at the raster's centre; ``None`` without a CRS that leads to the
        ground.

        The true lengths are taken through geographic coordinates, whatever the CRS: a Web Mercator "metre" is
        none away from the equator, a foot is none anywhere.
        """
        if not self.crs:
            return None
        middle = (self.columns / 2.0, self.rows / 2.0)
        # A few pixels, so that rounding in the transformation does not count; no more, since the size of a
        # pixel changes over a large raster.
        step = min(8.0, max(1.0, min(self.columns, self.rows) / 4.0))
        places = [middle, (middle[0] + step, middle[1]), (middle[0], middle[1] + step)]
        geographic = _to_longitude_latitude(self.crs, [self.to_map(*place) for place in places])
        if geographic is None:
            return None
        (longitude, latitude), right, down = geographic
        shrink = math.cos(math.radians(latitude))

        def metres(place: Vector) -> Vector:
            # Across the antimeridian the longitudes of neighbours differ by nearly a full turn.
            east = (place[0] - longitude + 180.0) % 360.0 - 180.0
            return (
                east * _METRES_PER_DEGREE * shrink / step,
                (place[1] - latitude) * _METRES_PER_DEGREE / step,
            )

        return Ground(metres(right), metres(down), latitude)

    def sun_in_image(self, azimuth: float) -> float:
        """A direction's azimuth from the top of the image, given its azimuth from north; degrees clockwise.

        Where the raster's place on the ground is unknown, north is taken to be where its map coordinates
        grow.
        """
        ground = self.ground()
        if ground is not None:
            right, down = ground.right, ground.down
        else:
            _, a, b, _, d, e = self.geotransform
            right, down = (a, d), (b, e)
        sun = (math.sin(math.radians(azimuth)), math.cos(math.radians(azimuth)))
        along_right = (sun[0] * right[0] + sun[1] * right[1]) / math.hypot(*right)
        along_down = (sun[0] * down[0] + sun[1] * down[1]) / math.hypot(*down)
        return math.degrees(math.atan2(along_right, -along_down)) % 360.0


def _to_longitude_latitude(crs: str, places: list[Vector]) -> list[Vector] | None:
    source, target = osr.SpatialReference(), osr.SpatialReference()
    try:
        if source.ImportFromWkt(crs) != 0 or target.ImportFromEPSG(4326) != 0:
            return None
        for reference in (source, target):
            reference.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
        if source.IsLocal():
            return None
        transformation = osr.CoordinateTransformation(source, target)
        converted = [transformation.TransformPoint(x, y)[:2] for x, y in places]
    # GDAL tells of a CRS without a way to the ground by a code or by an exception, as its bindings are set
    # up.
    except RuntimeError:
        return None
    if not all(math.isfinite(value) for place in converted for value in place):
        return None
    return [(float(longitude), float(latitude)) for longitude, latitude in converted]
