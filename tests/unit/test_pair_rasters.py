"""Pairs from a user's own rasters: to a tenth of a pixel in place, exact in value, and known in metres."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("osgeo.gdal", reason="needs GDAL's Python")
from osgeo import gdal

from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.pairs.geography import WGS_84, reference, transformation
from imagetodem_qgis.pairs.rasters import RasterSource, common_grid, stored_type
from imagetodem_qgis.pairs.source import FetchedPair, NoData, Tile
from imagetodem_qgis.raster.grid import Grid
from imagetodem_qgis.raster.heights import Heights
from imagetodem_qgis.raster.image import Image, RasterError
from tests.rasters import UTM_33N, write_image

Place = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]

LONGITUDE, LATITUDE = 15.0, 47.0
METRES_PER_DEGREE = 111_320.0
SIZE = 48


def bumps(longitude: NDArray[np.float64], latitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hills of some 600 m from crest to crest, 100 to 200 m high, around the place of the tests."""
    east = (longitude - LONGITUDE) * METRES_PER_DEGREE * np.cos(np.radians(LATITUDE))
    north = (latitude - LATITUDE) * METRES_PER_DEGREE
    return 150.0 + 25.0 * np.sin(east / 97.0 + 0.3) + 25.0 * np.sin(north / 113.0 + east / 401.0)


def pixels(grid: Grid, value: Place, parts: int = 3) -> NDArray[np.float64]:
    """A grid's pixels as means over the ground that each covers.

    The way to degrees is exact at some places, and straight in between: over these few kilometres to a
    centimetre.
    """
    fine = (np.arange(grid.rows * parts) + 0.5) / parts, (np.arange(grid.columns * parts) + 0.5) / parts
    knots = np.linspace(0, grid.rows, 25), np.linspace(0, grid.columns, 25)
    places = [grid.to_map(column, row) for row in knots[0] for column in knots[1]]
    exact = np.array(transformation(grid.crs, WGS_84).TransformPoints(places))[:, :2].reshape(25, 25, 2)
    longitude, latitude = (_between(exact[..., axis], knots, fine) for axis in (0, 1))
    values = value(longitude, latitude).reshape(grid.rows, parts, grid.columns, parts)
    return values.mean(axis=(1, 3))


def _between(values: NDArray[np.float64], knots: tuple, fine: tuple) -> NDArray[np.float64]:
    across = np.stack([np.interp(fine[1], knots[1], line) for line in values])
    return np.stack([np.interp(fine[0], knots[0], line) for line in across.T], axis=1)


def grid_at(crs: str, size: int, step: float) -> Grid:
    """A grid around the place of the tests."""
    x, y, _ = transformation(WGS_84, crs).TransformPoint(LONGITUDE, LATITUDE)
    wkt = reference(crs).ExportToWkt()
    return Grid(size, size, (x - size * step / 2, step, 0.0, y + size * step / 2, 0.0, -step), wkt)


def write(path: Path, grid: Grid, bands: int, dtype: str = "float32", **options) -> Path:
    values = np.stack([pixels(grid, bumps)] * bands, axis=-1).astype(dtype)
    return write_image(path, values, crs=grid.crs, transform=grid.geotransform, **options)


