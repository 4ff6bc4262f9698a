"""Where a raster's pixels lie on the ground: their size in metres and their orientation."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from imagetodem_qgis.core.tiling import Window

Vector = tuple[float, float]

AnyGrid = TypeVar("AnyGrid", bound="PixelGrid")

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
class PixelGrid(ABC):
    """The pixels of a raster; a subclass knows what its CRS means.

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

    @abstractmethod
    def to_longitude_latitude(self, places: Sequence[Vector]) -> list[Vector] | None:
        """Longitudes and latitudes in degrees (WGS 84) of map coordinates; ``None`` where the CRS does not
        lead there."""

    def window(self) -> Window:
        """All pixels."""
        return Window(0, 0, self.rows, self.columns)

    def cropped(self: AnyGrid, window: Window) -> AnyGrid:
        """The grid of a window's pixels."""
        _, a, b, _, d, e = self.geotransform
        left, top = self.to_map(window.column, window.row)
        return replace(self, columns=window.columns, rows=window.rows, geotransform=(left, a, b, top, d, e))

    def resampled(self: AnyGrid, rows: int, columns: int) -> AnyGrid:
        """The grid of so many pixels over the same extent."""
        left, a, b, top, d, e = self.geotransform
        wide, high = self.columns / columns, self.rows / rows
        return replace(
            self,
            columns=columns,
            rows=rows,
            geotransform=(left, a * wide, b * high, top, d * wide, e * high),
        )

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
        geographic = self.to_longitude_latitude([self.to_map(*place) for place in places])
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
