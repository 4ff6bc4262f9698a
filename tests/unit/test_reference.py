"""A reference DEM brought to another grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal, osr

from imagetodem_qgis.core.tiling import Window
from imagetodem_qgis.raster.errors import RasterError
from imagetodem_qgis.raster.grid import Grid
from imagetodem_qgis.raster.reference import Reference


def wkt(epsg: int) -> str:
    crs = osr.SpatialReference()
    crs.ImportFromEPSG(epsg)
    return str(crs.ExportToWkt())


UTM = wkt(32633)
IMAGE = Grid(200, 160, (500_000.0, 30.0, 0.0, 5_200_000.0, 0.0, -30.0), UTM)


def hills(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 800.0 + 100.0 * np.sin((x - 500_000.0) / 900.0) * np.cos((y - 5_200_000.0) / 700.0)


def true_heights(grid: Grid) -> np.ndarray:
    row, column = np.mgrid[: grid.rows, : grid.columns] + 0.5
    return hills(*grid.to_map(column, row))


def write(path: Path, heights: np.ndarray, transform: tuple, crs: str, **band: object) -> Path:
    kind = {"f": gdal.GDT_Float32, "i": gdal.GDT_Int16}[heights.dtype.kind]
    rows, columns = heights.shape
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), columns, rows, 1, kind)
    if transform:
        dataset.SetGeoTransform(transform)
    dataset.SetProjection(crs)
    made = dataset.GetRasterBand(1)
    if "nodata" in band:
        made.SetNoDataValue(band["nodata"])
    if "unit" in band:
        made.SetUnitType(band["unit"])
    if "scale" in band:
        made.SetScale(band["scale"])
        made.SetOffset(band["offset"])
    made.WriteArray(heights)
    return path


def coarse(path: Path, cell: float = 300.0, **changes: object) -> Path:
    """Means of the hills over cells around the image, by averaging ten times as many places."""
    left, top = 499_000.0, 5_201_000.0
    columns, rows = round(9000.0 / cell), round(8000.0 / cell)
    x = left + (np.arange(columns * 10) + 0.5) * cell / 10.0
    y = top - (np.arange(rows * 10) + 0.5) * cell / 10.0
    fine = hills(x[None], y[:, None]).reshape(rows, 10, columns, 10)
    heights = fine.mean(axis=(1, 3)).astype(np.float32)
    return write(path, heights, (left, cell, 0.0, top, 0.0, -cell), UTM, **changes)


@pytest.fixture
def on_image(tmp_path):
    def make(path: Path, grid: Grid = IMAGE):
        return Reference(str(path)).on(grid, tmp_path)

    return make


def test_a_coarse_reference_is_interpolated_without_cutting_off_its_peaks(on_image, tmp_path):
    heights = on_image(coarse(tmp_path / "dem.tif"))
    assert heights.is_coarse
    assert heights.cell == pytest.approx(10.0, rel=1e-6)
    truth = true_heights(IMAGE)
    error = np.abs(heights.read(IMAGE.window()) - truth)
    plain = np.abs(heights.read_plain(IMAGE.window()) - truth)
    assert error.max() < 1.0
    assert np.sqrt((error**2).mean()) < 0.3 * np.sqrt((plain**2).mean())


def test_any_window_is_a_part_of_the_whole(on_image, tmp_path):
    heights = on_image(coarse(tmp_path / "dem.tif"))
    whole = heights.read(IMAGE.window())
    window = Window(37, 90, 61, 45)
    np.testing.assert_allclose(heights.read(window), whole[window.within(IMAGE.window())], atol=0.05)


def test_a_finer_reference_is_averaged(on_image, tmp_path):
    heights = on_image(coarse(tmp_path / "dem.tif", 10.0))
    assert not heights.is_coarse
    assert np.abs(heights.read(IMAGE.window()) - true_heights(IMAGE)).max() < 1.0


def test_another_reference_system_and_a_turned_grid(on_image, tmp_path):
    source = gdal.Open(str(coarse(tmp_path / "dem.tif", 100.0)))
    geographic = tmp_path / "geographic.tif"
    gdal.Warp(str(geographic), source, dstSRS="EPSG:4326", resampleAlg="cubic").FlushCache()
    # Rows go east and columns north.
    turned = Grid(120, 100, (501_000.0, 0.0, 30.0, 5_196_000.0, 30.0, 0.0), UTM)
    heights = on_image(geographic, turned)
    inner = heights.read(turned.window())
    assert np.isfinite(inner).all()
    assert np.abs(inner - true_heights(turned)).max() < 3.0
    assert heights.cell == pytest.approx(100.0 / 30.0, rel=0.25)


@pytest.mark.parametrize("declared", [True, False])
def test_holes_stay_holes_and_are_filled_smoothly_for_a_guide(on_image, tmp_path, declared):
    path = coarse(tmp_path / "whole.tif")
    values = np.rint(gdal.Open(str(path)).ReadAsArray()).astype(np.int16)
    values[10:14, 12:16] = -32768
    transform = gdal.Open(str(path)).GetGeoTransform()
    with_holes = write(
        tmp_path / "dem.tif", values, transform, UTM, **({"nodata": -32768} if declared else {})
    )
    heights = on_image(with_holes)
    found = heights.read(IMAGE.window())
    middle = np.isnan(found[75:85, 95:105])
    assert middle.all()
    assert 0.01 < np.isnan(found).mean() < 0.1
    known = np.isfinite(found)
    # Beside a hole, the surface goes on as if it went on level.
    assert np.abs(found - true_heights(IMAGE))[known].max() < 30.0
    filled = heights.read_plain(IMAGE.window())
    assert np.isfinite(filled).all()
    assert 690.0 < filled.min() < filled.max() < 910.0
    assert np.abs(np.diff(filled, axis=0)).max() < 15.0


@pytest.mark.parametrize(
    ("unit", "factor"), [("", 1.0), ("m", 1.0), ("ft", 0.3048), ("US survey foot", 1200.0 / 3937.0)]
)
def test_feet_become_metres_and_scaled_values_heights(on_image, tmp_path, unit, factor):
    values = np.full((30, 30), 500, np.int16)
    path = write(
        tmp_path / "dem.tif", values, (499_000.0, 300.0, 0.0, 5_201_000.0, 0.0, -300.0), UTM,
        unit=unit, scale=2.0, offset=100.0,
    )  # fmt: skip
    np.testing.assert_allclose(on_image(path).read(IMAGE.window()), 1100.0 * factor, rtol=1e-6)


def test_a_reference_that_covers_a_part_is_known_there_alone(on_image, tmp_path):
    left, cell = 499_000.0, 300.0
    path = write(
        tmp_path / "dem.tif",
        np.full((30, 14), 700.0, np.float32),
        (left, cell, 0, 5_201_000.0, 0, -cell),
        UTM,
    )
    found = on_image(path).read(IMAGE.window())
    border = round((left + 14 * cell - 500_000.0) / 30.0)
    assert np.isfinite(found[:, : border - 5]).all()
    assert np.isnan(found[:, border + 15 :]).all()
    # What a guided model is shown goes on where the reference ends.
    np.testing.assert_allclose(on_image(path).read_plain(IMAGE.window()), 700.0)


def test_a_finer_reference_with_holes_is_filled_for_a_guide(on_image, tmp_path):
    path = coarse(tmp_path / "whole.tif", 10.0, nodata=-9999.0)
    file = gdal.Open(str(path), gdal.GA_Update)
    values = file.ReadAsArray()
    values[300:420, 200:380] = -9999.0
    file.GetRasterBand(1).WriteArray(values)
    file = None
    heights = on_image(path)
    found, filled = heights.read(IMAGE.window()), heights.read_plain(IMAGE.window())
    known = np.isfinite(found)
    assert 0.02 < 1.0 - known.mean() < 0.2
    np.testing.assert_array_equal(filled[known], found[known])
    assert np.abs(filled - true_heights(IMAGE)).max() < 60.0


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"transform": (700_000.0, 300.0, 0.0, 5_201_000.0, 0.0, -300.0)}, "overlap"),
        ({"crs": ""}, "no coordinate reference system"),
        ({"heights": np.full((30, 30), -9999.0, np.float32), "nodata": -9999.0}, "knows no height"),
    ],
)
def test_what_cannot_be_a_reference_is_refused(tmp_path, change, word):
    heights = change.get("heights", np.zeros((30, 30), np.float32))
    transform = change.get("transform", (499_000.0, 300.0, 0.0, 5_201_000.0, 0.0, -300.0))
    band = {"nodata": change["nodata"]} if "nodata" in change else {}
    path = write(tmp_path / "dem.tif", heights, transform, change.get("crs", UTM), **band)
    with pytest.raises(RasterError, match=word):
        Reference(str(path)).on(IMAGE, tmp_path)


def test_a_file_that_is_missing_is_told(tmp_path):
    with pytest.raises(RasterError, match="does not exist"):
        Reference(str(tmp_path / "nowhere.tif"))
