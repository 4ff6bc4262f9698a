"""A known ground for the stand-in's scenes: smooth functions of the place, and where a picture lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imagetodem_qgis.pairs.source import Tile
from tests.services.stac_world import Lattice, World, to_crs

SCALE, OFFSET = 1e-4, -0.1
DAY = "2021-06-15"

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Ground:
    """Waves of some hundred metres around a place.

    Attributes:
        longitude: of the place in degrees.
        latitude: likewise.
    """

    longitude: float
    latitude: float

    def metres(self, longitude: Array, latitude: Array) -> tuple[Array, Array]:
        """East and north of the place, about."""
        turned = (longitude - self.longitude + 180.0) % 360.0 - 180.0
        shrink = np.cos(np.radians(self.latitude))
        return turned * 111_320.0 * shrink, (latitude - self.latitude) * 111_320.0

    def reflectance(self, longitude: Array, latitude: Array) -> Array:
        """(3, ...) red, green, blue, 0.1 to 0.5."""
        east, north = self.metres(longitude, latitude)
        return np.stack(
            [
                0.3 + 0.1 * np.sin(east / 103 + band) + 0.1 * np.sin(north / 121 - east / 407 + band)
                for band in range(3)
            ]
        )

    def height(self, longitude: Array, latitude: Array) -> Array:
        """Metres, 500 to 900."""
        east, north = self.metres(longitude, latitude)
        return 700.0 + 100.0 * np.sin(east / 143 + 0.3) + 100.0 * np.sin(north / 167 + east / 500)

    def numbers(self, lattice: Lattice, offset: float = OFFSET) -> NDArray[np.uint16]:
        """What a scene's files hold on a lattice, (3, rows, columns)."""
        return np.rint((self.reflectance(*lattice.degrees()) - offset) / SCALE).astype(np.uint16)

    def lattice(self, crs: str, pixels: int = 200, pixel: float = 10.0, shift: float = 0.0) -> Lattice:
        """A scene's pixels around the place, its corner on a multiple of 60 m as Sentinel-2's are.

        Args:
            crs: of the scene.
            pixels: along a side.
            pixel: side in metres.
            shift: metres to the east.
        """
        x, y = to_crs("EPSG:4326", crs, np.array([self.longitude]), np.array([self.latitude]))
        half = pixels * pixel / 2
        left, top = 60.0 * round((x[0] + shift - half) / 60.0), 60.0 * round((y[0] + half) / 60.0)
        return Lattice(crs, left, top, pixel, pixels, pixels)

    def tile(self, crs: str, size: int = 48, resolution: float = 30.0, name: str = "t") -> Tile:
        """A tile around the place, its corner on a multiple of the resolution."""
        lattice = self.lattice(crs, size, resolution)
        left = resolution * round(lattice.left / resolution)
        top = resolution * round(lattice.top / resolution)
        return Tile(name, "area", "train", crs, left, top, resolution, size)

    def add_to(self, world: World, crs: str, name: str = "S2A_one", **settings: Any) -> Lattice:
        """Add a clear scene around the place, and return its pixels."""
        lattice = self.lattice(crs)
        world.add_scene(name, lattice, self.numbers(lattice), **{"time": f"{DAY}T10:00:00Z", **settings})
        return lattice

    def add_heights(self, world: World, collection: str, side: float = 0.05, **settings: Any) -> None:
        """Add the tiles of a DEM that lie around the place."""
        west, south = side * np.floor(self.longitude / side), side * np.floor(self.latitude / side)
        around = 1500.0 / 111_320.0
        wide = around / np.cos(np.radians(self.latitude))
        for column in (-1, 0, 1):
            for row in (-1, 0, 1):
                left, bottom = round(west + column * side, 6), round(south + row * side, 6)
                if left - wide < self.longitude < left + side + wide and (
                    bottom - around < self.latitude < bottom + side + around
                ):
                    corner = round((left + 180.0) % 360.0 - 180.0, 6)
                    world.add_heights(collection, corner, bottom, self.height, **{"side": side, **settings})


def centres(tile: Tile) -> tuple[Array, Array]:
    """Longitude and latitude of a tile's pixels, each (size, size)."""
    return Lattice(tile.crs, tile.origin_x, tile.origin_y, tile.resolution, tile.size, tile.size).degrees()


def shift(picture: NDArray[Any], truth: Array) -> tuple[float, float]:
    """By how many columns and rows a picture lies to the right of and below the truth, by least squares:
    picture = truth - shift · gradient (Lucas and Kanade 1981, equation 4), without the border."""
    down, right = np.gradient(truth)
    inner = (slice(2, -2), slice(2, -2))
    known = ~np.isnan(picture[inner])
    slopes = np.column_stack([-right[inner][known], -down[inner][known], np.ones(known.sum())])
    difference = (picture - truth)[inner][known]
    answer = np.linalg.lstsq(slopes, difference, rcond=None)[0]
    return float(answer[0]), float(answer[1])
