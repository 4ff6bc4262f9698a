"""Cutting areas and rasters into tiles."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from osgeo import gdal, ogr

from imagetodem_qgis.core.tiling import plan_tiles
from imagetodem_qgis.pairs.areas import Area, AreaError
from imagetodem_qgis.pairs.geography import WGS_84, reference, transformation, utm_crs
from imagetodem_qgis.pairs.source import Tile
from imagetodem_qgis.raster.grid import Grid

MOST_TILES = 100_000
_METRES_PER_DEGREE = 111_320.0


class _Cell(NamedTuple):
    zone: int
    south: bool
    column: int
    row: int


def tiles_of_areas(areas: Sequence[Area], resolution: float, size: int, block: int) -> list[Tile]:
    """The tiles whose centres lie in some areas, each on the UTM grid of its centre's zone.

    The grids have their lines at whole multiples of a tile's side, so that the same ground gives the same
    tiles whatever the areas are. An area without a tile's centre gets the tile that it lies in.

    Args:
        areas: the first that has a tile keeps it.
        resolution: side of a pixel in metres.
        size: side of a tile in pixels.
        block: side in tiles of the squares that become the parent areas; 0: the areas themselves.

    Returns:
        Tiles without a split.

    Raises:
        AreaError: there are more than :data:`MOST_TILES`.
    """
    side = resolution * size
    owners: dict[_Cell, str] = {}
    for area in areas:
        for cell in _cells(area, side):
            owners.setdefault(cell, area.id)
        if len(owners) > MOST_TILES:
            raise AreaError(_too_many(len(owners)))
    tiles = []
    for cell, owner in owners.items():
        zone = f"{cell.zone:02}{'S' if cell.south else 'N'}"
        parent = f"{zone}_block_{cell.column // block}_{cell.row // block}" if block else owner
        tiles.append(
            Tile(
                f"{zone}_{cell.column:04}_{cell.row:04}",
                parent,
                "",
                utm_crs(cell.zone, cell.south),
                cell.column * side,
                (cell.row + 1) * side,
                resolution,
                size,
            )
        )
    return tiles


def tiles_of_grid(grid: Grid, size: int, block: int) -> list[Tile]:
    """The tiles that cover a grid, evenly spread, with as little overlap as that takes.

    Args:
        grid: north up, with square pixels, at least a tile wide and high.
        size: side of a tile in pixels.
        block: side in tiles of the squares that become the parent areas.

    Returns:
        Tiles without a split.
    """
    plan = plan_tiles(grid.rows, grid.columns, size, 0)
    tiles = []
    for index in range(len(plan)):
        row, column = divmod(index, len(plan.column_starts))
        window = plan.window(index)
        x, y = grid.to_map(window.column, window.row)
        parent = f"block_{column // block}_{row // block}"
        tiles.append(Tile(f"r{row:03}_c{column:03}", parent, "", grid.crs, x, y, grid.geotransform[1], size))
    return tiles


def _cells(area: Area, side: float) -> Iterator[_Cell]:
    geometry = area.geometry
    west, east, south, north = geometry.GetEnvelope()
    expected = geometry.GetArea() * _METRES_PER_DEGREE**2 * _shrink(south, north) / side**2
    if expected > 1.5 * MOST_TILES:
        raise AreaError(_too_many(expected))
    found = False
    for zone_from_west in range(math.floor((west + 180.0) / 6.0), math.floor((east + 180.0) / 6.0) + 1):
        for is_south in (True, False):
            for cell in _cells_of_zone(geometry, zone_from_west, is_south, side):
                found = True
                yield cell
    if not found:
        yield _cell_at(geometry.PointOnSurface(), side)


def _cells_of_zone(
    geometry: ogr.Geometry, zone_from_west: int, is_south: bool, side: float
) -> Iterator[_Cell]:
    """The cells of one zone's grid with their centre in the geometry and in the zone."""
    low = -180.0 + 6.0 * zone_from_west
    _, _, south, north = geometry.GetEnvelope()
    margin = side / (_METRES_PER_DEGREE * math.cos(math.radians(max(abs(south), abs(north)))))
    strip = (low - margin, -85.0, low + 6.0 + margin, margin) if is_south else (
        low - margin, -margin, low + 6.0 + margin, 85.0)  # fmt: skip
    clipped = geometry.Intersection(_box(*strip))
    if clipped is None or clipped.IsEmpty():
        return
    zone = zone_from_west % 60 + 1
    crs = utm_crs(zone, is_south)
    clipped.Transform(transformation(WGS_84, crs))
    left, right, bottom, top = clipped.GetEnvelope()
    first_column, first_row = math.floor(left / side), math.floor(bottom / side)
    columns, rows = math.ceil(right / side) - first_column, math.ceil(top / side) - first_row
    inside = _centres_inside(clipped, crs, (first_column, first_row, columns, rows), side)
    if not len(inside):
        return
    centres = [((column + 0.5) * side, (row + 0.5) * side) for column, row in inside]
    for (column, row), place in zip(inside, transformation(crs, WGS_84).TransformPoints(centres)):
        # The clipped polygon reaches a little into the neighbouring zones, which have grids of their own.
        from_low = (place[0] - low + 180.0) % 360.0 - 180.0
        if 0.0 <= from_low < 6.0 and (place[1] < 0.0) == is_south:
            yield _Cell(zone, is_south, column, row)