def paired(image: Path, dem: Path, resolution: float | None) -> tuple[Tile, FetchedPair, Grid]:
    """A tile in the middle of two rasters, and the grid that they share."""
    grid = common_grid(Image(str(image)).grid, Heights(str(dem)).grid, resolution)
    x, y = grid.to_map((grid.columns - SIZE) // 2, (grid.rows - SIZE) // 2)
    tile = Tile("t", "a", "", grid.crs, x, y, grid.geotransform[1], SIZE)
    return tile, RasterSource(str(image), (1, 2, 3), str(dem)).fetch(tile, lambda: False), grid


def shift(found: NDArray[np.float32], expected: NDArray[np.float64]) -> tuple[float, float]:
    """Pixels by which a picture lies off, down and across, by least squares over its gradients."""
    down, across = np.gradient(expected)
    inside = (slice(4, -4), slice(4, -4))
    slopes = np.stack([down[inside].ravel(), across[inside].ravel(), np.ones(down[inside].size)], 1)
    solved, *_ = np.linalg.lstsq(slopes, (expected - found)[inside].ravel(), rcond=None)
    return float(solved[0]), float(solved[1])


def test_an_image_on_a_true_grid_keeps_its_pixels(tmp_path):
    grid = grid_at(UTM_33N, 160, 10.0)
    image = write(tmp_path / "image.tif", grid, 3, "uint8")
    dem = write(tmp_path / "dem.tif", grid_at(UTM_33N, 70, 30.0), 1)
    tile, pair, made = paired(image, dem, None)
    column = round((tile.origin_x - grid.geotransform[0]) / 10.0)
    row = round((grid.geotransform[3] - tile.origin_y) / 10.0)
    assert (made.columns, made.rows) == (160, 160)
    expected = Image(str(image)).read(Window(row, column, SIZE, SIZE)).values
    np.testing.assert_array_equal(np.moveaxis(pair.image, 0, -1), expected)
    assert stored_type(str(image), (1, 2, 3)) == "uint8"


PLACEMENTS = [
    # image's CRS and step, DEM's, resolution asked for
    (UTM_33N, 10.0, UTM_33N, 30.0, None),
    (UTM_33N, 10.0, WGS_84, 1.0 / 3600.0, 30.0),
    (WGS_84, 1.0 / 7200.0, UTM_33N, 25.0, 20.0),
    ("EPSG:3857", 15.0, WGS_84, 1.0 / 3600.0, 12.0),
    ("EPSG:3035", 10.0, "EPSG:3857", 40.0, 47.0),
    (UTM_33N, 7.0, UTM_33N, 9.0, 33.0),
]


@pytest.mark.parametrize(("image_crs", "image_step", "dem_crs", "dem_step", "resolution"), PLACEMENTS)
def test_image_and_dem_lie_within_a_tenth_of_a_pixel(
    tmp_path, image_crs, image_step, dem_crs, dem_step, resolution
):
    across = SIZE * max(resolution or 10.0, 10.0) * 2.0
    degree = METRES_PER_DEGREE * np.cos(np.radians(LATITUDE))
    sizes = [
        round(across / (step * (degree if crs == WGS_84 else 0.66 if crs == "EPSG:3857" else 1.0)))
        for crs, step in ((image_crs, image_step), (dem_crs, dem_step))
    ]
    image = write(tmp_path / "image.tif", grid_at(image_crs, sizes[0], image_step), 3)
    dem = write(tmp_path / "dem.tif", grid_at(dem_crs, sizes[1], dem_step), 1)
    tile, pair, made = paired(image, dem, resolution)
    assert made.geotransform[1] == pytest.approx(resolution or 10.0)
    target = Grid(SIZE, SIZE, tile.geotransform, tile.crs)
    expected = pixels(target, bumps)
    for found in (*pair.image, pair.dem):
        assert np.isfinite(found).all()
        down, right = shift(found, expected)
        assert abs(down) < 0.1
        assert abs(right) < 0.1
        assert np.abs(found - expected).max() < 0.2 * np.ptp(expected)


def test_a_gap_stays_a_gap_and_spoils_nothing(tmp_path):
    grid = grid_at(UTM_33N, 120, 10.0)
    values = np.stack([pixels(grid, bumps, 1)] * 3, axis=-1).astype(np.float32)
    values[40:60, 40:60] = -9999.0
    image = write_image(
        tmp_path / "image.tif", values, crs=grid.crs, transform=grid.geotransform, nodata=-9999.0
    )
    dem = write(tmp_path / "dem.tif", grid_at(UTM_33N, 70, 30.0), 1)
    source = RasterSource(str(image), (1, 2, 3), str(dem))
    x, y = grid.to_map(20, 20)
    pair = source.fetch(Tile("t", "a", "", grid.crs, x + 3.0, y - 3.0, 11.0, 64), lambda: False)
    known = pair.image[np.isfinite(pair.image)]
    assert known.min() > 90.0
    assert known.max() < 210.0
    share = np.isnan(pair.image[0]).mean()
    # The gap, and no more than two pixels around it.
    assert (200.0 / 11.0) ** 2 / 64**2 <= share <= ((200.0 / 11.0) + 5.0) ** 2 / 64**2


def test_a_tile_beyond_a_raster_has_nothing(tmp_path):
    grid = grid_at(UTM_33N, 80, 10.0)
    image = write(tmp_path / "image.tif", grid, 3)
    dem = write(tmp_path / "dem.tif", grid, 1)
    source = RasterSource(str(image), (1, 2, 3), str(dem))
    with pytest.raises(NoData):
        source.fetch(Tile("t", "a", "", grid.crs, 10_000.0, 5_000_000.0, 10.0, 64), lambda: False)


def test_rasters_that_share_no_ground_are_refused(tmp_path):
    here = grid_at(UTM_33N, 80, 10.0)
    there = Grid(80, 80, (700_000.0, 10.0, 0.0, 5_000_000.0, 0.0, -10.0), here.crs)
    with pytest.raises(RasterError, match="no common ground"):
        common_grid(here, there, None)


@pytest.mark.parametrize(
    ("unit", "metres"), [("m", 1.0), ("", 1.0), ("ft", 0.3048), ("US survey foot", 1200.0 / 3937.0)]
)
def test_heights_are_metres(tmp_path, unit, metres):
    path = write_image(tmp_path / "dem.tif", np.full((4, 4, 1), 1000, np.int16))
    dataset = gdal.Open(str(path), gdal.GA_Update)
    dataset.GetRasterBand(1).SetUnitType(unit)
    dataset.GetRasterBand(1).SetScale(0.5)
    dataset.GetRasterBand(1).SetOffset(100.0)
    del dataset
    heights = Heights(str(path)).read(Window(0, 0, 4, 4), 4, 4)
    np.testing.assert_allclose(heights, 600.0 * metres, rtol=1e-6)


def test_heights_that_no_ground_has_are_unknown(tmp_path):
    dem = np.full((6, 6, 1), 250.0, np.float32)
    dem[0, 0], dem[1, 1], dem[2, 2], dem[3, 3] = -32768.0, np.nan, 1e30, 7.0
    path = write_image(tmp_path / "dem.tif", dem, nodata=7.0)
    heights = Heights(str(path)).read(Window(0, 0, 6, 6), 6, 6)
    assert np.isnan(np.diagonal(heights)[:4]).all()
    assert (heights[np.isfinite(heights)] == 250.0).all()
    assert np.isfinite(heights).sum() == 32


def test_rasters_that_are_no_dem_are_refused(tmp_path):
    with pytest.raises(RasterError):
        Heights(str(tmp_path / "nowhere.tif"))
    unplaced = write_image(tmp_path / "unplaced.tif", np.ones((4, 4, 1), np.float32), transform=None)
    with pytest.raises(RasterError, match="not georeferenced"):
        Heights(str(unplaced))
    waves = write_image(tmp_path / "waves.tif", np.ones((4, 4, 1), np.complex64))
    with pytest.raises(RasterError, match="complex"):
        Heights(str(waves))
