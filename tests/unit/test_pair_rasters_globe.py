"""Pairs from rasters in longitude and latitude, wherever these begin: around the antimeridian, and around the
globe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("osgeo.gdal", reason="needs GDAL's Python")

from imagetodem_qgis.pairs.geography import WGS_84, transformation
from imagetodem_qgis.pairs.rasters import RasterSource, common_grid
from imagetodem_qgis.pairs.source import FetchedPair, Tile
from imagetodem_qgis.raster.grid import Grid
from imagetodem_qgis.raster.heights import Heights
from imagetodem_qgis.raster.image import Image
from tests.rasters import write_image

SIZE = 64
LATITUDE = -17.0


def swell(longitude: NDArray[np.float64], latitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hills of a degree from crest to crest, alike wherever longitudes begin."""
    return 500.0 + 200.0 * np.sin(2.0 * np.pi * longitude) + 150.0 * np.cos(2.0 * np.pi * latitude)


def write(path: Path, grid: Grid, bands: int) -> str:
    column, row = np.meshgrid(np.arange(grid.columns) + 0.5, np.arange(grid.rows) + 0.5)
    places = [grid.to_map(*place) for place in zip(column.ravel(), row.ravel())]
    degrees = places if grid.crs == WGS_84 else transformation(grid.crs, WGS_84).TransformPoints(places)
    longitude, latitude = np.array(degrees)[:, :2].T.reshape(2, grid.rows, grid.columns)
    values = np.stack([swell(longitude, latitude)] * bands, axis=-1).astype(np.float32)
    return str(write_image(path, values, crs=grid.crs, transform=grid.geotransform))


def geographic(west: float, step: float, columns: int, rows: int, middle: float = LATITUDE) -> Grid:
    return Grid(columns, rows, (west, step, 0.0, middle + rows * step / 2.0, 0.0, -step), WGS_84)


UTM = Grid(128, 128, (155_000.0, 400.0, 0.0, 8_146_000.0, 0.0, -400.0), "EPSG:32701")
"""50 km around 180 degrees."""
ACROSS = geographic(179.75, 1.0 / 256.0, 128, 128)
CASES = [
    (UTM, geographic(179.5, 0.01, 100, 100)),
    (UTM, geographic(-180.5, 0.01, 100, 100)),
    (ACROSS, geographic(-180.5, 0.01, 100, 100)),
    (geographic(-180.25, 1.0 / 256.0, 128, 128), geographic(179.5, 0.01, 100, 100)),
    (ACROSS, Grid(250, 250, (160_000.0, 400.0, 0.0, 8_170_000.0, 0.0, -400.0), "EPSG:32701")),
]


def paired(image: str, dem: str) -> list[tuple[Tile, FetchedPair]]:
    """The four tiles around the middle of what both cover."""
    grid = common_grid(Image(image, (1, 2, 3)).grid, Heights(dem).grid, None)
    source = RasterSource(image, (1, 2, 3), dem)
    step = grid.geotransform[1]
    made = []
    for row in (-1, 0):
        for column in (-1, 0):
            x, y = grid.to_map(grid.columns // 2 + column * 24, grid.rows // 2 + row * 24)
            tile = Tile("t", "a", "train", grid.crs, x, y, step, 24)
            made.append((tile, source.fetch(tile, lambda: False)))
    return made


@pytest.mark.parametrize(("image", "dem"), CASES)
def test_pairs_lie_on_both_sides_of_the_antimeridian(tmp_path: Path, image: Grid, dem: Grid) -> None:
    found = paired(write(tmp_path / "image.tif", image, 3), write(tmp_path / "dem.tif", dem, 1))
    sides = set()
    for tile, pair in found:
        target = Grid(24, 24, tile.geotransform, tile.crs)
        places = [target.to_map(column + 0.5, row + 0.5) for row in range(24) for column in range(24)]
        degrees = np.array(transformation(tile.crs, WGS_84).TransformPoints(places))
        sides |= {bool(side) for side in degrees[:, 0] > 0.0}
        truth = swell(degrees[:, 0], degrees[:, 1]).reshape(24, 24)
        for values in (*pair.image, pair.dem):
            np.testing.assert_allclose(values, truth, atol=1.0)
    assert sides == {True, False}


@pytest.mark.parametrize("west", [-180.0, 0.0])
def test_a_dem_around_the_globe_is_taken_where_the_image_lies(tmp_path: Path, west: float) -> None:
    """A zone's coordinates do not lead to the other side of the globe."""
    image = Grid(96, 96, (350_000.0, 1000.0, 0.0, 6_340_000.0, 0.0, -1000.0), "EPSG:32719")
    dem = geographic(west, 0.1, 3600, 1800, 0.0)
    for tile, pair in paired(write(tmp_path / "image.tif", image, 3), write(tmp_path / "dem.tif", dem, 1)):
        assert tile.resolution == 1000.0
        assert np.isfinite(pair.dem).all()
        np.testing.assert_allclose(pair.dem, pair.image[0], atol=12.0)
