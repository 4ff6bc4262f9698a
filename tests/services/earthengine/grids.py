"""Pixel grids, and the places of their pixels in other coordinate systems."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from osgeo import ogr, osr

Floats = NDArray[np.float64]
_of_thread = threading.local()


@dataclass(frozen=True)
class Grid:
    """Pixels of a CRS: x and y of the upper left corner, their steps (that of y is negative), columns,
    rows."""

    crs: str
    left: float
    top: float
    step_x: float
    step_y: float
    columns: int
    rows: int

    def centres(self, parts: int = 1) -> tuple[Floats, Floats]:
        """X and y of the pixels' centres, each (rows, columns); or of those of a grid ``parts`` times as
        fine."""
        x = self.left + self.step_x * (np.arange(self.columns * parts) + 0.5) / parts
        y = self.top + self.step_y * (np.arange(self.rows * parts) + 0.5) / parts
        return tuple(np.meshgrid(x, y))  # type: ignore[return-value]

    def positions(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Column and row of places, counted in pixels from the upper left corner; longitudes by the shorter
        way around the globe."""
        right = x - self.left
        if self.crs == "EPSG:4326":
            right = (right + 180.0) % 360.0 - 180.0
        return right / self.step_x, (y - self.top) / self.step_y

    def window(self, column: int, row: int, columns: int, rows: int) -> Grid:
        """A part of the grid, or what lies beyond it."""
        return Grid(
            self.crs,
            self.left + column * self.step_x,
            self.top + row * self.step_y,
            self.step_x,
            self.step_y,
            columns,
            rows,
        )

    def outline(self) -> Any:
        """The border as a polygon in degrees, as ogr's."""
        edge = np.linspace(0.0, 1.0, 9)
        along, far, near = edge, np.ones(9), np.zeros(9)
        x = self.left + self.step_x * self.columns * np.concatenate([along, far, along[::-1], near])
        y = self.top + self.step_y * self.rows * np.concatenate([near, along, far, along[::-1]])
        return polygon(*transformed(self.crs, "EPSG:4326", x, y))


@lru_cache(maxsize=32)
def centres_in(grid: Grid, crs: str) -> tuple[Floats, Floats]:
    """X and y in another CRS of the centres of a grid's pixels."""
    return transformed(grid.crs, crs, *grid.centres())


def transformed(source: str, target: str, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Places of one CRS in another, x or longitude first; NaN where they have none."""
    if source == target:
        return x, y
    made = _of_thread.__dict__.setdefault("made", {})
    if (source, target) not in made:
        made[source, target] = osr.CoordinateTransformation(_reference(source), _reference(target))
    points = np.column_stack([x.ravel(), y.ravel()])
    moved = np.array(made[source, target].TransformPoints(points))[:, :2]
    moved[~np.isfinite(moved)] = np.nan
    return moved[:, 0].reshape(x.shape), moved[:, 1].reshape(y.shape)


def polygon(longitude: Floats, latitude: Floats) -> Any:
    """A ring in degrees as ogr's polygon; beyond 180 degrees where it lies across the antimeridian."""
    ring = ogr.Geometry(ogr.wkbLinearRing)
    whole_turns = 360.0 * np.round((longitude[0] - longitude) / 360.0)
    for x, y in zip(longitude + whole_turns, latitude):
        ring.AddPoint_2D(float(x), float(y))
    ring.CloseRings()
    made = ogr.Geometry(ogr.wkbPolygon)
    made.AddGeometry(ring)
    return made


def meet(one: Any, other: Any) -> bool:
    """Whether two polygons in degrees touch, by whatever whole turns their longitudes are apart."""
    return any(one.Intersects(_turned(other, turns)) for turns in (-360.0, 0.0, 360.0))


def _turned(geometry: Any, degrees: float) -> Any:
    points = np.array(geometry.GetGeometryRef(0).GetPoints())
    return polygon(points[:, 0] + degrees, points[:, 1])


def _reference(crs: str) -> Any:
    made = osr.SpatialReference()
    if made.SetFromUserInput(crs) != 0:
        raise ValueError(f"{crs} is no CRS")
    made.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    return made