def _centres_inside(
    geometry: ogr.Geometry, crs: str, cells: tuple[int, int, int, int], side: float
) -> list[tuple[int, int]]:
    """Column and row of the cells whose centre lies in a geometry, northern rows first."""
    first_column, first_row, columns, rows = cells
    mask = gdal.GetDriverByName("MEM").Create("", columns, rows, 1, gdal.GDT_Byte)
    # GDAL burns a pixel where its centre lies in the polygon.
    mask.SetGeoTransform((first_column * side, side, 0.0, (first_row + rows) * side, 0.0, -side))
    mask.SetProjection(reference(crs).ExportToWkt())
    store = ogr.GetDriverByName("Memory").CreateDataSource("area")
    layer = store.CreateLayer("area", reference(crs), ogr.wkbUnknown)
    feature = ogr.Feature(layer.GetLayerDefn())
    feature.SetGeometry(geometry)
    layer.CreateFeature(feature)
    gdal.RasterizeLayer(mask, [1], layer, burn_values=[1])
    found = np.argwhere(mask.ReadAsArray() > 0)
    return [(first_column + int(column), first_row + rows - 1 - int(row)) for row, column in found]


def _cell_at(point: ogr.Geometry, side: float) -> _Cell:
    longitude, latitude = point.GetX(), point.GetY()
    zone = math.floor((longitude + 180.0) / 6.0) % 60 + 1
    x, y, _ = transformation(WGS_84, utm_crs(zone, latitude < 0.0)).TransformPoint(longitude, latitude)
    return _Cell(zone, latitude < 0.0, math.floor(x / side), math.floor(y / side))


def _box(west: float, south: float, east: float, north: float) -> ogr.Geometry:
    ring = ogr.Geometry(ogr.wkbLinearRing)
    for x, y in ((west, south), (west, north), (east, north), (east, south), (west, south)):
        ring.AddPoint_2D(x, y)
    box = ogr.Geometry(ogr.wkbPolygon)
    box.AddGeometry(ring)
    # The pieces of its sides are straight in degrees, not on the zone's grid.
    box.Segmentize(0.25)
    return box


def _shrink(south: float, north: float) -> float:
    """How much shorter a degree of longitude is than one of latitude, at least, between two latitudes."""
    return math.cos(math.radians(max(abs(south), abs(north))))


def _too_many(count: float) -> str:
    return (
        f"the areas hold about {count:,.0f} tiles, more than {MOST_TILES:,}: choose smaller areas, a larger "
        "TILE_SIZE or a coarser RESOLUTION"
    )


def places_on_sphere(tiles: Sequence[Tile]) -> np.ndarray:
    """The tiles' centres as metres from the earth's middle, (tiles, 3) float64: distances of any two,
    whatever their CRS."""
    radius = 6_371_000.0
    placed = np.zeros((len(tiles), 3))
    by_crs: dict[str, list[int]] = {}
    for number, tile in enumerate(tiles):
        by_crs.setdefault(tile.crs, []).append(number)
    for crs, numbers in by_crs.items():
        half = [tiles[number].resolution * tiles[number].size / 2 for number in numbers]
        centres = [(tiles[n].origin_x + h, tiles[n].origin_y - h) for n, h in zip(numbers, half)]
        degrees = np.radians([place[:2] for place in transformation(crs, WGS_84).TransformPoints(centres)])
        longitude, latitude = degrees[:, 0], degrees[:, 1]
        placed[numbers] = radius * np.stack(
            [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], 1
        )
    return placed


def is_metric(crs: str) -> bool:
    """Whether a CRS is projected with coordinates in metres."""
    try:
        made = reference(crs)
    except ValueError:
        return False
    return bool(made.IsProjected()) and abs(made.GetLinearUnits() - 1.0) < 1e-9
